"""What people do to a running controller by hand: delete, empty, pause, edit to nonsense. It says so and goes on."""

import pytest
from kubernetes import client
from rig.command import autoscaler
from rig.installed import hand_overs, scale_writes
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, events, policy, status_of

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]


@pytest.fixture
def tts(installed, pods):
    made = installed.cluster.deploy(installed.namespace, "tts", 2)
    carry(pods, made, IDLE)
    return made


def let_it_decide(ours, ticks, **labels):
    name = "speech_autoscaler_decisions_total"
    before = ours.metric(name, **labels)
    wait_for(f"{ticks} decisions more", lambda: ours.metric(name, **labels) >= before + ticks)


def ruled_by(installed, name):
    return status_of(installed.cluster, installed.namespace, name).get("ruledBy")


def patch(installed, target, data):
    name = f"autoscaler.{installed.namespace}.{target}"
    installed.cluster.core.patch_namespaced_config_map(name, installed.namespace, {"data": data})


def test_a_paused_target_that_is_deleted_and_made_anew_is_still_paused(installed, pods, prometheus, tts):
    with installed.leading(installed.pods()[0], installed.policies(tts=policy("tts", prometheus.url))) as ours:
        wait_for("the first status", lambda: ruled_by(installed, "tts"))
        patch(installed, "tts", {"paused": "Yes, until Monday"})
        wait_for("it to be said", lambda: events(installed.cluster, installed.namespace, "Paused", "tts"))
        tts.delete()
        status = "no Deployment"
        wait_for("it to be gone", lambda: status in str(status_of(installed.cluster, installed.namespace, "tts")))
        again = installed.cluster.deploy(installed.namespace, "tts", 2)
        carry(pods, again, BUSY)
        wait_for("the pause to rule", lambda: ruled_by(installed, "tts") == "pause")
        let_it_decide(ours, 3)
        assert again.read().spec.replicas == 2
        patch(installed, "tts", {"paused": "false"})
        wait_for("growth", lambda: again.read().spec.replicas > 2)
        wait_for("it to be said", lambda: events(installed.cluster, installed.namespace, "Resumed", "tts"))


def readable(installed, name):
    """The size is written before the status is."""
    try:
        return ruled_by(installed, name)
    except ValueError:
        return None


def test_a_target_is_sized_on_while_its_config_map_is_nonsense_or_gone(installed, pods, prometheus, tts):
    """What is damaged there is written anew; whoever asks meanwhile is shown what can be read."""
    core, namespace = installed.cluster.core, installed.namespace
    pod = installed.pods()[0]
    with installed.leading(pod, installed.policies(tts=policy("tts", prometheus.url))) as ours:
        wait_for("the first status", lambda: ruled_by(installed, "tts"))
        patch(
            installed, "tts", {"status.json": '{"target": [', "memory.json": "\x00" * 100, "explained": "x" * 900_000}
        )
        shown = autoscaler("status", "--kubeconfig", installed.kubeconfig(pod))
        assert (shown.code, f"{namespace}/tts" in shown.out) == (0, True)
        let_it_decide(ours, 2)
        carry(pods, tts, BUSY)
        wait_for("growth", lambda: tts.read().spec.replicas > 2)
        wait_for("a status that can be read", lambda: readable(installed, "tts"))
        core.delete_namespaced_config_map(f"autoscaler.{namespace}.tts", namespace)
        tts.settle(tts.read().spec.replicas)
        carry(pods, tts, IDLE / 4)
        wait_for("the shrink", lambda: tts.read().spec.replicas == 1)
        wait_for("the status", lambda: ruled_by(installed, "tts"))


def test_a_folder_of_policies_that_is_emptied_leaves_them_in_force(installed, pods, prometheus, tts):
    folder = installed.policies(tts=policy("tts", prometheus.url))
    with installed.leading(installed.pods()[0], folder) as ours:
        let_it_decide(ours, 2)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        wait_for("it to be noticed", lambda: ours.metric("speech_autoscaler_policy_files_refused") >= 1.0)
        wait_for("it to be said", lambda: events(installed.cluster, installed.namespace, "PolicyRefused", "tts"))
        carry(pods, tts, BUSY)
        wait_for("growth all the same", lambda: tts.read().spec.replicas > 2)
        folder.mkdir()
        (folder / "tts.yaml").write_text(policy("tts", prometheus.url, least=5))
        wait_for("the new one to be in force", lambda: tts.read().spec.replicas >= 5)
        wait_for("it to be said", lambda: events(installed.cluster, installed.namespace, "PolicyAccepted", "tts"))


def test_a_policy_that_takes_up_another_deployment_leaves_the_first_one_alone(installed, pods, prometheus, tts):
    asr = installed.cluster.deploy(installed.namespace, "asr", 2)
    carry(pods, asr, BUSY)
    folder = installed.policies(voice=policy("tts", prometheus.url))
    with installed.leading(installed.pods()[0], folder) as ours:
        let_it_decide(ours, 2)
        (folder / "voice.yaml").write_text(policy("asr", prometheus.url))
        wait_for("the other to grow", lambda: asr.read().spec.replicas > 2)
        carry(pods, tts, BUSY)
        let_it_decide(ours, 3)
        assert scale_writes(installed, "tts") == []
        assert "/tts" not in ours.get("/metrics")[1]
        assert ours.get("/readyz")[0] == 200


def test_a_namespace_without_rights_is_said_and_forgotten_with_its_last_policy(installed, pods, prometheus, tts):
    elsewhere = installed.cluster.namespace()
    there = policy("asr", prometheus.url).replace("{name: asr}", f"{{name: asr, namespace: {elsewhere}}}", 1)
    folder = installed.policies(tts=policy("tts", prometheus.url), asr=there)
    with installed.leading(installed.pods()[0], folder) as ours:
        wait_for("it to be said", lambda: elsewhere in ours.get("/readyz")[1])
        assert "forbidden" in ours.get("/readyz")[1]
        let_it_decide(ours, 2)
        (folder / "asr.yaml").write_text(policy("asr", prometheus.url))
        wait_for("it to be ready", lambda: ours.get("/readyz")[0] == 200)


def test_a_lease_that_is_deleted_under_its_leader_is_made_again_and_the_leader_stays(installed, pods, prometheus, tts):
    with installed.leading(installed.pods()[0], installed.policies(tts=policy("tts", prometheus.url))) as ours:
        let_it_decide(ours, 2)
        client.CoordinationV1Api(installed.cluster.api).delete_namespaced_lease(
            "speech-autoscaler", installed.namespace
        )
        carry(pods, tts, BUSY)
        wait_for("growth", lambda: tts.read().spec.replicas > 2)
        wait_for("the Lease", installed.lease)
        assert installed.lease().spec.holder_identity == installed.pods()[0]
        assert {each.holder for each in hand_overs(installed)} == {installed.pods()[0]}
        assert ours.leading()


def test_at_its_maximum_a_target_says_so_and_goes_no_further(installed, pods, prometheus, tts):
    texts = {"tts": policy("tts", prometheus.url, most=3)}
    with installed.leading(installed.pods()[0], installed.policies(**texts)) as ours:
        carry(pods, tts, 3.0)
        wait_for("growth", lambda: tts.read().spec.replicas == 3)
        [said, *_] = wait_for(
            "it to be said", lambda: events(installed.cluster, installed.namespace, "ScalingLimited", "tts")
        )
        assert "maxReplicas is 3" in said
        let_it_decide(ours, 3)
        assert [each.replicas for each in scale_writes(installed, "tts")] == [3]


def test_targets_of_the_same_name_and_of_the_longest_are_told_apart(installed, pods, prometheus, tts, cluster):
    """The longest name that a Deployment may have leaves no room for the namespace in that of its ConfigMap."""
    long = ".".join(["a" * 60, "b" * 60, "c" * 60, "d" * 57])
    core, namespace = cluster.core, installed.namespace
    texts = {"tts": policy("tts", prometheus.url), "long": policy(long, prometheus.url)}
    with installed.leading(installed.pods()[0], installed.policies(**texts)):
        target = f"{namespace}/{long}"

        def maps():
            listed = core.list_namespaced_config_map(namespace, label_selector="autoscaling.speech/kind=status").items
            return {
                each.data["status.json"].split('"target": "')[1].split('"')[0]: each.metadata.name for each in listed
            }

        wait_for("both statuses", lambda: set(maps()) == {f"{namespace}/tts", target})
        assert len(maps()[target]) <= 253


def test_the_load_of_a_sibling_whose_pods_are_called_alike_is_its_own(installed, pods, prometheus):
    """Of a name of more than 47 characters that of a pod keeps too little to tell it from another Deployment's."""
    name = "a" * 50
    made = [installed.cluster.deploy(installed.namespace, each, 2) for each in (name, f"{name}-canary")]
    for deployment, busy in zip(made, (IDLE, 3.0), strict=True):
        carry(pods, deployment, busy)
    with installed.leading(installed.pods()[0], installed.policies(long=policy(name, prometheus.url))) as ours:
        let_it_decide(ours, 5, target=f"{installed.namespace}/{name}")
        assert scale_writes(installed, name) == []
        carry(pods, made[0], 3.0)
        wait_for("growth by its own", lambda: made[0].read().spec.replicas > 2)


def select(deployment, **labels):
    body = {"spec": {"selector": labels}}
    deployment.cluster.core.patch_namespaced_service(deployment.name, deployment.namespace, body)


def test_a_service_that_does_not_select_the_pods_is_said_and_holds_nothing(installed, pods, prometheus, tts):
    tts.expose()
    text = policy("tts", prometheus.url).replace("kind: Deployment", "service: tts, kind: Deployment")
    metric = "speech_autoscaler_service_misdirected"

    def conditions():
        status = status_of(installed.cluster, installed.namespace, "tts")
        return {each["type"]: each["status"] for each in status.get("conditions", ())}

    with installed.leading(installed.pods()[0], installed.policies(tts=text)) as ours:
        wait_for("all to be well", lambda: conditions().get("ServiceSelects") == "True")
        select(tts, app="ttts")
        said = wait_for("it", lambda: events(installed.cluster, installed.namespace, "ServiceMisdirected", "tts"))
        assert said == ["Service tts selects app=ttts, which no pod of tts has: none gets its traffic"]
        wait_for("the condition", lambda: conditions()["ServiceSelects"] == "False")
        assert ours.metric(metric) == 1
        carry(pods, tts, BUSY)
        wait_for("growth all the same", lambda: tts.read().spec.replicas > 2)
        select(tts, app="tts")
        wait_for("its end", lambda: events(installed.cluster, installed.namespace, "ServiceSelects", "tts"))
        wait_for("the condition", lambda: conditions()["ServiceSelects"] == "True")
        assert ours.metric(metric) == 0
        installed.cluster.core.delete_namespaced_service("tts", installed.namespace)
        wait_for("a Service that is gone to be said", lambda: ours.metric(metric) == 1)

"""From API objects to a fleet: who belongs to it, in which phase, and whether a rollout is under way."""

import copy

import pytest

from autoscaler.cluster import objects
from autoscaler.cluster.api import manager_of
from autoscaler.cluster.objects import (
    deployment_view,
    misdirected,
    pod_view,
    replica_set_view,
    selector_of,
    service_view,
)
from autoscaler.model import Phase

CREATED, LOADED = "2026-11-21T10:00:00Z", "2026-11-21T10:00:17Z"
CREATED_S = 1795255200.0


def fleet_of(deployment, sets, pods, now_s=CREATED_S + 60):
    return objects.fleet_of(deployment_view(deployment), map(replica_set_view, sets), map(pod_view, pods), now_s)


def pod_of(pod):
    return pod_view(pod).pod


def owner(uid, kind="ReplicaSet"):
    return [{"kind": kind, "uid": uid, "controller": True}]


def deployment(replicas=2, *, paused=False, conditions=(), reported=2):
    return {
        "metadata": {"uid": "d", "resourceVersion": "77", "name": "tts"},
        "spec": {
            "replicas": replicas,
            "paused": paused,
            "selector": {"matchLabels": {"app": "tts"}},
            "template": {"metadata": {"labels": {"app": "tts", objects.ROLE_LABEL: "serving"}}},
        },
        "status": {"replicas": reported, "conditions": list(conditions)},
    }


def replica_set(template, replicas, revision, owner_uid="d", pods=None):
    return {
        "metadata": {
            "uid": f"rs-{template}",
            "name": f"tts-{template}",
            "creationTimestamp": CREATED,
            "labels": {"pod-template-hash": template},
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": owner(owner_uid, "Deployment"),
        },
        "spec": {"template": {"spec": pods or {}}},
        "status": {"replicas": replicas},
    }


def pod(name="p", template="new", *, ready=True, role=None, deleted=False, phase="Running", waiting=None, reason=None):
    labels = {"app": "tts", "pod-template-hash": template}
    made = {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "5",
            "creationTimestamp": CREATED,
            "labels": labels | ({"autoscaling.speech/role": role} if role else {}),
            "ownerReferences": owner(f"rs-{template}"),
        },
        "status": {
            "phase": phase,
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": LOADED},
                {"type": "PodScheduled", "status": "True"} | ({"reason": reason} if reason else {}),
            ],
            "containerStatuses": [{"state": {"waiting": {"reason": waiting}} if waiting else {"running": {}}}],
        },
    }
    if deleted:
        made["metadata"]["deletionTimestamp"] = LOADED
    return made


def written(made, *writes):
    """With what the API server notes of who wrote when."""
    made["metadata"]["managedFields"] = [{"manager": name, "time": time} for name, time in writes]
    return made


@pytest.mark.parametrize(
    ("made", "since_s"),
    [
        pytest.param(pod(), None, id="nobody wrote to it"),
        pytest.param(written(pod(), ("kubelet", LOADED)), None, id="others wrote to it"),
        pytest.param(
            written(pod(), ("speech-autoscaler", LOADED), ("kubelet", CREATED)), CREATED_S + 17, id="it got its role"
        ),
        pytest.param(
            written(pod(), (manager_of("voice"), LOADED)),
            CREATED_S + 17,
            id="a running controller gave its role",
        ),
        pytest.param(written(pod(), ("speech-autoscaler-of-mine", LOADED)), None, id="somebody of a like name wrote"),
    ],
)
def test_since_when_a_pod_has_its_role(made, since_s):
    assert pod_of(made).role_since_s == since_s


def test_a_pod_that_is_being_deleted_is_told_from_one_that_drains():
    assert [pod_of(each).ending for each in (pod(deleted=True), pod(role="draining"))] == [True, False]


@pytest.mark.parametrize(
    ("made", "phase", "gated"),
    [
        pytest.param(pod(), Phase.SERVING, False, id="Ready, no role: new pods serve though no controller lives"),
        pytest.param(pod(role="serving"), Phase.SERVING, False, id="Ready and serving"),
        pytest.param(pod(role="standby"), Phase.STANDBY, True, id="Ready and standby"),
        pytest.param(pod(ready=False), Phase.STARTING, False, id="not Ready"),
        pytest.param(pod(ready=False, role="standby"), Phase.STARTING, True, id="gated while it loads"),
        pytest.param(pod(role="draining"), Phase.DRAINING, False, id="draining by label"),
        pytest.param(pod(role="debug"), Phase.STANDBY, True, id="a role of somebody's own: the Service selects it not"),
        pytest.param(pod(ready=False, role="debug"), Phase.STARTING, True, id="the same while it loads"),
        pytest.param(pod(deleted=True), Phase.DRAINING, False, id="being deleted, still Ready"),
        pytest.param(pod(deleted=True, role="standby"), Phase.DRAINING, True, id="a standby that is being deleted"),
        pytest.param(pod(deleted=True, ready=False), Phase.DRAINING, False, id="being deleted before it was Ready"),
    ],
)
def test_phases(made, phase, gated):
    seen = pod_of(made)
    assert (seen.phase, seen.gated) == (phase, gated)


def test_times_uid_version_and_template():
    seen = pod_of(pod("a"))
    assert (seen.ordered_at_s, seen.loaded_at_s) == (CREATED_S, CREATED_S + 17)
    assert (seen.uid, seen.version, seen.revision) == ("uid-a", "5", "new")
    assert pod_of(pod(ready=False)).loaded_at_s is None


def test_a_pod_without_any_status_yet_is_starting():
    bare = pod()
    bare["status"] = {"phase": "Pending"}
    assert pod_of(bare).phase is Phase.STARTING


@pytest.mark.parametrize(
    ("made", "stuck"),
    [
        pytest.param(pod(ready=False), False, id="loading"),
        pytest.param(pod(ready=False, waiting="ContainerCreating"), False, id="container being created"),
        pytest.param(pod(ready=False, waiting="CrashLoopBackOff"), True, id="crash loop"),
        pytest.param(pod(ready=False, waiting="ImagePullBackOff"), True, id="image cannot be pulled"),
        pytest.param(pod(ready=False, reason="Unschedulable"), True, id="no GPU left"),
        pytest.param(pod(ready=True, waiting="CrashLoopBackOff"), False, id="Ready all the same"),
    ],
)
def test_starts_that_will_not_end(made, stuck):
    assert pod_of(made).stuck is stuck


def test_a_failing_init_container_is_stuck_too():
    made = pod(ready=False)
    made["status"]["initContainerStatuses"] = [{"state": {"waiting": {"reason": "ErrImagePull"}}}]
    assert pod_of(made).stuck


SETS = [replica_set("old", 0, 1), replica_set("new", 2, 2)]
NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
QUOTA = 'pods "tts-new-x7k2p" is forbidden: exceeded quota: gpus, requested: pods=1, used: pods=2, limited: pods=2'


def unscheduled(name="p", message=NO_GPU):
    made = pod(name, ready=False)
    made["status"]["conditions"][1] |= {"status": "False", "reason": "Unschedulable", "message": message}
    return made


def waits(reason, message="", last=None, name="p"):
    made = pod(name, ready=False, waiting=reason)
    [container] = made["status"]["containerStatuses"]
    container["state"]["waiting"]["message"] = message
    if last:
        container["lastState"] = {"terminated": last}
    return made


def refused(message, reason="FailedCreate"):
    """A ReplicaSet that lacks three pods."""
    made = replica_set("new", 2, 2)
    made["spec"]["replicas"] = 5
    failed = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": message}
    made["status"]["conditions"] = [failed]
    return made


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        pytest.param([pod()], "", id="Ready"),
        pytest.param([pod(ready=False, waiting="ContainerCreating")], "", id="loading"),
        pytest.param([unscheduled()], f"1 pod without a node (p): Unschedulable: {NO_GPU}", id="the scheduler's words"),
        pytest.param(
            [waits("ImagePullBackOff", 'Back-off pulling image "tts:2"')],
            '1 pod without image (p): ImagePullBackOff: Back-off pulling image "tts:2"',
            id="the image",
        ),
        pytest.param(
            [waits("CrashLoopBackOff", "back-off 40s", {"exitCode": 137, "reason": "OOMKilled"})],
            "1 pod whose containers fail (p): CrashLoopBackOff: it ended with 137 (OOMKilled): back-off 40s",
            id="a crash, and how it ended",
        ),
        pytest.param([waits("RunContainerError")], "1 pod whose containers fail (p): RunContainerError", id="no words"),
        pytest.param(
            [unscheduled(name) for name in "dbca"],
            f"4 pods without a node (a, b, c …): Unschedulable: {NO_GPU}",
            id="many: some are named",
        ),
        pytest.param(
            [waits("RunContainerError", name="a"), unscheduled("b")],
            f"1 pod without a node (b): Unschedulable: {NO_GPU}; 1 pod whose containers fail (a): RunContainerError",
            id="several causes",
        ),
        pytest.param([pod(ready=False, waiting="CrashLoopBackOff", deleted=True)], "", id="being deleted"),
    ],
)
def test_starts_that_do_not_go_on_are_told_with_the_clusters_own_words(pods, said):
    assert "; ".join(map(str, fleet_of(deployment(), SETS, pods).hindered)) == said


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        pytest.param([*SETS[:1], refused(QUOTA)], [f"3 pods not made: {QUOTA}"], id="a quota"),
        pytest.param([*SETS[:1], refused("no", "FailedDelete")], [], id="another failure"),
        pytest.param(SETS, [], id="none"),
    ],
)
def test_orders_that_the_api_server_refuses_are_told_with_its_words(sets, said):
    assert [str(each) for each in fleet_of(deployment(replicas=5), sets, [pod("a")]).hindered] == said


RUNS = "containers with unready status: [server]"


def unready(waiting=None, message=RUNS, **given):
    """Since 17 s after it was created."""
    made = pod(ready=False, waiting=waiting, **given)
    made["status"]["conditions"][0]["message"] = message
    return made


LATE = "1 pod not Ready past the progress deadline (p)"


@pytest.mark.parametrize(
    ("made", "after_s", "deadline_s", "said"),
    [
        pytest.param(unready(), 617, None, "", id="as long as it may take"),
        pytest.param(unready(), 618, None, f"{LATE}: {RUNS}", id="it runs"),
        pytest.param(unready(), 78, 60, f"{LATE}: {RUNS}", id="a deadline of its own"),
        pytest.param(unready("ContainerCreating", "no"), 618, None, f"{LATE}: ContainerCreating: no", id="not yet"),
        pytest.param(
            unready("ImagePullBackOff"), 618, None, "1 pod without image (p): ImagePullBackOff", id="known why"
        ),
        pytest.param(unready(role="standby"), 618, None, f"{LATE}: {RUNS}", id="gated"),
        pytest.param(unready(role="draining"), 618, None, "", id="it goes"),
        pytest.param(unready(deleted=True), 618, None, "", id="it is being deleted"),
        pytest.param(pod(), 9999, None, "", id="Ready"),
    ],
)
def test_pods_that_are_not_ready_for_longer_than_they_may_take_are_told(made, after_s, deadline_s, said):
    sized = deployment()
    if deadline_s is not None:
        sized["spec"]["progressDeadlineSeconds"] = deadline_s
    assert "; ".join(map(str, fleet_of(sized, SETS, [made], CREATED_S + after_s).hindered)) == said


def test_what_is_quoted_is_one_line_of_bounded_length():
    [said] = fleet_of(deployment(), SETS, [unscheduled(message="no\n node " * 1000)]).hindered
    assert said.message == ("Unschedulable: " + "no node " * 100)[:399] + "…"


def test_the_fleet_is_told_by_owners_and_not_by_labels():
    foreign = pod("foreign", "foreign")
    orphan = pod("orphan")
    del orphan["metadata"]["ownerReferences"]
    sets = [*SETS, replica_set("foreign", 1, 9, owner_uid="another")]
    fleet = fleet_of(deployment(), sets, [pod("a"), foreign, orphan, pod("b", "old")])
    assert [each.name for each in fleet.pods] == ["a", "b"]
    assert fleet.revision == "new"


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_pods_that_ended_hold_no_gpu(phase):
    assert fleet_of(deployment(), SETS, [pod(phase=phase, ready=False)]).pods == ()


def test_what_the_deployment_says():
    fleet = fleet_of(deployment(replicas=3, reported=2), SETS, [])
    assert (fleet.replicas, fleet.reported, fleet.uid, fleet.version) == (3, 2, "d", "77")


def test_a_fresh_deployment_has_no_status():
    bare = deployment()
    bare["status"] = {}
    fleet = fleet_of(bare, [], [])
    assert (fleet.reported, fleet.revision, fleet.rolling_out) == (0, "", False)


LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


@pytest.mark.parametrize(
    ("made", "old_pods", "rolling"),
    [
        pytest.param(deployment(), 0, False, id="one template"),
        pytest.param(deployment(replicas=9, reported=2), 0, False, id="growing is no rollout"),
        pytest.param(deployment(), 1, True, id="pods of the old template live"),
        pytest.param(deployment(conditions=[LATE]), 1, False, id="past its progress deadline"),
        pytest.param(deployment(paused=True), 1, False, id="paused half-way"),
    ],
)
def test_rollouts(made, old_pods, rolling):
    assert fleet_of(made, [replica_set("old", old_pods, 1), replica_set("new", 2, 2)], []).rolling_out is rolling


def test_an_undone_rollout_makes_the_old_template_the_newest():
    sets = [replica_set("first", 2, 3), replica_set("second", 0, 2)]
    assert fleet_of(deployment(), sets, []).revision == "first"


@pytest.mark.parametrize(
    ("pods", "same"),
    [
        pytest.param({"containers": [{"image": "tts:1", "args": ["--verbose"]}]}, True, id="other arguments"),
        pytest.param({"containers": [{"image": "tts:2"}]}, False, id="another image"),
        pytest.param({"containers": [{"image": "tts:1"}], "nodeSelector": {"gpu": "h200"}}, False, id="other nodes"),
    ],
)
def test_what_starts_depend_on(pods, same):
    before, after = (
        fleet_of(deployment(), [replica_set("t", 2, 1, pods=each)], []).starts_as
        for each in ({"containers": [{"image": "tts:1"}]}, pods)
    )
    assert before
    assert (before == after) is same


def test_pods_come_in_the_order_in_which_they_were_ordered():
    late = pod("a")
    late["metadata"]["creationTimestamp"] = LOADED
    pods = [late, pod("c"), pod("b")]
    assert [each.name for each in fleet_of(deployment(), SETS, pods).pods] == ["b", "c", "a"]
    assert fleet_of(deployment(), SETS, pods) == fleet_of(deployment(), SETS, pods[::-1])


def test_nothing_is_changed_in_what_was_read():
    read = [deployment(), SETS, [pod()]]
    kept = copy.deepcopy(read)
    fleet_of(*read)
    assert read == kept


@pytest.mark.parametrize(
    ("selector", "query"),
    [
        pytest.param({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2", id="labels"),
        pytest.param(
            {
                "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["x", "y"]},
                    {"key": "b", "operator": "NotIn", "values": ["z"]},
                    {"key": "c", "operator": "Exists"},
                    {"key": "d", "operator": "DoesNotExist"},
                ]
            },
            "a in (x,y),b notin (z),c,!d",
            id="expressions",
        ),
    ],
)
def test_selectors(selector, query):
    assert selector_of({"spec": {"selector": selector}}) == query


def sized(replicas, manager, at=CREATED, uid="d"):
    made = deployment(replicas)
    made["metadata"] |= {
        "uid": uid,
        "managedFields": [
            {"manager": "helm", "time": "2026-11-20T10:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubelet", "time": "2026-11-22T10:00:00Z", "fieldsV1": {"f:status": {"f:replicas": {}}}},
            {"manager": manager, "time": at, "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        ],
    }
    return deployment_view(made)


def after(*views):
    """What is kept after all these were heard, one a second."""
    kept = None
    for heard_s, view in enumerate(views):
        kept = objects.followed(kept, view, "ours", float(heard_s), clock_s=CREATED_S + heard_s)
    return kept.rewrites


@pytest.mark.parametrize(
    ("views", "rewrites"),
    [
        pytest.param([sized(2, "kubectl")], [], id="what was before we came is nobody's doing"),
        pytest.param([sized(2, "kubectl"), sized(3, "ours")], [], id="our own write"),
        pytest.param([sized(2, "ours"), sized(2, "kubectl")], [], id="the same size again"),
        pytest.param([sized(2, "ours"), sized(5, "kubectl")], [(1.0, 2, 5, "kubectl")], id="a person scaled"),
        pytest.param(
            [sized(2, "x"), sized(3, "ours"), sized(2, "argocd"), sized(3, "ours"), sized(2, "argocd")],
            [(2.0, 3, 2, "argocd"), (4.0, 3, 2, "argocd")],
            id="a contest: each of our writes is undone",
        ),
        pytest.param([sized(2, "ours"), sized(5, "kubectl"), sized(1, "helm", uid="e")], [], id="recreated: forgotten"),
    ],
)
def test_who_else_changed_the_size(views, rewrites):
    assert [(heard_s, each.was, each.replicas, each.by) for heard_s, each in after(*views)] == rewrites


def test_a_write_to_the_scale_is_dated_by_when_it_was_heard_of():
    """The API server keeps no time of it."""
    made = deployment(5)
    scaled = {"manager": "kubectl", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    made["metadata"]["managedFields"] = [scaled]
    [(_, rewrite)] = after(sized(2, "ours"), deployment_view(made))
    assert (rewrite.by, rewrite.at_s) == ("kubectl", CREATED_S + 1.0)


def test_of_a_long_contest_the_end_is_kept():
    views = [sized(2 + turn % 2, "argocd") for turn in range(100)]
    assert [heard_s for heard_s, _ in after(*views)] == [float(turn) for turn in range(84, 100)]


@pytest.mark.parametrize(
    "revision",
    [
        pytest.param("", id="empty"),
        pytest.param("abc", id="a word"),
        pytest.param("-1", id="negative"),
        pytest.param("9" * 5000, id="more digits than Python takes"),
    ],
)
def test_a_replica_set_whose_revision_somebody_has_edited_is_not_the_newest(revision):
    sets = [replica_set("old", 0, 3), replica_set("new", 2, revision)]
    assert fleet_of(deployment(), sets, []).revision == "old"


def test_a_pod_that_does_not_say_when_it_became_ready_was_ready_from_the_start():
    """Some virtual kubelets leave the time out."""
    made = pod()
    made["status"]["conditions"][0]["lastTransitionTime"] = None
    assert pod_of(made).loaded_at_s == CREATED_S


ROLE = objects.ROLE_LABEL


@pytest.mark.parametrize(
    ("selector", "by_role", "said"),
    [
        pytest.param({"app": "tts"}, False, None, id="its pods"),
        pytest.param({"app": "tts", ROLE: "serving"}, True, None, id="its pods that serve"),
        pytest.param({"app": "ttts"}, False, "selects app=ttts, which no pod of tts has", id="a typo"),
        pytest.param({"app": "tts", "tier": "gpu"}, False, "selects tier=gpu, which", id="a label that is not there"),
        pytest.param({"app": "tts"}, True, f"does not select {ROLE}: pods that stand by", id="whatever their role"),
        pytest.param({}, True, None, id="no selector: somebody else says who"),
        pytest.param(None, False, None, id="none at all"),
    ],
)
def test_whether_a_service_selects_the_pods(selector, by_role, said):
    service = {"metadata": {"uid": "s", "name": "front"}, "spec": {"selector": selector}}
    found = misdirected(deployment_view(deployment()), service_view(service), by_role=by_role)
    assert (found is None) == (said is None)
    assert said is None or said in found

"""Starts by phase: of those that were watched to their end, by image and by where pods may run."""

from datetime import UTC, datetime

import pytest

from autoscaler.cluster.hindrances import Halt
from autoscaler.cluster.mirror import Mirror
from autoscaler.cluster.nodes import node_view
from autoscaler.cluster.starts import KEPT, KINDS, Starts, starting_pod
from autoscaler.model import Hindrance

MOMENTS_S = (100, 103, 110, 125)
"""Ordered, on a node, running, Ready."""


def stamp(at_s):
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name="p", *, moments_s=MOMENTS_S, image="tts:1", nodes=None, node="node-a", ready=True, restarts=0):
    ordered_s, scheduled_s, started_s, ready_s = moments_s
    running = {"running": {"startedAt": stamp(started_s)}} if started_s else {"waiting": {"reason": "Pulling"}}
    return {
        "metadata": {
            "name": f"tts-ab12-{name}",
            "uid": name,
            "resourceVersion": "5",
            "creationTimestamp": stamp(ordered_s),
            "labels": {"pod-template-hash": "ab12"},
            "ownerReferences": [{"kind": "ReplicaSet", "uid": "rs", "name": "tts-ab12", "controller": True}],
        },
        "spec": {"containers": [{"name": "server", "image": image}], "nodeSelector": nodes, "nodeName": node},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(scheduled_s)},
                {"type": "Ready", "status": str(ready), "lastTransitionTime": stamp(ready_s)},
            ],
            "containerStatuses": [{"restartCount": restarts, "state": running}],
        },
    }


@pytest.fixture
def starts():
    return Starts()


def watch(starts, *pods):
    """What is known of the pods after they were heard of, one after the other."""
    mirror = Mirror(starting_pod, starts.followed)
    for each in pods:
        mirror.put(each)
    return mirror.owned("rs")


def crashed(**how):
    """A pod whose container has ended, and waits for its next attempt."""
    made = pod(ready=False, restarts=1, **how)
    made["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    return made


def started(name="p", **how):
    """A pod that is seen before and after it is Ready."""
    return pod(name, ready=False, **how), pod(name, **how)


def test_a_start_that_was_watched_is_known_by_its_phases(starts):
    watch(starts, *started())
    [found] = starts.typical("tts")
    assert found.said() == {
        "count": 1,
        "images": ["tts:1"],
        "nodeSelector": {},
        "seconds": {
            "scheduled": {"p50": 3.0, "p95": 3.0},
            "started": {"p50": 7.0, "p95": 7.0},
            "ready": {"p50": 15.0, "p95": 15.0},
        },
    }
    assert starts.typical("tts") is starts.typical("tts")
    assert starts.typical("asr") == ()


def test_quantiles_are_of_the_starts_so_far(starts):
    for number in range(21):
        watch(starts, *started(str(number), moments_s=(100, 100, 100, 110 + number)))
    assert starts.typical("tts")[0].phases_s["ready"] == (20.0, 29.0)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param([pod()], id="Ready when it was first heard of"),
        pytest.param([pod(ready=False)], id="not Ready yet"),
        pytest.param(started(restarts=1), id="its container began anew"),
        pytest.param(started(moments_s=(100, 103, None, 125)), id="a container does not run"),
    ],
)
def test_what_was_not_watched_as_a_whole_does_not_count(starts, seen):
    watch(starts, *seen)
    assert starts.typical("tts") == ()


def test_a_pod_that_is_ready_again_has_not_started_again(starts):
    ready_again = pod(moments_s=(*MOMENTS_S[:3], 900))
    watch(starts, *started(), pod(ready=False), ready_again)
    assert starts.typical("tts")[0].starts == 1
    assert starts.typical("tts")[0].phases_s["ready"] == (15.0, 15.0)


def test_another_image_or_other_nodes_are_learned_apart_and_known_again(starts):
    watch(starts, *started("a", moments_s=(0, 1, 2, 3)))
    watch(starts, *started("b", image="tts:2", moments_s=(0, 1, 2, 42)))
    assert starts.typical("tts")[0].phases_s["ready"] == (40.0, 40.0)
    watch(starts, *started("c", nodes={"gpu": "a100"}, moments_s=(0, 1, 2, 12)))
    assert starts.typical("tts")[0].said()["nodeSelector"] == {"gpu": "a100"}
    watch(starts, *started("d", moments_s=(0, 1, 2, 5)))
    assert (starts.typical("tts")[0].starts, starts.typical("tts")[0].phases_s["ready"][0]) == (2, 2.0)


def test_what_is_kept_is_bounded(starts):
    for number in range(KEPT + 5):
        watch(starts, *started(str(number)))
    assert starts.typical("tts")[0].starts == KEPT
    for number in range(KINDS + 1):
        watch(starts, *started(f"k{number}", image=f"tts:{number + 2}"))
    watch(starts, *started("again"))
    assert starts.typical("tts")[0].starts == 1


def test_what_servers_told_is_known_beside_it(starts):
    pods = watch(starts, *started("a"), *started("b"), pod("old"))
    for each, load_s in zip(pods, (1.0, 3.0, 2.0), strict=True):
        starts.loaded("tts", [(each, {"import": load_s, "warmup": 0.5})])
    [found] = starts.typical("tts")
    assert (found.starts, found.loads) == (2, 3)
    assert found.said()["load"] == {
        "count": 3,
        "seconds": {"import": {"p50": 2.0, "p95": 2.9}, "warmup": {"p50": 0.5, "p95": 0.5}},
    }


def test_of_pods_that_were_there_before_only_what_their_servers_told_is_known(starts):
    [old] = watch(starts, pod("old"))
    starts.loaded("tts", [(old, {"import": 1.0})])
    [found] = starts.typical("tts")
    assert found.said() == {
        "images": ["tts:1"],
        "nodeSelector": {},
        "load": {"count": 1, "seconds": {"import": {"p50": 1.0, "p95": 1.0}}},
    }


def test_each_pod_is_asked_about_until_it_has_told_and_counts_once(starts):
    pods = watch(starts, pod("a"), pod("b"), pod("loads", ready=False))
    assert set(starts.unheard("tts", pods)) == {"tts-ab12-a", "tts-ab12-b"}
    told = [(pods[0], {"import": 1.0})]
    starts.loaded("tts", told)
    starts.loaded("tts", told)
    assert set(starts.unheard("tts", pods)) == {"tts-ab12-b"}
    assert starts.typical("tts")[0].loads == 1


def test_types_of_nodes_are_told_apart_and_stand_side_by_side():
    types = {"node-a": "a2-highgpu-1g", "node-b": "g2-standard-8"}
    starts = Starts(lambda node: types.get(node, ""))
    watch(starts, *started("a", node="node-a", moments_s=(0, 1, 2, 12)))
    watch(starts, *started("b", node="node-b", moments_s=(0, 1, 2, 42)))
    watch(starts, *started("c", node="gone", moments_s=(0, 1, 2, 3)))
    ready_s = {each.said().get("nodeType"): each.phases_s["ready"][0] for each in starts.typical("tts")}
    assert list(ready_s.items()) == [(None, 1.0), ("g2-standard-8", 40.0), ("a2-highgpu-1g", 10.0)]


@pytest.mark.parametrize(
    ("labels", "type_"),
    [
        pytest.param({"node.kubernetes.io/instance-type": "m5", "nvidia.com/gpu.product": "A10"}, "m5", id="instance"),
        pytest.param({"nvidia.com/gpu.product": "NVIDIA-A10"}, "NVIDIA-A10", id="accelerator where there is none"),
        pytest.param({"node.kubernetes.io/instance-type": ""}, "", id="empty"),
        pytest.param(None, "", id="no label"),
    ],
)
def test_what_type_a_node_is_of(labels, type_):
    assert node_view({"metadata": {"uid": "u", "name": "n", "labels": labels}}).type == type_


@pytest.mark.parametrize("restarts", [0, 1], ids=["its probe failed for once", "its container restarted"])
def test_a_pod_that_is_ready_again_has_been_loaded_since_it_first_was(starts, restarts):
    """A policy learns from the time between order and Ready how long starts take."""
    again = (100, 103, 110, 36_125)
    flapping = [pod(ready=False, moments_s=again, restarts=restarts), pod(moments_s=again, restarts=restarts)]
    [loaded] = watch(starts, *started())
    [unready] = watch(Starts(), *started(), flapping[0])
    [ready] = watch(Starts(), *started(), *flapping)
    assert (loaded.pod.loaded_at_s, unready.pod.loaded_at_s, ready.pod.loaded_at_s) == (125.0, None, 125.0)


def test_a_pod_that_crashes_again_and_again_is_stuck_while_it_runs_in_between(starts):
    """Else what was ordered in its place would be given up and ordered again at each of its attempts."""
    between = pod(ready=False, restarts=2)
    assert [each.pod.stuck for each in watch(starts, crashed(), between)] == [True]
    assert [each.pod.stuck for each in watch(starts, crashed(), between, pod(restarts=2))] == [False]
    assert [each.pod.stuck for each in watch(starts, between)] == [False]


def test_of_a_pod_that_runs_between_two_crashes_it_is_still_known_what_keeps_it(starts):
    [waiting], [running] = watch(starts, crashed()), watch(starts, crashed(), pod(ready=False, restarts=2))
    assert running.halt == waiting.halt == Halt(Hindrance.FAILS, "CrashLoopBackOff")
    [ready] = watch(starts, crashed(), pod(restarts=2))
    assert ready.halt is None


def test_a_pod_whose_image_could_be_pulled_at_last_is_stuck_no_more(starts):
    unpulled = crashed()
    unpulled["status"]["containerStatuses"][0] |= {"restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull"}}}
    assert [each.pod.stuck for each in watch(starts, unpulled, pod(ready=False))] == [False]

"""The shipped predictive policy while new pods will not start: a bounded order on top, and no pod is made in vain."""

import itertools
import threading
from contextlib import ExitStack, contextmanager
from math import ceil
from operator import ge

import pytest
import yaml
from kubernetes import client
from rig.installed import scale_writes
from rig.processes import wait_for
from rig.programs import REPOSITORY
from rig.scene import Shared, events

from autoscaler.journal.log import read
from autoscaler.model import Observation
from autoscaler.policies.predictive.policy import OBSERVE_FIRST_S
from autoscaler.policies.predictive.starts import MOST_SHARE

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.slow,
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]

CALM, BUSY = 0.6, 2.5
"""Busy pods."""
TICKS = 32
"""Of a second each: by then every start is later than all but one in a hundred."""
UNSCHEDULABLE = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}


def container(restarts=0, **state):
    status = {"name": "server", "image": "sleeper:1", "imageID": "", "ready": False, "restartCount": restarts}
    return {"phase": "Running" if restarts else "Pending", "containerStatuses": [status | {"state": state}]}


def waiting(reason, restarts=0):
    return container(restarts, waiting={"reason": reason})


def crash_loop():
    """It runs for a moment, ends, and waits before the next attempt."""
    for restarts in itertools.count(1):
        yield from [container(restarts, running={})] * 2
        yield container(restarts, terminated={"exitCode": 1, "reason": "Error"})
        yield from [waiting("CrashLoopBackOff", restarts)] * 3


STUCK = {
    "unschedulable": lambda: itertools.repeat(UNSCHEDULABLE),
    "unpullable": lambda: itertools.cycle([waiting("ErrImagePull"), waiting("ImagePullBackOff")]),
    "crashing": crash_loop,
}


@contextmanager
def ailing(deployment, states):
    """Plays the kubelet: what is new never becomes ready, each pod goes through its states, one a second."""
    over, known = threading.Event(), {}

    def play():
        while not over.wait(1.0):
            for pod in deployment.pods():
                name = pod.metadata.name
                try:
                    if pod.metadata.deletion_timestamp:
                        deployment.remove(name)
                    elif name not in first:
                        deployment.patch_status(name, next(known.setdefault(name, states())))
                except client.ApiException:
                    continue  # it has gone meanwhile

    first = {pod.metadata.name for pod in deployment.pods()}
    thread = threading.Thread(target=play, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def shipped(name, url):
    """The shipped policy, sooner: it looks once a second."""
    text = yaml.safe_load((REPOSITORY / "policies" / "predictive-tts.yaml").read_text())
    text["metadata"] = {"name": name}
    text["spec"]["target"] = {"kind": "Deployment", "name": name}
    text["spec"]["policy"]["tick"] = "1s"
    text["spec"]["signals"] = {"prometheus": {"url": url, "scrapeInterval": "1s"}}
    return yaml.safe_dump(text)


def made(deployment):
    """How many pods were ever made for it, by the audit log."""
    maker = "system:serviceaccount:kube-system:replicaset-controller"
    asked = (each for each in deployment.cluster.requests(maker, "create") if each["objectRef"]["resource"] == "pods")
    ours = (each for each in asked if each["objectRef"]["namespace"] == deployment.namespace)
    names = [each["requestObject"]["metadata"]["generateName"] for each in ours]
    return sum(name.startswith(f"{deployment.name}-") for name in names)


def wanted(log, target):
    """The most pods that were wanted for the load at any tick, those in place of late ones apart."""
    steps = [
        [step for step in tick.decision.steps if step.stage in ("order", "backlog", "hold")]
        for tick in read(log)
        if isinstance(tick.seen, Observation) and tick.target == target
    ]
    return max(each[-1].serving for each in steps if each)


def test_orders_stay_bounded_and_no_pod_is_given_up_while_none_of_the_new_ones_starts(
    cluster, installed, pods, prometheus, tmp_path
):
    """No room on any node, an image that is not there, a crash loop: a target each."""
    log, namespace = tmp_path / "decisions.jsonl", installed.namespace
    policies = installed.policies(**{name: shipped(name, prometheus.url) for name in STUCK})
    targets = {name: cluster.deploy(namespace, name, 2) for name in STUCK}
    loads = [Shared(pods, each, CALM) for each in targets.values()]
    with ExitStack() as stack:
        stack.callback(pods.sources.clear)
        for name, each in targets.items():
            stack.enter_context(ailing(each, STUCK[name]))
        ours = stack.enter_context(installed.leading(installed.pods()[0], policies, "--journal", log))

        def decided():
            name = "speech_autoscaler_decisions_total"
            return [ours.metric(name, target=f"{namespace}/{each}") for each in targets]

        def let_it_decide(ticks):
            enough = [count + ticks for count in decided()]
            wait_for(f"{ticks} ticks", lambda: all(map(ge, decided(), enough)), 3.0 * ticks)

        let_it_decide(OBSERVE_FIRST_S + 2)
        for load in loads:
            load.total = BUSY
        wait_for("growth", lambda: all(each.read().spec.replicas > 2 for each in targets.values()))
        let_it_decide(TICKS)
    for name, each in targets.items():
        sizes = [write.replicas for write in scale_writes(installed, name) if write.status == 200]
        for_the_load = wanted(log, f"{namespace}/{name}")
        assert sizes == sorted(set(sizes)), f"{name}: what was ordered is neither given up nor ordered again"
        assert for_the_load < sizes[-1] <= for_the_load + ceil(MOST_SHARE * for_the_load), name
        assert made(each) == len(each.pods()) == sizes[-1], name
        assert 1 <= len(events(cluster, namespace, "StartsStuck", name)) <= sizes[-1] - 2, "one each at most"

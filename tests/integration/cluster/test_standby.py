"""Promotion, standby and drains on a real control plane: what the Service sends to, and which pods end."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from rig.account import grant
from rig.cluster import Deployment
from rig.node import InstantRuntime, node
from rig.processes import wait_for

from autoscaler.cluster.actuator import ClusterActuator
from autoscaler.cluster.api import connect, manager_of
from autoscaler.cluster.fleet import ClusterFleet
from autoscaler.model import Action, Decision, Drain, Fleet, Phase
from autoscaler.plan import plan

pytestmark = pytest.mark.cluster

IN_THE_SLICES_S = 1.0
"""Measured 0.1 s on an idle machine."""


@dataclass
class Target:
    """A Deployment behind a Service, and the controller's hands."""

    deployment: Deployment
    runtime: InstantRuntime
    fleet: Callable[[], Fleet]
    actuator: ClusterActuator

    def to(self, serving: int, standby: int, drain: Drain = Drain.SIGTERM, idle=(), at_s: float | None = None):
        """What was written towards a size; a pod that changes meanwhile is written to at a later tick."""
        decision = Decision(time.time() if at_s is None else at_s, serving, standby, (), "test")
        done: list[Action] = []

        def tick() -> bool:
            outcomes = self.actuator.apply(plan(decision, self.fleet(), drain, idle))
            done.extend(outcome.action for outcome in outcomes if outcome.done)
            return all(outcome.done for outcome in outcomes)

        wait_for(f"{serving} + {standby}", tick)
        return done

    def counts(self) -> tuple[int, int]:
        """Pods that serve, and pods that load."""
        fleet = self.fleet()
        return fleet.count(Phase.SERVING), fleet.count(Phase.STARTING)

    def names(self, phase: Phase) -> set[str]:
        return {pod.name for pod in self.fleet().of(phase)}


@pytest.fixture
def target(cluster, namespace, tmp_path):
    api = connect(grant(cluster, namespace, "gated").kubeconfig(tmp_path / "kubeconfig"))
    runtime = InstantRuntime()
    with node(cluster, namespace, runtime):
        tts = cluster.order(namespace, "tts", 4)
        tts.expose()
        wait_for("four pods behind the Service", lambda: len(tts.endpoints()) == 4)
        wait_for("the Deployment to know", lambda: tts.ready() == 4)
        fleet = ClusterFleet(api, namespace, "tts")
        hands = ClusterActuator(api, namespace, "tts", manager=manager_of(namespace))
        yield Target(tts, runtime, fleet.read, hands)


def test_a_pod_that_stands_by_is_out_of_the_service_and_loaded_until_it_is_promoted(target):
    target.to(2, 2)
    serving, standby = target.names(Phase.SERVING), target.names(Phase.STANDBY)
    assert (len(serving), len(standby)) == (2, 2)
    wait_for("two pods behind the Service", lambda: target.deployment.endpoints() == serving)
    assert all(pod.loaded_at_s for pod in target.fleet().pods)
    target.to(4, 0)
    wait_for("four again", lambda: target.deployment.endpoints() == serving | standby, IN_THE_SLICES_S)


def test_what_was_done_is_not_done_again(target):
    assert len(target.to(2, 2)) == 2
    assert target.to(2, 2) == []


def test_a_lost_step_is_made_up_for_at_the_next_tick(target):
    lost, *done = plan(Decision(time.time(), 2, 2, (), "test"), target.fleet())
    target.actuator.apply(tuple(done))
    [again] = target.to(2, 2)
    assert again.pod == lost.pod


def test_standby_pods_end_first(target):
    target.to(2, 2)
    serving = target.names(Phase.SERVING)
    target.to(2, 0)
    target.deployment.wait_for_pods(2)
    assert {pod.metadata.name for pod in target.deployment.pods()} == serving


def test_a_new_pod_serves_whoever_lives(target):
    """Fail open: the template gives the role, and no controller has to."""
    target.to(2, 2)
    target.deployment.scale(5)
    wait_for("the new one behind the Service", lambda: len(target.deployment.endpoints()) == 3)


def test_a_drain_by_label_takes_away_the_pod_that_left_the_service_and_no_other(target):
    before = target.names(Phase.SERVING)
    target.to(3, 0, Drain.LABEL)
    [leaving] = target.names(Phase.DRAINING)
    wait_for("it to leave the Service", lambda: target.deployment.endpoints() == before - {leaving})
    assert target.to(3, 0, Drain.LABEL) == []
    assert target.deployment.read().spec.replicas == 4
    target.to(3, 0, Drain.LABEL, idle=[leaving])
    target.deployment.wait_for_pods(3)
    assert {pod.metadata.name for pod in target.deployment.pods()} == before - {leaving}
    wait_for("the fleet to show it", lambda: target.fleet().replicas == len(target.fleet().pods) == 3)
    assert target.to(3, 0, Drain.LABEL) == []


def test_a_drain_by_label_ends_when_its_grace_is_over(target):
    """The API server itself notes when the role was given: a new leader knows it too."""
    target.to(3, 0, Drain.LABEL)
    [pod] = target.fleet().of(Phase.DRAINING)
    assert abs(pod.role_since_s - time.time()) < 30.0
    [write] = target.to(3, 0, Drain.LABEL, at_s=pod.role_since_s + 61.0)
    assert write.replicas == 3


def test_a_drain_is_cancelled_before_a_pod_is_ordered(target):
    target.to(3, 0, Drain.LABEL)
    target.to(4, 0, Drain.LABEL)
    assert target.deployment.read().spec.replicas == 4
    wait_for("four behind the Service", lambda: len(target.deployment.endpoints()) == 4)


def test_during_a_rollout_nothing_drains_and_no_serving_pod_leaves_service(target):
    target.runtime.loads = False
    target.deployment.change_image("sleeper:2")
    wait_for("three old pods and two that load", lambda: target.counts() == (3, 2))
    wait_for("the old one to have gone", lambda: len(target.deployment.pods()) == 5)
    assert target.fleet().rolling_out
    assert target.to(1, 1, Drain.LABEL, idle=target.names(Phase.SERVING))[1:] == []
    assert (len(target.names(Phase.SERVING)), target.deployment.read().spec.replicas) == (3, 4)


@pytest.mark.parametrize("ends", ["paused", "late"])
def test_a_rollout_that_will_not_go_on_blocks_drains_no_longer(target, ends):
    """Paused half-way by a person, or past its progress deadline: waiting for it could take for ever.

    The Deployment's controller takes pods from both ReplicaSets then, serving ones too: never more than are to spare.
    """
    deployment = target.deployment
    target.runtime.loads = False
    deployment.change_image("sleeper:2")
    wait_for("three old pods and two that load", lambda: target.counts() == (3, 2))
    wait_for("the old one to have gone", lambda: len(deployment.pods()) == 5)
    assert target.fleet().rolling_out
    change = {"paused": True} if ends == "paused" else {"progressDeadlineSeconds": 1}
    deployment.cluster.apps.patch_namespaced_deployment(deployment.name, deployment.namespace, {"spec": change})
    wait_for("it to be over", lambda: not target.fleet().rolling_out)
    assert target.to(3, 0, Drain.LABEL) == []
    [write] = target.to(2, 0, Drain.LABEL)
    assert write.replicas == 3
    deployment.wait_for_pods(4)
    target.to(2, 0, Drain.LABEL)
    assert len(target.names(Phase.SERVING)) >= 2
    assert target.to(3, 0, Drain.LABEL) == []


def test_pods_that_load_are_gated_before_they_serve(target):
    target.runtime.loads = False
    target.to(4, 2)
    wait_for("two that load", lambda: target.counts() == (4, 2))
    target.to(4, 2)
    assert {pod.gated for pod in target.fleet().of(Phase.STARTING)} == {True}

"""The Lease on a real API server."""

import time
from dataclasses import replace

import pytest
from rig.processes import wait_for

from autoscaler.cluster.api import connect
from autoscaler.cluster.lease import ClusterLease, Conflict, Election, Elector, Record, Timing, wall_clock

pytestmark = pytest.mark.cluster

QUICK = Timing(3.0, 2.0, 0.5)


@pytest.fixture
def stores(kubeconfig, namespace):
    """The same Lease, each time over connections of its own."""
    return lambda: ClusterLease(connect(kubeconfig), namespace, "speech-autoscaler", 1.0)


def elector(store, name):
    return Elector(Election(store, name, QUICK, wall_clock), QUICK)


def test_a_record_comes_back_as_it_was_written(stores):
    store = stores()
    assert store.read() is None
    made = store.create(Record("pod-a", 15.0, 3, wall_clock(), wall_clock()))
    assert store.read() == made
    assert (made.holder, made.lease_s, made.transitions) == ("pod-a", 15.0, 3)


def test_a_write_over_another_version_is_a_conflict(stores):
    store = stores()
    made = store.create(Record("pod-a", 15.0, 0, wall_clock(), wall_clock()))
    with pytest.raises(Conflict):
        store.create(made)
    store.replace(replace(made, renewed=wall_clock()))
    with pytest.raises(Conflict):
        store.replace(made)


def test_of_two_candidates_one_leads_and_the_other_follows_at_once_when_it_is_given_back(stores):
    first, second = elector(stores(), "pod-a"), elector(stores(), "pod-b")
    first.start()
    wait_for("a leader", first.leading)
    second.start()
    first.stop(2.0)
    assert not first.leading()
    wait_for("the other to lead", second.leading, 2.0)
    record = stores().read()
    assert (record.holder, record.transitions) == ("pod-b", 1)
    second.stop(2.0)


def test_a_leader_that_dies_is_followed_within_the_lease_and_two_retries(stores):
    dead = Election(stores(), "pod-a", QUICK, wall_clock)
    dead.step(time.monotonic)
    died_s = time.monotonic()
    heir = elector(stores(), "pod-b")
    heir.start()
    wait_for("the heir to lead", heir.leading, QUICK.lease_s + 2 * 1.2 * QUICK.retry_s + 2.0)
    assert time.monotonic() - died_s >= QUICK.renew_s
    assert not dead.leading(time.monotonic())
    heir.stop(2.0)

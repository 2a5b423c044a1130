"""Leader election on a virtual clock: at most one leads, and somebody does."""

import time
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.processes import wait_for
from structlog.testing import capture_logs

from autoscaler.cluster.lease import Conflict, Election, Elector, Record, Timing, since_boot_s
from autoscaler.model import InvalidInput, Unreachable

TIMING = Timing(15.0, 10.0, 2.0)


@dataclass
class Store:
    """A Lease with conditional writes; each request may take time, fail, or be carried out without an answer."""

    record: Record | None = None
    version: int = 0
    down: bool = False
    deaf: bool = False
    """Writes are carried out and their answers lost."""
    before_write: object = lambda: None

    def read(self):
        if self.down:
            raise Unreachable("down")
        return self.record

    def create(self, record):
        if self.record is not None:
            raise Conflict
        return self._write(record)

    def replace(self, record):
        if self.record is None or record.version != self.record.version:
            raise Conflict
        return self._write(record)

    def _write(self, record):
        self.before_write()
        if self.down:
            raise Unreachable("down")
        self.version += 1
        self.record = replace(record, version=str(self.version))
        if self.deaf:
            raise Unreachable("no answer in time")
        return self.record


class World:
    def __init__(self, *names):
        self.now_s = 100.0
        self.store = Store()
        self.candidates = {name: Election(self.store, name, TIMING, lambda: str(self.now_s)) for name in names}

    def step(self, name, after_s=0.0):
        self.now_s += after_s
        try:
            self.candidates[name].step(lambda: self.now_s)
        except Unreachable:
            return

    def leaders(self):
        return [name for name, candidate in self.candidates.items() if candidate.leading(self.now_s)]


def test_the_first_takes_a_lease_that_is_not_there():
    world = World("a", "b")
    world.step("a")
    world.step("b")
    assert world.leaders() == ["a"]
    assert (world.store.record.holder, world.store.record.transitions) == ("a", 0)


def test_a_leader_renews_and_stays():
    world = World("a", "b")
    for _ in range(30):
        world.step("a", after_s=2)
        world.step("b")
        assert world.leaders() == ["a"]


def test_a_dead_leader_is_followed_when_its_lease_was_seen_unchanged_for_its_length():
    world = World("a", "b")
    world.step("a")
    world.step("b", after_s=1)
    world.step("b", after_s=14.9)
    assert world.leaders() == []
    world.step("b", after_s=0.1)
    assert world.leaders() == ["b"]
    assert world.store.record.transitions == 1


def test_what_the_record_says_of_time_decides_nothing():
    world = World("a", "b")
    world.step("a")
    world.store.record = replace(world.store.record, renewed="1970-01-01T00:00:00Z")
    world.step("b", after_s=5)
    assert world.leaders() == ["a"]


def test_a_leader_that_cannot_renew_stops_before_another_may_begin():
    world = World("a", "b")
    world.step("a")
    world.step("b")
    world.store.down = True
    world.step("a", after_s=9.9)
    assert world.leaders() == ["a"]
    world.now_s += 0.2
    assert world.leaders() == []


def test_a_leader_that_slept_past_its_lease_leads_no_more_when_it_wakes():
    world = World("a", "b")
    world.step("a")
    world.step("b")
    world.step("b", after_s=60)
    assert world.leaders() == ["b"]
    world.step("a")
    assert world.leaders() == ["b"]


def test_a_machine_that_was_suspended_past_its_lease_leads_no_more_the_moment_it_wakes():
    """Its thread has not run yet: nothing has been attempted since."""
    woken_s, long = [0.0], Timing(3600.0, 1800.0, 600.0)
    elector = Elector(Election(Store(), "pod-a", long, lambda: "now"), long, lambda: woken_s[0])
    elector.start()
    wait_for("it to lead", elector.leading)
    woken_s[0] = 1800.0
    assert not elector.leading()
    elector.stop(2.0)


def test_the_clock_of_a_lease_goes_on_while_the_machine_is_suspended(monkeypatch):
    """`time.monotonic` does not on Linux."""
    clocks = {time.CLOCK_MONOTONIC: 100.0, time.CLOCK_BOOTTIME: 160.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    assert since_boot_s() == 160.0


def test_a_renewal_counts_from_when_it_was_asked_for_and_not_from_its_answer():
    world = World("a")
    world.step("a")

    def slow():
        world.now_s += 8

    world.store.before_write = slow
    world.step("a", after_s=2)
    world.now_s += 2.1
    assert world.leaders() == []


def test_a_released_lease_is_taken_at_once():
    world = World("a", "b")
    world.step("a")
    world.step("b")
    world.candidates["a"].release(lambda: world.now_s)
    assert world.leaders() == []
    world.step("b", after_s=0.1)
    assert world.leaders() == ["b"]


def test_who_does_not_lead_releases_nothing():
    world = World("a", "b")
    world.step("a")
    world.step("b")
    world.candidates["b"].release(lambda: world.now_s)
    assert world.store.record.holder == "a"


def test_a_restarted_container_of_the_same_pod_goes_on():
    world = World("a")
    world.step("a")
    again = Election(world.store, "a", TIMING, lambda: "")
    again.step(lambda: world.now_s)
    assert again.leading(world.now_s)
    assert world.store.record.transitions == 0


def test_a_deleted_lease_has_one_new_holder():
    world = World("a", "b")
    world.step("a")
    world.step("b")
    world.store.record = None
    world.step("b")
    world.step("a")
    assert world.leaders() == ["b"]


@pytest.mark.parametrize("times", [(10, 10, 2), (15, 2.4, 2), (15, 10, 0), (1, 2, 3)])
def test_timings_that_cannot_be_safe_are_refused(times):
    with pytest.raises(InvalidInput, match="must hold"):
        Timing(*times)


moves = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.floats(0.0, 20.0),
        st.sampled_from(["well", "down", "deaf", "deleted"]),
    ),
    max_size=60,
)


@given(moves)
def test_never_two_leaders_whatever_fails(history):
    """Deletion excepted: with the Lease gone, nobody can know of another for as long as a renewal lasts."""
    world = World("a", "b", "c")
    for name, pause_s, fault in history:
        if fault == "deleted":
            continue
        world.store.down, world.store.deaf = fault == "down", fault == "deaf"
        world.step(name, after_s=pause_s)
        assert len(world.leaders()) <= 1


@given(moves)
def test_somebody_leads_again_once_all_is_well(history):
    world = World("a", "b", "c")
    for name, pause_s, fault in history:
        world.store.down, world.store.deaf = fault == "down", fault == "deaf"
        if fault == "deleted":
            world.store.record = None
        world.step(name, after_s=pause_s)
    world.store.down = world.store.deaf = False
    for _ in range(12):
        for name in ("a", "b", "c"):
            world.step(name, after_s=0.7)
    assert len(world.leaders()) == 1


class Failing(Store):
    """A Lease behind something that answers otherwise than the API."""

    error: Exception | None = None

    def read(self):
        if self.error is not None:
            raise self.error
        return super().read()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(Unreachable("403: no right to read leases"), "403: no right to read leases", id="no right"),
        pytest.param(KeyError("spec"), "KeyError: 'spec'", id="an answer that is no Lease"),
    ],
)
def test_a_candidate_that_cannot_ask_says_so_once_and_leads_when_it_can(error, said):
    store, quick, failed = Failing(), Timing(3.0, 2.0, 0.01), []
    elector = Elector(Election(store, "pod-a", quick, lambda: "now"), quick, failed=lambda: failed.append(1))
    with capture_logs() as logs:
        store.error = error
        elector.start()
        wait_for("several attempts", lambda: len(failed) >= 3)
        assert elector.problem == said
        store.error = None
        wait_for("it to lead", lambda: logs[-1]["event"] == "leads")
        elector.stop(2.0)
    assert not elector.leading()
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("the Lease cannot be asked", said),
        ("leads", None),
    ]

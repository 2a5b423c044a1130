"""Admission, order, batches, withdrawal and failure: an engine stepped by hand, a clock moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field

import pytest

from inference_server.engines.engine import BatchLimits, Rehearsal
from inference_server.errors import Refusal
from inference_server.serving.scheduler import PASSING, AdmissionLimits, Scheduler

IN_TIME_S = 30
TOGETHER = BatchLimits(max_pieces=8, call_cost=1.0)


@dataclass(frozen=True, slots=True)
class Job:
    name: str = ""
    cost: float = 1.0
    group: str = ""


@dataclass
class MovedClock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class SteppedEngine:
    """Finishes a batch when the test says so; remembers the batches it was given."""

    slots: int = 1
    batching: BatchLimits = field(default_factory=BatchLimits)
    bad: frozenset[str] = frozenset()
    batches: list[list[str]] = field(default_factory=list)
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    kind = "sleep"
    model = "stepped"
    device = "none"

    def load(self, phase) -> None: ...

    def run(self, batch):
        names = [job.name for job in batch]
        self.batches.append(names)
        self.began.release()
        assert self.go.acquire(timeout=IN_TIME_S)
        if self.bad & set(names):
            raise ValueError(f"bad: {sorted(self.bad & set(names))}")
        return [f"done {name}" for name in names]

    def wait_began(self) -> None:
        assert self.began.acquire(timeout=IN_TIME_S)

    def step(self, times: int = 1) -> None:
        self.go.release(times)


@dataclass
class Seen:
    """Remembers what the scheduler reported."""

    admissions: int = 0
    batches: list[tuple[list[float], list[float], float]] = field(default_factory=list)
    services_s: list[float] = field(default_factory=list)

    def admitted(self) -> None:
        self.admissions += 1

    def batch_done(self, costs, waits_s, service_s) -> None:
        self.batches.append((costs, waits_s, service_s))

    def served(self, service_s: float) -> None:
        self.services_s.append(service_s)


@dataclass
class Rig:
    scheduler: Scheduler
    engine: SteppedEngine
    seen: Seen
    clock: MovedClock

    def enter_and_submit(self, *jobs: Job):
        place = self.scheduler.enter()
        return place, place.submit(jobs)


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    """A started scheduler; whatever still runs is let go at the end."""
    made: list[Rig] = []

    def start(limits: AdmissionLimits | None = None, rehearsal: Rehearsal | None = None, **engine_fields) -> Rig:
        engine, seen, clock = SteppedEngine(**engine_fields), Seen(), MovedClock()
        scheduler = Scheduler(engine, limits or AdmissionLimits(), seen, clock)
        scheduler.start(rehearsal)
        made.append(Rig(scheduler, engine, seen, clock))
        return made[-1]

    yield start
    for one in made:
        one.engine.step(1000)
        one.scheduler.close()


def test_results_come_back_in_the_order_of_the_pieces(rig) -> None:
    it = rig()
    place, futures = it.enter_and_submit(Job("a"), Job("b"), Job("c"))
    it.engine.step(3)
    with place:
        assert [future.result(IN_TIME_S) for future in futures] == ["done a", "done b", "done c"]


def test_what_waits_runs_together_when_it_may(rig) -> None:
    it = rig(batching=TOGETHER)
    it.enter_and_submit(Job("first"))
    it.engine.wait_began()
    futures = [it.enter_and_submit(Job(name))[1][0] for name in "abc"]
    it.engine.step(2)
    assert [future.result(IN_TIME_S) for future in futures] == ["done a", "done b", "done c"]
    assert it.engine.batches == [["first"], ["a", "b", "c"]]


def test_a_newcomers_first_sentence_goes_before_a_long_texts_later_ones(rig) -> None:
    it = rig()
    _, long = it.enter_and_submit(*(Job(f"long {n}") for n in range(4)))
    it.engine.wait_began()
    _, short = it.enter_and_submit(Job("short"))
    it.engine.step(5)
    for future in [*long, *short]:
        future.result(IN_TIME_S)
    assert it.engine.batches == [["long 0"], ["short"], ["long 1"], ["long 2"], ["long 3"]]


def test_newcomers_do_not_starve_a_long_text(rig) -> None:
    it = rig()
    it.enter_and_submit(*(Job(f"long {n}") for n in range(3)))
    for n in range(3 * PASSING):  # one newcomer arrives while each batch runs
        it.engine.wait_began()
        it.enter_and_submit(Job(f"new {n}"))
        it.engine.step()
    it.engine.wait_began()
    order = [name for (name,) in it.engine.batches]
    assert 1 < order.index("long 1") <= 1 + PASSING
    assert order.index("long 2") <= 2 + 2 * PASSING


def test_requests_of_one_piece_are_served_first_come_first_served(rig) -> None:
    it = rig()
    futures = [it.enter_and_submit(Job(str(n)))[1][0] for n in range(10)]
    it.engine.step(10)
    for future in futures:
        future.result(IN_TIME_S)
    assert [name for (name,) in it.engine.batches] == [str(n) for n in range(10)]


def test_as_many_batches_run_as_there_are_slots(rig) -> None:
    it = rig(slots=3)
    for n in range(4):
        it.enter_and_submit(Job(str(n)))
    for _ in range(3):
        it.engine.wait_began()
    assert it.scheduler.load().slots_busy == 3
    assert it.scheduler.load().queued == 1


def test_no_more_requests_are_inside_than_allowed(rig) -> None:
    it = rig(AdmissionLimits(max_in_flight=2))
    first = it.scheduler.enter()
    it.scheduler.enter()
    with pytest.raises(Refusal) as refused:
        it.scheduler.enter()
    assert (refused.value.status, refused.value.reason, refused.value.retry_after_s) == (503, "queue_full", 1)
    with first:
        pass
    it.scheduler.enter()


def test_a_wait_longer_than_offered_is_refused_at_once_and_says_for_how_long(rig) -> None:
    it = rig(AdmissionLimits(max_wait_s=5.0))
    place, (learnt,) = it.enter_and_submit(Job(cost=2.0))
    it.engine.wait_began()
    it.clock.now_s += 4.0  # 2 s of work for each unit of cost
    it.engine.step()
    learnt.result(IN_TIME_S)
    place.__exit__(None, None, None)
    it.enter_and_submit(Job(cost=1.0))
    it.engine.wait_began()  # the running one is not counted as waiting
    it.enter_and_submit(Job(cost=4.0))
    with pytest.raises(Refusal) as refused:
        it.scheduler.enter()
    assert refused.value.retry_after_s == 8


def test_one_slow_batch_of_a_fresh_server_turns_nobody_away(rig) -> None:
    it = rig(AdmissionLimits(max_wait_s=5.0), rehearsal=Rehearsal(cost=1.0, service_s=0.01))
    _, (slow,) = it.enter_and_submit(Job())
    it.engine.wait_began()
    for _ in range(100):
        it.enter_and_submit(Job())
    it.clock.now_s += 1.0  # a hundred times the usual
    it.engine.step()
    slow.result(IN_TIME_S)
    it.engine.wait_began()
    it.enter_and_submit(Job())
    assert it.scheduler.load().queued == 100


def test_a_warm_up_that_was_slow_bounds_the_first_burst(rig) -> None:
    it = rig(AdmissionLimits(max_wait_s=5.0), rehearsal=Rehearsal(cost=1.0, service_s=1.0))
    it.enter_and_submit(Job())
    it.engine.wait_began()
    for _ in range(6):
        it.enter_and_submit(Job())
    with pytest.raises(Refusal):
        it.enter_and_submit(Job())


def test_leaving_withdraws_what_has_not_started(rig) -> None:
    it = rig()
    it.enter_and_submit(Job("running"))
    it.engine.wait_began()
    place, (gone,) = it.enter_and_submit(Job("gone"))
    _, (kept,) = it.enter_and_submit(Job("kept"))
    with place:
        pass
    it.engine.step(2)
    assert kept.result(IN_TIME_S) == "done kept"
    with pytest.raises(CancelledError):
        gone.result(IN_TIME_S)
    assert it.engine.batches == [["running"], ["kept"]]


def test_nothing_is_queued_for_a_request_that_has_left(rig) -> None:
    it = rig()
    place = it.scheduler.enter()
    with place:
        pass
    with pytest.raises(Refusal) as refused:
        place.submit([Job("late")])
    assert refused.value.reason == "abandoned"
    assert it.scheduler.load().queued == 0


def test_a_bad_piece_fails_alone(rig) -> None:
    it = rig(batching=TOGETHER, bad=frozenset({"b"}))
    it.enter_and_submit(Job("first"))
    it.engine.wait_began()
    futures = [it.enter_and_submit(Job(name))[1][0] for name in "abc"]
    it.engine.step(5)
    assert futures[0].result(IN_TIME_S) == "done a"
    assert futures[2].result(IN_TIME_S) == "done c"
    with pytest.raises(ValueError, match="bad"):
        futures[1].result(IN_TIME_S)


def test_load_tells_what_waits_what_runs_and_for_how_long(rig) -> None:
    it = rig()
    it.enter_and_submit(Job("running"))
    it.engine.wait_began()
    it.clock.now_s += 2.0
    it.scheduler.enter()
    it.clock.now_s += 3.0
    load = it.scheduler.load()
    assert (load.in_flight, load.queued, load.slots_busy, load.slots) == (2, 1, 1, 1)
    assert load.oldest_wait_s == pytest.approx(3.0)
    assert load.in_flight_s == pytest.approx(1 * 2.0 + 2 * 3.0)
    assert load.busy_s == pytest.approx(5.0)
    assert it.scheduler.longest_run_s() == pytest.approx(5.0)


def test_waits_and_service_times_are_reported(rig) -> None:
    it = rig()
    place, (future,) = it.enter_and_submit(Job("a", cost=2.0))
    it.engine.wait_began()
    _, (second,) = it.enter_and_submit(Job("b"))
    it.clock.now_s += 3.0
    it.engine.step()
    future.result(IN_TIME_S)
    place.__exit__(None, None, None)
    it.engine.wait_began()
    it.engine.step()
    second.result(IN_TIME_S)
    assert it.seen.admissions == 2
    assert it.seen.batches == [([2.0], [0.0], 3.0), ([1.0], [3.0], 0.0)]
    assert it.seen.services_s == [3.0]


def test_closing_runs_what_waits(rig) -> None:
    it = rig()
    futures = [it.enter_and_submit(Job(str(n)))[1][0] for n in range(3)]
    it.engine.step(3)
    it.scheduler.close()
    assert [future.result(0) for future in futures] == ["done 0", "done 1", "done 2"]

"""The corners of Knative's rule that surprise (baselines C5), its averages and its way to zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policies.kpa.buckets import Buckets, smoothing
from autoscaler.policies.kpa.decider import UNKNOWN, Averages, DeciderState, collected, tick
from autoscaler.policies.kpa.scaler import Pods, ScalerState, Wish, reconcile
from autoscaler.policies.kpa.settings import Aggregation, KpaSettings

TEN = KpaSettings(total=10.0, target=10.0)
CALM = KpaSettings(total=10.0, target=10.0, panic_threshold=10.0)
LINEAR, WEIGHTED = Aggregation.LINEAR, Aggregation.WEIGHTED_EXPONENTIAL


@dataclass
class Revision:
    """A revision that is ticked and reconciled every two seconds; ready pods are what one says they are."""

    settings: KpaSettings
    size: int = 1
    now_s: float = 0.0

    def step(self, load: float | None, ready: int, panic: float | None = None) -> int:
        if self.now_s == 0.0:
            self.decider = DeciderState.new(self.settings, ready, 0.0)
            self.scaler = ScalerState.new(0.0)
        averages = None if load is None else Averages(load, load if panic is None else panic)
        self.decider, reason = tick(self.settings, self.decider, averages, ready, self.now_s)
        wish = Wish(self.decider.wish, self.decider.excess_burst, reason)
        self.scaler, self.size, steps = reconcile(self.settings, self.scaler, wish, Pods(self.size, ready), self.now_s)
        assert steps[-1].serving == self.size
        self.now_s += 2.0
        return self.size

    def run(self, loads: Iterable[float | None], ready: int) -> list[int]:
        return [self.step(load, ready) for load in loads]


def test_cold_starts_are_invisible_and_panic_grows_with_the_queue() -> None:
    revision = Revision(TEN)
    queue = [20.0 * i for i in range(1, 11)]
    assert revision.run(queue, ready=1) == [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]


def test_after_panic_pods_that_still_start_are_forgotten() -> None:
    revision = Revision(TEN)
    revision.run([200.0], ready=1)
    assert revision.run([10.0] * 30, ready=1) == [20] * 30, "held while panic lasts"
    assert revision.run([10.0], ready=1) == [1]


def test_there_is_no_dead_band() -> None:
    assert Revision(CALM).run([10.0, 10.001, 10.0], ready=1) == [1, 2, 1]


def test_a_fresh_autoscaler_over_several_pods_does_not_shrink_for_a_window() -> None:
    revision = Revision(TEN, size=8)
    sizes = revision.run([10.0] * 40, ready=8)
    assert sizes[:31] == [8] * 31
    assert sizes[31] == 4, "at most half of the ready pods at once"


@pytest.mark.parametrize(("ready", "most"), [(0, 2), (1, 2), (3, 5)])
def test_growth_is_limited_by_the_ready_pods(ready: int, most: int) -> None:
    settings = KpaSettings(total=10.0, target=10.0, max_scale_up_rate=1.5)
    assert Revision(settings).step(1e6, ready) == most


def test_shrinking_is_limited_only_while_a_route_points_there() -> None:
    for reachable, size in ((True, 4), (False, 1)):
        settings = KpaSettings(total=10.0, target=10.0, reachable=reachable)
        decider = DeciderState(8, 0, None, 0)
        assert tick(settings, decider, Averages(10.0, 10.0), 8, 100.0)[0].wish == size


def test_a_scale_down_delay_rules_by_the_largest_recent_wish() -> None:
    revision = Revision(replace(CALM, scale_down_delay_s=6.0))
    assert revision.run([15.0, 5.0, 5.0, 5.0, 5.0], ready=1) == [2, 2, 2, 1, 1]


def test_activation_scale_is_the_least_size_with_any_load() -> None:
    settings = KpaSettings(total=10.0, target=10.0, activation_scale=5)
    assert Revision(settings).run([0.01, 60.0], ready=5) == [5, 6]


@pytest.mark.parametrize(
    ("burst", "before", "after"),
    [(0.0, 0, 0), (-1.0, -1, -1), (211.0, -201, -187), (20.0, -10, 4)],
)
def test_excess_burst_capacity(burst: float, before: int, after: int) -> None:
    settings = KpaSettings(total=10.0, target=7.0, target_burst_capacity=burst)
    state = DeciderState.new(settings, 3, 0.0)
    assert state.excess_burst == before
    assert tick(settings, state, Averages(1.0, 5.5), 3, 2.0)[0].excess_burst == after


def test_nothing_is_decided_before_the_first_data_and_the_last_wish_stays_without_any() -> None:
    revision = Revision(TEN, size=1)
    assert revision.run([None, None], ready=1) == [1, 1]
    assert revision.decider.wish == UNKNOWN
    assert revision.run([30.0, None, None], ready=3) == [3, 3, 3]


def test_an_idle_revision_goes_to_zero_through_inactive() -> None:
    settings = KpaSettings(total=10.0, target=10.0, stable_window_s=6.0, target_burst_capacity=0.0)
    revision = Revision(settings)
    revision.run([5.0] * 3, ready=1)
    sizes, states = [], []
    for _ in range(20):
        sizes.append(revision.step(0.0, 1))
        states.append(str(revision.scaler))
    assert states[0] == "inactive,proxy", "active since 6 s: the idle time is already in the average"
    assert sizes.index(0) == 15, "and behind the activator for the grace period of 30 s"


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        pytest.param(replace(TEN, enable_scale_to_zero=False), 1, id="not enabled"),
        pytest.param(replace(TEN, min_scale=1), 1, id="a minimum"),
        pytest.param(replace(TEN, stable_window_s=300.0), 1, id="active for less than the stable window"),
        pytest.param(replace(TEN, retention_s=600.0), 1, id="pods are retained"),
        pytest.param(TEN, 0, id="nothing"),
    ],
)
def test_what_keeps_an_idle_revision(settings: KpaSettings, size: int) -> None:
    revision = Revision(settings)
    revision.step(5.0, 1)
    assert revision.run([0.0] * 60, ready=1)[-1] == size


def test_initial_scale_counts_until_it_was_reached_once() -> None:
    revision = Revision(KpaSettings(total=10.0, target=10.0, initial_scale=4), size=4)
    assert revision.run([5.0, 5.0], ready=1) == [4, 4]
    revision.step(5.0, 4)
    assert revision.scaler.initialized
    assert revision.step(5.0, 4) < 4


def test_a_linear_average_divides_by_the_seconds_since_the_first_report() -> None:
    buckets = Buckets(10).record(0.0, 6.0).record(1.2, 2.0).record(1.9, 4.0)
    assert buckets.average(1.9, LINEAR) == 6.0
    assert buckets.record(3.0, 4.0).average(3.0, LINEAR) == 4.0, "the second without a report counts as 0"


def test_silence_at_the_end_shortens_the_window() -> None:
    buckets = Buckets(4)
    for second in range(4):
        buckets = buckets.record(second, 10.0 if second < 2 else 20.0)
    assert [buckets.average(now, LINEAR) for now in (3, 4, 5, 6, 7)] == [15.0, pytest.approx(50 / 3), 20.0, 20.0, 0.0]
    assert not buckets.silent(7.9)
    assert buckets.silent(8.0)


def test_a_silent_window_begins_anew() -> None:
    buckets = Buckets(4).record(0.0, 8.0).record(4.0, 2.0)
    assert buckets == Buckets(4, 4, 4, ((4, 2.0),))


def test_late_reports_go_to_their_own_second_unless_they_are_a_window_old() -> None:
    buckets = Buckets(4).record(10.0, 8.0)
    assert buckets.record(8.0, 4.0).average(10.0, LINEAR) == 4.0
    assert buckets.record(6.0, 100.0) == buckets


def test_weights_fall_exponentially_and_begin_low() -> None:
    buckets = Buckets(5).record(0.0, 10.0)
    assert smoothing(5) == pytest.approx(1 - 0.0001**0.2)
    assert buckets.average(0.0, WEIGHTED) == pytest.approx(10.0 * smoothing(5))
    later = buckets.average(2.0, WEIGHTED)
    assert later == pytest.approx(10.0 * smoothing(5) * (1 - smoothing(5)) ** 2)
    assert smoothing(600) == 0.2


def test_no_report_for_a_window_is_no_data_unless_the_activator_alone_reports() -> None:
    silent = Buckets(6).record(0.0, 5.0)
    assert collected(TEN, silent, silent, 7.0) is None
    always = KpaSettings(total=10.0, target=10.0, target_burst_capacity=-1.0)
    assert collected(always, silent, silent, 7.0) == Averages(0.0, 0.0)


LOADS = st.lists(st.floats(0.0, 2000.0), min_size=1, max_size=60)


@given(LOADS, st.integers(0, 5), st.integers(5, 40), st.integers(0, 40))
def test_the_size_stays_within_the_bounds(loads: list[float], low: int, high: int, ready: int) -> None:
    settings = KpaSettings(total=10.0, target=7.0, min_scale=low, max_scale=high)
    assert all(low <= size <= high for size in Revision(settings, size=max(low, 1)).run(loads, ready))


@given(st.floats(0.0, 500.0), st.floats(0.0, 500.0), st.floats(0.0, 300.0), st.integers(0, 30))
def test_more_load_never_asks_for_fewer_pods(stable: float, panic: float, more: float, ready: int) -> None:
    state = DeciderState.new(TEN, 1, 0.0)
    less = tick(TEN, state, Averages(stable, panic), ready, 2.0)[0].wish
    assert less <= tick(TEN, state, Averages(stable + more, panic + more), ready, 2.0)[0].wish


@given(LOADS)
def test_panic_never_shrinks(loads: list[float]) -> None:
    state = DeciderState.new(TEN, 5, 0.0)
    for index, load in enumerate(loads):
        before = state
        state, _ = tick(TEN, state, Averages(load, load), 5, index * 2.0)
        if before.panic_s is not None and state.panic_s is not None:
            assert state.wish >= before.wish


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30), st.integers(1, 40), st.sampled_from(Aggregation))
def test_an_average_lies_among_its_values(values: list[float], size: int, aggregation: Aggregation) -> None:
    buckets = Buckets(size)
    for second, reported in enumerate(values):
        buckets = buckets.record(float(second), reported)
    low = 0.0 if aggregation is WEIGHTED else min(values)
    assert low - 1e-6 <= buckets.average(len(values) - 1.0, aggregation) <= max(values) + 1e-6

"""The corners of the HPA's rule that surprise (baselines A8), and its laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policies.hpa.behavior import HpaState
from autoscaler.policies.hpa.metrics import Failed, MetricValue, Target, Values
from autoscaler.policies.hpa.pods import Patience, PodState, PodUsage, Sample, group
from autoscaler.policies.hpa.rule import sync
from autoscaler.policies.hpa.settings import (
    Behavior,
    HpaSettings,
    Limit,
    LimitKind,
    MetricKind,
    MetricSpec,
    Rules,
    Select,
    TargetKind,
)

AVERAGE = MetricSpec(MetricKind.EXTERNAL, "rate", TargetKind.AVERAGE_VALUE, 10_000)
VALUE = MetricSpec(MetricKind.EXTERNAL, "rate", TargetKind.VALUE, 10_000)
CPU = MetricSpec(MetricKind.RESOURCE, "cpu", TargetKind.UTILIZATION, 50)
AT_ONCE = Behavior(
    up=Rules(0, Select.MAX, (Limit(LimitKind.PODS, 10_000, 15),)),
    down=Rules(0, Select.MAX, (Limit(LimitKind.PERCENT, 100, 15),)),
)
"""No rate and no window holds anything back."""


def settings(*metrics: MetricSpec, behavior: Behavior | None = AT_ONCE, low: int = 1, high: int = 60) -> HpaSettings:
    return HpaSettings(high, low, metrics or (AVERAGE,), behavior)


def ask(hpa: HpaSettings, current: int, *values: MetricValue, ready: int | None = None) -> int:
    """What a controller that has just started wants."""
    target = Target(current, current, current if ready is None else ready, current)
    return sync(hpa, HpaState(), target, values, 0.0)[1]


def of(value: float) -> Values:
    return Values((round(value * 1000),))


def run(hpa: HpaSettings, begin: int, values: list[float], every_s: float = 15.0) -> list[int]:
    """Sizes over time where every wish comes true at once."""
    state, size, sizes = HpaState(), begin, []
    for tick, value in enumerate(values):
        state, size, _ = sync(hpa, state, Target(size, size, size, size), (of(value),), tick * every_s)
        sizes.append(size)
    return sizes


def test_a_negative_sum_is_taken_for_an_overflow_and_scales_up() -> None:
    assert ask(settings(AVERAGE), 4, of(-50)) == 60
    assert ask(settings(AVERAGE), 4, Values((-1000, 30_000))) == 60, "the running sum is looked at"
    assert ask(settings(AVERAGE), 4, Values((30_000, -1000))) == 3
    assert ask(settings(VALUE), 4, of(-50)) == 1, "against a total it stays negative"


def test_the_tolerance_hides_a_tenth_of_overload_for_ever() -> None:
    assert run(settings(AVERAGE), 4, [44.0] * 100) == [4] * 100
    assert ask(settings(AVERAGE), 4, of(44.001)) == 5


def test_utilisation_truncates_to_whole_percent() -> None:
    def used(milli: int) -> PodUsage:
        return PodUsage(samples=1, used=milli, ready=1, listed_used=milli, requested=1000)

    assert ask(settings(CPU), 1, used(559)) == 1, "55.9 % of a 50 % target counts as 55 %"
    assert ask(settings(CPU), 1, used(560)) == 2


def test_growth_from_one_pod_is_4_8_16_32_whatever_the_demand() -> None:
    assert run(settings(AVERAGE, behavior=None), 1, [1e6] * 5) == [4, 8, 16, 32, 60]


def test_growth_with_an_empty_behavior_is_5_10_20_40() -> None:
    assert run(settings(AVERAGE, behavior=Behavior()), 1, [1e6] * 5) == [5, 10, 20, 40, 60]


def test_a_total_multiplies_the_ready_pods_and_none_ready_asks_for_none() -> None:
    assert ask(settings(VALUE), 8, of(30), ready=2) == 6
    assert ask(settings(VALUE, low=1), 8, of(30), ready=0) == 1
    assert ask(settings(AVERAGE), 8, of(200), ready=0) == 20, "an average does not look at readiness"


def test_one_broken_metric_blocks_every_decrease_and_no_increase() -> None:
    hpa = settings(AVERAGE, VALUE)
    assert ask(hpa, 6, of(10), Failed("timeout")) == 6
    assert ask(hpa, 6, of(100), Failed("timeout")) == 10
    assert ask(hpa, 6, Failed("timeout"), Failed("timeout")) == 6


def test_a_fresh_controller_holds_todays_size_for_the_whole_window() -> None:
    sizes = run(settings(AVERAGE, behavior=None), 8, [10.0] * 23)
    assert sizes[:21] == [8] * 21, "300 s of 15 s, the bounds included"
    assert sizes[21:] == [1, 1]


def test_failing_queries_are_no_proposals() -> None:
    hpa = settings(AVERAGE, behavior=None)
    state, size, _ = sync(hpa, HpaState(), Target(8, 8, 8, 8), (of(80),), 0.0)
    for at_s in range(15, 600, 15):
        state, size, steps = sync(hpa, state, Target(8, 8, 8, 8), (Failed("timeout"),), float(at_s))
        assert size == 8
        assert "timeout" in steps[-1].reason
    assert sync(hpa, state, Target(8, 8, 8, 8), (of(10),), 600.0)[1] == 1, "the window was not renewed meanwhile"


@pytest.mark.parametrize(
    ("kind", "value", "current", "desired"),
    [
        (LimitKind.PERCENT, 10, 50, 56),
        (LimitKind.PERCENT, 10, 1, 2),
        (LimitKind.PODS, 3, 50, 53),
    ],
)
def test_percent_up_is_rounded_up_in_floats(kind: LimitKind, value: int, current: int, desired: int) -> None:
    up = Rules(0, Select.MAX, (Limit(kind, value, 15),))
    assert ask(settings(AVERAGE, behavior=Behavior(up=up), high=1000), current, of(1e6)) == desired


@pytest.mark.parametrize(
    ("value", "current", "desired"), [(80, 10, 1), (90, 10, 0), (10, 10, 9), (33, 10, 6), (100, 10, 0)]
)
def test_percent_down_is_truncated_in_floats(value: int, current: int, desired: int) -> None:
    down = Rules(0, Select.MAX, (Limit(LimitKind.PERCENT, value, 15),))
    hpa = HpaSettings(100, 0, (AVERAGE,), Behavior(down=down), scale_to_zero=True)
    assert ask(hpa, current, of(0)) == desired


def test_a_target_set_to_zero_by_hand_stays_there() -> None:
    hpa = HpaSettings(10, 0, (AVERAGE,), scale_to_zero=True, downscale_stabilization_s=0)
    assert ask(hpa, 0, of(100)) == 0


def test_a_target_this_hpa_brought_to_zero_wakes_up() -> None:
    hpa = HpaSettings(10, 0, (AVERAGE,), AT_ONCE, scale_to_zero=True)
    assert run(hpa, 3, [0.0, 0.0, 35.0]) == [0, 0, 4]


def test_bounds_are_met_without_asking_metrics() -> None:
    assert ask(settings(low=3, high=10), 12) == 10
    assert ask(settings(low=3, high=10), 1) == 3


PATIENCE = Patience(300.0, 30.0)


@pytest.mark.parametrize(
    ("pod", "sample", "counts_as"),
    [
        pytest.param(PodState("p", started_at_s=0.0, requests={"cpu": 1000}), Sample(1, 1000.0), "ready", id="ready"),
        pytest.param(PodState("p", deleting=True), Sample(1, 1000.0), "ignored", id="being deleted"),
        pytest.param(PodState("p", phase="Failed"), Sample(1, 1000.0), "ignored", id="failed"),
        pytest.param(PodState("p", phase="Pending"), Sample(1, 1000.0), "unready", id="pending"),
        pytest.param(PodState("p", started_at_s=0.0), None, "missing", id="no sample"),
        pytest.param(PodState("p", started_at_s=None), Sample(1, 1000.0), "unready", id="no start time"),
        pytest.param(PodState("p", ready=None, started_at_s=0.0), Sample(1, 1000.0), "unready", id="no condition"),
        pytest.param(PodState("p", started_at_s=800.0, ready=False), Sample(1, 1000.0), "unready", id="young, unready"),
        pytest.param(
            PodState("p", started_at_s=800.0, ready_changed_at_s=950.0),
            Sample(1, 1000.0),
            "unready",
            id="no window yet",
        ),
        pytest.param(
            PodState("p", started_at_s=800.0, ready_changed_at_s=940.0), Sample(1, 1000.0), "ready", id="one window"
        ),
        pytest.param(
            PodState("p", started_at_s=0.0, ready=False, ready_changed_at_s=29.0),
            Sample(1, 1000.0),
            "unready",
            id="never was ready",
        ),
        pytest.param(
            PodState("p", started_at_s=0.0, ready=False, ready_changed_at_s=30.0),
            Sample(1, 1000.0),
            "ready",
            id="was ready once",
        ),
    ],
)
def test_which_pods_count_for_cpu(pod: PodState, sample: Sample | None, counts_as: str) -> None:
    usage = group([pod], {"p": sample} if sample else {}, "cpu", PATIENCE, 1000.0)
    counted = {"ready": usage.ready, "unready": usage.unready, "missing": usage.missing}
    assert counted == {"ready": 0, "unready": 0, "missing": 0} | ({} if counts_as == "ignored" else {counts_as: 1})
    assert usage.samples == (1 if counts_as == "ready" else 0)


def test_readiness_matters_for_cpu_alone() -> None:
    pod = PodState("p", started_at_s=990.0, ready=False)
    assert group([pod], {"p": Sample(1, 1000.0)}, "memory", PATIENCE, 1000.0).ready == 1
    assert group([pod], {"p": Sample(1, 1000.0)}, "", PATIENCE, 1000.0).ready == 1


def test_every_change_has_a_reason_and_the_last_step_carries_the_result() -> None:
    _, size, steps = sync(settings(behavior=None, high=10), HpaState(), Target(9, 9, 9, 9), (of(2e3),), 0.0)
    assert size == 10
    assert [(step.stage, step.serving) for step in steps] == [("hpa metric", 200), ("hpa bounds", 10)]
    assert "asks for 200" in steps[0].reason
    assert "maxReplicas is 10" in steps[1].reason


def test_every_metric_says_its_wish_and_the_largest_comes_last() -> None:
    hpa = settings(AVERAGE, VALUE, AVERAGE)
    _, _, steps = sync(hpa, HpaState(), Target(4, 4, 4, 4), (of(60), of(30), Failed("timeout")), 0.0)
    assert [(step.serving, step.reason.split(":")[0]) for step in steps] == [
        (6, "rate 60 on 4 pods, target 10 a pod"),
        (4, "keeps its size"),
        (12, "rate 30, target 10"),
    ]


BEHAVIORS = st.one_of(
    st.none(),
    st.builds(
        Behavior,
        up=st.builds(
            Rules,
            st.integers(0, 120),
            st.sampled_from(Select),
            st.lists(
                st.builds(Limit, st.sampled_from(LimitKind), st.integers(1, 200), st.integers(1, 120)),
                min_size=1,
                max_size=3,
            ).map(tuple),
        ),
        down=st.builds(
            Rules,
            st.integers(0, 120),
            st.sampled_from(Select),
            st.lists(
                st.builds(Limit, st.sampled_from(LimitKind), st.integers(1, 100), st.integers(1, 120)),
                min_size=1,
                max_size=3,
            ).map(tuple),
        ),
    ),
)


@given(BEHAVIORS, st.integers(1, 5), st.integers(5, 40), st.data())
def test_the_size_never_leaves_the_bounds(behavior: Behavior | None, low: int, high: int, data: st.DataObject) -> None:
    hpa = settings(behavior=behavior, low=low, high=high)
    loads = data.draw(st.lists(st.floats(0.0, 1000.0), max_size=30))
    begin = data.draw(st.integers(1, 60))
    assert all(low <= size <= high for size in run(hpa, begin, loads))


@given(BEHAVIORS, st.integers(1, 40), st.floats(0.0, 500.0), st.floats(0.0, 500.0))
def test_more_load_never_asks_for_fewer_pods(behavior: Behavior | None, current: int, load: float, more: float) -> None:
    hpa = settings(behavior=behavior)
    assert ask(hpa, current, of(load)) <= ask(hpa, current, of(load + more))


@given(BEHAVIORS, st.lists(st.floats(0.0, 1000.0), max_size=20), st.integers(1, 40))
def test_the_same_inputs_give_the_same_sizes(behavior: Behavior | None, loads: list[float], begin: int) -> None:
    hpa = settings(behavior=behavior)
    assert run(hpa, begin, loads) == run(hpa, begin, loads)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(0, 120))
def test_what_is_remembered_rules_as_the_whole_history_would(wanted: list[int], window_s: int) -> None:
    """Marks that a newer one outdoes are dropped; the window's largest proposal stays the same."""
    down = Rules(window_s, Select.MAX, (Limit(LimitKind.PERCENT, 100, 15),))
    hpa = settings(behavior=Behavior(up=AT_ONCE.up, down=down))
    sizes = run(hpa, 1, [10.0 * n for n in wanted])
    history = [(0.0, 1)]
    size = 1
    for tick, (n, got) in enumerate(zip(wanted, sizes, strict=True)):
        now_s = tick * 15.0
        proposal = size if 0.9 <= n / size <= 1.1 else n
        high = max([proposal, *(m for at_s, m in history if at_s > now_s - window_s)])
        size = max(1, min(max(size, proposal), high))
        history.append((now_s, proposal))
        assert got == size

"""The corners of KEDA's rule that surprise (baselines B7), and its laws."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policies.hpa.metrics import Target
from autoscaler.policies.hpa.settings import Behavior, Limit, LimitKind, Rules, Select
from autoscaler.policies.keda.fallback import Size
from autoscaler.policies.keda.rule import KedaState, poll, sync_hpa
from autoscaler.policies.keda.scalers import (
    NO_OFFSET,
    Answer,
    Measured,
    PrometheusAnswer,
    QueueAnswer,
    TopicAnswer,
    Unanswered,
    measure,
)
from autoscaler.policies.keda.settings import (
    Fallback,
    KafkaTrigger,
    KedaSettings,
    OffsetReset,
    PrometheusTrigger,
    RabbitMode,
    RabbitTrigger,
    Switches,
)

LOAD = PrometheusTrigger("load", 10.0)
ERROR = Unanswered("timeout")
DOWN_AT_ONCE = Behavior(down=Rules(0, Select.MAX, (Limit(LimitKind.PERCENT, 100, 15),)))


@dataclass
class World:
    """A ScaledObject whose pods come at once: polls every 30 s, syncs every 15 s, 5 s after the polls."""

    settings: KedaSettings
    size: int
    switches: Switches = field(default_factory=Switches)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.state = KedaState.new(self.settings, 0.0)

    def polled(self, *answers: Answer) -> int:
        about = Size(self.size, self.size)
        self.state, self.size, steps = poll(self.settings, self.switches, self.state, about, answers, now_s=self.now_s)
        assert steps[-1].serving == self.size
        return self.size

    def synced(self, *answers: Answer) -> int:
        target = Target(self.size, self.size, self.size, self.size)
        self.state, self.size, steps = sync_hpa(
            self.settings, self.switches, self.state, target, answers, now_s=self.now_s
        )
        assert steps[-1].serving == self.size
        return self.size

    def half_minute(self, *answers: Answer) -> list[int]:
        sizes = [self.polled(*answers)]
        for _ in range(2):
            self.now_s += 5.0 if len(sizes) == 1 else 15.0
            sizes.append(self.synced(*answers))
        self.now_s += 10.0
        return sizes


def value(number: float) -> PrometheusAnswer:
    return PrometheusAnswer(number)


def test_idle_replicas_other_than_zero_fight_the_hpa() -> None:
    world = World(KedaSettings((LOAD,), min_replicas=3, idle_replicas=1, cooldown_s=0), 3)
    world.now_s = 1.0
    assert world.half_minute(value(0)) == [1, 3, 3]
    assert world.half_minute(value(0)) == [1, 3, 3]


def test_idle_at_zero_is_quiet_because_the_hpa_rests_there() -> None:
    world = World(KedaSettings((LOAD,), min_replicas=3, idle_replicas=0, cooldown_s=0), 3)
    world.now_s = 1.0
    assert world.half_minute(value(0)) == [0, 0, 0]
    assert world.half_minute(value(10)) == [3, 3, 3]


def test_activation_above_the_threshold_asks_for_five_pods_and_goes_to_zero() -> None:
    world = World(KedaSettings((replace(LOAD, activation=60.0),), cooldown_s=60), 1)
    world.polled(value(70))
    world.now_s = 5.0
    assert world.synced(value(50)) == 4
    assert world.synced(value(50)) == 5
    world.now_s = 61.0
    assert world.polled(value(50)) == 0


def test_the_end_of_the_cooldown_drops_all_pods_at_once() -> None:
    world = World(KedaSettings((LOAD,), cooldown_s=60), 20)
    world.polled(value(200))
    world.now_s = 5.0
    world.synced(value(200))
    for _ in range(2):
        world.now_s += 30.0
        assert world.polled(value(0)) in {0, 20}
        if world.size:
            assert world.synced(value(0)) == 20, "the HPA's own window of 300 s still holds them"
    assert world.size == 0


@pytest.mark.parametrize(("now_s", "size"), [(60.0, 5), (60.001, 0)])
def test_the_cooldown_is_over_strictly_after_it(now_s: float, size: int) -> None:
    world = World(KedaSettings((LOAD,), cooldown_s=60), 5)
    world.polled(value(1))
    world.now_s = now_s
    assert world.polled(value(0)) == size


def test_a_fresh_object_without_traffic_goes_to_zero_whatever_the_cooldown() -> None:
    world = World(KedaSettings((LOAD,), cooldown_s=300), 5)
    world.now_s = 0.1
    assert world.polled(value(0)) == 0


def test_an_initial_cooldown_keeps_a_fresh_object() -> None:
    world = World(KedaSettings((LOAD,), initial_cooldown_s=90), 5)
    world.now_s = 90.0
    assert world.polled(value(0)) == 5
    world.now_s = 90.1
    assert world.polled(value(0)) == 0


def test_an_error_keeps_the_size_and_does_not_renew_the_activity() -> None:
    other = PrometheusTrigger("other", 10.0)
    world = World(KedaSettings((LOAD, other), cooldown_s=60), 3)
    world.polled(value(30), value(0))
    world.now_s = 50.0
    assert world.polled(value(30), ERROR) == 3
    world.now_s = 61.0
    assert world.polled(value(0), value(0)) == 0, "counted from the poll without an error"


def test_both_callers_count_failures() -> None:
    world = World(KedaSettings((LOAD,), fallback=Fallback(3, 6)), 2)
    world.half_minute(value(20))
    assert world.half_minute(ERROR) == [2, 2, 2]
    assert world.half_minute(ERROR) == [2, 4, 6], "the fourth failure comes after 30 s, not after 90 s"


def test_a_fallback_of_no_replicas_lets_an_error_scale_to_zero() -> None:
    def begin(fallback: Fallback | None) -> int:
        world = World(KedaSettings((LOAD,), cooldown_s=0, fallback=fallback), 4)
        world.now_s = 1.0
        return world.polled(ERROR)

    assert begin(Fallback(3, 0)) == 0
    assert begin(Fallback(3, 1)) == 4
    assert begin(None) == 4


def test_a_pause_forgets_what_the_hpa_remembered() -> None:
    world = World(KedaSettings((LOAD,), min_replicas=1), 8)
    world.half_minute(value(80))
    world.switches = Switches(paused=True, paused_replicas=2)
    assert world.half_minute(value(80)) == [2, 2, 2]
    world.switches = Switches()
    assert world.half_minute(value(10)) == [2, 2, 2], "a new HPA holds the size it found, not the 8 of before"


@pytest.mark.parametrize(
    ("switches", "begin", "load", "sizes"),
    [
        (Switches(paused_scale_in=True), 6, 0.0, [6, 6, 6]),
        (Switches(paused_scale_in=True), 6, 90.0, [6, 9, 9]),
        (Switches(paused_scale_out=True), 6, 90.0, [6, 6, 6]),
        (Switches(paused_scale_out=True), 0, 90.0, [0, 0, 0]),
        (Switches(force_activation=True), 0, 0.0, [1, 1, 1]),
    ],
)
def test_annotations_hold_one_direction(switches: Switches, begin: int, load: float, sizes: list[int]) -> None:
    world = World(KedaSettings((LOAD,), cooldown_s=0, behavior=DOWN_AT_ONCE), begin, switches, now_s=1.0)
    assert world.half_minute(value(load)) == sizes


@pytest.mark.parametrize(
    ("trigger", "answer", "said"),
    [
        (LOAD, PrometheusAnswer(12.3456), Measured(12_346, active=True)),
        (LOAD, PrometheusAnswer(0.0), Measured(0, active=False)),
        (LOAD, PrometheusAnswer(None, empty=True), Measured(0, active=False)),
        (LOAD, PrometheusAnswer(float("nan")), Measured(0, active=False)),
        (replace(LOAD, activation=-2.0), PrometheusAnswer(None), Measured(0, active=True)),
        (replace(LOAD, activation=-1.0), PrometheusAnswer(None), Measured(0, active=False)),
        (replace(LOAD, activation=-0.5), PrometheusAnswer(None, empty=True), Measured(0, active=True)),
        (RabbitTrigger("q", 5.0), QueueAnswer(7, 0, 0), Measured(7000, active=True)),
        (RabbitTrigger("q", 5.0, activation=7.0), QueueAnswer(7, 0, 0), Measured(7000, active=False)),
        (RabbitTrigger("q", 5.0, RabbitMode.MESSAGE_RATE), QueueAnswer(7, 0, 2), Measured(0, active=True)),
        (RabbitTrigger("q", 5.0, RabbitMode.MESSAGE_RATE), QueueAnswer(0, 3, 2), Measured(3000, active=True)),
        (RabbitTrigger("q", 5.0, RabbitMode.DELIVER_GET_RATE), QueueAnswer(7, 3, 0), Measured(0, active=False)),
        (
            RabbitTrigger("q", 5.0, RabbitMode.PUBLISHED_TO_DELIVERED_RATIO),
            QueueAnswer(7, 3, 2),
            Measured(1500, active=True),
        ),
        (
            RabbitTrigger("q", 5.0, RabbitMode.PUBLISHED_TO_DELIVERED_RATIO, activation=4.0),
            QueueAnswer(7, 3, 0),
            Measured(4000, active=True),
        ),
        (
            RabbitTrigger("q", 5.0, RabbitMode.EXPECTED_CONSUMPTION_TIME),
            QueueAnswer(8, 4, 2),
            Measured(5000, active=True),
        ),
        (
            RabbitTrigger("q", 5.0, RabbitMode.EXPECTED_CONSUMPTION_TIME, activation=9.0),
            QueueAnswer(8, 4, 0),
            Measured(9000, active=True),
        ),
        (
            RabbitTrigger("q", 5.0, RabbitMode.EXPECTED_CONSUMPTION_TIME, activation=9.0),
            QueueAnswer(0, 4, 0),
            Measured(0, active=False),
        ),
        (KafkaTrigger("t"), TopicAnswer(((0, 5), (0, 9))), Measured(14_000, active=True)),
        (KafkaTrigger("t"), TopicAnswer(((0, 50), (0, 90))), Measured(20_000, active=True)),
        (KafkaTrigger("t", allow_idle_consumers=True), TopicAnswer(((0, 50), (0, 90))), Measured(140_000, active=True)),
        (
            KafkaTrigger("t", limit_to_partitions_with_lag=True),
            TopicAnswer(((0, 50), (9, 9))),
            Measured(10_000, active=True),
        ),
        (
            KafkaTrigger("t", even_distribution=True),
            TopicAnswer(((0, 21),) + ((0, 0),) * 5),
            Measured(30_000, active=True),
        ),
        (KafkaTrigger("t"), TopicAnswer(((NO_OFFSET, 500),)), Measured(1000, active=True)),
        (
            KafkaTrigger("t", offset_reset=OffsetReset.EARLIEST, allow_idle_consumers=True),
            TopicAnswer(((NO_OFFSET, 500),)),
            Measured(500_000, active=True),
        ),
        (
            KafkaTrigger("t", offset_reset=OffsetReset.EARLIEST, zero_on_invalid_offset=True),
            TopicAnswer(((NO_OFFSET, 500),)),
            Measured(0, active=False),
        ),
    ],
)
def test_what_a_trigger_makes_of_its_source(trigger: PrometheusTrigger, answer: Answer, said: Measured) -> None:
    assert measure(trigger, answer) == said


def test_an_empty_result_is_an_error_where_nulls_are_not_ignored() -> None:
    strict = replace(LOAD, ignore_null=False)
    assert isinstance(measure(strict, PrometheusAnswer(None, empty=True)), Unanswered)
    assert isinstance(measure(strict, PrometheusAnswer(float("inf"))), Unanswered)


def test_lag_that_does_not_move_counts_for_activity_alone_until_the_scalers_are_rebuilt() -> None:
    trigger = KafkaTrigger("t", exclude_persistent_lag=True, allow_idle_consumers=True)
    stuck = TopicAnswer(((5, 45),))
    world = World(KedaSettings((trigger,), behavior=DOWN_AT_ONCE), 1)
    assert world.half_minute(stuck) == [1, 1, 1], "the poll counted the offset, the syncs find it unmoved"
    world.synced(ERROR)
    assert world.synced(stuck) == 4, "after an error the lag counts once more"


@given(
    st.integers(0, 4),
    st.integers(4, 12),
    st.lists(st.one_of(st.floats(0.0, 500.0).map(value), st.just(ERROR)), max_size=25),
    st.one_of(st.none(), st.builds(Fallback, st.integers(0, 3), st.integers(0, 12))),
)
def test_the_size_stays_within_the_bounds(
    low: int, high: int, answers: list[Answer], fallback: Fallback | None
) -> None:
    world = World(KedaSettings((LOAD,), low, high, cooldown_s=30, fallback=fallback), max(low, 1))
    for answer in answers:
        assert all(low <= size <= high for size in world.half_minute(answer))

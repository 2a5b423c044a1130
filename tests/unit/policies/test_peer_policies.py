"""From observation to proposal: what each policy reads from scrapes and the fleet, and what it makes of it."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.policies.scenes import decide_once, fleet, obey, observe, steady

from autoscaler.model import Cause, Fleet, InvalidInput, Missing, Scrape
from autoscaler.policies.fixed import FixedPolicy
from autoscaler.policies.hpa import Behavior, HpaPolicy, HpaSettings, MetricKind, MetricSpec, TargetKind
from autoscaler.policies.hpa.settings import DEFAULT_UP, Limit, LimitKind, Rules, Select
from autoscaler.policies.keda import KedaPolicy, KedaSettings
from autoscaler.policies.keda.settings import (
    Fallback,
    KafkaTrigger,
    PrometheusTrigger,
    RabbitMode,
    RabbitTrigger,
    ResourceTrigger,
    Switches,
)
from autoscaler.policies.kpa import KpaPolicy, KpaSettings
from autoscaler.policies.kpa.settings import Aggregation, Metric
from autoscaler.policies.policy import AnyPolicy
from autoscaler.policies.windows import Signal, Windowed

RATE = MetricSpec(MetricKind.EXTERNAL, "rate", TargetKind.AVERAGE_VALUE, 700)
BUSY = MetricSpec(MetricKind.PODS, "busy", TargetKind.AVERAGE_VALUE, 700)
CPU = MetricSpec(MetricKind.RESOURCE, "cpu", TargetKind.UTILIZATION, 70)
READINGS = {
    "rate": Windowed(Signal.RATE, 60.0, factor=0.2),
    "busy": Windowed(Signal.BUSY, 60.0),
    "cpu": Windowed(Signal.BUSY, 60.0),
    "gpu": Windowed(Signal.GPU, 60.0),
}
NOW_S = 63.0


def hpa(*metrics: MetricSpec, behavior: Behavior | None = None, low: int = 1, high: int = 60) -> HpaPolicy:
    return HpaPolicy(HpaSettings(high, low, metrics or (RATE,), behavior), READINGS)


def keda(**changes: object) -> KedaPolicy:
    scaled = {"triggers": (PrometheusTrigger("rate", 0.7),), "min_replicas": 1, "max_replicas": 60} | changes
    return KedaPolicy(KedaSettings(**scaled), READINGS)


def kpa(**changes: object) -> KpaPolicy:
    return KpaPolicy(KpaSettings(**({"total": 1.0, "target": 0.7, "min_scale": 1, "max_scale": 60} | changes)))


PEERS = {
    "hpa": hpa(),
    "hpa-busy": hpa(BUSY),
    "hpa-behavior": hpa(behavior=Behavior()),
    "keda": keda(),
    "keda-zero": keda(min_replicas=0, cooldown_s=60),
    "kpa": kpa(),
    "kpa-weighted": kpa(aggregation=Aggregation.WEIGHTED_EXPONENTIAL),
    "fixed": FixedPolicy(3),
}


@pytest.mark.parametrize(
    ("policy", "rate_rps", "seen", "serving"),
    [
        pytest.param(hpa(), 35.0, fleet(5), 10, id="7 busy pods of work at 0.7 a pod"),
        pytest.param(hpa(), 35.0, fleet(2), 4, id="at most twice the size, or 4"),
        pytest.param(hpa(), 35.0, fleet(2, starting=8), 10, id="starting pods count: nothing more is asked for"),
        pytest.param(hpa(), 35.0, fleet(10, draining=5), 10, id="draining pods do not"),
        pytest.param(hpa(), 35.0, fleet(9), 10, id="11 % over"),
        pytest.param(hpa(), 35.0, fleet(2, starting=4, standby=4), 10, id="standby pods count"),
        pytest.param(hpa(), 5.0, fleet(9), 9, id="a fresh controller does not shrink"),
        pytest.param(hpa(high=8), 35.0, fleet(8), 8, id="the maximum"),
        pytest.param(hpa(low=3), 1.0, fleet(2), 3, id="the minimum"),
        pytest.param(hpa(BUSY), 35.0, fleet(5), 10, id="per pod: 1.4 against 0.7"),
        pytest.param(hpa(BUSY), 35.0, fleet(5, starting=5), 10, id="pods that start count as idle"),
        pytest.param(hpa(BUSY), 35.0, fleet(5, starting=2), 10, id="so growth is damped, not stopped"),
        pytest.param(hpa(BUSY), 35.0, Fleet(3, ()), 3, id="without any pod nothing can be said"),
        pytest.param(hpa(CPU), 35.0, fleet(5), 10, id="in percent of the request"),
        pytest.param(keda(), 35.0, fleet(5), 10, id="keda: the same through its trigger"),
        pytest.param(keda(min_replicas=0), 35.0, fleet(0), 4, id="keda: wakes, and its HPA goes on from 1"),
        pytest.param(keda(min_replicas=0), 0.0, fleet(5), 5, id="keda: not at once"),
        pytest.param(keda(triggers=(ResourceTrigger("cpu", "cpu", 70),)), 35.0, fleet(5), 10, id="keda: cpu"),
        pytest.param(keda(switches=Switches(paused=True, paused_replicas=2)), 35.0, fleet(5), 2, id="keda: paused"),
        pytest.param(kpa(), 35.0, fleet(5), 10, id="kpa: 7 requests at a time"),
        pytest.param(kpa(metric=Metric.RPS, target=3.5), 35.0, fleet(5), 10, id="kpa: requests per second"),
        pytest.param(kpa(aggregation=Aggregation.WEIGHTED_EXPONENTIAL), 35.0, fleet(5), 10, id="kpa: weighted"),
        pytest.param(kpa(), 0.0, fleet(5), 5, id="kpa: a fresh one does not shrink"),
        pytest.param(kpa(max_scale=6), 35.0, fleet(5), 6, id="kpa: the maximum"),
        pytest.param(FixedPolicy(7), 35.0, fleet(5), 7, id="fixed"),
    ],
)
def test_the_first_proposal(policy: AnyPolicy, rate_rps: float, seen: Fleet, serving: int) -> None:
    proposal = decide_once(policy, steady(rate_rps, NOW_S), seen, NOW_S)
    assert (proposal.serving, proposal.standby) == (serving, 0), proposal.steps
    assert proposal.steps[-1].serving == serving
    assert all(step.reason for step in proposal.steps)


@pytest.mark.parametrize("name", [name for name in PEERS if name != "fixed"])
@pytest.mark.parametrize("scrapes", [(), steady(35.0, 0.0)], ids=["no scrape", "one scrape"])
def test_before_two_scrapes_the_size_stays(name: str, scrapes: tuple[Scrape, ...]) -> None:
    proposal = decide_once(PEERS[name], scrapes, fleet(4), 3.0)
    assert proposal.serving == 4
    assert proposal.steps[-1].reason == "waits for two scrapes"


LOST = Missing(Cause.UNREACHABLE, "timed out")
BROKEN = tuple(
    replace(scrape, received=LOST, service_s=LOST, concurrency_s=LOST, queued=LOST) for scrape in steady(35.0, NOW_S)
)


@pytest.mark.parametrize("name", [name for name in PEERS if name != "fixed"])
def test_missing_data_are_an_error_and_not_an_empty_service(name: str) -> None:
    policy = PEERS[name]
    memory, _ = policy.propose(policy.start(), observe(steady(35.0, 63.0), fleet(10), 63.0))
    for tick in range(1, 200):
        now_s = 63.0 + tick * policy.tick_s
        lost = tuple(replace(scrape, at_s=60.0 + 5.0 * tick) for scrape in BROKEN[:1])
        memory, proposal = policy.propose(memory, observe(lost, fleet(10), now_s))
        assert proposal.serving == 10


@pytest.mark.parametrize("name", [name for name in PEERS if name != "fixed"])
def test_stale_data_keep_the_size(name: str) -> None:
    policy = PEERS[name]
    memory, _ = policy.propose(policy.start(), observe(steady(35.0, 63.0), fleet(10), 63.0))
    for tick in range(1, 400):
        now_s = 130.0 + tick * policy.tick_s
        memory, proposal = policy.propose(memory, observe((), fleet(10), now_s))
        assert proposal.serving == 10


def test_a_reason_names_the_metric_the_target_and_the_limit() -> None:
    steps = decide_once(hpa(), steady(35.0, NOW_S), fleet(2), NOW_S).steps
    assert [step.reason for step in steps] == [
        "rate 7 on 2 pods, target 0.7 a pod: ratio 5.000 asks for 10",
        "at most twice 2 pods, or 4, in one sync",
    ]


def test_a_missing_reading_is_named_in_the_reason() -> None:
    (step,) = decide_once(hpa(), BROKEN, fleet(2), NOW_S).steps
    assert step.reason == "keeps its size: rate: unreachable: timed out"


def test_a_mean_over_pods_is_not_spread_over_them_again() -> None:
    gpu = MetricSpec(MetricKind.PODS, "gpu", TargetKind.AVERAGE_VALUE, 500)
    scrapes = tuple(replace(scrape, gpu_use_ratio=1.0) for scrape in steady(1.0, NOW_S))
    assert decide_once(hpa(gpu), scrapes, fleet(4), NOW_S).serving == 8


def test_keda_polls_and_syncs_on_their_own_clocks() -> None:
    policy = keda(min_replicas=0, polling_interval_s=10)
    assert policy.tick_s == 5.0
    stages: list[tuple[float, set[str]]] = []
    memory = policy.start()
    for tick in range(7):
        now_s = NOW_S + 5.0 * tick
        memory, proposal = policy.propose(memory, observe(steady(35.0, NOW_S), fleet(10), now_s))
        stages.append((5.0 * tick, {step.stage for step in proposal.steps}))
    polls = [at_s for at_s, names in stages if "keda operator" in names]
    syncs = [at_s for at_s, names in stages if "hpa metric" in names]
    assert polls == [0.0, 10.0, 20.0, 30.0]
    assert syncs == [0.0, 15.0, 30.0]


@pytest.mark.parametrize(
    ("changes", "tick_s"),
    [
        ({"min_replicas": 1, "polling_interval_s": 7}, 15.0),
        ({"min_replicas": 0, "polling_interval_s": 30}, 15.0),
        ({"min_replicas": 0, "polling_interval_s": 5}, 5.0),
        ({"min_replicas": 2, "idle_replicas": 0, "polling_interval_s": 10}, 5.0),
        ({"min_replicas": 1, "fallback": Fallback(3, 2), "polling_interval_s": 20}, 5.0),
    ],
)
def test_keda_ticks_as_often_as_its_polls_matter(changes: dict[str, object], tick_s: float) -> None:
    assert keda(**changes).tick_s == tick_s


@pytest.mark.parametrize(
    ("mode", "serving"),
    [
        pytest.param(RabbitMode.QUEUE_LENGTH, 6, id="30 messages"),
        pytest.param(RabbitMode.MESSAGE_RATE, 7, id="35 published per second"),
        pytest.param(RabbitMode.DELIVER_GET_RATE, 7, id="35 delivered per second"),
        pytest.param(RabbitMode.PUBLISHED_TO_DELIVERED_RATIO, 4, id="a ratio of 1"),
    ],
)
def test_a_rabbitmq_trigger_reads_queue_and_rates(mode: RabbitMode, serving: int) -> None:
    trigger = RabbitTrigger("q", 5.0, mode)
    policy = KedaPolicy(KedaSettings((trigger,), 1, 60), {"q": Windowed(Signal.QUEUE)})
    proposal = decide_once(policy, steady(35.0, NOW_S, queued=30.0), fleet(4), NOW_S)
    assert proposal.serving == serving, proposal.steps


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: HpaPolicy(HpaSettings(5), {}), "metric cpu: nothing says how to read it from the scrapes"),
        (lambda: KedaPolicy(KedaSettings((PrometheusTrigger("load", 1.0),)), {}), "trigger load: nothing says"),
        (lambda: KedaPolicy(KedaSettings((KafkaTrigger("rate"),)), READINGS), "trigger rate: kafka cannot be replayed"),
        (lambda: kpa(min_scale=5, max_scale=4), "max-scale 4 is below min-scale 5"),
        (lambda: FixedPolicy(-1), "fixed: -1 replicas"),
    ],
)
def test_what_no_policy_can_be_made_of(make: object, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        make()


def test_lookback_is_the_longest_window() -> None:
    assert hpa().lookback_s == 60.0
    assert keda().lookback_s == 60.0
    assert kpa(stable_window_s=120.0).lookback_s == 120.0
    assert FixedPolicy(1).lookback_s == 0.0


@pytest.mark.parametrize("name", PEERS)
def test_a_burst_is_followed_up_and_down(name: str) -> None:
    def traffic(at_s: float) -> float:
        return 35.0 if 120.0 < at_s <= 600.0 else 2.0

    sizes = {at_s: proposal.serving for at_s, proposal in obey(PEERS[name], traffic, 2, 1800.0)}
    if name == "fixed":
        assert set(sizes.values()) == {3}
        return
    during = [size for at_s, size in sizes.items() if 400.0 < at_s <= 600.0]
    after = [size for at_s, size in sizes.items() if at_s > 1700.0]
    assert set(during) <= {10, 11}, "7 busy pods of work at 0.7 a pod, within the tolerance"
    assert set(after) <= {1, 2}


def test_a_window_for_decreases_holds_what_the_last_peak_asked_for() -> None:
    patient = Behavior(DEFAULT_UP, Rules(600, Select.MAX, (Limit(LimitKind.PERCENT, 100, 15),)))

    def traffic(at_s: float) -> float:
        return 35.0 if 120.0 < at_s <= 180.0 else 2.0

    sizes = {at_s: proposal.serving for at_s, proposal in obey(hpa(behavior=patient), traffic, 2, 1200.0)}
    peak = max(sizes.values())
    assert min(size for at_s, size in sizes.items() if 300.0 < at_s <= 780.0) == peak
    assert sizes[max(sizes)] == 1


RATES = st.lists(st.floats(0.0, 200.0), min_size=1, max_size=12)


@given(st.sampled_from(sorted(PEERS)), RATES, st.integers(1, 60))
@settings(deadline=None)
def test_every_policy_is_a_pure_function_within_its_bounds(name: str, rates: list[float], begin: int) -> None:
    def traffic(at_s: float) -> float:
        return rates[int(at_s // 60) % len(rates)]

    first = list(obey(PEERS[name], traffic, begin, 240.0))
    again = list(obey(PEERS[name], traffic, begin, 240.0))
    assert first == again
    low = 0 if name == "keda-zero" else 1
    assert all(low <= proposal.serving <= 60 and proposal.standby == 0 for _, proposal in first)
    assert all(proposal.steps[-1].serving == proposal.serving for _, proposal in first)


@pytest.mark.parametrize("name", PEERS)
def test_memory_is_plain_values(name: str) -> None:
    policy = PEERS[name]
    memory = policy.start()
    for at_s in (3.0, 63.0, 78.0):
        memory, _ = policy.propose(memory, observe(steady(20.0, at_s), fleet(4), at_s))
    assert json.loads(json.dumps(asdict(memory), allow_nan=False)) is not None
    assert pickle.loads(pickle.dumps(memory)) == memory

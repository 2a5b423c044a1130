"""What outlives a process: small, read back as it was written, and refused where it does not fit."""

import json
import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from autoscaler.model import ColdStart, Fleet, History, InvalidInput, Observation, Phase, Pod, Scrape, Signals, Workload
from autoscaler.policies.policy import Lasting
from autoscaler.policies.predictive import Backlog, Bounds, PredictivePolicy, PriceRule, Settings
from autoscaler.policies.predictive.kept import MOST_BYTES

TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))
SETTINGS = Settings(TTS, Bounds(1, 20), PriceRule(0.01, 1.3, 0.2, 20.0, 0.7), Backlog(3.0))
POLICY = PredictivePolicy(SETTINGS)


def fleet(pods):
    return Fleet(pods, tuple(Pod(f"p{i}", Phase.SERVING, 0.0, 17.0 + i) for i in range(pods)))


def ticked(policy, memory, until_s, *, from_s=0.0, rate_rps=20.0, fitted=None):
    """Steady traffic, a scrape and a tick each five seconds."""
    proposal = None
    for at_s in np.arange(from_s, until_s + 1.0, 5.0):
        done = rate_rps * at_s
        scrape = Scrape(at_s, done, done, 0.0, 0.0, 0.18 * done, queued=0.0)
        seen = Observation(at_s + 3.0, Signals((scrape,)), fleet(6), fitted=fitted)
        fitted = None
        memory, proposal = policy.propose(memory, seen)
    return memory, proposal


@pytest.fixture(scope="module")
def lived():
    """A memory after two hours, with pods that were seen to start."""
    memory, _ = ticked(POLICY, POLICY.start(), 7200.0)
    memory.lead = memory.lead.learned(40.0, 45.0)
    memory.history_s = 6 * 3600.0
    return memory


@pytest.fixture(scope="module")
def kept(lived):
    return POLICY.keep(lived, 7203.0)


def test_the_predictive_policy_lasts():
    assert isinstance(POLICY, Lasting)


def test_a_memory_without_a_tick_can_be_kept_and_recalled():
    memory = POLICY.recall(POLICY.keep(POLICY.start(), 100.0), 200.0)
    assert len(memory.traffic.series) == 0


def test_what_was_measured_goes_on(lived, kept):
    memory = POLICY.recall(kept, 7210.0)
    assert memory.steering.price == lived.steering.price
    assert memory.lead == lived.lead
    assert memory.windows == lived.windows
    assert (memory.trust.own, memory.trust.left) == (lived.trust.own, lived.trust.left)
    assert memory.demand.law == lived.demand.law
    assert memory.demand.dispersion == pytest.approx(lived.demand.dispersion)
    assert memory.shadows.misses == pytest.approx(lived.shadows.misses, rel=1e-6)
    assert memory.order_residuals.histogram == pytest.approx(lived.order_residuals.histogram, rel=1e-6)
    assert memory.history_s + memory.steering.age_s == pytest.approx(lived.history_s + lived.steering.age_s)
    assert memory.traffic.series.end_s == lived.traffic.series.end_s
    assert memory.traffic.series.counts.tolist() == lived.traffic.series.counts[-720:].tolist()


def test_at_once_the_same_is_wanted(lived, kept):
    _, before = ticked(POLICY, deepcopy(lived), 7230.0, from_s=7205.0)
    _, recalled = ticked(POLICY, POLICY.recall(kept, 7210.0), 7230.0, from_s=7210.0)
    assert abs(recalled.serving - before.serving) <= 1
    assert recalled.insight["price"] == pytest.approx(before.insight["price"], rel=0.01)


def test_a_level_of_long_ago_gives_way_to_what_comes(kept):
    memory, _ = ticked(POLICY, POLICY.recall(kept, 14400.0), 14450.0, from_s=14400.0, rate_rps=80.0)
    assert memory.traffic.level.value == pytest.approx(400.0, rel=0.01)
    gap = memory.traffic.series.known[720:-10]
    assert len(gap) > 1000
    assert not gap.any()


def test_it_never_needs_more_than_its_room():
    """Every list as long as it may be, every number as long as it gets."""
    policy = PredictivePolicy(replace(SETTINGS, interval_s=1.0, tick_s=1.0))
    memory = policy.start()
    memory.traffic.series.start_s = 1.79e9
    memory.traffic.series.append(np.full(5000, 12345.678901))
    memory.lead = memory.lead.learned(*[math.pi * 1e4] * 500)
    memory.shadows.misses[:] = math.pi * 1e8
    kept = policy.keep(memory, 1.79e9)
    assert len(kept) < MOST_BYTES
    policy.recall(kept, 1.79e9)


def changed(kept, *path, to):
    document = json.loads(kept)
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "to", "says"),
    [
        pytest.param(("version",), 2, "version: Input should be 1", id="another version"),
        pytest.param(("interval_s",), 60.0, "this policy counts in 5", id="another interval"),
        pytest.param(("objective_s",), 3.0, "this service has 0.8", id="another service"),
        pytest.param(("at_s",), 9000.0, "not in the future", id="from the future"),
        pytest.param(("steering", "price"), -1.0, "steering.price", id="a price below 0"),
        pytest.param(("steering", "measured"), None, "steering.measured", id="no number"),
        pytest.param(("shadows", "misses"), [1.0], "shadows.misses", id="too few shadows"),
        pytest.param(("order",), [0.0] * 229, "order", id="another grid"),
        pytest.param(("order",), [0.0] * 230, "order: Value error, nothing in it", id="a histogram of nothing"),
        pytest.param(("windows", "order"), [9, 4], "windows", id="a window that ends before it begins"),
        pytest.param(("traffic", "recent"), [1.0] * 5000, "traffic.recent", id="too long a past"),
        pytest.param(("model",), "x", "model: Extra inputs", id="an unknown field"),
        pytest.param(("starts_s",), [1e300], "starts_s", id="a start of ages"),
        pytest.param(("traffic", "level", "weight"), 1e-320, "the average is beyond", id="an average without end"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(kept, path, to, says):
    with pytest.raises(InvalidInput, match="kept memory") as refused:
        POLICY.recall(changed(kept, *path, to=to), 7210.0)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        pytest.param(b"", 7210.0, id="empty"),
        pytest.param(b"{", 7210.0, id="cut off"),
        pytest.param(b"[" * 1000, 7210.0, id="brackets"),
        pytest.param(b" " * 100_000, 7210.0, id="large"),
        pytest.param(None, 7203.0 + 73 * 3600, id="too old"),
    ],
)
def test_what_cannot_be_used_is_refused(kept, text, at_s):
    with pytest.raises(InvalidInput, match="kept memory"):
        POLICY.recall(kept if text is None else text, at_s)


def test_an_empty_history_teaches_nothing():
    assert POLICY.warmed(History(60.0, np.array([], dtype=np.int64), 0.0), None, 100.0) is None


def test_a_history_joins_a_recalled_memory_that_ticks_meanwhile(kept):
    """Minutes before the last hour, the last hour in full, the minutes since, and what ticks brought."""
    history = History(60.0, np.full(180, 600), 7260.0)
    fitted = POLICY.warmed(history, kept, 7260.0)
    memory, _ = ticked(POLICY, POLICY.recall(kept, 7260.0), 7300.0, from_s=7260.0, rate_rps=20.0)
    memory, _ = ticked(POLICY, memory, 7310.0, from_s=7305.0, fitted=fitted)
    series = memory.traffic.series
    assert series.end_s == pytest.approx(7310.0, abs=5.0)
    assert series.start_s == pytest.approx(7260.0 - 180 * 60.0)
    before, hour = series.counts[: (10800 - 3660) // 5], series.counts[(10800 - 3660) // 5 :][:720]
    assert before.mean() == pytest.approx(50.0, rel=0.05)
    assert set(hour[:-2]) == {100.0}
    assert set(series.counts[-8:]) == {100.0}
    assert memory.model is not None
    assert len(memory.traffic.levels) <= memory.windows.horizon

"""What an interval of traffic teaches: the past grows, outcomes are booked, the shadows live it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from autoscaler.capacity.missed import Table, level, table
from autoscaler.forecast.bins import OFFSET
from autoscaler.forecast.calibration import PROBABILITIES, Quantiles, quantiles
from autoscaler.forecast.features import LEVEL_S, LONGEST_SILENCE_S, Past, features, is_high, past
from autoscaler.forecast.gaps import expected
from autoscaler.forecast.mixture import GONE_S
from autoscaler.forecast.pending import Pending
from autoscaler.forecast.recent import Recent
from autoscaler.forecast.residual import Residuals
from autoscaler.forecast.series import KEPT_S
from autoscaler.policies.predictive.calendar import announced, raised
from autoscaler.policies.predictive.demand import Interval
from autoscaler.policies.predictive.keeping import Wants
from autoscaler.policies.predictive.learn import spans
from autoscaler.policies.predictive.memory import Memory, Model, Traffic
from autoscaler.policies.predictive.price import Outlook, expected_misses_rps, loss, want
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.shadows import Shadows, grid, log_prices

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Laws = tuple[Floats, Floats]
"""Histograms for the order and the hold window, each of shape (BINS,)."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What may come, as it is decided by."""

    laws: Laws
    """Of the load, relative to the present level."""
    within: Quantiles
    """Of the load in the order window, in busy slots."""


BATCH = 256
"""Forecasts of a history that are made at once: they share numpy's overhead, and their leaves fit into the cache."""
LINES = 32 * BATCH
"""Lines of features of a history that are there at once: two days of them would be ten megabytes."""
RESIDUAL_INTERVALS = 2000
"""The residuals remember an hour: older outcomes need not be booked one by one."""
SURPRISE = 2.0
"""No load is planned for beyond this many times the largest that was ever seen: a first jump from idle says nothing of
jumps from a busy level."""
DRAINED = PROBABILITIES.index(0.9)
"""A queue orders nothing if in nine of ten outcomes the slots that serve will have drained it."""
USE_AT_START = 0.7
"""A replay of history begins with as many pods as are busy to this share."""


def slots_per_request(memory: Memory) -> float:
    """Load of one request an interval, in busy slots."""
    return memory.demand.law.mean_s / memory.traffic.series.interval_s


def capacity(memory: Memory, settings: Settings) -> Table:
    """Missed shares of the service as it is measured now."""
    wanted = memory.demand.law, level(memory.demand.dispersion), settings.bounds.max_pods
    # Kept by each target: of many, each with a law of its own, none would find its table in a cache that all share.
    if memory.missed is None or not memory.missed.is_of(*wanted):
        memory.missed = table(*wanted)
    return memory.missed


def adopt(memory: Memory, model: Model) -> None:
    """Use a finished model. One that was fitted for other windows brings them along: outcomes are booked anew."""
    memory.model = model
    forest, pending = model.forest, len(memory.traffic.levels)
    memory.recent = Recent.of(model.pool, trees=len(forest.trees.roots), leaves=len(forest.first) - 1, pending=pending)
    if model.windows == memory.windows:
        return
    memory.windows = model.windows
    interval_s = memory.traffic.series.interval_s
    memory.order_residuals, memory.hold_residuals = Residuals(interval_s), Residuals(interval_s)
    _forget_pending(memory)
    memory.shadows.reach(model.windows.served_from)
    memory.borrowing = None  # what other services taught is bound to the old windows


def remember(memory: Memory, interval: Interval) -> None:
    """Add an interval to the past, and the outcome of the moment whose windows it closes."""
    traffic, horizon = memory.traffic, memory.windows.horizon
    traffic.levels.append(traffic.level.value)
    traffic.series.add(interval.requests, known=interval.known)
    traffic.level.add(interval.requests)
    traffic.daily.add(interval.requests)
    scale = slots_per_request(memory)
    traffic.largest = max(traffic.largest, traffic.series.now)
    if is_high(traffic.series, scale):
        traffic.last_high_s = traffic.series.end_s
    for pending in _pending(memory):
        pending.interval_ended()
    if not interval.known:
        _forget_pending(memory)
    if memory.gate is not None:
        memory.gate.interval_ended(traffic.series, scale)
    if len(traffic.levels) >= horizon:
        _book(memory, traffic.levels.popleft() * scale)
    if known_s(memory) >= GONE_S:
        memory.borrowing = None


def skip(memory: Memory, intervals: int) -> None:
    """Time went by of which nothing is known: it is filled with what came a week or a day before, as a guess."""
    traffic, series = memory.traffic, memory.traffic.series
    beyond = max(intervals - round(KEPT_S / series.interval_s), 0)
    guess = expected(series, intervals - beyond, traffic.level.value)
    traffic.series.append(guess, known=False)
    series.start_s += beyond * series.interval_s
    traffic.level.restart(float(guess[-round(LEVEL_S / series.interval_s) :].mean()))
    traffic.daily.add_all(guess)
    memory.shadows.waiting[:] = 0.0
    _forget_pending(memory)


def _forget_pending(memory: Memory) -> None:
    """No forecast whose windows are not over will be judged: they moved, or a part of them was not measured."""
    memory.traffic.levels.clear()
    for pending in _pending(memory):
        pending.forget()


def _pending(memory: Memory) -> list[Pending[Any]]:
    """What was said of windows that are not over, by each who judges or learns from it."""
    return [each.pending for each in (memory.trust, memory.recent, memory.borrowing) if each is not None]


def _book(memory: Memory, level: float) -> None:
    """The outcomes of the moment whose windows just ended, from the level of then in busy slots."""
    series = memory.traffic.series
    tail = series.short(len(series) - memory.windows.horizon) * slots_per_request(memory)
    order, hold = (float(tail[span.start : span.stop].max()) for span in spans(memory.windows))
    ratios = math.log((order + OFFSET) / (level + OFFSET)), math.log((hold + OFFSET) / (level + OFFSET))
    memory.order_residuals.add(ratios[0])
    memory.hold_residuals.add(ratios[1])
    memory.trust.window_ended(order)
    if memory.recent is not None:
        memory.recent.window_ended(ratios, hold)
    if memory.borrowing is not None:
        memory.borrowing.window_ended(ratios, (order, hold))


def bridge(memory: Memory, until_s: float) -> None:
    """Fill the time between the history and the first scrape."""
    series = memory.traffic.series
    if math.isnan(series.start_s):
        series.start_s = until_s
        return
    gap = round((until_s - series.end_s) / series.interval_s)
    if gap > 0:
        skip(memory, gap)


def append_all(traffic: Traffic, counts: Floats, known: Bools, slots_per_request: float) -> None:
    """Add much history at once to the load alone: no outcome is booked."""
    if not len(counts):
        return
    series = traffic.series
    series.append(counts, known=known)
    traffic.level.add_all(counts)
    traffic.daily.add_all(counts)
    traffic.largest = max(traffic.largest, float(series.short().max()))
    silence_s = past(series, np.array([len(series)]), slots_per_request).silence_s[0]
    if silence_s < LONGEST_SILENCE_S:
        traffic.last_high_s = series.end_s - silence_s


def remember_all(memory: Memory, counts: Floats, known: Bools) -> None:
    """Add much history at once; only its end is lived through interval by interval."""
    lived = counts[-RESIDUAL_INTERVALS:]
    bulk = counts[: len(counts) - len(lived)]
    append_all(memory.traffic, bulk, known[: len(bulk)], slots_per_request(memory))
    for count, measured in zip(lived, known[len(bulk) :], strict=True):
        remember(memory, Interval(float(count), 0.0, known=bool(measured)))


def forecast(memory: Memory, settings: Settings, own: Laws | None = None) -> Foreseen:
    """What may come in the order and in the hold window.

    `own`, what the model of the service's own past says, is worked out unless it is given.
    """
    present, trust = _present(memory), memory.trust
    trust.failure = ""
    residual = memory.order_residuals.histogram, memory.hold_residuals.histogram
    model, recent, borrowing = memory.model, memory.recent, memory.borrowing
    if own is None and model is not None and recent is not None:
        own = trust.attempt(partial(_own_forecast, model, recent, present, settings))
    own = own or residual
    used = residual if trust.left else own
    if borrowing is not None:
        mix = partial(borrowing.forecast, present, memory.demand.dispersion, used, known_s(memory))
        used = trust.attempt(mix) or used
    within = trust.noted(float(present.level[0]), used[0], own[0], residual[0])
    return _with_calendar(memory, settings, used) if settings.calendar else Foreseen(used, within)


def _with_calendar(memory: Memory, settings: Settings, laws: Laws) -> Foreseen:
    """No less than what is announced for the windows."""
    traffic, windows, scale = memory.traffic, memory.windows, slots_per_request(memory)
    level = traffic.level.value
    coming = [
        announced(settings.calendar, traffic.series, level, window, settings.time_zone)
        for window in (windows.order, (0, windows.hold))
    ]
    memory.announced = coming[1]
    order, hold = (
        raised(law, level * scale, event.load * scale) if event.load else law
        for law, event in zip(laws, coming, strict=True)
    )
    return Foreseen((order, hold), quantiles(order, level * scale))


def _own_forecast(model: Model, recent: Recent, present: Past, settings: Settings) -> Laws:
    """What the service's own past says."""
    now = np.array([len(present.series)])
    [leaves] = model.forest.leaves(features(present, now, model.layout, settings.local_s))
    recent.pending.note(leaves)
    return model.forest.histogram(leaves, recent)


def _foreseen(memory: Memory, settings: Settings, counts: Floats, known: Bools) -> Iterator[Laws | None]:
    """The model's forecast after each interval to come of a history: many at once, each from its own past alone."""
    model = memory.model
    if model is None:
        yield from repeat(None, len(counts))
        return
    series = memory.traffic.series.copy()
    series.append(counts, known=known)
    rows = np.arange(len(series) - len(counts), len(series)) + 1
    seen = past(series, rows, slots_per_request(memory))
    for first in range(0, len(rows), LINES):
        part = slice(first, first + LINES)
        lines = features(seen.of(part), rows[part], model.layout, settings.local_s)
        for begin in range(0, len(lines), BATCH):
            leaves = model.forest.leaves(lines[begin : begin + BATCH])
            yield from zip(*model.forest.histograms(leaves), strict=True)


def known_s(memory: Memory) -> float:
    """Length of the own history."""
    return len(memory.traffic.series) * memory.traffic.series.interval_s


def _present(memory: Memory) -> Past:
    traffic, scale = memory.traffic, slots_per_request(memory)
    series = traffic.series
    return Past(
        series,
        scale,
        level=np.array([traffic.level.value * scale]),
        daily=np.array([traffic.daily.value * scale]),
        silence_s=np.array([min(series.end_s - traffic.last_high_s, LONGEST_SILENCE_S)]),
    )


def wants(memory: Memory, settings: Settings, foreseen: Foreseen, prices: Floats) -> Wants:
    """What is worth its cost at each price, for the forecasts."""
    now = memory.traffic.level.value * slots_per_request(memory)
    tables, mean_s = capacity(memory, settings), memory.demand.law.mean_s
    largest = max(SURPRISE * memory.traffic.largest, memory.announced.load) * slots_per_request(memory)
    most = min(max(largest, SURPRISE), tables.carried)
    order, hold = (expected_misses_rps(law, now, most, tables, mean_s) for law in foreseen.laws)
    worth_order, worth_hold = want(order, prices, settings.bounds), want(hold, prices, settings.bounds)
    promised = order[worth_order - 1]
    return Wants(worth_order, np.maximum(worth_order, worth_hold), promised, loss(hold, prices))


def live(memory: Memory, settings: Settings, interval: Interval) -> float:
    """The shadows live an interval that was just remembered; what the one at the price in use missed."""
    law, scale = memory.demand.law, slots_per_request(memory)
    smooth = memory.traffic.series.now * scale
    tables, span_s = capacity(memory, settings), settings.interval_s
    missed = memory.shadows.advance(interval.requests * scale, smooth, span_s, law, tables)
    return float(np.interp(math.log(memory.steering.price), log_prices(law.mean_s), missed))


def decide_shadows(memory: Memory, settings: Settings, wants: Wants, ahead: Outlook, span_s: float) -> None:
    """Each shadow follows its wants, `span_s` after the last time."""
    shadows, law = memory.shadows, memory.demand.law
    waits = shadows.backlog(settings.backlog, law, ahead)
    shadows.follow(wants.with_backlog(waits, settings.bounds.max_pods), settings.start_price_s, span_s)


def outlook(memory: Memory, foreseen: Foreseen) -> Outlook:
    """What a pod that is ordered now will meet, by the forecasts."""
    return Outlook(foreseen.within[DRAINED], memory.windows.lead * memory.traffic.series.interval_s)


def replay(memory: Memory, settings: Settings, counts: Floats, known: Bools) -> None:
    """Let the shadows live through the end of the history, as if it came now."""
    first = counts[: round(60 / settings.interval_s)]
    pods = math.ceil(float(first.mean()) * slots_per_request(memory) / USE_AT_START / memory.demand.law.carried)
    memory.shadows = Shadows.begin(max(1, pods), memory.windows.served_from, settings.bounds.max_pods)
    prices = grid(memory.demand.law.mean_s) / settings.spare_price
    foreseen = _foreseen(memory, settings, counts, known)
    for count, measured, own in zip(counts, known, foreseen, strict=True):
        interval = Interval(float(count), 0.0, known=bool(measured))
        remember(memory, interval)
        memory.steering.saw(interval.requests, settings.interval_s)
        if interval.known:
            live(memory, settings, interval)
        coming = forecast(memory, settings, own)
        wanted = wants(memory, settings, coming, prices)
        decide_shadows(memory, settings, wanted, outlook(memory, coming), settings.interval_s)

"""From a history to a model: which moments to learn from, what came after each. Runs beside the tick."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import numpy.typing as npt

from autoscaler.forecast import forest
from autoscaler.forecast.bins import log_ratio
from autoscaler.forecast.features import LEVEL_S, features, layout, past
from autoscaler.forecast.leadtime import Windows
from autoscaler.forecast.periods import unlisted_period_s
from autoscaler.forecast.sample import Pool, draw
from autoscaler.forecast.series import SHORT, LoadSeries
from autoscaler.model import Fitted
from autoscaler.policies.predictive.memory import Model

Floats = npt.NDArray[np.floating]
LocalTime = Callable[[Floats], Floats]

LEAST_ROWS = 60
SKIPPED_ROWS = 2000
"""The first moments know too little of the past to be typical."""

FIRST_FITS_S = tuple(60.0 * minutes for minutes in (10, 15, 22, 33, 50, 75, 120, 240))
"""Ages at which a service without history is learned (C.2)."""
GROWTH, LONGEST_S = 0.5, 16 * 3600.0
"""Later, a model is learned anew when the known past has grown by this share, and at least so often."""


def refit_after_s(known_s: float) -> float:
    """When to learn anew: what a day taught says little of the next one, what a month taught still does.

    Args:
        known_s: length of the past that was learned from.
    """
    return min(GROWTH * known_s, LONGEST_S)


def learn(
    series: LoadSeries, windows: Windows, slots_per_request: float, local_s: LocalTime, seed: int
) -> Fitted | None:
    """Fit a forest to a history; None where the history is too short.

    Args:
        series: the history; not changed.
        windows: what is to be forecast.
        slots_per_request: load of one request an interval.
        local_s: clock times to local time.
        seed: of the draw and of the trees.
    """
    count = len(series)
    rows = np.arange(min(SKIPPED_ROWS, count // 3), count - windows.horizon + 1)
    rows = rows[measured(series, rows, windows.horizon)] if len(rows) else rows
    if len(rows) < LEAST_ROWS:
        return None
    order, hold = outcomes(series.short() * slots_per_request, rows, windows)
    pool = Pool.of(hold, forest.MAX_ROWS)
    drawn, weights = draw(hold, pool.wanted, np.random.default_rng([seed, count]))
    rows, order, hold = rows[drawn], order[drawn], hold[drawn]
    rhythm_s = unlisted_period_s(series)
    plan = layout(series, windows.lead, (rhythm_s,) if rhythm_s else ())
    seen = past(series, rows, slots_per_request)
    ratios = np.column_stack([log_ratio(order, seen.level), log_ratio(hold, seen.level)])
    grown = forest.fit(features(seen, rows, plan, local_s), ratios, weights, seed)
    return Fitted(grown.digest, Model(grown, pool, plan, windows, rhythm_s))


def outcomes(short: npt.NDArray[np.floating], rows: npt.NDArray[np.intp], windows: Windows) -> tuple[Floats, Floats]:
    """The largest short mean inside the order and the hold window of each row, whose windows must be over."""
    # One after the other: side by side they would be forty megabytes of two weeks.
    order, hold = (reduce(np.maximum, (short[rows + i].astype(float) for i in span)) for span in spans(windows))
    return order, hold


def spans(windows: Windows) -> tuple[range, range]:
    """Where the short means end, after a row, that lie wholly in its order and in its hold window."""
    first, end = windows.order
    return range(first + SHORT - 1, end), range(SHORT - 1, windows.hold)


def measured(series: LoadSeries, rows: npt.NDArray[np.intp], horizon: int) -> npt.NDArray[np.bool_]:
    """Whether every interval of a row's windows was measured, and those that make its present level."""
    sums = np.concatenate([[0], np.cumsum(series.known)])
    first = np.maximum(rows - round(LEVEL_S / series.interval_s), 0)
    return np.asarray(sums[rows + horizon] - sums[first] == rows + horizon - first)

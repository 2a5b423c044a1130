"""Traffic from before the process began: the counters of arrivals over weeks, read back from Prometheus.

Counters of single pods restart, appear and end; each is differenced for itself and its increases are summed, as the
ledger does with what is read live. What nobody scraped is marked, never counted as silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from autoscaler.model import History, Unreachable
from autoscaler.prometheus.arrivals import RECEIVED, REFUSED
from autoscaler.prometheus.client import Answer, Series
from autoscaler.prometheus.metrics import Exporter, Metric, Subject
from autoscaler.prometheus.quality import SCRAPER_LABELS

STEP_S = 60.0
"""Finer steps cost Prometheus more than they tell: what recurs, recurs at minutes and hours."""
CHUNK_POINTS = 1440
"""A day a query: some 150,000 samples of a hundred pods, a few megabytes."""
REPEATED_POINTS = 5
"""So long a range query goes on with a series that got no more samples: Prometheus' look-back of five minutes."""
MOST_REQUESTS = 2.0**53
"""Beyond it a float no longer counts by ones; no real counter gets there."""

RangeQuery = Callable[[str, float, float, float], Iterator[Answer]]
"""`Prometheus.query_range`: PromQL, start, end, step, all in seconds since the epoch."""
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Grid:
    """Moments at which counters are read, `STEP_S` apart; between two of them lies a bin."""

    end_s: float
    points: int

    @classmethod
    def until(cls, now_s: float, reach_s: float) -> Grid:
        """Up to the last whole step before now: the same moments for whoever asks within it."""
        return cls(now_s // STEP_S * STEP_S, int(reach_s // STEP_S) + 1)

    def at_s(self, point: int) -> float:
        """Time of a point."""
        return self.end_s - (self.points - 1 - point) * STEP_S

    def chunks(self) -> Iterator[tuple[int, int]]:
        """First and last point of each query, the newest first."""
        for end in range(self.points, 0, -CHUNK_POINTS):
            yield max(0, end - CHUNK_POINTS), end - 1


def arrivals_of(exporter: Exporter) -> Exporter:
    """Of its metrics, the counters of arrivals, and of what was refused of them."""
    counters = (RECEIVED.signal, REFUSED.signal)
    return replace(exporter, metrics=tuple(metric for metric in exporter.metrics if metric.signal in counters))


def read_history(
    query_range: RangeQuery,
    exporter: Exporter,
    subject: Subject,
    *,
    grid: Grid,
    ended: Callable[[], bool],
) -> History | None:
    """The arrivals of one Deployment in bins of `STEP_S`; None where Prometheus has none.

    Args:
        query_range: asks Prometheus.
        exporter: whose counter of arrivals is read.
        subject: whose; every pod that its Deployment has or had.
        grid: which moments.
        ended: whether the time for it is over. The newest days are read first; what is there by then, or when a
            later query fails, is used.

    Raises:
        Unreachable: Prometheus gave no usable answer, and nothing was read before.
        InvalidInput: it refused the query.
    """
    arrivals = arrivals_of(exporter)
    selector, meant = arrivals.selector([subject]), arrivals.means(subject)
    counters: dict[Metric, dict[str, dict[tuple[str, ...], Counter]]] = {
        metric: defaultdict(lambda: defaultdict(Counter)) for metric in arrivals.metrics
    }
    for first, last in grid.chunks():
        try:
            answers = list(query_range(selector, grid.at_s(first), grid.at_s(last), STEP_S))
        except Unreachable:
            if not any(counters.values()):
                raise
            break
        for series in chain.from_iterable(answer.series for answer in answers):
            for metric in arrivals.metrics:
                if metric.holds(series.labels) and meant(series.labels):
                    counters[metric][_counted_by(series, arrivals)][_identity(series)].add(*_placed(series, grid))
        if ended():
            break
    read = {
        metric.signal: binned((summed(counter.readings() for counter in each.values()) for each in pods.values()), grid)
        for metric, pods in counters.items()
    }
    return _without(read.get(RECEIVED.signal), read.get(REFUSED.signal))


def _without(received: History | None, refused: History | None) -> History | None:
    """What no pod could have answered is no load; both end at the same moment."""
    if received is None or refused is None:
        return received
    bins = min(len(received.counts), len(refused.counts))
    counts = received.counts.copy()
    counts[len(counts) - bins :] -= refused.counts[len(refused.counts) - bins :]
    return replace(received, counts=np.maximum(counts, 0))


@dataclass(slots=True)
class Counter:
    """Readings of one counter, collected chunk by chunk in any order."""

    _places: list[Places] = field(default_factory=list)
    _values: list[Floats] = field(default_factory=list)

    def add(self, places: Places, values: Floats) -> None:
        """Some more readings."""
        self._places.append(places)
        self._values.append(values)

    def readings(self) -> tuple[Places, Floats]:
        """Points and values, in the order of time; of two at one point (two scrapers of one pod) the larger."""
        places, values = np.concatenate(self._places), np.concatenate(self._values)
        order = np.lexsort((values, places))
        places, values = places[order], values[order]
        last = np.append(np.diff(places) > 0, True)[: len(places)]
        return places[last], values[last]


def summed(counters: Iterable[tuple[Places, Floats]]) -> tuple[Places, Floats]:
    """Several counters of one pod as one that never falls.

    One more joins at 0, one that ends takes nothing back, a fall is a restart from 0. Where others take the place of
    all that were there (somebody changed their labels), the sum goes on.
    """
    read = [(places, values) for places, values in counters if len(places)]
    places = np.unique(np.concatenate([np.empty(0, np.intp), *(own for own, _ in read)]))
    increase = np.zeros(len(places))
    for own, values in read:
        where = np.searchsorted(places, own)
        increase[where[0]] += values[0]
        increase[where[1:]] += np.where(np.diff(values) < 0, values[1:], np.diff(values))
    for place in sorted({int(own[0]) for own, _ in read})[1:]:
        at = int(np.searchsorted(places, place))
        there = [each for each in read if each[0][0] < place and each[0][-1] >= places[at - 1]]
        counted = sum(values[-1] for _, values in there)
        began = sum(values[0] for own, values in read if own[0] == place)
        if counted <= began and all(_over(each, place) for each in there):
            increase[at] -= counted
            read = [each for each in read if not any(each is gone for gone in there)]
    return places, np.cumsum(increase)


def _over(counter: tuple[Places, Floats], place: int) -> bool:
    """Whether it counts no more from a place on, where Prometheus at most repeats its last sample for some minutes."""
    own, values = counter
    return own[-1] <= place + REPEATED_POINTS and bool(np.all(values[np.searchsorted(own, place) :] == values[-1]))


def binned(counters: Iterable[tuple[Places, Floats]], grid: Grid) -> History | None:
    """Requests in each bin, from the first one that was measured on; None where none was.

    A fall is a restart from 0. An increase over several bins without a reading is spread evenly over them. A counter
    that appears while others are read began at 0 since the reading before; where nobody was read before, only its
    increases are known. A bin is measured where some counter was read at both of its ends; one that was not, and that
    no spread increase covers, gets what lies between its neighbours.
    """
    read = [(places, values) for places, values in counters if len(places)]
    heard = np.zeros(grid.points, dtype=np.bool_)
    for places, _ in read:
        heard[places] = True
    counts, spread = np.zeros(grid.points - 1), np.zeros(grid.points)
    guessed = np.zeros(grid.points, dtype=np.int64)
    known = np.zeros(grid.points - 1, dtype=np.bool_)
    for places, values in read:
        began = places[0]
        if began and heard[began - 1]:
            counts[began - 1] += values[0]
        increase = np.where(np.diff(values) < 0, values[1:], np.diff(values))
        bins = np.diff(places)
        next_to = bins == 1
        np.add.at(counts, places[:-1][next_to], increase[next_to])
        known[places[:-1][next_to]] = True
        for start, end, amount in zip(
            places[:-1][~next_to], places[1:][~next_to], increase[~next_to] / bins[~next_to], strict=True
        ):
            spread[start] += amount
            spread[end] -= amount
            guessed[start] += 1
            guessed[end] -= 1
    if not known.any():
        return None
    counts += np.maximum(np.cumsum(spread)[:-1], 0.0)
    covered = known | (np.cumsum(guessed)[:-1] > 0)
    first = int(np.argmax(known))
    where = np.arange(len(counts))
    filled = np.where(covered, counts, np.interp(where, where[covered], counts[covered]))[first:]
    whole = np.diff(np.round(np.concatenate([[0.0], np.cumsum(filled)]))).astype(np.int64)
    return History(STEP_S, whole, grid.end_s, known[first:])


def _counted_by(series: Series, exporter: Exporter) -> str:
    """Whose counters are scraped together: a pod's; each of a whole service's for itself."""
    return series.labels.get(exporter.pod_label, "") if exporter.pod_label else repr(_identity(series))


def _identity(series: Series) -> tuple[str, ...]:
    """What a counter is called, whoever scraped it: a renamed job does not begin a new one."""
    return tuple(f"{name}={value}" for name, value in sorted(series.labels.items()) if name not in SCRAPER_LABELS)


def _placed(series: Series, grid: Grid) -> tuple[Places, Floats]:
    """Readings at points of the grid; what is no count is left out."""
    points = np.array(series.samples, dtype=np.float64).reshape(-1, 2)
    places = np.round((points[:, 0] - grid.at_s(0)) / STEP_S).astype(np.intp)
    usable = (points[:, 1] >= 0) & (points[:, 1] <= MOST_REQUESTS) & (places >= 0) & (places < grid.points)
    return places[usable], points[:, 1][usable]


def words(history: History) -> Mapping[str, float]:
    """A history in figures, for the log."""
    known = 1.0 if history.known is None else float(history.known.mean())
    hours = len(history.counts) * history.bin_s / 3600
    return {"hours": round(hours, 1), "measured_ratio": round(known, 4), "requests": int(history.counts.sum())}

"""Pods against misses at a price: the one line that replaces headroom, target utilisation, floor and standby count.

The price is in pod-seconds that one avoided miss is worth. Research note "algorithm", C.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoscaler.capacity.missed import Table
from autoscaler.forecast.bins import loads

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

BREATH_S = 0.3
"""Waiting work for each slot that comes and goes where nothing is short."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Numbers of pods that may be asked for; at least one, for nothing else would notice the next request."""

    min_pods: int
    max_pods: int


def expected_misses_rps(histogram: Floats, level: float, most: float, table: Table, mean_s: float) -> Floats:
    """Missed requests a second with each number of pods, over a forecast distribution of the load.

    Args:
        histogram: of the logarithmic ratio to the level; shape (BINS,).
        level: present load in busy slots.
        most: loads above count as this one. It must not be above `table.carried`: for a load that not even the last
            row carries, every number of pods looks alike, and one pod would win.
        table: missed shares at the arrivals' dispersion.
        mean_s: service time.

    Returns:
        Shape (pods,), for 1 to the table's number of pods.
    """
    (likely,) = histogram.nonzero()
    load = np.minimum(loads(level).take(likely), most)
    return np.asarray(table.of(load) @ (histogram.take(likely) * load / mean_s))


def want(misses_rps: Floats, prices: Floats, bounds: Bounds) -> Ints:
    """The number of pods that minimises pods + price x misses, for each price; shape (prices,)."""
    pods = np.arange(bounds.min_pods, bounds.max_pods + 1)
    cost = _products(prices, misses_rps[bounds.min_pods - 1 : bounds.max_pods])
    cost += pods
    return np.asarray(pods.take(cost.argmin(axis=1)))


def loss(misses_rps: Floats, prices: Floats) -> Floats:
    """Of each pod, the part of its time that the misses it saves do not pay for, 0 to 1; shape (prices, pods)."""
    saved = np.zeros_like(misses_rps)
    np.subtract(misses_rps[:-1], misses_rps[1:], out=saved[1:])
    lost = _products(prices, saved)
    np.subtract(1.0, lost, out=lost)
    np.minimum(np.maximum(lost, 0.0, out=lost), 1.0, out=lost)
    lost[:, 0] = 0.0  # the first pod is never in vain
    return lost


def _products(prices: Floats, values: Floats) -> Floats:
    """Each price times each value, as by broadcasting but in a fifth of its time; shape (prices, values)."""
    return np.asarray(prices[:, None].dot(values[None]))


@dataclass(frozen=True, slots=True)
class Backlog:
    """When waiting work counts, and how fast it shall be gone."""

    drain_s: float
    threshold: float = BREATH_S
    """Seconds of waiting work per serving slot below which a queue is only the usual breath."""

    @classmethod
    def within(cls, drain_s: float, wait_s: float) -> Backlog:
        """Gone so soon, but no sooner than an objective that leaves much time for waiting asks for.

        Args:
            drain_s: from the policy file.
            wait_s: what the objective leaves for waiting.
        """
        return cls(max(drain_s, wait_s), max(BREATH_S, wait_s / 3))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a pod that is ordered now will meet."""

    load: float
    """In busy slots; nine of ten outcomes lie below."""
    lead_s: float
    """Typical time from order to service."""


NOW = Outlook(0.0, 0.0)
"""Of a pod that is loaded already."""


def backlog_pods(
    load: Floats, waiting: Floats, slots: Floats, rule: Backlog, ahead: Outlook, *, slots_per_pod: float
) -> Ints:
    """Pods that serve the load and drain the waiting work in time; 0 where too little waits, or not for long enough.

    Elementwise. What the slots that serve now will have drained when a new pod is loaded is no reason to order one.
    What they drain by then follows from the forecast load, not from the present one: that of five seconds is mostly
    chance, and the breath of a busy queue started nearly all pods of smooth traffic (docs/choices.md).

    Args:
        load: present load in busy slots.
        waiting: waiting work in slot-seconds.
        slots: slots that serve now.
        rule: when and how fast.
        ahead: the load while a new pod is loaded, and for how long.
        slots_per_pod: load that one pod serves in time.
    """
    waits = waiting > rule.threshold * slots
    if not waits.any():
        return np.zeros(len(waits), dtype=np.int64)
    waits &= waiting > (slots - ahead.load) * ahead.lead_s
    pods = np.ceil((load + waiting / rule.drain_s) / slots_per_pod - 1e-9)
    return np.where(waits, pods, 0.0).astype(np.int64)


def log_grid(first: float, last: float, count: int) -> Floats:
    """Prices at equal ratios; shape (count,)."""
    return np.exp(np.linspace(math.log(first), math.log(last), count))

"""The share of requests that miss their objective when c pods meet an offered load.

The work in excess of what the pods do is a reflected Brownian motion that starts from an empty queue; a request
misses when it finds more work than the pods finish within the time that the objective leaves for waiting
(diffusion approximation of a G/G/c queue; Erlang's waiting probability corrects it below saturation).
Formula and its check against simulation: research note "algorithm", C.3.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autoscaler.capacity import batched
from autoscaler.model import Batching, Routing

Floats = npt.NDArray[np.floating]

WINDOW_S = 20.0
"""Over how long a load is held against the pods; 10 and 40 s cost the same within 3 % (C.3)."""
WINDOW_WAITS = 20.0
"""It lasts so many times the wait that the objective leaves, at least: in a shorter one too few pods for the load would
look enough, because nobody has waited long yet."""
MIDPOINTS = 5
NEVER, ALWAYS = -38.0, 8.3
"""Standard deviations beyond which a double holds no other share of a normal distribution than 0 or 1."""
DISPERSIONS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 14.0, 20.0, 30.0, 45.0, 70.0)
"""Levels of the arrivals' dispersion that tables are made for."""
CARRIED = 0.2
"""Beyond this share a load is out of the largest size's reach. With a half, as the note has it, a load that rose out of
reach could want 32 pods of 60 fewer at a price of 7 pod-seconds."""
CROWDING = 0.7
"""Share of the spare capacity of many pods that least-outstanding routing cannot use."""
LOAD_STEP = 0.1
"""Busy slots between two columns of a table, where a pod has one slot. Where it has more, by the root of their number:
what a load needs beside itself grows with its root (Halfin and Whitt 1981), and so may what is told apart."""
_NORMAL = np.polynomial.hermite_e.hermegauss(7)
"""Points and weights for a mean over the standard normal law."""
BURST = 2.5
"""Objectives over which what varies is felt: bursts of less are gone before they matter."""
BATCH_TIME = 0.5
"""Part of the objective that a batch may take: a request may have to wait for the one before its own."""


@dataclass(frozen=True, slots=True)
class ServiceLaw:
    """How one pod serves, as measured."""

    mean_s: float
    """Of a request that is served alone."""
    cs2: float
    """Squared coefficient of variation of the service time."""
    objective_s: float
    sure_miss_ratio: float
    """Share of requests whose service alone exceeds the objective: no number of pods saves them."""
    slots: int = 1
    """Requests, or batches, that one pod serves at a time."""
    batching: Batching = field(default_factory=Batching)
    routing: Routing = Routing.SHARED_QUEUE

    @property
    def wait_s(self) -> float:
        """Time that the objective leaves for waiting, at least a hundredth of the service time."""
        return max(self.objective_s - self.mean_s, 0.01 * self.mean_s)

    @property
    def carried(self) -> float:
        """Load that one pod serves in time, in busy slots: more than it has where batches save work."""
        batching = self.batching
        if batching.size == 1:
            return float(self.slots)
        longest = BATCH_TIME * self.objective_s / self.mean_s
        fitting = (longest - batching.base_share) / max(1 - batching.base_share, 1e-9)
        size = min(max(fitting, 1.0), float(batching.size))
        return self.slots * size / batching.takes(size)


@dataclass(frozen=True, slots=True)
class Table:
    """Missed shares for every number of pods and every load.

    Attributes:
        load: offered load in busy slots, ascending; shape (loads,).
        step: busy slots between two loads.
        share: row c-1 for c pods, never falling along a row; shape (pods, loads). Pods lie side by side.
        carried: the largest load that the last row carries with at most `CARRIED` of the requests missed.
        law, dispersion: what they were worked out for.
    """

    load: Floats
    step: float
    share: Floats
    carried: float
    law: ServiceLaw
    dispersion: float

    def is_of(self, law: ServiceLaw, dispersion: float, max_pods: int) -> bool:
        """Whether it tells of this service, these arrivals and so many pods."""
        return self.law == law and self.dispersion == dispersion and len(self.share) == max_pods

    def columns(self, load: Floats) -> npt.NDArray[np.intp]:
        """Nearest columns for given loads; what lies beyond the grid takes its last column."""
        return np.minimum((load / self.step + 0.5).astype(np.intp), len(self.load) - 1)

    def at(self, load: float) -> Floats:
        """Shares with each number of pods at one load; shape (pods,)."""
        return self.share[:, min(int(load / self.step + 0.5), len(self.load) - 1)]

    def of(self, load: Floats) -> Floats:
        """Shares with each number of pods at some loads; shape (pods, loads)."""
        return self.share.T.take(self.columns(load), axis=0).T


@lru_cache(maxsize=16)
def table(law: ServiceLaw, dispersion: float, max_pods: int) -> Table:
    """The table of one service under arrivals of one dispersion; equal services share it.

    `dispersion` is the variance of the arrivals' counts over their mean (1 for Poisson).
    """
    step = LOAD_STEP * math.sqrt(law.slots)
    load = np.arange(round(1.5 * max_pods * law.carried / step) + 1) * step
    pods = np.arange(1, max_pods + 1)
    share = np.maximum.accumulate(missed_share(law, dispersion, pods, load), axis=1)
    # A further pod never hurts; the approximation bends by a trifle where Erlang's correction sets in.
    share = np.asfortranarray(np.minimum.accumulate(share, axis=0))
    share.setflags(write=False)
    carried = float(load[np.searchsorted(share[-1], CARRIED, side="right") - 1])
    return Table(load, step, share, carried, law, dispersion)


def level(dispersion: float) -> float:
    """The next higher of the levels that tables are made for."""
    return DISPERSIONS[min(bisect_left(DISPERSIONS, dispersion), len(DISPERSIONS) - 1)]


def missed_share(law: ServiceLaw, dispersion: float, pods: npt.NDArray[np.int_], load: Floats) -> Floats:
    """Share of requests that miss, for each number of pods and each load.

    Args:
        law: the service.
        dispersion: variance over mean of the arrivals' counts.
        pods: numbers of pods, ascending from 1 without gaps; shape (pods,).
        load: offered load in busy slots, not negative; shape (loads,).

    Returns:
        Shares between `law.sure_miss_ratio` and 1; shape (pods, loads).
    """
    if law.batching.size > 1:
        return np.maximum(_batched(law, dispersion, pods, load), law.sure_miss_ratio)
    if law.routing in (Routing.RANDOM, Routing.ROUND_ROBIN):
        # Each pod is a queue of its own under its part of the arrivals; a random split thins their dispersion, and
        # taking turns evens them out besides.
        turns = 0.5 if law.routing is Routing.ROUND_ROBIN else 0.0
        parts = [(1 + (dispersion - 1) / c) / c**turns for c in pods]
        waits = np.array([_pooled(law, part, np.array([1]), load / c)[0] for c, part in zip(pods, parts, strict=True)])
    elif law.routing is Routing.LEAST_OUTSTANDING:
        waits = np.array([_pooled(law, dispersion, np.array([c]), _crowded(law, c, load))[0] for c in pods])
    else:
        waits = _pooled(law, dispersion, pods, load)
    return law.sure_miss_ratio + (1 - law.sure_miss_ratio) * waits


def _crowded(law: ServiceLaw, pods: int, load: Floats) -> Floats:
    """The load at which one shared queue would miss as much as pods that each have a line of their own.

    A request that waits in one pod's line is not helped by what other pods have to spare. Fitted to simulation
    (docs/capacity.md, "Routing").
    """
    spare = np.maximum(pods * law.slots - load, 0.0)
    return np.asarray(load + CROWDING * (1 - 1 / pods) ** 2 * spare)


def _batched(law: ServiceLaw, dispersion: float, pods: npt.NDArray[np.int_], load: Floats) -> Floats:
    """The same where pods serve in batches, by the table; shape (pods, loads).

    The table is of Poisson arrivals. What others vary beyond it over the time that a request may take is felt as
    another load: the mean over a normal law of loads, by the requests that come with each.
    """
    table, slots = batched.shipped(), pods * float(law.slots)
    service = batched.Service(law.routing, law.batching, law.cs2**0.5)
    most = law.batching.gain * slots[:, None]
    spread = np.sqrt(max(dispersion - 1, 0.0) * load * law.mean_s / (BURST * law.objective_s))
    missed, came = np.zeros((len(pods), len(load))), np.zeros(len(load))
    for point, weight in zip(*_NORMAL, strict=True):
        felt = np.maximum(load + point * spread, 0.0)
        missed += weight * felt * table.missed(service, slots, felt / most, law.objective_s / law.mean_s)
        came += weight * felt
    share = np.divide(missed, came, out=np.zeros_like(missed), where=came > 0)
    beyond = load / most > table.grid.use[-1]
    return np.where(beyond, np.maximum(share, _pooled(law, dispersion, pods, load / law.batching.gain)), share)


def _pooled(law: ServiceLaw, dispersion: float, pods: npt.NDArray[np.int_], load: Floats) -> Floats:
    """Probability that a request finds more work than one shared queue finishes in time; shape (pods, loads)."""
    slots = (pods * law.slots)[:, None].astype(float)
    drift = load - slots
    spread = law.mean_s * (dispersion + law.cs2)
    variance = np.maximum(load * spread, 1e-12)
    barrier = law.wait_s * slots
    below = drift < 0
    waiting = np.where(below, _erlang_c(slots[:, 0], load), 1.0)
    exponent = 2 * drift * barrier / variance
    steady = np.where(below, drift * law.wait_s / (0.5 * spread), np.where(exponent > 200, -np.inf, exponent))

    total = np.zeros_like(drift)
    window_s = max(WINDOW_S, WINDOW_WAITS * law.wait_s)
    for t in (np.arange(MIDPOINTS) + 0.5) * window_s / MIDPOINTS:
        deviation = np.sqrt(variance * t)
        reached = _normal((drift * t - barrier) / deviation)
        reflected = np.exp(np.minimum(steady, 200)) * _normal((-barrier - drift * t) / deviation)
        total += np.minimum(1.0, waiting * (reached + reflected))
    return np.asarray(total / MIDPOINTS)


_erfc = np.frompyfunc(math.erfc, 1, 1)


def _normal(value: Floats) -> Floats:
    """The standard normal distribution function.

    scipy's is three times as fast and takes 27 MB of a controller that needs nothing else of scipy at a tick.
    """
    share = (value > 0).astype(float)
    near = (value > NEVER) & (value < ALWAYS)
    share[near] = 0.5 * _erfc(value[near] * -math.sqrt(0.5)).astype(float)
    return share


def _erlang_c(slots: Floats, load: Floats) -> Floats:
    """Probability of waiting in M/M/c; shape (pods, loads). 1 at and above saturation.

    Erlang's recursion over the number of servers: B <- a B / (k + a B), C = B / (1 - rho + rho B).
    """
    blocked = np.ones_like(load)
    rows = []
    server = 0
    for wanted in slots:
        while server < wanted:
            server += 1
            blocked = load * blocked / (server + load * blocked)
        rho = np.minimum(load / wanted, 1.0)
        rows.append(blocked / np.maximum(1 - rho + rho * blocked, 1e-300))
    return np.array(rows)

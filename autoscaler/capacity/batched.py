"""The share of requests that miss on pods that serve them in batches: a table made by simulation.

No formula for several queues with batches came near: one for a single pod was wrong by up to ten times, and what a
further pod brings depends on how requests find it. `python -m simulations.batches` makes the table, for Poisson
arrivals; docs/capacity.md, "Batches", holds it against other simulations.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoscaler.files import packed
from autoscaler.model import Batching, Routing

Floats = npt.NDArray[np.floating]

PATH = Path(__file__).with_name("batched.npz")


@dataclass(frozen=True, slots=True)
class Grid:
    """What the table has lines for; each ascending but `missed`."""

    variation: tuple[float, ...]
    """Coefficients of variation of the service times."""
    base_share: tuple[float, ...]
    size: tuple[int, ...]
    pods: tuple[int, ...]
    use: tuple[float, ...]
    """Load over the most that full batches could serve."""
    missed: tuple[float, ...]
    """Shares of requests that a latency is given for, descending."""
    routing: tuple[str, ...] = (Routing.SHARED_QUEUE, Routing.LEAST_OUTSTANDING, Routing.ROUND_ROBIN)


@dataclass(frozen=True, slots=True)
class Service:
    """What pods do."""

    routing: Routing
    """How requests find a pod."""
    batching: Batching
    """What a pod takes at once."""
    variation: float
    """Coefficient of variation of the service times."""


@dataclass(frozen=True, slots=True)
class Batched:
    """The table.

    Attributes:
        grid: its axes.
        latency: that so many requests exceed, in mean service times of a request alone; shape (routings, variations,
            base shares, sizes, pods, uses, missed), ascending along the last axis.
    """

    grid: Grid
    latency: Floats

    def missed(self, service: Service, pods: Floats, use: Floats, objective: float) -> Floats:
        """Share of requests that take longer than the objective; shape (pods, uses).

        Between the lines by the logarithm of size, pods and latency; beyond the ends of use and misses along the last
        two points, beyond other ends as at them. Requests that find pods at random see each of them alone.

        Args:
            service: what the pods do.
            pods: how many, or slots where a pod has several; shape (pods,).
            use: load over the most that they can serve; shape (pods, uses).
            objective: in mean service times of a request alone.
        """
        grid, routing, batching = self.grid, service.routing, service.batching
        if routing is Routing.RANDOM:
            routing, pods = Routing.LEAST_OUTSTANDING, np.ones_like(pods)
        lines = np.log(self.latency[grid.routing.index(routing)])
        lines = _between(lines, np.array(grid.variation), service.variation)
        lines = _between(lines, np.array(grid.base_share), batching.base_share)
        lines = _between(lines, np.log(grid.size), np.log(batching.size))
        known = np.log(grid.pods)
        limit, steps = np.log(objective), np.log(grid.missed)
        share = np.empty_like(use)
        for row, count in enumerate(np.log(pods)):
            at_use = np.array([_along(limit, line, steps) for line in _between(lines, known, count)])
            share[row] = np.interp(use[row], grid.use, at_use)
            beyond = use[row] > grid.use[-1]
            slope = (at_use[-1] - at_use[-2]) / (grid.use[-1] - grid.use[-2])
            share[row, beyond] = at_use[-1] + slope * (use[row, beyond] - grid.use[-1])
        return np.asarray(np.exp(np.minimum(share, 0.0)))


def _between(lines: Floats, known: Floats, value: float) -> Floats:
    """The lines at a value between two of the first axis, as at its ends beyond them."""
    at = float(np.interp(value, known, np.arange(len(known))))
    first = min(int(at), len(known) - 2)
    return np.asarray(lines[first] + (at - first) * (lines[first + 1] - lines[first]))


def _along(limit: float, latency: Floats, missed: Floats) -> float:
    """The logarithm of the share that exceeds a limit, along the first or last two points beyond the ends."""
    first = min(max(int(np.searchsorted(latency, limit)) - 1, 0), len(latency) - 2)
    slope = (missed[first + 1] - missed[first]) / max(latency[first + 1] - latency[first], 1e-3)
    return float(missed[first] + slope * (limit - latency[first]))


def encode(table: Batched) -> bytes:
    """The file; equal tables give equal bytes."""
    axes = np.frombuffer(json.dumps(asdict(table.grid)).encode(), dtype=np.uint8)
    return packed({"axes": axes, "latency": table.latency.astype(np.float16)})


@lru_cache(maxsize=1)
def shipped() -> Batched:
    """The table that comes with the program."""
    return decode(PATH.read_bytes())


def decode(data: bytes) -> Batched:
    """What `encode` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        axes = json.loads(arrays["axes"].tobytes())
        return Batched(Grid(**{name: tuple(values) for name, values in axes.items()}), arrays["latency"].astype(float))

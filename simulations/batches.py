"""How late requests get on pods that serve them in batches, by simulation: `python -m simulations.batches`.

Writes the table that `autoscaler/capacity/batched.py` reads. Poisson arrivals at a constant rate, a constant number of
pods, log-normal service times; everything in mean service times of a request that is served alone.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoscaler.capacity import batched
from autoscaler.capacity.batched import Batched, Grid, Service
from autoscaler.files import atomic
from autoscaler.model import Batching, Routing
from simulations import engine
from simulations.workers import Workers, spread

REQUESTS = 100_000
GRID = Grid(
    variation=(0.4, 0.7, 1.0),
    base_share=(0.2, 0.4, 0.6, 0.8, 0.9, 0.96),
    size=(2, 4, 8, 16, 32, 64),
    pods=(1, 2, 4, 8, 16, 32),
    use=(0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.87, 0.93, 0.97),
    missed=(0.3, 0.1, 0.03, 0.01, 0.003),
)
ROUTED = {
    Routing.SHARED_QUEUE: engine.Routing.SHARED,
    Routing.LEAST_OUTSTANDING: engine.Routing.LEAST,
    Routing.ROUND_ROBIN: engine.Routing.ROUND_ROBIN,
}


def latencies(service: Service, pods: int, use: float) -> Sequence[float]:
    """Latencies that `GRID.missed` of the requests exceed, ascending, after a first tenth.

    Args:
        service: what the pods do.
        pods: how many.
        use: load over the most that they can serve.
    """
    batching, sigma = service.batching, math.sqrt(math.log1p(service.variation**2))
    random = np.random.default_rng(0)
    arrival_s = np.cumsum(random.exponential(1 / (use * pods * batching.gain), REQUESTS))
    load = engine.Load(arrival_s, random.lognormal(-(sigma**2) / 2, sigma, REQUESTS), start_s=np.ones(1))
    together = engine.Batching(batching.size, batching.base_share, 1 - batching.base_share)
    served = engine.Service(1.0, routing=ROUTED[service.routing], batching=together)
    runs = engine.Engine(served, load, engine.Watch(scrape_s=1e9), pods)
    runs.advance(float(arrival_s[-1]))
    runs.finish()
    latency = (runs.finish_s - arrival_s)[REQUESTS // 10 :]
    return [float(each) for each in np.quantile(latency, 1 - np.array(GRID.missed))]


Case = tuple[int, ...]
"""A place in the table: routing, variation, base share, size, pods."""


def lines(case: Case) -> tuple[Case, npt.NDArray[np.float64]]:
    """The table at one place; shape (uses, missed)."""
    routing, variation, base_share, size, pods = case
    batching = Batching(GRID.size[size], GRID.base_share[base_share])
    service = Service(Routing(GRID.routing[routing]), batching, GRID.variation[variation])
    found = [latencies(service, GRID.pods[pods], use) for use in GRID.use]
    return case, np.array(found)


def made(workers: Workers) -> Batched:
    """The whole table."""
    axes = (GRID.routing, GRID.variation, GRID.base_share, GRID.size, GRID.pods, GRID.use, GRID.missed)
    shape = tuple(map(len, axes))
    latency = np.empty(shape)
    cases = list(np.ndindex(shape[:5]))
    for number, (case, found) in enumerate(spread(lines, ((case,) for case in cases), workers), 1):
        latency[case] = found
        if sys.stderr.isatty() or number % 50 == 0:
            print(f"\r{number} of {len(cases)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return Batched(GRID, latency)


def main(arguments: Sequence[str]) -> int:
    """Make the table and write it."""
    parser = argparse.ArgumentParser(prog="python -m simulations.batches", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1: one for each core")
    parser.add_argument("--out", type=Path, default=batched.PATH, help="the file to write")
    options = parser.parse_args(arguments)
    table = batched.encode(made(Workers(options.jobs)))
    with atomic(options.out) as file:
        file.write(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The missed share by the formula against requests on pods, for each routing: `python benchmarks/routing.py [SLOTS]`.

Poisson arrivals at a constant rate, constant pods, the service law of `tts`; prints a Markdown table of
simulated / formula shares. The formula begins with empty queues and looks 20 s ahead, so it lies below at high load.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product

import numpy as np

from autoscaler.capacity.missed import ServiceLaw, missed_share
from autoscaler.model import Routing, Workload
from autoscaler.policies.predictive.service import prior_law
from autoscaler.spec import find_workload
from simulations import engine
from simulations.draw import service_times

ROUTING = dict(zip(Routing, engine.Routing, strict=True))
REQUESTS = 100_000
PODS = (2, 4, 8, 16)
USES = (0.5, 0.6, 0.75, 0.85, 0.92)


def simulated(workload: Workload, routing: Routing, pods: int, use: float, slots: int = 1) -> float:
    """Share of requests later than the objective, after a first tenth."""
    random = np.random.default_rng([pods, round(100 * use)])
    rate_rps = use * pods * slots / workload.service_mean_s
    arrival_s = np.cumsum(random.exponential(1 / rate_rps, REQUESTS))
    load = engine.Load(
        arrival_s=arrival_s,
        service_s=service_times(REQUESTS, workload, random),
        start_s=np.ones(1),
        route=random.random(REQUESTS) if routing is Routing.RANDOM else None,
    )
    service = engine.Service(workload.objective_s, slots=slots, routing=ROUTING[routing], patience_s=30.0)
    runs = engine.Engine(service, load, engine.Watch(scrape_s=1e9), pods)
    runs.advance(float(arrival_s[-1]))
    runs.finish()
    late_s = (runs.finish_s - arrival_s)[REQUESTS // 10 :]
    return float(np.mean(late_s > workload.objective_s))


def formula(law: ServiceLaw, pods: int, use: float) -> float:
    """The same by the table's formula."""
    return float(missed_share(law, 1.0, np.arange(1, pods + 1), np.array([use * pods * law.slots]))[-1, 0])


def main(slots: int = 1) -> None:
    """Print the table."""
    workload = find_workload("tts")
    print("| routing | pods | " + " | ".join(f"use {use}" for use in USES) + " |")
    print("| --- " * (len(USES) + 2) + "|")
    for routing, pods in product(Routing, PODS):
        law = replace(prior_law(workload), routing=routing, slots=slots)
        cells = [
            f"{100 * simulated(workload, routing, pods, use, slots):.2f} / {100 * formula(law, pods, use):.2f}"
            for use in USES
        ]
        print(f"| {routing} | {pods} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)

"""One tick for each target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from kubernetes import client

from autoscaler.cluster.actuator import ClusterActuator
from autoscaler.cluster.fleet import ClusterFleet
from autoscaler.loop import Ports, begin, tick
from autoscaler.model import Tick
from autoscaler.service.sources import Sources
from autoscaler.service.wiring import REQUEST_S, Job, SystemClock


@dataclass
class Kept:
    """Journal that keeps its ticks in memory."""

    ticks: list[Tick] = field(default_factory=list)

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        self.ticks.append(tick)


def run_once(jobs: Iterable[Job], api: client.ApiClient, forbidden: Callable[[], str | None]) -> Iterator[Tick]:
    """Run the loop once for each target, one after the other.

    Targets that ask Prometheus the same are asked for together.

    Args:
        jobs: what is sized.
        api: a connection.
        forbidden: why nothing may be written; asked right before every write.
    """
    jobs = list(jobs)
    with closing(Sources()) as sources:
        sources.settle(jobs)
        for job in jobs:
            kept = Kept()
            where = (api, job.namespace, job.deployment)
            ports = Ports(
                clock=SystemClock(),
                signals=sources.signals_of(job),
                fleet=ClusterFleet(*where, timeout_s=REQUEST_S),
                actuator=ClusterActuator(*where, forbidden=partial(_why_not, job, forbidden), timeout_s=REQUEST_S),
                journal=kept,
            )
            tick(job.target, ports, begin(job.target, ports.clock.now_s()))
            yield from kept.ticks


def _why_not(job: Job, forbidden: Callable[[], str | None]) -> str | None:
    return forbidden() or job.forbidden

"""One tick for each target, with the promises of a running controller.

What that knows by watch, whether a target is paused and who else sizes it, is asked here before each tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from kubernetes import client

from autoscaler.cluster.actuator import ClusterActuator
from autoscaler.cluster.api import RefusedError, manager_of
from autoscaler.cluster.fleet import ClusterFleet
from autoscaler.cluster.reports import paused_now
from autoscaler.cluster.rivals import rival
from autoscaler.loop import Ports, begin, tick
from autoscaler.model import Cause, Missing, Tick, Unreachable
from autoscaler.service.sources import Sources
from autoscaler.service.wiring import REQUEST_S, Job, SystemClock


@dataclass
class Kept:
    """Journal that keeps its ticks in memory."""

    ticks: list[Tick] = field(default_factory=list)

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        self.ticks.append(tick)


def run_once(
    jobs: Iterable[Job], api: client.ApiClient, own_namespace: str, forbidden: Callable[[], str | None]
) -> Iterator[Tick]:
    """Run the loop once for each target, one after the other.

    Targets that ask Prometheus the same are asked for together.

    Args:
        jobs: what is sized.
        api: a connection.
        own_namespace: the controller's: there it says who is paused.
        forbidden: why nothing may be written; asked right before every write.
    """
    jobs = list(jobs)
    with closing(Sources()) as sources:
        sources.settle(jobs)
        for job in jobs:
            yield _tick(job, api, own_namespace, sources, forbidden)


def _tick(
    job: Job, api: client.ApiClient, own_namespace: str, sources: Sources, forbidden: Callable[[], str | None]
) -> Tick:
    """As in a running controller nothing is decided before it is known who is paused and who else sizes a target."""
    try:
        paused = paused_now(api, own_namespace, job.target.name, REQUEST_S)
        other = rival(api, job.namespace, job.deployment, REQUEST_S)
    except (RefusedError, Unreachable) as error:
        problem = str(error) if isinstance(error, Unreachable) else f"API server: {error.message}"
        return Tick(job.target.name, Missing(Cause.UNREACHABLE, problem), None, ())
    kept, where = Kept(), (api, job.namespace, job.deployment)

    def why_not() -> str | None:
        return forbidden() or job.forbidden or other

    ports = Ports(
        clock=SystemClock(),
        signals=sources.signals_of(job),
        fleet=ClusterFleet(*where, timeout_s=REQUEST_S),
        actuator=ClusterActuator(*where, forbidden=why_not, timeout_s=REQUEST_S, manager=manager_of(own_namespace)),
        journal=kept,
    )
    tick(job.target, ports, begin(job.target, ports.clock.now_s()), paused=paused)
    [told] = kept.ticks
    return told

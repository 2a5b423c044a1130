"""Small worlds for policies: fleets by phase, scrapes of steady traffic, a loop that obeys."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from autoscaler.model import Fleet, Observation, Phase, Pod, Proposal, Scrape, Signals
from autoscaler.policies.policy import AnyPolicy

SCRAPE_S = 5.0
SERVICE_S = 0.2
"""Seconds of work in a request: 5 requests/s keep one pod busy."""


def fleet(serving: int = 0, starting: int = 0, standby: int = 0, draining: int = 0) -> Fleet:
    phases = (
        [Phase.SERVING] * serving
        + [Phase.STARTING] * starting
        + [Phase.STANDBY] * standby
        + [Phase.DRAINING] * draining
    )
    pods = tuple(Pod(f"p{i}", phase, 0.0) for i, phase in enumerate(phases))
    return Fleet(serving + starting + standby, pods)


def steady(rate_rps: float, until_s: float, *, from_s: float = 0.0, queued: float = 0.0) -> tuple[Scrape, ...]:
    """Scrapes of constant traffic that is served at once."""
    scrapes = []
    at_s = from_s
    while at_s <= until_s:
        done = rate_rps * at_s
        scrapes.append(
            Scrape(
                at_s,
                received=done,
                completed=done,
                service_s=done * SERVICE_S,
                concurrency_s=done * SERVICE_S,
                queued=queued,
                in_flight=queued + rate_rps * SERVICE_S,
            )
        )
        at_s += SCRAPE_S
    return tuple(scrapes)


def observe(scrapes: tuple[Scrape, ...], seen: Fleet, at_s: float) -> Observation:
    return Observation(at_s, Signals(scrapes), seen)


def decide_once(policy: AnyPolicy, scrapes: tuple[Scrape, ...], seen: Fleet, at_s: float) -> Proposal:
    """The first proposal of a fresh policy."""
    return policy.propose(policy.start(), observe(scrapes, seen, at_s))[1]


def obey(
    policy: AnyPolicy, traffic: Callable[[float], float], begin: int, until_s: float
) -> Iterator[tuple[float, Proposal]]:
    """Run a policy on traffic (requests/s by time) in a world where ordered pods serve at once."""
    memory, size, received, scraped_s, at_s = policy.start(), begin, 0.0, -SCRAPE_S, 3.0
    while at_s <= until_s:
        scrapes = []
        while scraped_s + SCRAPE_S <= at_s - 0.5:
            scraped_s += SCRAPE_S
            received += traffic(scraped_s) * SCRAPE_S
            work_s = received * SERVICE_S
            scrapes.append(
                Scrape(scraped_s, received, received, service_s=work_s, concurrency_s=work_s, queued=0.0, in_flight=0.0)
            )
        memory, proposal = policy.propose(memory, observe(tuple(scrapes), fleet(size), at_s))
        size = proposal.serving
        yield at_s, proposal
        at_s += policy.tick_s

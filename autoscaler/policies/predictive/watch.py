"""What pods cannot mend, said: an objective out of reach, a maximum that is too low, GPUs that do not fit the load.

GPU use is a guard, never a target: it ends at 1 and comes late (research note "algorithm", C.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autoscaler.capacity.missed import ServiceLaw, Table
from autoscaler.model import Batching, Missing, Scrape
from autoscaler.policies.predictive.service import increase
from autoscaler.policies.predictive.steering import CORRECTION_LIMITS

BUSY, SERVED = 0.95, 0.70
"""GPUs are busy with more than requests when their use is above the one and what requests take is below the other."""
IDLE, LATE = 0.50, 0.05
"""Requests are late for another reason than GPUs when these are less busy and more of those are late."""
LASTING_S = 60.0
TOGETHER = 1.3
"""Requests share batches when their service times are more than so many times the busy time of the slots."""
ENOUGH = 200.0
"""Of fewer requests, those that are still in service weigh."""


@dataclass(slots=True)
class Watch:
    """What GPUs and requests say together; updated in place.

    Attributes:
        busy_s: how long the GPUs have been busy with more than the requests.
        idle_s: how long requests have been late while the GPUs idled.
        together: service times over busy time in the last minute that had enough requests.
    """

    busy_s: float = 0.0
    idle_s: float = 0.0
    together: float = 1.0
    _since: Scrape | None = None
    _last: Scrape | None = None

    def look(self, scrapes: tuple[Scrape, ...], slots: int, mean_s: float) -> None:
        """Take new scrapes; `slots` serve now, and a request is believed to take `mean_s`."""
        for scrape in scrapes:
            self._share(scrape)
            last, self._last = self._last, scrape
            if last is None or isinstance(scrape.gpu_use_ratio, Missing) or scrape.at_s <= last.at_s:
                continue
            span_s = scrape.at_s - last.at_s
            done = increase(last.completed, scrape.completed)
            late = increase(last.late, scrape.late) / done if done else 0.0
            served = done * mean_s / span_s / max(slots, 1)
            self.busy_s = self.busy_s + span_s if scrape.gpu_use_ratio > BUSY and served < SERVED else 0.0
            self.idle_s = self.idle_s + span_s if scrape.gpu_use_ratio < IDLE and late > LATE else 0.0

    def _share(self, scrape: Scrape) -> None:
        """Measure how much time is counted more than once."""
        since = self._since = self._since or scrape
        if scrape.at_s - since.at_s < LASTING_S or increase(since.completed, scrape.completed) < ENOUGH:
            return
        busy_s = increase(since.busy_s, scrape.busy_s)
        self.together = increase(since.service_s, scrape.service_s) / busy_s if busy_s > 0 else 1.0
        self._since = scrape

    def said(self, batching: Batching) -> Iterator[str]:
        """What has lasted a minute, of pods that are believed to serve so many together."""
        if batching.size == 1 and self.together > TOGETHER:
            yield (
                f"requests are served {self.together:.1f} at a time, which the workload does not say "
                "(service.batching): pods are asked for as if each were served alone"
            )
        if self.busy_s >= LASTING_S:
            yield "the GPUs are busy, but not with as many requests as they should serve: something else uses them"
        if self.idle_s >= LASTING_S:
            yield "requests are late while the GPUs idle: something before them is slow, and pods will not help"


def limits(
    law: ServiceLaw, budget: float, *, out_of_reach: bool, tables: Table, load: float, correction: float
) -> Iterator[str]:
    """Where the objective cannot be met, or not by what is believed of the pods.

    Args:
        law: the service.
        budget: share of requests that may miss.
        out_of_reach: too many requests are late by themselves.
        tables: missed shares, up to the largest number of pods.
        load: present load in busy slots.
        correction: measured misses over foreseen ones.
    """
    if out_of_reach:
        yield (
            f"no number of pods meets the objective: {law.sure_miss_ratio:.1%} of the requests take over "
            f"{law.objective_s:g} s on a pod of their own, {budget:.1%} may; pods are bought at the first price"
        )
        return
    share = float(tables.at(load)[-1])
    if share > max(budget, 1.5 * law.sure_miss_ratio):
        yield f"{len(tables.share)} pods are the maximum, and miss {share:.0%} of the requests at the present load"
    if correction >= CORRECTION_LIMITS[1]:
        yield (
            f"{correction:g} times as many requests are missed as should be by the workload's routing, {law.routing}: "
            "behind a plain Service it is random"
        )

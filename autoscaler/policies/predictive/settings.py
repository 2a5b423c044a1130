"""What the policy file says, in the policy's own terms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.priorfile import Priors
from autoscaler.model import Event, Workload
from autoscaler.policies.predictive.price import Backlog, Bounds
from autoscaler.policies.predictive.standby import Reserve
from autoscaler.policies.predictive.steering import PriceRule

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Settings:
    """One target's predictive policy."""

    workload: Workload
    """Priors of service and start, and the objective."""
    bounds: Bounds
    price: PriceRule
    backlog: Backlog
    start_price_s: float = 0.0
    """What a start costs beyond its cold start, pod-seconds: no pod goes before keeping it has cost that much."""
    tick_s: float = 5.0
    interval_s: float = 5.0
    """Length of the intervals that load is counted in; not below the scrape interval."""
    time_zone: tzinfo = UTC
    """Of the service's users, for the time of day."""
    calendar: tuple[Event, ...] = ()
    """Load that is announced, in times of the zone."""
    seed: int = 0
    priors: Priors | None = None
    """What other services taught; None: the own history alone."""
    reserve: Reserve | None = None
    """Spare pods stand by, out of the Service; None: they serve."""

    @property
    def spare_price(self) -> float:
        """Cost of a pod that is ordered in case it is needed, a serving one costing 1."""
        return self.reserve.price if self.reserve else 1.0

    def counts_as(self, other: Settings) -> bool:
        """Whether the load, the service and what is forecast are counted alike; prices and bounds may differ."""

        def counted(settings: Settings) -> tuple[object, ...]:
            workload = replace(settings.workload, name="", min_replicas=0, max_replicas=0)
            prior = settings.priors and settings.priors.digest
            gated = settings.reserve is not None
            return workload, settings.interval_s, settings.time_zone, settings.seed, prior, gated

        return counted(self) == counted(other)

    def local_s(self, clock_s: Floats) -> Floats:
        """Local time in seconds; the zone's offset is looked up once an hour. Elementwise."""
        hours = (clock_s // 3600).tolist()
        offsets_s = {hour: _offset_s(self.time_zone, hour) for hour in set(hours)}
        return np.asarray(clock_s + np.array([offsets_s[hour] for hour in hours]))


@lru_cache(maxsize=4096)
def _offset_s(time_zone: tzinfo, hour: float) -> float:
    """What the zone's clocks are ahead of UTC in an hour since the epoch."""
    offset = datetime.fromtimestamp(3600 * hour, time_zone).utcoffset()
    return offset.total_seconds() if offset else 0.0

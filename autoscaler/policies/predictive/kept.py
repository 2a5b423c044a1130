"""What of a predictive policy's memory outlives the process, in the form in which it is written.

Closed, versioned and bounded: a snapshot is read back by another program, perhaps a newer one, and whoever may edit
the ConfigMap may edit it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from autoscaler.forecast.bins import BINS
from autoscaler.forecast.leadtime import KEPT_STARTS
from autoscaler.forecast.mixture import MOST_LOG_ODDS
from autoscaler.forecast.series import SHORT
from autoscaler.model import InvalidInput
from autoscaler.policies.predictive.shadows import PRICES

VERSION: Literal[1] = 1
MOST_BYTES = 64_000
MOST_RECENT = 2000
"""Intervals of the last hour, at most."""

MOST = 1e15

Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
Ahead = Annotated[int, Field(ge=0, le=10_000)]
"""Intervals into the future."""
Pods = Annotated[int, Field(ge=0, le=1_000_000)]


def _some(counts: list[float]) -> list[float]:
    if not sum(counts) > 0:
        raise ValueError("nothing in it")
    return counts


Outcomes = Annotated[list[Amount], Field(min_length=BINS, max_length=BINS), AfterValidator(_some)]
"""Decayed counts of what came, by its ratio to the level."""


class Part(BaseModel):
    """A closed, frozen object; also made from an object of the memory with attributes of these names."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class AverageKept(Part):
    """An exponential average."""

    total: Amount
    weight: Annotated[float, Field(ge=0, le=1.000001)]

    @field_validator("weight")
    @classmethod
    def _bounds_the_average(cls, weight: float, info: ValidationInfo) -> float:
        if info.data.get("total", 0.0) > MOST * weight:
            raise ValueError(f"{weight:g}: the average is beyond {MOST:g}")
        return weight


class ContestKept(Part):
    """How the borrowed forecast of one window stands."""

    log_odds: Annotated[float, Field(ge=-MOST_LOG_ODDS, le=MOST_LOG_ODDS)]
    load: Amount
    windows: Amount


class WindowsKept(Part):
    """The spans of the future that are looked at."""

    lead: Ahead
    order: tuple[Ahead, Ahead]
    hold: Annotated[Ahead, Field(ge=SHORT)]
    served_from: Ahead

    @field_validator("order")
    @classmethod
    def _holds_a_mean(cls, order: tuple[int, int]) -> tuple[int, int]:
        if order[1] - order[0] < SHORT:
            raise ValueError(f"{order[0]} to {order[1]}: too short")
        return order


class SteeringKept(Part):
    """The price and what it is judged by."""

    price: Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
    measured: Amount
    replayed: Amount
    counted: Amount
    requests: Amount
    seconds: Amount
    age_s: Amount


class TrustKept(Part):
    """How the own model stands against the residual histogram."""

    own: Amount
    residual: Amount
    left: bool


class ShadowsKept(Part):
    """What each price would have brought."""

    target: Annotated[list[Pods], Field(min_length=PRICES, max_length=PRICES)]
    misses: Annotated[list[Amount], Field(min_length=PRICES, max_length=PRICES)]
    spent: Annotated[list[Amount], Field(min_length=PRICES, max_length=PRICES)]
    promised: Annotated[list[Amount], Field(min_length=PRICES, max_length=PRICES)] = [0.0] * PRICES
    foreseen: Amount = 0.0
    requests: Amount


class ServiceKept(Part):
    """The service and the arrivals as measured."""

    mean_s: Annotated[float, Field(gt=0, le=1e5, allow_inf_nan=False)]
    sure_miss_ratio: Annotated[float, Field(ge=0, le=1)]
    squares: Amount
    means: Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]


class TrafficKept(Part):
    """The load, its last hour in full."""

    level: AverageKept
    daily: AverageKept
    largest: Amount
    recent: Annotated[list[Amount | None], Field(max_length=MOST_RECENT)]
    """Requests in each of the last intervals, oldest first; None where they were not measured."""
    recent_end_s: Moment | None


class Kept(Part):
    """A snapshot."""

    version: Literal[1]
    interval_s: float
    objective_s: float
    at_s: Moment
    history_s: Amount
    windows: WindowsKept
    starts_s: Annotated[list[Annotated[float, Field(ge=0.1, le=1e6)]], Field(max_length=KEPT_STARTS)]
    starts_as: Annotated[str, Field(max_length=64)] = ""
    order: Outcomes
    hold: Outcomes
    steering: SteeringKept
    trust: TrustKept
    shadows: ShadowsKept
    service: ServiceKept
    traffic: TrafficKept
    contests: tuple[ContestKept, ContestKept] | None


def read(kept: bytes) -> Kept:
    """A snapshot as it was written.

    Raises:
        InvalidInput: it is none of this version; one line for each of the first problems.
    """
    if len(kept) > MOST_BYTES:
        raise InvalidInput(f"kept memory: {len(kept)} bytes — at most {MOST_BYTES}")
    try:
        return Kept.model_validate_json(kept)
    except ValidationError as error:
        problems = [
            f"kept memory: {'.'.join(map(str, each['loc'])) or 'all'}: {each['msg']}" for each in error.errors()
        ]
        raise InvalidInput(*problems[:3]) from error

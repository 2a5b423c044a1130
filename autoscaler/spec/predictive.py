"""The predictive rule: what an operator may say of it. Everything else is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autoscaler.model import Event
from autoscaler.spec.base import Model, Text
from autoscaler.spec.values import Duration, DurationOrZero, LocalMoment, PositiveReal, Real, within


class AnnouncedEvent(Model):
    """Load that is known to come. It only adds: between its times no load below it is expected."""

    name: Text
    """Stands in the reasons."""
    begin: LocalMoment = Field(alias="from")
    """When it begins, by the clock of `clock.timeZone`: once, every week, or every day."""
    end: LocalMoment = Field(alias="to")
    """When it ends, written in the same way; of a recurring event, the next such time."""
    requests_per_second: PositiveReal | None = None
    """Requests that will come; this or `factor`."""
    factor: Annotated[Real, within(above=1)] | None = None
    """How many times the load of the ten minutes before it; this or `requestsPerSecond`."""

    def to_event(self) -> Event:
        """As a policy knows it."""
        return Event(self.name, self.begin, self.end, self.requests_per_second, self.factor)


class PredictiveRule(Model):
    """As many pods as are worth their cost, given what the load may become while a new pod would load."""

    type: Literal["predictive"]
    tick_s: Duration = Field(default=5.0, alias="tick")
    """Time between two decisions; not below the scrape interval, but with gated standby: what a scrape shows is then
    answered at once."""
    miss_price: Literal["auto"] | Duration = Field(default="auto", examples=["auto", "1.3s"])
    """Pod-seconds that one avoided miss is worth. `auto`: the lowest price that keeps the objective's share, found by
    replaying what each price would have brought on the traffic so far."""
    most_price_s: Duration = Field(default=20.0, alias="mostPrice")
    """With `auto`: never pay more for one avoided miss. The one business number: bursts that nobody can foresee are
    bought up to here and no further."""
    start_price_s: DurationOrZero = Field(default=20.0, alias="startPrice")
    """What a start costs beyond its cold start, in pod-seconds: image pulls, work of the API, trust. No pod goes before
    keeping it has cost as much; `0s` follows every change at once."""
    first_price_s: Duration = Field(default=1.0, alias="firstPrice")
    """With `auto`: the price while nothing is known of the traffic."""
    first_correction: PositiveReal = 1.0
    """With `auto`: measured misses over replayed ones, while none was measured."""
    drain_within_s: Duration = Field(default=3.0, alias="drainWithin")
    """Requests that wait shall be gone this soon, or within the time that the objective leaves for waiting: for them
    more pods are ordered."""
    calendar: tuple[AnnouncedEvent, ...] = Field(default=(), max_length=100)
    """What is known to come: pushes, campaigns, the Monday morning. Pods for it are ordered a cold start ahead."""
    prior: str = Field(default="shipped", min_length=1, examples=["none", "./services.npz"])
    """A forecast learned over other services, mixed in as far as it proves itself while this one's own history is under
    four days: `shipped`, `none`, or the path, relative to this file, of one made by `python -m simulations.prior`."""

"""`kind: ScalingPolicy`: one target, its workload, and the rule that sizes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autoscaler.spec.base import Metadata, Model, Name
from autoscaler.spec.hpa import HpaRule
from autoscaler.spec.keda import KedaRule
from autoscaler.spec.kpa import KpaRule
from autoscaler.spec.predictive import PredictiveRule
from autoscaler.spec.signals import Signals
from autoscaler.spec.values import Count, Real, TimeZone, within
from autoscaler.spec.workload import AnyWorkload, Replicas


class Target(Model):
    """What is scaled. Needed to run, not to replay."""

    kind: Literal["Deployment"]
    name: Name
    """Name of the Deployment."""
    service: Name | None = None
    """The Service in front of it; needed where standby pods are kept out of it."""


class ServingStandby(Model):
    """Spare pods serve."""

    mode: Literal["serving"]


class GatedStandby(Model):
    """Spare pods are loaded and kept out of the Service; they are promoted when needed."""

    mode: Literal["gated"]
    min: Annotated[Count, Field(ge=0, le=10_000)]
    """Never fewer standby pods, where `replicas.max` leaves room. `replicas.min` less these always serve."""
    max: Annotated[Count, Field(ge=1, le=10_000)]
    """Never more."""
    price: Annotated[Real, within(above=0, high=1)] = 1.0
    """Cost of a standby pod over that of a serving one."""


Standby = Annotated[ServingStandby | GatedStandby, Field(discriminator="mode")]


class Clock(Model):
    """For time of day and calendars."""

    time_zone: TimeZone = Field(default="UTC", examples=["Europe/Zurich"])
    """A name of the IANA database."""


class FixedRule(Model):
    """Always the same number of pods."""

    type: Literal["fixed"]
    replicas: Annotated[Count, Field(ge=0, le=10_000)]
    """The size, within the bounds."""


Rule = Annotated[FixedRule | HpaRule | KedaRule | KpaRule | PredictiveRule, Field(discriminator="type")]


class PolicySpec(Model):
    """One target under one rule."""

    target: Target | None = None
    """What is scaled. Needed to run, not to replay."""
    mode: Literal["observe", "assist", "full"] = "full"
    """How much a running controller may do: `observe` decides and records and leaves the Deployment alone; `assist` may
    grow it and never shrinks it; `full` does both. A replay of `observe` shows what `full` would do."""
    workload: AnyWorkload | None = None
    """What is served. A replay takes another one from its command line."""
    replicas: Replicas | None = None
    """Bounds on the number of pods; default: the workload's. These rule over any workload's."""
    standby: Standby = ServingStandby(mode="serving")
    """Where spare pods sit; default: they serve."""
    drain: Literal["sigterm", "label"] | None = None
    """How a shrink happens: `sigterm` lowers the scale and the server finishes its requests (default with standby
    `serving`); `label` takes a pod out of the Service first and lowers the scale when it is empty (default with
    `gated`)."""
    clock: Clock = Clock()
    """Time zone of the service's users."""
    policy: Rule
    """The rule, with the field names of whom it comes from."""
    signals: Signals = Signals()
    """Where the numbers come from."""


class PolicyFile(Model):
    """One target under one rule. The shipped files are examples with comments."""

    api_version: Literal["autoscaling.speech/v1alpha1"]
    kind: Literal["ScalingPolicy"]
    metadata: Metadata
    spec: PolicySpec

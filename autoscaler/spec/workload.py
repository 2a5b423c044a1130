"""`kind: Workload`: what is served, shared by policies and replays."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from autoscaler import model
from autoscaler.spec.base import Metadata, Model, Text
from autoscaler.spec.values import Count, Duration, Real, Share, within


class Objective(Model):
    """What users are promised: a share of the requests within a latency."""

    latency_s: Duration = Field(alias="latency", examples=["800ms"])
    """From arrival to the complete answer; a request answered later misses."""
    share: Share = Field(examples=["99%"])
    """Share of requests that must be within the latency."""


class Batching(Model):
    """Requests that a slot takes at once, without waiting for more. Without it each is served alone."""

    size: Annotated[Count, Field(ge=1, le=1024)] = Field(examples=[8])
    """The most that one batch holds."""
    base_share: Share = Field(examples=["60%"])
    """Part of the time of a request alone that a batch takes but once: a batch of n takes base + (1 - base) n of it."""


class Service(Model):
    """How long one request holds a pod. Priors: measured values take over."""

    mean_s: Duration = Field(alias="mean", examples=["180ms"])
    """Mean service time of a request alone, without queueing."""
    cv: Annotated[Real, within(0, 10)] = 1.0
    """Coefficient of variation of the service time: 0 is constant, 1 as spread as an exponential law."""
    concurrency: Annotated[Count, Field(ge=1, le=10_000)] = 1
    """Requests, or batches, that one pod serves at a time."""
    batching: Batching | None = None
    """How it serves several together; how long one takes alone is measured all the same."""


class ColdStart(Model):
    """From the order of a pod until its model is loaded; log-normal. Priors: measured quantiles take over."""

    typical_s: Duration = Field(alias="typical", examples=["15s"])
    """Median."""
    slow_s: Duration = Field(alias="slow", examples=["21s"])
    """95 % quantile: one start in twenty takes longer."""


class Replicas(Model):
    """Bounds on the number of pods, standby included."""

    min: Annotated[Count, Field(ge=0, le=10_000)]
    """Never fewer."""
    max: Annotated[Count, Field(ge=1, le=10_000)]
    """Never more; what the GPUs or the budget allow."""


Routing = Literal["shared-queue", "least-outstanding", "round-robin", "random"]


class WorkloadSpec(Model):
    """One speech service: its times, its objective, its bounds."""

    objective: Objective
    service: Service
    cold_start: ColdStart
    routing: Routing = "shared-queue"
    """How requests find a pod. A plain Service is random, least-request balancing (ingress, mesh) least-outstanding; a
    broker's queue is shared, and so, nearly, is a proxy that holds requests until a pod is free."""
    patience_s: Duration | None = Field(default=None, alias="patience", examples=["30s"])
    """A request that has waited this long leaves; where it is absent, requests wait for ever."""
    replicas: Replicas | None = None
    """Bounds for every policy that states none of its own."""


class WorkloadRef(Model):
    """A workload that stands in its own file."""

    ref: Text = Field(examples=["tts"])
    """The name of a shipped workload, or the path of a `kind: Workload` file relative to this one."""
    routing: Routing | None = None
    """How requests find a pod here, where that is not as the file says. A plain Service picks pods at random, and twice
    as many are needed; with least-request balancing (ingress, mesh) it is least-outstanding."""
    batching: Batching | None = None
    """How pods serve several requests together here, where that is not as the file says."""


def _form(data: object) -> str:
    return "reference" if isinstance(data, WorkloadRef) or (isinstance(data, dict) and "ref" in data) else "inline"


AnyWorkload = Annotated[
    Annotated[WorkloadRef, Tag("reference")] | Annotated[WorkloadSpec, Tag("inline")], Discriminator(_form)
]


class WorkloadFile(Model):
    """What is served, in a file of its own: policies refer to it, replays take it from the command line."""

    api_version: Literal["autoscaling.speech/v1alpha1"]
    kind: Literal["Workload"]
    metadata: Metadata
    spec: WorkloadSpec


def batching_of(spec: Batching | None) -> model.Batching:
    """As the core knows it; without one each request is served alone."""
    return model.Batching(spec.size, spec.base_share) if spec else model.Batching()


def to_model(name: str, spec: WorkloadSpec, bounds: Replicas | None = None) -> model.Workload:
    """The workload as the core and the simulator know it, within the given bounds or else its own.

    Raises:
        ValueError: there are no bounds; the rules of a file see to it that there are.
    """
    within = bounds or spec.replicas
    if within is None:
        raise ValueError(f"workload {name} has no bounds")
    return model.Workload(
        name=name,
        objective_s=spec.objective.latency_s,
        objective_share=spec.objective.share,
        service_mean_s=spec.service.mean_s,
        service_cv=spec.service.cv,
        cold_start=model.ColdStart(spec.cold_start.typical_s, spec.cold_start.slow_s),
        concurrency=spec.service.concurrency,
        batching=batching_of(spec.service.batching),
        routing=model.Routing(spec.routing),
        patience_s=math.inf if spec.patience_s is None else spec.patience_s,
        min_replicas=within.min,
        max_replicas=within.max,
    )

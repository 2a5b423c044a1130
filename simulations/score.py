"""From what happened to the figures and the timeline. Pure; every rule is the published protocol's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from autoscaler.model import Workload
from simulations.draw import Traffic
from simulations.engine import PodLog
from simulations.result import Timeline

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """What happened in one replay."""

    traffic: Traffic
    finish_s: Floats
    """When each request was answered; inf: it left."""
    pods: PodLog
    queued: Floats
    """Requests waiting at the end of each step."""
    step_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Scored requests and pods of one replay."""

    requests: int
    late: int
    left: int
    latency_p50_s: float
    latency_p99_s: float
    pod_s: float
    starting_s: float
    standby_s: float
    pod_starts: int
    lower_bound_s: float


@dataclass(frozen=True, slots=True)
class Phases:
    """When pods were in each phase that holds a GPU: begins and ends, equal where a pod never was; shape (spans,).

    For the sum over pods it is the same whichever end belongs to which begin, so the two are not in pairs where pods
    have stood by again after they had served.
    """

    starting: tuple[Floats, Floats]
    standby: tuple[Floats, Floats]
    serving: tuple[Floats, Floats]
    draining: tuple[Floats, Floats]


def phases(pods: PodLog, end_s: float) -> Phases:
    """Split the life of every pod; what has not ended yet ends at `end_s`."""
    gone = np.minimum(np.nan_to_num(pods.gone_s, nan=end_s), end_s)
    leaving = np.fmin(pods.leaving_s, gone)
    serving = np.fmin(pods.serving_s, leaving)
    loaded = np.fmin(pods.loaded_s, serving)
    placed = np.fmin(pods.placed_s, loaded)
    out = np.fmin(pods.away.out_s, leaving[pods.away.pod])
    back = np.fmin(pods.away.back_s, leaving[pods.away.pod])
    standby = np.concatenate([loaded, out]), np.concatenate([serving, back])
    served = np.concatenate([serving, back]), np.concatenate([leaving, out])
    return Phases((placed, loaded), standby, served, (leaving, gone))


def score(run: Run, workload: Workload, warm_up_s: float) -> Outcome:
    """Score what arrives, and what pods cost, from the end of the warm-up to the end of the replay."""
    traffic, pods = run.traffic, run.pods
    first = int(np.searchsorted(traffic.arrival_s, warm_up_s))
    latency_s = run.finish_s[first:] - traffic.arrival_s[first:]
    answered_s = latency_s[np.isfinite(latency_s)]
    p50_s, p99_s = quantiles(answered_s)
    held = phases(pods, traffic.duration_s)
    starting_s, standby_s, serving_s, draining_s = (
        _within(begin, end, warm_up_s, traffic.duration_s)
        for begin, end in (held.starting, held.standby, held.serving, held.draining)
    )
    return Outcome(
        requests=len(latency_s),
        late=int(np.count_nonzero(answered_s > workload.objective_s)),
        left=len(latency_s) - len(answered_s),
        latency_p50_s=p50_s,
        latency_p99_s=p99_s,
        pod_s=starting_s + standby_s + serving_s + draining_s,
        starting_s=starting_s,
        standby_s=standby_s,
        pod_starts=int(np.count_nonzero(pods.ordered_s >= warm_up_s)),
        lower_bound_s=lower_bound_s(traffic, workload, warm_up_s),
    )


def lower_bound_s(traffic: Traffic, workload: Workload, warm_up_s: float) -> float:
    """Pod-seconds that no plan can undercut: the service time of the cheapest requests, and one pod always.

    A plan may miss the share that the objective leaves, at best the longest requests; served late or not,
    the others need their time. A batch shares its base time among as many as fit.
    """
    service_s = traffic.service_s[np.searchsorted(traffic.arrival_s, warm_up_s) :]
    kept = math.ceil(len(service_s) * workload.objective_share)
    cheapest_s = np.partition(service_s, kept - 1)[:kept] if kept else service_s
    work_s = float(cheapest_s.sum())
    if workload.batching.size > 1:
        shared, size = workload.batching.base_share, workload.batching.size
        work_s = (1 - shared) * work_s + kept * shared * workload.service_mean_s / size
    always_s = min(1, workload.min_replicas) * (traffic.duration_s - warm_up_s)
    return max(work_s / workload.concurrency, always_s)


def timeline(run: Run, objective_s: float) -> Timeline:
    """What happened in each step, the warm-up included."""
    traffic = run.traffic
    edges_s = np.minimum(np.arange(len(run.queued) + 1) * run.step_s, traffic.duration_s)
    bounds = np.searchsorted(traffic.arrival_s, edges_s)
    latency_s = run.finish_s - traffic.arrival_s
    left = np.isinf(latency_s)
    late = (latency_s > objective_s) & ~left
    held = phases(run.pods, traffic.duration_s)
    p50_s, p99_s = np.array(
        [quantiles(step[np.isfinite(step)]) for step in (latency_s[begin:end] for begin, end in pairwise(bounds))]
    ).T
    return Timeline(
        step_s=run.step_s,
        start_s=traffic.history.end_s,
        arrivals=np.diff(bounds).astype(np.float64),
        late=_per_step(late, bounds),
        left=_per_step(left, bounds),
        queued=run.queued,
        serving=_mean_number(held.serving, edges_s),
        starting=_mean_number(held.starting, edges_s),
        standby=_mean_number(held.standby, edges_s),
        draining=_mean_number(held.draining, edges_s),
        latency_p50_s=p50_s,
        latency_p99_s=p99_s,
    )


def quantiles(values: Floats) -> tuple[float, float]:
    """Median and 99 % quantile, the smallest values with that share at or below them; NaN of nothing."""
    if not len(values):
        return math.nan, math.nan
    ranks = [math.ceil(share * len(values)) - 1 for share in (0.5, 0.99)]
    sorted_there = np.partition(values, ranks)
    return float(sorted_there[ranks[0]]), float(sorted_there[ranks[1]])


def _within(begin_s: Floats, end_s: Floats, from_s: float, to_s: float) -> float:
    """Total length of intervals inside a window."""
    return float(np.sum(np.clip(end_s, from_s, to_s) - np.clip(begin_s, from_s, to_s)))


def _per_step(marked: npt.NDArray[np.bool_], bounds: npt.NDArray[np.intp]) -> Floats:
    return np.diff(np.concatenate([[0], np.cumsum(marked)])[bounds]).astype(np.float64)


def _mean_number(intervals: tuple[Floats, Floats], edges_s: Floats) -> Floats:
    """Mean number of open intervals between successive edges."""
    begun, ended = (_since(np.sort(ends), edges_s) for ends in intervals)
    return np.diff(begun - ended) / np.diff(edges_s)


def _since(sorted_s: Floats, edges_s: Floats) -> Floats:
    """Sum over all points before an edge of the time since."""
    before = np.searchsorted(sorted_s, edges_s)
    total_s: Floats = np.concatenate([[0.0], np.cumsum(sorted_s)])[before]
    return before * edges_s - total_s

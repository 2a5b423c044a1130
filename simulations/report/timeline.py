"""What the plots draw: rates, work, pods and cost over time, thinned so that no spike is lost. Pure."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import orjson

from autoscaler.model import Workload
from simulations.result import Change, Floats, Result, Timeline

DIGITS = 4
"""Significant digits in the page: more than a screen shows."""
EXTREMES = ("requests_rps", "missed_rps", "held", "serving", "queued", "latency_p99_s")
"""Series whose smallest and largest value in every stretch are kept."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of one replay a page carries."""

    points: int = 40_000
    changes: int = 20_000


def held_pods(timeline: Timeline) -> Floats:
    """Pods that hold a GPU; shape (steps,)."""
    return timeline.serving + timeline.standby + timeline.starting + timeline.draining


def series(timeline: Timeline, reference: Timeline | None, workload: Workload) -> dict[str, Floats]:
    """Everything that is drawn; each array has shape (steps,).

    Args:
        timeline: what happened.
        reference: what happened under the clairvoyant plan on the same traffic.
        workload: what is served.
    """
    missed = timeline.late + timeline.left
    held = held_pods(timeline)
    requests_rps = timeline.arrivals / timeline.step_s
    offered = requests_rps * workload.service_mean_s / workload.concurrency
    step_h = timeline.step_s / 3600
    return {
        "requests_rps": requests_rps,
        "offered": offered,
        "late_rps": timeline.late / timeline.step_s,
        "left_rps": timeline.left / timeline.step_s,
        "missed_rps": missed / timeline.step_s,
        "queued": timeline.queued,
        "serving": timeline.serving,
        "starting": timeline.starting,
        "standby": timeline.standby,
        "draining": timeline.draining,
        "held": held,
        "reference": np.full_like(held, np.nan) if reference is None else held_pods(reference),
        "latency_p50_s": timeline.latency_p50_s,
        "latency_p99_s": timeline.latency_p99_s,
        "cost_pod_h": np.cumsum(held) * step_h,
        "work_pod_h": np.cumsum(offered) * step_h,
    }


def keep(drawn: Mapping[str, Floats], points: int) -> npt.NDArray[np.intp]:
    """Steps to keep so that at most `points` remain and every stretch keeps its extremes.

    The steps are cut into equal stretches; from each, the first step and those with the smallest and the
    largest value of every series in `EXTREMES` stay. NaN is neither small nor large.
    """
    steps = len(drawn["requests_rps"])
    if steps <= points:
        return np.arange(steps)
    stretch = -(-steps // max(1, points // (2 * len(EXTREMES) + 1)))
    starts = np.arange(0, steps, stretch)
    kept = [starts]
    for name in EXTREMES:
        padded = np.full(len(starts) * stretch, np.nan)
        padded[:steps] = drawn[name]
        rows = padded.reshape(len(starts), stretch)
        for blank, find in ((np.inf, np.argmin), (-np.inf, np.argmax)):
            kept.append(starts + find(np.where(np.isnan(rows), blank, rows), axis=1))
    return np.unique(np.concatenate(kept))


def moves(changes: tuple[Change, ...]) -> list[int | None]:
    """By how many pods each decision changed the size; None for the first, before which there was none."""
    totals = [change.serving + change.standby for change in changes]
    return [None, *(after - before for before, after in pairwise(totals))][: len(totals)]


def largest(moved: Sequence[int | None], limit: int) -> list[int]:
    """Indices of all moves, or of the first and the largest ones; ascending."""
    if len(moved) <= limit:
        return list(range(len(moved)))
    by_size = sorted(
        range(len(moved)), key=lambda index: -math.inf if moved[index] is None else -abs(moved[index] or 0)
    )
    return sorted(by_size[:limit])


def packed(result: Result, reference: Timeline | None, workload: Workload, budget: Budget) -> str:
    """One replay for the page: gzip of JSON in base64, decoded by the browser when it is looked at."""
    timeline = result.timeline
    drawn = series(timeline, reference, workload)
    kept = keep(drawn, budget.points)
    moved = moves(result.changes)
    changes = [(result.changes[index], moved[index]) for index in largest(moved, budget.changes)]
    document = {
        "start_s": timeline.start_s,
        "step_s": timeline.step_s,
        "steps": len(timeline.arrivals),
        "kept": None if len(kept) == len(timeline.arrivals) else kept,
        "series": {name: _rounded(values[kept]) for name, values in drawn.items()},
        "changes_total": len(result.changes),
        "changes": [(c.at_s, c.serving, c.standby, c.ruled_by, c.reasons, by) for c, by in changes],
    }
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return base64.b64encode(gzip.compress(text, compresslevel=9, mtime=0)).decode("ascii")


def _rounded(values: Floats) -> Floats:
    """To `DIGITS` significant digits; NaN stays."""
    finite = np.where(np.isfinite(values) & (values != 0), np.abs(values), 1.0)
    scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(finite)))
    return np.asarray(np.round(values * scale) / scale, dtype=np.float64)

"""What servers did until they were ready, phase by phase: gauges that stay as they are once a pod has loaded.

So they are asked for as they stand, not over time, and once for each pod. Nothing is decided on them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from autoscaler.prometheus.client import Prometheus, Series
from autoscaler.prometheus.metrics import Exporter, Kind, Metric, Subject
from autoscaler.prometheus.sharing import MOST_PODS, batches, split

PHASE = "phase"
"""The label that names the phase."""
METRIC = "speech_model_load_phase_seconds"
LOADING = Exporter("loading", (Metric("load", METRIC, Kind.MAX),))
"""What `inference_server` exports."""
MOST_PHASES, LONGEST_NAME = 12, 40
"""Of one pod, and the characters of each: they become labels of a metric of ours."""
LONGEST_S = 86400.0
"""What took longer is no load."""


@dataclass(frozen=True, slots=True)
class Loads:
    """What is known of one target's pods."""

    by_pod: Mapping[str, Mapping[str, float]]
    """Seconds by phase."""
    implausible: str = ""
    """What was left out of it."""


def read_loads(
    prometheus: Prometheus, exporter: Exporter, pods: Mapping[Subject, int]
) -> Iterator[tuple[Subject, Loads]]:
    """What the pods of some targets told, with as few questions as their names allow.

    Args:
        prometheus: who is asked.
        exporter: one metric, with the label `phase`.
        pods: how many each target has.

    Raises:
        Unreachable: Prometheus gave no usable answer.
        InvalidInput: it refused the query.
    """
    for batch in batches(pods, exporter, MOST_PODS):
        answer = prometheus.query(exporter.selector(batch))
        for subject, series in split(answer.series, exporter, batch).items():
            yield subject, _loads(series, exporter, subject)


def _loads(series: Iterable[Series], exporter: Exporter, subject: Subject) -> Loads:
    meant = exporter.means(subject)
    by_pod: dict[str, dict[str, float]] = defaultdict(dict)
    strange: set[str] = set()
    for each in series:
        if not meant(each.labels) or not each.samples:
            continue
        pod, phase, (_, value) = each.labels[str(exporter.pod_label)], each.labels.get(PHASE, ""), each.samples[-1]
        took_s = value * exporter.metrics[0].factor
        known = by_pod[pod]
        if fault := _fault(phase, took_s, known):
            strange.add(fault)
        else:
            known[phase] = max(took_s, known.get(phase, 0.0))  # two scrapers of one pod say the same
    return Loads({pod: phases_s for pod, phases_s in by_pod.items() if phases_s}, "; ".join(sorted(strange)))


def _fault(phase: str, took_s: float, known: Collection[str]) -> str:
    if not 0 < len(phase) <= LONGEST_NAME:
        return f"a phase is called {phase[:LONGEST_NAME]!r}: 1 to {LONGEST_NAME} characters in the label {PHASE}"
    if not (math.isfinite(took_s) and 0.0 <= took_s <= LONGEST_S):
        return f"{phase} took {took_s:g} s"
    if phase not in known and len(known) >= MOST_PHASES:
        return f"a pod tells of more than {MOST_PHASES} phases"
    return ""

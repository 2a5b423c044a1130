"""Which metric feeds which signal, and the selector that reads all of them at once."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes draws names from (apimachinery, util/rand)."""
_CUT = 58
"""A generated name is cut here before its last five letters (apiserver, storage/names)."""


class Kind(StrEnum):
    """What a metric is, and how the values of several pods become one."""

    COUNTER = "counter"
    """Grows; increases are summed."""
    HISTOGRAM = "histogram"
    """Buckets that grow; increases are summed, edge by edge. The metric is the one that ends in `_bucket`."""
    SUM = "sum"
    """A gauge, summed."""
    MEAN = "mean"
    """A gauge, averaged over the pods."""
    MAX = "max"
    """A gauge whose highest value counts."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of an exporter."""

    signal: str
    """The field of `Scrape` that it feeds."""
    name: str
    kind: Kind
    factor: float = 1.0
    """Brings the value to the signal's unit."""


@dataclass(frozen=True, slots=True)
class Exporter:
    """Metrics that carry the same labels, so that one query reads them for any number of targets."""

    name: str
    metrics: tuple[Metric, ...]
    pod_label: str = "pod"
    namespace_label: str = "namespace"

    def selector(self, namespaces: Collection[str], pods: Collection[str]) -> str:
        """An instant selector of all these metrics of pods whose names match one of the patterns."""
        names = "|".join(metric.name for metric in self.metrics)
        spaces = "|".join(map(re.escape, sorted(namespaces)))
        return (
            f"{{__name__=~{_quoted(names)},"
            f"{self.namespace_label}=~{_quoted(spaces)},{self.pod_label}=~{_quoted('|'.join(sorted(pods)))}}}"
        )


SPEECH = Exporter(
    "speech",
    (
        Metric("received", "speech_requests_received_total", Kind.COUNTER),
        Metric("completed", "speech_requests_completed_total", Kind.COUNTER),
        Metric("left", "speech_requests_rejected_total", Kind.COUNTER),
        Metric("service_s", "speech_service_seconds_sum", Kind.COUNTER),
        Metric("concurrency_s", "speech_queue_integral_seconds_total", Kind.COUNTER),
        Metric("queued", "speech_queue_depth", Kind.SUM),
        Metric("in_flight", "speech_requests_in_flight", Kind.SUM),
        Metric("busy", "speech_slots_busy", Kind.SUM),
        Metric("oldest_wait_s", "speech_queue_seconds_waiting", Kind.MAX),
        Metric("service", "speech_service_seconds_bucket", Kind.HISTOGRAM),
        Metric("latency", "speech_request_duration_seconds_bucket", Kind.HISTOGRAM),
    ),
)
"""What `inference_server` exports."""

VLLM = Exporter(
    "vllm",
    (
        Metric("received", "vllm:request_success_total", Kind.COUNTER),
        Metric("completed", "vllm:e2e_request_latency_seconds_count", Kind.COUNTER),
        Metric("service_s", "vllm:request_inference_time_seconds_sum", Kind.COUNTER),
        Metric("queued", "vllm:num_requests_waiting", Kind.SUM),
        Metric("busy", "vllm:num_requests_running", Kind.SUM),
        Metric("latency", "vllm:e2e_request_latency_seconds_bucket", Kind.HISTOGRAM),
    ),
)
"""vLLM's OpenAI-compatible server (its documentation, "Production metrics"). It counts answers, not arrivals: while a
queue grows the rate lags behind, and what waits counts as backlog."""

TRITON = Exporter(
    "triton",
    (
        Metric("received", "nv_inference_request_success", Kind.COUNTER),
        Metric("completed", "nv_inference_count", Kind.COUNTER),
        Metric("left", "nv_inference_request_failure", Kind.COUNTER),
        Metric("service_s", "nv_inference_compute_infer_duration_us", Kind.COUNTER, factor=1e-6),
        Metric("queued", "nv_inference_pending_request_count", Kind.SUM),
    ),
)
"""NVIDIA Triton (its documentation, "Metrics"); answers, not arrivals. Of one inference a request."""

TORCHSERVE = Exporter(
    "torchserve",
    (
        Metric("received", "ts_inference_requests_total", Kind.COUNTER),
        Metric("completed", "Requests2XX", Kind.COUNTER),
        Metric("left", "Requests5XX", Kind.COUNTER),
        Metric("service_s", "ts_inference_latency_microseconds", Kind.COUNTER, factor=1e-6),
    ),
)
"""TorchServe in its metrics mode `prometheus` (its documentation, "Default metrics")."""

PRESETS = {exporter.name: exporter for exporter in (SPEECH, VLLM, TRITON, TORCHSERVE)}
"""By the name that a policy file says."""

DCGM = Exporter(
    "dcgm",
    (Metric("gpu_use_ratio", "DCGM_FI_DEV_GPU_UTIL", Kind.MEAN, factor=0.01),),
    pod_label="exported_pod",
    namespace_label="exported_namespace",
)
"""NVIDIA's exporter behind a scrape that keeps its own labels apart, which is the default."""


def pods_of_deployment(name: str) -> str:
    """The pattern of the names that pods of a Deployment have, and pods of no other Deployment.

    A pod is called after its ReplicaSet (Deployment and a hash of up to ten letters) and five letters more.
    """
    stem = re.escape(name)
    if len(name) + len("-0123456789-") <= _CUT:
        return f"{stem}-[{_ALPHABET}]{{1,10}}-[{_ALPHABET}]{{5}}"
    return f"{re.escape(name[:_CUT])}.*[{_ALPHABET}]{{5}}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

"""Which metric feeds which signal, whose series are meant, and the selector that reads all of them at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes draws names from (apimachinery, util/rand)."""
_CUT = 58
"""A generated name is cut here before its last five letters (apiserver, storage/names)."""
_LONG = _CUT - len("-0123456789-")
"""The pods of a Deployment with a longer name may have names that are cut."""
PODS = "pods"
"""The fact of a subject that a label with a pod's name tells."""


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
    """The field of `Scrape` that it feeds, or one of those that `arrivals` is worked out from."""
    name: str
    kind: Kind
    factor: float = 1.0
    """Brings the value to the signal's unit."""
    only: tuple[str, tuple[str, ...]] | None = None
    """A label, and its values that count; None where all series do."""

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with such labels is part of it."""
        counts = self.only is None or labels.get(self.only[0]) in self.only[1]
        return counts and labels.get("__name__") == self.name


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose series are meant: what is known of one target."""

    namespace: str
    deployment: str
    more: tuple[tuple[str, str], ...] = ()
    """Further facts by name, such as the queue that it works off."""

    def fact(self, name: str) -> str:
        """What a label says of this target; of `pods`, the Deployment that they belong to.

        Raises:
            KeyError: it is not known.
        """
        if name == "namespace":
            return self.namespace
        return self.deployment if name in (PODS, "deployment") else dict(self.more)[name]


@dataclass(frozen=True, slots=True)
class Exporter:
    """Metrics that carry the same labels, so that one query reads them for any number of targets."""

    name: str
    metrics: tuple[Metric, ...]
    """Several of one signal are names for the same thing: the first that has series counts."""
    told_by: tuple[tuple[str, str], ...] = (("namespace", "namespace"), ("pod", PODS))
    """Labels that tell targets apart, each with the fact that it says."""
    matchers: tuple[str, ...] = ()
    """Further conditions in PromQL, the same for every target."""

    @property
    def pod_label(self) -> str | None:
        """The label with the pod's name; None where series are of a whole service."""
        return next((label for label, fact in self.told_by if fact == PODS), None)

    def selector(self, subjects: Collection[Subject]) -> str:
        """An instant selector of all these metrics of some targets.

        That of several selects by the beginning of the pods' names, which costs Prometheus less; whoever reads the
        answer sorts out what is another's.
        """
        conditions = [_one_of("__name__", {metric.name for metric in self.metrics}), *self.matchers]
        for label, fact in self.told_by:
            facts = {subject.fact(fact) for subject in subjects}
            if fact == PODS:
                conditions.append(f"{label}=~{_quoted(_pods_of_any(facts))}")
            else:
                conditions.append(_one_of(label, facts))
        return f"{{{','.join(conditions)}}}"

    def means(self, subject: Subject) -> Callable[[Mapping[str, str]], bool]:
        """Whether a series with such labels is one of a target."""
        said = [(label, subject.fact(fact)) for label, fact in self.told_by if fact != PODS]
        names, label = {metric.name for metric in self.metrics}, self.pod_label
        pods = re.compile(pods_of_deployment(subject.deployment))

        def meant(labels: Mapping[str, str]) -> bool:
            if labels.get("__name__") not in names or any(labels.get(label) != value for label, value in said):
                return False
            return label is None or pods.fullmatch(labels.get(label, "")) is not None

        return meant


NO_ROOM = ("queue_full", "not_ready", "deadline", "abandoned")
REFUSED = ("bad_request", "bad_audio", "too_long", "unauthorized", "rate_limited", "not_taken")
"""Why `inference_server` rejects (its `errors.Reason`): for lack of capacity, and what no pod could have answered.
`retried` is neither: a worker's message that comes again."""

SPEECH = Exporter(
    "speech",
    (
        Metric("received", "speech_requests_received_total", Kind.COUNTER),
        Metric("completed", "speech_requests_completed_total", Kind.COUNTER),
        Metric("left", "speech_requests_rejected_total", Kind.COUNTER, only=("reason", NO_ROOM)),
        Metric("refused", "speech_requests_rejected_total", Kind.COUNTER, only=("reason", REFUSED)),
        Metric("service_s", "speech_service_seconds_sum", Kind.COUNTER),
        Metric("concurrency_s", "speech_queue_integral_seconds_total", Kind.COUNTER),
        Metric("busy_s", "speech_busy_seconds_total", Kind.COUNTER),
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
    told_by=(("exported_namespace", "namespace"), ("exported_pod", PODS)),
)
"""NVIDIA's exporter behind a scrape that keeps its own labels apart, which is the default."""

RABBITMQ = Exporter(
    "rabbitmq",
    (
        Metric("queued", "rabbitmq_queue_messages_ready", Kind.SUM),
        Metric("queued", "rabbitmq_detailed_queue_messages_ready", Kind.SUM),
        Metric("ready", "rabbitmq_queue_messages_ready", Kind.SUM),
        Metric("ready", "rabbitmq_detailed_queue_messages_ready", Kind.SUM),
    ),
    told_by=(("vhost", "vhost"), ("queue", "queue")),
)
"""RabbitMQ's plugin `rabbitmq_prometheus` (its documentation, "Prometheus"): the first is told queue by queue under
`/metrics/per-object`, the second under `/metrics/detailed`. Ready: not yet given to any consumer."""

KAFKA = Exporter(
    "kafka",
    (Metric("queued", "kafka_consumergroup_lag", Kind.SUM), Metric("lag", "kafka_consumergroup_lag", Kind.SUM)),
    told_by=(("consumergroup", "group"), ("topic", "topic")),
)
"""kafka_exporter (danielqsj/kafka_exporter, README, "Consumer Groups"): one series for each partition."""

KINDS: Mapping[str, Kind] = {
    **{metric.signal: metric.kind for metric in (*SPEECH.metrics, *DCGM.metrics)},
    "late": Kind.COUNTER,
}
"""What every signal of a scrape is."""


def pods_of_deployment(name: str) -> str:
    """The pattern of the names that pods of a Deployment have, and pods of no other Deployment.

    A pod is called after its ReplicaSet (Deployment and a hash of up to ten letters) and five letters more.
    """
    stem = re.escape(name)
    if len(name) <= _LONG:
        return f"{stem}-[{_ALPHABET}]{{1,10}}-[{_ALPHABET}]{{5}}"
    return f"{re.escape(name[:_CUT])}.*[{_ALPHABET}]{{5}}"


def deployments_of_pod(pod: str) -> tuple[str, str]:
    """What the Deployment of a pod may be called, as far as `shortened` tells names apart."""
    return pod.rsplit("-", 2)[0], pod[: _LONG + 1]


def shortened(deployment: str) -> str:
    """As much of a Deployment's name as all names of its pods have."""
    return deployment[: _LONG + 1]


def _pods_of_any(deployments: Collection[str]) -> str:
    """A pattern of all names that pods of some Deployments have."""
    if len(deployments) == 1:
        return pods_of_deployment(next(iter(deployments)))
    whole = "|".join(re.escape(name) for name in sorted(deployments) if len(name) <= _LONG)
    cut = [f"{re.escape(shortened(name))}.+" for name in sorted(deployments) if len(name) > _LONG]
    return "|".join([*([f"(?:{whole})-.+"] if whole else []), *cut])


def _one_of(label: str, values: Collection[str]) -> str:
    """A condition on one label."""
    if len(values) == 1:
        return f"{label}={_quoted(next(iter(values)))}"
    return f"{label}=~{_quoted('|'.join(map(re.escape, sorted(values))))}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

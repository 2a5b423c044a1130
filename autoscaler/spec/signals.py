"""`signals:` where the policy's numbers come from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from autoscaler.spec.base import Model, Text
from autoscaler.spec.promql import Measure, Named, Signal, measured, narrowing, syntax_error
from autoscaler.spec.selector import parse_selector
from autoscaler.spec.values import Duration, DurationOrZero, PositiveReal


def _plain_url(url: str) -> str:
    allowed = "http(s)://host[:port][/path], without user or password: give those under auth"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(allowed) from None
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(allowed)
    return url


def _parses(query: str) -> str:
    error = syntax_error(query)
    if error is not None:
        raise ValueError(f"PromQL: {error}")
    return query


def _no_secrets(headers: dict[str, str]) -> dict[str, str]:
    """Checked as a whole: a value is not repeated in a message, for it may be a secret all the same."""
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name):
            raise ValueError(f"names of letters, digits and -, not {name!r}")
        if name.lower() in ("authorization", "proxy-authorization", "cookie", "host", "content-length"):
            raise ValueError(f"no {name}: credentials belong under auth")
        if not re.fullmatch(r"[\x20-\x7e]{0,512}", value):
            raise ValueError(f"one line of at most 512 ASCII characters for {name}")
    return headers


def _selects(template: str) -> str:
    parse_selector(template)
    return template


def _selects_pods(template: str) -> str:
    if "pods" not in dict(fact[::-1] for fact in parse_selector(template).told_by):
        raise ValueError('series of single pods: a matcher such as pod=~"$pods"')
    return template


def _selects_buckets(template: str) -> str:
    if not parse_selector(template).name.endswith("_bucket"):
        raise ValueError("a metric whose name ends in _bucket")
    return template


Headers = Annotated[dict[Text, str], AfterValidator(_no_secrets)]
Url = Annotated[str, AfterValidator(_plain_url)]
Query = Annotated[Text, AfterValidator(_parses)]
Template = Annotated[Text, AfterValidator(_selects)]
PodTemplate = Annotated[Text, AfterValidator(_selects_pods)]
BucketTemplate = Annotated[Text, AfterValidator(_selects_buckets)]


class BasicAuth(Model):
    """User and password of a Prometheus behind HTTP basic authentication."""

    username: Text
    """The user."""
    password_file: Text
    """A file that holds the password; read at every request, so that it can be rotated."""


class Tls(Model):
    """How the server's certificate is checked, and the client's own."""

    ca_file: Text | None = None
    """Certificates to trust instead of the system's."""
    cert_file: Text | None = None
    """The client's certificate."""
    key_file: Text | None = None
    """The key to the client's certificate."""


class Auth(Model):
    """Credentials, always by reference: a policy file holds no secret."""

    bearer_token_file: Text | None = None
    """A file that holds the token, such as a mounted service account token."""
    basic: BasicAuth | None = None
    tls: Tls | None = None


class Prometheus(Model):
    """The server that is asked."""

    url: Url = Field(default="http://prometheus:9090", examples=["http://prometheus.monitoring:9090"])
    """Address of the HTTP API, without user and password."""
    preset: Literal["speech", "vllm", "triton", "torchserve"] = "speech"
    """Whose metric names are read: `speech` is the inference server of this project. vLLM and Triton count answers, not
    arrivals: while a queue grows their rate lags behind."""
    auth: Auth | None = None
    headers: Headers = Field(default_factory=dict, examples=[{"X-Scope-OrgID": "speech"}])
    """Sent with every request, such as the tenant of a shared store. No secrets: those belong under `auth`."""
    scrape_interval_s: Duration | None = Field(default=None, alias="scrapeInterval", examples=["15s"])
    """How often the target is scraped, where windows shall be checked against it; the measured one rules."""
    stale_after_s: Duration = Field(default=60.0, alias="staleAfter")
    """A newest sample older than this says nothing about now, and nothing shrinks on it."""


class Metric(Model):
    """One number that a peer's rule asks for by name: a signal of the preset, or a query."""

    signal: Signal | None = None
    """What is measured."""
    window_s: DurationOrZero | None = Field(default=None, alias="window", examples=["60s"])
    """Averaged over this long; 0s is the newest sample (the newest two for a rate). Needed with `signal`."""
    factor: PositiveReal = 1.0
    """The reading is multiplied by this: a rate times the mean service time in seconds gives busy pods."""
    query: Query | None = None
    """PromQL with one series as its answer. It can be replayed where it is a signal in disguise, such as
    `sum(rate(speech_requests_received_total[1m]))`; `autoscaler check` says so."""

    def measure(self, named: Mapping[str, Sequence[Named]]) -> Measure | str:
        """What this reads, of shipped metrics or of named ones, or why it cannot be told."""
        if self.query is not None:
            return measured(self.query, named)
        if self.signal is None or self.window_s is None:
            raise ValueError("a metric has a signal with its window, or a query")
        return Measure(self.signal, self.window_s, self.factor)


class RabbitmqQueue(Model):
    """A queue of RabbitMQ, as its own plugin `rabbitmq_prometheus` exports it.

    Scrape `/metrics/per-object`, or `/metrics/detailed?family=queue_coarse_metrics`: plain `/metrics` sums up all
    queues of a node.
    """

    type: Literal["rabbitmq"]
    queue: Text
    """Its name."""
    vhost: Text = "/"
    """Where it is."""


class KafkaQueue(Model):
    """A topic of Kafka, as kafka_exporter exports it: what the group has not committed yet, over all partitions."""

    type: Literal["kafka"]
    topic: Text
    """Its name."""
    group: Text
    """The consumer group of the target's pods."""


class CoreQuery(Model):
    """Series that a signal is read from, instead of those of the preset."""

    query: Template = Field(examples=['http_requests_total{namespace="$namespace",pod=~"$pods"}'])
    """A metric with label matchers. `$namespace`, `$deployment` and `$service` stand for the target's own names (`=`),
    `$pods` for the names of its pods (`=~`); without `$pods` the series are of the whole service."""
    factor: PositiveReal = 1.0
    """Every value is multiplied by this: 0.001 where milliseconds are counted."""


class BucketQuery(Model):
    """Buckets that a histogram is read from, instead of those of the preset."""

    query: BucketTemplate = Field(examples=['http_duration_seconds_bucket{namespace="$namespace",pod=~"$pods"}'])
    """A metric whose name ends in `_bucket`, in seconds; otherwise as other queries are."""


class LoadQuery(Model):
    """Series that tell how long each phase of a pod's own start took: a gauge with the label `phase`."""

    query: PodTemplate = Field(examples=['load_phase_seconds{namespace="$namespace",pod=~"$pods"}'])
    """A metric with label matchers, `$pods` among them; otherwise as other queries are."""
    factor: PositiveReal = 1.0
    """Every value is multiplied by this: 0.001 where milliseconds are told."""


class Queries(Model):
    """Core signals by queries of one's own. What is not named here is read as the preset says.

    Counters are read raw and differenced series by series, so a restart is seen as what it is; gauges are summed over
    the series, but for `oldestWait` (the largest) and `gpuUse` (the mean).
    """

    received: CoreQuery | None = None
    """Requests that arrived, admitted or not (counter). A target whose series are absent holds."""
    completed: CoreQuery | None = None
    """Requests answered (counter)."""
    late: CoreQuery | None = None
    """Requests answered later than the objective (counter)."""
    left: CoreQuery | None = None
    """Requests that were rejected or gave up (counter)."""
    service_s: CoreQuery | None = Field(default=None, alias="serviceSeconds")
    """Seconds spent serving finished requests, without queueing (counter)."""
    concurrency_s: CoreQuery | None = Field(default=None, alias="concurrencySeconds")
    """Integral over time of requests queued or in service (counter)."""
    busy_s: CoreQuery | None = Field(default=None, alias="busySeconds")
    """Integral over time of the slots in use (counter): says how many requests share a batch."""
    queued: CoreQuery | None = None
    """Requests waiting (gauge). A target whose series are absent holds."""
    in_flight: CoreQuery | None = None
    """Requests waiting or in service (gauge)."""
    busy: CoreQuery | None = None
    """Slots in use (gauge)."""
    oldest_wait_s: CoreQuery | None = Field(default=None, alias="oldestWait")
    """Seconds that the oldest waiting request has waited (gauge)."""
    gpu_use_ratio: CoreQuery | None = Field(default=None, alias="gpuUse")
    """Share of time with work on the GPU, 0 to 1 (gauge)."""
    service: BucketQuery | None = Field(default=None, alias="serviceBuckets")
    """Service times without queueing (histogram)."""
    latency: BucketQuery | None = Field(default=None, alias="latencyBuckets")
    """Times from arrival to answer (histogram)."""


_MEASURES: Mapping[str, tuple[Signal, bool]] = {
    "received": ("rate", False),
    "completed": ("completed-rate", False),
    "service_s": ("busy", False),
    "concurrency_s": ("concurrency", False),
    "queued": ("queue", True),
    "in_flight": ("in-flight", True),
    "busy": ("slots", True),
}
"""By core signal: what a peer's rule may ask of it, and whether it is a gauge."""


class Signals(Model):
    """Where the policy's numbers come from."""

    prometheus: Prometheus = Prometheus()
    queue: Annotated[RabbitmqQueue | KafkaQueue, Field(discriminator="type")] | None = None
    """The queue that the pods work off: what waits there counts as waiting. Of RabbitMQ it is added to what waits in
    the pods; Kafka's lag holds that already. A target whose queue is not there holds."""
    queries: Queries = Queries()
    load_phases: LoadQuery | None = Field(default=None, alias="loadPhases")
    """What servers say of their own start, shown beside what Kubernetes does. Without it: of the preset `speech`
    `speech_model_load_phase_seconds`, of the others nothing. Nothing is decided on it."""
    metrics: dict[str, Metric] = Field(default_factory=dict)
    """The names that `policy.metrics` uses. Defaults fit the inference server; every query can be replaced."""

    def named(self) -> Mapping[str, Sequence[Named]]:
        """The metrics that the file names itself, for peers' rules whose queries are over them."""
        found: dict[str, list[Named]] = defaultdict(list)
        for name, (signal, gauge) in _MEASURES.items():
            query: CoreQuery | None = getattr(self.queries, name)
            if query is not None:
                selector = parse_selector(query.query)
                found[selector.name].append(Named(signal, gauge, narrowing(selector.matchers), query.factor))
        return found

    def measure(self, name: str) -> Measure | str:
        """What one of the named metrics reads, or why that is not known."""
        metric = self.metrics[name]
        return metric.measure(self.named())

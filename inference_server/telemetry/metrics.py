"""The metrics of `/metrics`: names, units and label sets that the autoscaler's default queries expect.

Every level is exported as a gauge and as the counter of its integral: the rate of the counter is exact between any two
scrapes. Label values come from small fixed sets; nothing a client sends becomes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector, Summary
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inference_server.errors import Reason
from inference_server.serving.batching import padding_ratio
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.load import Load

_LADDER_S = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.65,
    0.8,
    1.0,
    1.25,
    1.6,
    2.0,
    3.0,
    5.0,
    8.0,
    15.0,
    30.0,
    60.0,
)
_BATCH_EDGES = (1, 2, 4, 8, 16, 32)
_PADDING_EDGES = (1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0)


def latency_edges_s(objectives_s: Iterable[float]) -> tuple[float, ...]:
    """Bucket edges with one exactly at each objective: the share within it is then a count, not an interpolation."""
    return tuple(sorted({*_LADDER_S, *objectives_s}))


class Metrics:
    """All instruments, in a registry of their own."""

    def __init__(self, service: str, objectives_s: Iterable[float]) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        edges = latency_edges_s(objectives_s)

        def counter(name: str, text: str, *labels: str) -> Counter:
            made = Counter(name, text, ("service", *labels), registry=self.registry)
            return made if labels else made.labels(service)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, ("service",), buckets=buckets, registry=self.registry).labels(service)

        self._received = counter("speech_requests_received", "Requests, before any queueing", "endpoint")
        self._admitted = counter("speech_requests_admitted", "Requests whose work was queued")
        self._rejected = counter("speech_requests_rejected", "Requests ended without a result", "reason")
        self._completed = counter("speech_requests_completed", "Requests answered, by HTTP status", "code")
        self._audio_s = counter("speech_input_audio_seconds", "Audio accepted for recognition")
        self._characters = counter("speech_input_characters", "Characters accepted for synthesis")
        self._phase_s = Summary("speech_phase_seconds", "Time by phase", ("service", "phase"), registry=self.registry)
        self._duration_s = histogram("speech_request_duration_seconds", "Request to last byte of the answer", edges)
        self._first_audio_s = histogram("speech_time_to_first_audio_seconds", "Request to first byte of audio", edges)
        self._service_s = histogram("speech_service_seconds", "Time in the model, without queue", edges)
        self._batch_size = histogram("speech_batch_size", "Pieces computed together", _BATCH_EDGES)
        self._padding = histogram("speech_batch_padding_ratio", "Padded over real work of a batch", _PADDING_EDGES)
        for reason in get_args(Reason):
            self._rejected.labels(service, reason)
        self._completed.labels(service, "200")
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def expect(self, endpoints: Iterable[str]) -> None:
        """Export the counters of these routes from the start: a series that is not there is not 0."""
        for endpoint in endpoints:
            self._received.labels(self._service, endpoint)

    def received(self, endpoint: str) -> None:
        """A request for inference arrived; `endpoint` is a route, never a raw path."""
        self._received.labels(self._service, endpoint).inc()

    def rejected(self, reason: Reason) -> None:
        """It ended without a result."""
        self._rejected.labels(self._service, reason).inc()

    def completed(self, status: int, duration_s: float) -> None:
        """It was answered."""
        self._completed.labels(self._service, str(status)).inc()
        self._duration_s.observe(duration_s)

    def first_audio(self, delay_s: float) -> None:
        """Its first sound was sent."""
        self._first_audio_s.observe(delay_s)

    def phase(self, name: str, seconds: float) -> None:
        """Time that one request or batch spent in `read`, `decode`, `queue`, `model`, `post` or `write`."""
        self._phase_s.labels(self._service, name).observe(seconds)

    def input_audio(self, seconds: float) -> None:
        """Audio was accepted."""
        self._audio_s.inc(seconds)

    def input_characters(self, characters: int) -> None:
        """Text was accepted."""
        self._characters.inc(characters)

    def admitted(self) -> None:
        """A request's work was queued."""
        self._admitted.inc()

    def batch_done(self, costs: list[float], waits_s: list[float], service_s: float) -> None:
        """A batch ran."""
        for wait_s in waits_s:
            self.phase("queue", wait_s)
            self.phase("model", service_s)
        self._batch_size.observe(len(costs))
        self._padding.observe(padding_ratio(costs))

    def served(self, service_s: float) -> None:
        """A request left after the model had worked for it."""
        self._service_s.observe(service_s)

    def watch(self, lifecycle: Lifecycle, load: Callable[[], Load], build: dict[str, str]) -> None:
        """Add what is read at the time of a scrape. `build`: labels of `speech_build_info`."""
        self.registry.register(_AtScrape(self._service, lifecycle, load, build))


class _AtScrape(Collector):
    def __init__(self, service: str, lifecycle: Lifecycle, load: Callable[[], Load], build: dict[str, str]) -> None:
        self._service = service
        self._lifecycle = lifecycle
        self._load = load
        self._build = build

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        yield from self._load_metrics(self._load())
        yield from self._lifecycle_metrics()
        info = GaugeMetricFamily("speech_build_info", "What runs here", labels=tuple(self._build))
        info.add_metric(tuple(self._build.values()), 1)
        yield info

    def _gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text, labels=("service",))
        family.add_metric((self._service,), value)
        return family

    def _counter(self, name: str, text: str, value: float) -> CounterMetricFamily:
        family = CounterMetricFamily(name, text, labels=("service",))
        family.add_metric((self._service,), value)
        return family

    def _load_metrics(self, load: Load) -> Iterable[Metric]:
        yield self._gauge("speech_requests_in_flight", "Requests inside: read, decode, queue, service", load.in_flight)
        yield self._gauge("speech_queue_depth", "Requests none of whose work has started", load.queued)
        yield self._gauge("speech_queue_seconds_waiting", "Age of the oldest of them", load.oldest_wait_s)
        yield self._gauge("speech_slots", "Batches that can run at the same time", load.slots)
        yield self._gauge("speech_slots_busy", "Batches that run", load.slots_busy)
        yield self._counter("speech_busy_seconds_total", "Integral of speech_slots_busy", load.busy_s)
        yield self._counter(
            "speech_queue_integral_seconds_total", "Integral of speech_requests_in_flight", load.in_flight_s
        )

    def _lifecycle_metrics(self) -> Iterable[Metric]:
        lifecycle = self._lifecycle
        phases = GaugeMetricFamily(
            "speech_model_load_phase_seconds", "Phases of the start", labels=("service", "phase")
        )
        for name, seconds in lifecycle.phases_s().items():
            phases.add_metric((self._service, name), seconds)
        yield phases
        yield self._gauge("speech_model_ready", "Loaded and warmed up", lifecycle.state == "ready")
        yield self._gauge("speech_draining", "SIGTERM was received", lifecycle.draining)
        yield self._gauge("speech_process_start_time_seconds", "Start of the process, Unix time", lifecycle.started_s)
        if lifecycle.ready_s is not None:
            yield self._gauge("speech_ready_time_seconds", "When it became ready, Unix time", lifecycle.ready_s)

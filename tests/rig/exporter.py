"""Pods that only export metrics: each has counters that a test sets, served for Prometheus to scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rig.web import Asked, Reply, website

_TEXT = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
Metrics = Callable[[], Mapping[str, float]]
"""Values by metric name, labels included if it has any."""


@dataclass
class Exporter:
    """Where the metrics are served, and what they are."""

    address: str = ""
    pods: dict[str, Metrics] = field(default_factory=dict)

    def targets(self, namespace: str, **labels: str) -> list[tuple[str, dict[str, str]]]:
        """What Prometheus shall scrape: each pod with the labels that service discovery would give it."""
        return [
            (self.address, {"__metrics_path__": f"/{pod}", "namespace": namespace, "pod": pod, **labels})
            for pod in self.pods
        ]


@contextmanager
def exporter() -> Iterator[Exporter]:
    """Serve until the block ends."""
    serving = Exporter()

    def answer(asked: Asked) -> Reply:
        metrics = serving.pods.get(asked.path.removeprefix("/"))
        if metrics is None:
            return Reply(status=404)
        body = "".join(f"{name} {value}\n" for name, value in metrics().items())
        return Reply(body.encode(), headers=_TEXT)

    with website(answer) as site:
        serving.address = site.url.removeprefix("http://")
        yield serving


def steady(rate_rps: float, busy: float = 0.0) -> Metrics:
    """A pod that receives requests at a constant rate, since now."""
    began_s = time.time()

    def metrics() -> Mapping[str, float]:
        served = rate_rps * (time.time() - began_s)
        return {
            "speech_requests_received_total": served,
            "speech_requests_completed_total": served,
            "speech_service_seconds_sum": busy * (time.time() - began_s),
            "speech_requests_in_flight": busy,
            "speech_queue_depth": 0.0,
        }

    return metrics

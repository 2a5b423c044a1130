"""Pods that only export metrics: each has counters that a test sets, served for Prometheus to scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rig.web import Asked, Reply, website

_TEXT = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
Metrics = Callable[[], Mapping[str, float]]
"""Values by metric name, which may carry labels of its own: `name{le="0.5"}`."""


TOGETHER = "/all"
"""The path where all pods are served at once, with the labels that service discovery would give them."""
DATED = "/dated"
"""The same with the time of each sample: on a busy machine a value can be half a second younger than its scrape."""


@dataclass
class Exporter:
    """Where the metrics are served, and what they are."""

    address: str = ""
    pods: dict[tuple[str, str], Metrics] = field(default_factory=dict)
    """By namespace and pod."""
    sources: list[Callable[[], None]] = field(default_factory=list)
    """Asked to bring their pods up to date before all are served at once."""
    shift_s: float = 0.0
    """So far the clock that dates samples is ahead."""

    def targets(self, namespace: str) -> list[tuple[str, dict[str, str]]]:
        """Each pod of a namespace as a target of its own, scraped at its own moment."""
        return [
            (self.address, {"__metrics_path__": f"/{space}/{pod}", "namespace": space, "pod": pod})
            for space, pod in list(self.pods)
            if space == namespace
        ]

    def page(self, path: str) -> str | None:
        """What is served at a path; None where nothing is."""
        if path in (TOGETHER, DATED):
            for bring_up_to_date in list(self.sources):
                bring_up_to_date()
            at = f" {(time.time() + self.shift_s) * 1000:.0f}" if path == DATED else ""
            return "".join(
                f"{_labelled(name, space, pod)} {value}{at}\n"
                for (space, pod), metrics in list(self.pods.items())
                for name, value in metrics().items()
            )
        space, _, pod = path.removeprefix("/").partition("/")
        metrics = self.pods.get((space, pod))
        return metrics and "".join(f"{name} {value}\n" for name, value in metrics().items())


def _labelled(name: str, namespace: str, pod: str) -> str:
    bare, _, labels = name.rstrip("}").partition("{")
    return f'{bare}{{namespace="{namespace}",pod="{pod}"{"," * bool(labels)}{labels}}}'


@contextmanager
def exporter() -> Iterator[Exporter]:
    """Serve until the block ends."""
    serving = Exporter()

    def answer(asked: Asked) -> Reply:
        page = serving.page(asked.path)
        return Reply(status=404) if page is None else Reply(page.encode(), headers=_TEXT)

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

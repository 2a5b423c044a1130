"""Puts the parts together as the command line asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inference_server.engines.registry import make_engine
from inference_server.errors import InvalidOption
from inference_server.serving.lifecycle import Lifecycle, process_started_s
from inference_server.serving.scheduler import AdmissionLimits
from inference_server.serving.service import AnyService, RequestLimits, Service
from inference_server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from inference_server.access.rate import RateLimiter
    from inference_server.access.tokens import Verifier
    from inference_server.storage.objects import ObjectStore
    from inference_server.storage.sources import Sources

Consume = Callable[[asyncio.Event], Awaitable[None]]


def make_service(
    engine: str,
    options: Sequence[str],
    *,
    name: str | None,
    objectives_s: Sequence[float],
    admission: AdmissionLimits,
    limits: RequestLimits,
    sources: Sources | None,
) -> AnyService:
    """One engine with its scheduler and metrics, not loaded yet.

    Raises:
        InvalidOption: the engine or an option of it cannot be used.
    """
    from prometheus_client import disable_created_metrics

    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter, read by no query here
    lifecycle = Lifecycle(process_started_s())
    made = make_engine(engine, options)
    metrics = Metrics(name or engine, objectives_s)
    return Service(made, metrics, lifecycle, admission=admission, limits=limits, sources=sources)


def make_sources(allowed: Sequence[str], store: ObjectStore | None) -> Sources | None:
    """Where sound may come from; None: nowhere.

    Raises:
        InvalidOption: an entry of the allow-list is no origin.
    """
    if not allowed and store is None:
        return None
    from inference_server.storage.fetch import AllowedHost, Fetcher
    from inference_server.storage.sources import Sources

    try:
        hosts = [AllowedHost.parse(text) for text in allowed]
    except ValueError as error:
        raise InvalidOption(f"--allow-url {error}") from error
    return Sources(Fetcher(hosts), store)


def read_access(path: Path | None) -> tuple[Verifier, RateLimiter | None] | None:
    """Whose requests are taken; None: everybody's.

    Raises:
        InvalidOption: the file cannot be used.
    """
    if path is None:
        return None
    from inference_server.access.config import load_access

    return load_access(path)


def make_consumer(broker: str, queue: str, service: AnyService, store: ObjectStore, prefetch: int) -> Consume:
    """The loop of a worker on `amqp(s)://…` or `kafka://HOST:PORT[,HOST:PORT]`.

    Raises:
        InvalidOption: another kind of broker, or none that is named.
    """
    from inference_server.worker.jobs import job_for
    from inference_server.worker.processor import ENDPOINT, Processor

    service.metrics.expect([ENDPOINT])
    parts = urlsplit(broker)
    if parts.scheme in {"amqp", "amqps"} and parts.hostname:
        from inference_server.worker import rabbitmq

        def consume_rabbitmq(stop: asyncio.Event) -> Awaitable[None]:
            processor = Processor(job_for(service), store, service.metrics, stop=stop)
            return rabbitmq.consume(broker, queue, process=processor.process, prefetch=prefetch, stop=stop)

        return consume_rabbitmq
    if parts.scheme == "kafka" and parts.hostname:
        from inference_server.worker import kafka

        def consume_kafka(stop: asyncio.Event) -> Awaitable[None]:
            processor = Processor(job_for(service), store, service.metrics, count_attempts=True, stop=stop)
            servers = broker.removeprefix("kafka://").rstrip("/")
            group = "inference-server"
            return kafka.consume(servers, queue, group, process=processor.process, prefetch=prefetch, stop=stop)

        return consume_kafka
    raise InvalidOption(f"--broker {parts.scheme}://…: must be amqp://HOST, amqps://HOST or kafka://HOST:PORT")

"""`inference-server`: the command line."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inference_server import __version__
from inference_server.errors import InvalidOption

if TYPE_CHECKING:
    import socket

    from inference_server.storage.objects import ObjectStore

app = typer.Typer(
    name="inference-server",
    help="Speech inference over HTTP and queues, with the metrics that scale it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": "INFERENCE_SERVER"},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


class LogLevel(StrEnum):
    """From what on is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Engine = Annotated[str, typer.Option(help="emotivoice, sensevoice or sleeper.")]
Options = Annotated[list[str] | None, typer.Option("--option", "-o", help="KEY=VALUE for the engine.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)]
Name = Annotated[str | None, typer.Option(help="Label `service` of the metrics; default: the engine's name.")]
Objectives = Annotated[
    list[float] | None,
    typer.Option(help="Latency objectives: edges of the histograms.", min=0.001, max=3600),
]
Hang = Annotated[float, typer.Option(help="A batch that runs longer fails /healthz.", min=0.001)]
Allow = Annotated[list[str] | None, typer.Option(help="https://HOST[:PORT] that sound may be fetched from.")]
Level = Annotated[LogLevel, typer.Option(help="From what on is logged.", envvar="LOG_LEVEL", case_sensitive=False)]
StoreUrl = Annotated[str | None, typer.Option(help="file:///FOLDER or s3://HOST[:PORT]/BUCKET.")]


@app.command()
def serve(  # noqa: PLR0917 typer calls it by name
    engine: Engine,
    option: Options = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    metrics_port: Annotated[
        int | None, typer.Option(help="Also serve /metrics here, from a thread of its own.", min=0, max=65535)
    ] = None,
    service_name: Name = None,
    objective_s: Objectives = None,
    max_in_flight: Annotated[int, typer.Option(help="Requests inside at the same time.", min=1)] = 256,
    max_wait_s: Annotated[float, typer.Option(help="Refuse what is expected to wait longer.", min=0)] = 10.0,
    deadline_s: Annotated[float, typer.Option(help="Arrival to result.", min=0.001, max=3600)] = 30.0,
    hang_after_s: Hang = 120.0,
    max_connection_requests: Annotated[int, typer.Option(help="Then the connection is closed.", min=1)] = 100,
    max_connection_age_s: Annotated[float, typer.Option(help="Then the connection is closed.", min=0)] = 60.0,
    drain_delay_s: Annotated[
        float, typer.Option(help="After SIGTERM go on accepting for so long.", min=0, max=3600)
    ] = 3.0,
    drain_timeout_s: Annotated[float, typer.Option(help="Then finish within this time.", min=1, max=3600)] = 60.0,
    access: Annotated[Path | None, typer.Option(help="YAML: whose tokens are taken, and how often.")] = None,
    allow_url: Allow = None,
    store: StoreUrl = None,
    usage_file: Annotated[Path | None, typer.Option(help="Usage records go here, not to the log.")] = None,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Serve one engine over HTTP. Prints the address on stdout once it listens."""
    from prometheus_client import start_http_server

    from inference_server import compose
    from inference_server.api.app import make_app
    from inference_server.api.connections import ConnectionLimits
    from inference_server.api.process import DrainLimits
    from inference_server.api.process import serve as run
    from inference_server.serving.scheduler import AdmissionLimits
    from inference_server.serving.service import RequestLimits
    from inference_server.telemetry.logs import configure_logging
    from inference_server.telemetry.tracing import tracer_from_environment

    configure_logging(log_level, usage_file)
    service = compose.make_service(
        engine,
        option or (),
        name=service_name,
        objectives_s=objective_s or (),
        admission=AdmissionLimits(max_in_flight, max_wait_s),
        limits=RequestLimits(deadline_s=deadline_s, hang_after_s=hang_after_s),
        sources=compose.make_sources(allow_url or (), _open_store(store)),
    )
    http = make_app(service, compose.read_access(access), tracer_from_environment(service_name or engine))
    if metrics_port is not None:
        with _address("--metrics-port", host, metrics_port):
            start_http_server(metrics_port, host, service.metrics.registry)
    listener = _listen(host, port)
    connections = ConnectionLimits(max_connection_requests, max_connection_age_s)
    raise typer.Exit(run(http, service, listener, connections, DrainLimits(drain_delay_s, drain_timeout_s)))


@app.command()
def work(  # noqa: PLR0917 typer calls it by name
    engine: Engine,
    broker: Annotated[str, typer.Option(help="amqp://… or kafka://HOST:PORT[,HOST:PORT].")],
    store: Annotated[str, typer.Option(help="For results: file:///FOLDER or s3://HOST[:PORT]/BUCKET.")],
    queue: Annotated[str, typer.Option(help="Queue or topic.")] = "speech",
    prefetch: Annotated[int, typer.Option(help="Messages at the same time.", min=1)] = 8,
    option: Options = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    service_name: Name = None,
    objective_s: Objectives = None,
    hang_after_s: Hang = 120.0,
    allow_url: Allow = None,
    log_level: Level = LogLevel.INFO,
) -> None:
    """Work off a queue; /healthz, /readyz and /metrics are served. Prints their address on stdout."""
    from inference_server import compose
    from inference_server.api.process import work as run
    from inference_server.serving.scheduler import AdmissionLimits
    from inference_server.serving.service import RequestLimits
    from inference_server.storage.objects import open_store
    from inference_server.telemetry.logs import configure_logging

    configure_logging(log_level, None)
    results = open_store(store)
    service = compose.make_service(
        engine,
        option or (),
        name=service_name,
        objectives_s=objective_s or (),
        admission=AdmissionLimits(prefetch, max_wait_s=float("inf")),
        limits=RequestLimits(hang_after_s=hang_after_s),
        sources=compose.make_sources(allow_url or (), results),
    )
    consume = compose.make_consumer(broker, queue, service, results, prefetch)
    raise typer.Exit(run(service, _listen(host, port), consume))


def _open_store(url: str | None) -> ObjectStore | None:
    if url is None:
        return None
    from inference_server.storage.objects import open_store

    return open_store(url)


def _listen(host: str, port: int) -> socket.socket:
    """Say the address that is listened on."""
    from inference_server.api.process import bind

    with _address("--port", host, port):
        listener = bind(host, port)
    typer.echo(f"http://{host}:{listener.getsockname()[1]}")
    sys.stdout.flush()
    return listener


@contextmanager
def _address(option: str, host: str, port: int) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidOption(f"--host {host} {option} {port}: {error.strerror or error}") from error


def main() -> None:
    """Entry point; bad options end with exit code 2."""
    try:
        app()
    except InvalidOption as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(2)

"""`inference-server`: the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inference_server import __version__
from inference_server.errors import InvalidOption

if TYPE_CHECKING:
    from inference_server.access.rate import RateLimiter
    from inference_server.access.tokens import Verifier
    from inference_server.storage.sources import Sources

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


@app.command()
def serve(  # noqa: PLR0917 typer calls it by name
    engine: Annotated[str, typer.Option(help="Which engine: emotivoice, sensevoice, sleeper.")],
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="KEY=VALUE for the engine.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8000,
    metrics_port: Annotated[
        int | None, typer.Option(help="Also serve /metrics here, from a thread of its own.", min=0, max=65535)
    ] = None,
    service_name: Annotated[str | None, typer.Option(help="Label `service` of the metrics; default: engine.")] = None,
    objective_s: Annotated[list[float] | None, typer.Option(help="Latency objectives: histogram edges.")] = None,
    max_in_flight: Annotated[int, typer.Option(help="Requests inside at the same time.", min=1)] = 256,
    max_wait_s: Annotated[float, typer.Option(help="Refuse what is expected to wait longer.", min=0)] = 10.0,
    deadline_s: Annotated[float, typer.Option(help="Arrival to result.", min=0.001)] = 30.0,
    hang_after_s: Annotated[float, typer.Option(help="A longer batch fails /healthz.", min=0.001)] = 120.0,
    max_connection_requests: Annotated[int, typer.Option(help="Then the connection is closed.", min=1)] = 100,
    max_connection_age_s: Annotated[float, typer.Option(help="Then the connection is closed.", min=0)] = 60.0,
    allow_url: Annotated[list[str] | None, typer.Option(help="https://HOST[:PORT] that sound is fetched from.")] = None,
    store: Annotated[str | None, typer.Option(help="file:///FOLDER or s3://HOST[:PORT]/BUCKET.")] = None,
    drain_delay_s: Annotated[float, typer.Option(help="After SIGTERM go on accepting for so long.", min=0)] = 3.0,
    access: Annotated[Path | None, typer.Option(help="YAML: whose tokens are taken.")] = None,
    drain_timeout_s: Annotated[float, typer.Option(help="Then finish within this time.", min=1)] = 60.0,
) -> None:
    """Serve one engine over HTTP. Prints the address on stdout once it listens."""
    from prometheus_client import disable_created_metrics, start_http_server

    from inference_server.api.app import make_app
    from inference_server.api.connections import ConnectionLimits
    from inference_server.api.process import DrainLimits, bind
    from inference_server.api.process import serve as run
    from inference_server.api.service import RequestLimits, Service
    from inference_server.engines.registry import make_engine
    from inference_server.serving.lifecycle import Lifecycle, process_started_s
    from inference_server.serving.scheduler import AdmissionLimits
    from inference_server.telemetry.metrics import Metrics

    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter that no query here reads
    lifecycle = Lifecycle(process_started_s())
    made = make_engine(engine, option or [])
    metrics = Metrics(service_name or engine, objective_s or ())
    service = Service(
        made,
        metrics,
        lifecycle,
        admission=AdmissionLimits(max_in_flight, max_wait_s),
        limits=RequestLimits(deadline_s=deadline_s, hang_after_s=hang_after_s),
        sources=_sources(allow_url or [], store),
    )
    if metrics_port is not None:
        start_http_server(metrics_port, host, metrics.registry)
    http = make_app(service, _read_access(access))
    listener = bind(host, port)
    typer.echo(f"http://{host}:{listener.getsockname()[1]}")
    sys.stdout.flush()
    limits = ConnectionLimits(max_connection_requests, max_connection_age_s)
    raise typer.Exit(run(http, service, listener, limits, DrainLimits(drain_delay_s, drain_timeout_s)))


def _sources(allowed: list[str], store: str | None) -> Sources | None:
    if not allowed and store is None:
        return None
    from inference_server.storage.fetch import AllowedHost, Fetcher
    from inference_server.storage.objects import open_store
    from inference_server.storage.sources import Sources

    try:
        hosts = [AllowedHost.parse(text) for text in allowed]
    except ValueError as error:
        raise InvalidOption(f"--allow-url {error}") from error
    return Sources(Fetcher(hosts), open_store(store) if store else None)


def _read_access(path: Path | None) -> tuple[Verifier, RateLimiter | None] | None:
    if path is None:
        return None
    from inference_server.access.config import load_access

    return load_access(path)


def main() -> None:
    """Entry point; bad options end with exit code 2."""
    try:
        app()
    except InvalidOption as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(2)

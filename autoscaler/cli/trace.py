"""`autoscaler trace`: traffic converted, shown, made and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from autoscaler.cli.extras import needs
from autoscaler.cli.output import warn_of
from autoscaler.model import InvalidInput

if TYPE_CHECKING:
    from autoscaler.prometheus.recording import RangeQuery, Recording
    from simulations.traffic.formats.format import ReadOptions
    from simulations.traffic.trace import Trace

COMMAND, EXTRA = "autoscaler trace", "simulations"

app = typer.Typer(
    name="trace",
    help="Convert, show, make and record traffic for replays. Formats and shapes: docs/traces.md.",
    no_args_is_help=True,
)

Values = Literal["counter", "rate", "count"]
VALUES_ARE = "counter (cumulative), rate (requests/s) or count (requests in each step)"

InputsArg = Annotated[
    list[str],
    typer.Argument(
        metavar="TRACE...",
        help="Files in the order of time, or one name: a bundled trace, one of the catalogue, a shape.",
        show_default=False,
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Where to write.", show_default=False)]
FormatOption = Annotated[str | None, typer.Option("--format", help="How the files are written, if not found out.")]
BinOption = Annotated[str | None, typer.Option("--bin", help="Width of the bins, such as 10s or 1m.")]
FunctionOption = Annotated[
    str | None, typer.Option("--function", help="Azure Functions: one HashFunction instead of the sum of all.")
]
ValuesOption = Annotated[Values | None, typer.Option("--values", help=f"Prometheus: {VALUES_ARE}.")]
DisorderOption = Annotated[
    str | None, typer.Option("--disorder", help="How far a request's time may go back (access logs: 5m).")
]
MalformedOption = Annotated[
    str | None, typer.Option("--max-malformed", help="Share of lines that may be malformed (1%).")
]


@app.command()
def convert(
    inputs: InputsArg,
    *,
    out: OutOption,
    format_: FormatOption = None,
    bin_: BinOption = None,
    function: FunctionOption = None,
    values: ValuesOption = None,
    disorder: DisorderOption = None,
    max_malformed: MalformedOption = None,
    clock: Annotated[bool, typer.Option("--clock", help="Write seconds since the epoch, not since the start.")] = False,
) -> None:
    """Write any trace as counts: `.csv`, `.csv.gz` or `.parquet`, as the name of --out ends.

    Example: `autoscaler trace convert access.log.2.gz access.log.1 -o web.csv.gz --bin 10s`
    """
    with needs(COMMAND, EXTRA):
        from simulations.traffic.write import write

    trace = _trace(inputs, format_, _options(bin_, function, values, disorder, max_malformed))
    write(trace, out, clock=clock)
    warn_of(trace)
    typer.echo(f"{out}: {trace.counts.sum():.0f} requests in {len(trace.counts)} bins of {trace.bin_s:g} s", err=True)
    if trace.start_s and not clock and out.suffix != ".parquet":
        began = datetime.fromtimestamp(trace.start_s, UTC).isoformat(" ").removesuffix("+00:00")
        typer.echo(f"second 0 is {began} on the recording's clock; --clock writes it into the file", err=True)


@app.command()
def show(
    inputs: InputsArg,
    *,
    format_: FormatOption = None,
    bin_: BinOption = None,
    function: FunctionOption = None,
    values: ValuesOption = None,
    disorder: DisorderOption = None,
    max_malformed: MalformedOption = None,
    service_time: Annotated[str, typer.Option(help="Mean service time, which turns rates into busy pods.")] = "180ms",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a trace holds: length, rates, busy pods, character, origin.

    Example: `autoscaler trace show demo-evening`
    """
    with needs(COMMAND, EXTRA):
        import orjson
        from rich.console import Console

        from simulations.traffic.facts import character, facts
        from simulations.traffic.show import sha256s, table

    trace = _trace(inputs, format_, _options(bin_, function, values, disorder, max_malformed))
    known = facts(trace, _seconds("--service-time", service_time))
    hashes = sha256s(trace, inputs)
    warn_of(trace)
    if as_json:
        content = asdict(known) | {"character": character(known), "labels": dict(trace.labels), "sha256": hashes}
        typer.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
    else:
        Console(highlight=False).print(table(trace, known, hashes))


@app.command()
def synth(
    shape: Annotated[str, typer.Argument(help="Such as burst, or diurnal:low=3,high=60,for=7d + noise:sd=2.")],
    out: OutOption,
    bin_: BinOption = "1s",
    poisson_seed: Annotated[
        int | None, typer.Option(min=0, help="Draw whole counts from the Poisson law with this seed.")
    ] = None,
) -> None:
    """Write a shape, or a sum of shapes, as counts.

    Example: `autoscaler trace synth "step:from=2,to=35,at=60s" -o step.csv.gz`
    """
    with needs(COMMAND, EXTRA):
        from simulations.traffic.synth import make
        from simulations.traffic.write import write

    trace = make(shape, bin_s=_seconds("--bin", bin_ or "1s"), poisson_seed=poisson_seed)
    write(trace, out)
    typer.echo(f"{out}: {trace.counts.sum():.0f} requests in {trace.duration_s:g} s", err=True)


@app.command()
def record(
    query: Annotated[str, typer.Argument(help="PromQL: best a plain counter, such as speech_requests_received_total.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="A `.json` or `.json.gz` file.", show_default=False)],
    prometheus: Annotated[str, typer.Option(help="Its address, such as http://prometheus:9090.", show_default=False)],
    since: Annotated[str, typer.Option("--from", help="How long ago, an ISO time, or epoch seconds.")] = "1d",
    until: Annotated[str, typer.Option("--to", help="The same; `0s` is now.")] = "0s",
    step: Annotated[str, typer.Option(help="Distance of the samples: best the scrape interval.")] = "15s",
    values: Annotated[Values, typer.Option(help=f"What the query gives: {VALUES_ARE}.")] = "counter",
    timeout: Annotated[str, typer.Option(help="For each request.")] = "30s",
    token_file: Annotated[Path | None, typer.Option(help="File with a bearer token.")] = None,
    username: Annotated[str | None, typer.Option(help="For basic authentication.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates to trust.")] = None,
    accept_warnings: Annotated[bool, typer.Option("--accept-warnings", help="Keep partial answers.")] = False,
) -> None:
    """Save what a live Prometheus knows of a range of time as a trace, in Prometheus's own JSON.

    The range is asked for in chunks. An interrupted run keeps what it has in a folder beside the file, and the same
    command goes on from there.

    Example: `autoscaler trace record speech_requests_received_total --prometheus http://prometheus:9090 -o day.json.gz`
    """
    with needs(COMMAND, EXTRA):
        from autoscaler.prometheus.client import Access, Prometheus
        from autoscaler.prometheus.recording import Range, begin
        from simulations.traffic.read import read

    access = Access(
        prometheus,
        timeout_s=_seconds("--timeout", timeout),
        token_file=token_file,
        username=username,
        password_file=password_file,
        ca_file=ca_file,
    )
    now_s, step_s = time.time(), _seconds("--step", step)
    start_s, end_s = (
        _when(name, text, now_s) // step_s * step_s for name, text in (("--from", since), ("--to", until))
    )
    asked = {"query": query, "from": since, "to": until, "step": step}
    recording = begin(out, asked, Range(query, start_s, end_s, step_s), values)
    server = Prometheus(access)
    try:
        _fetch(recording, server.query_range, accept_warnings=accept_warnings)
    finally:
        server.close()
    typer.echo(f"{out}: {recording.finish()} samples", err=True)
    trace = read(out)
    warn_of(trace)
    typer.echo(f"{trace.counts.sum():.0f} requests in {len(trace.counts)} bins of {trace.bin_s:g} s", err=True)


def _fetch(recording: Recording, query_range: RangeQuery, *, accept_warnings: bool) -> None:
    """Get every chunk, with a bar on a terminal; whatever stops it, say what is kept."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    chunks = recording.fetch(query_range, time.sleep, accept_warnings=accept_warnings)
    total = len(recording.range.chunks())
    try:
        for _ in track(chunks, "recording", total=total, console=console, disable=not console.is_terminal):
            pass
    except BaseException:
        typer.echo(f"{recording.finished()} of {total} chunks are kept; the same command goes on from there", err=True)
        raise


def _trace(inputs: list[str], format_: str | None, options: ReadOptions) -> Trace:
    with needs(COMMAND, EXTRA):
        from simulations.traffic import find, read

    if len(inputs) == 1:
        return find(inputs[0], format=format_, options=options)
    return read([Path(each) for each in inputs], format=format_, options=options)


def _options(
    bin_: str | None, function: str | None, values: Values | None, disorder: str | None, max_malformed: str | None
) -> ReadOptions:
    with needs(COMMAND, EXTRA):
        from autoscaler.spec.values import parse_share
        from simulations.traffic.formats.format import ReadOptions

    return ReadOptions(
        bin_s=None if bin_ is None else _seconds("--bin", bin_),
        max_disorder_s=None if disorder is None else _seconds("--disorder", disorder, zero=True),
        max_malformed_ratio=None if max_malformed is None else _parsed("--max-malformed", max_malformed, parse_share),
        function=function,
        values=values,
    )


def _parsed(option: str, text: str, parse: Callable[[str], float]) -> float:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidInput(f"{option}: {text!r} — allowed is {error}") from error


def _seconds(option: str, text: str, *, zero: bool = False) -> float:
    from autoscaler.spec.values import parse_duration

    seconds = _parsed(option, text, parse_duration)
    if seconds == 0 and not zero:
        raise InvalidInput(f"{option}: {text!r} — allowed is a duration above 0")
    return seconds


def _when(option: str, text: str, now_s: float) -> float:
    """Seconds since the epoch of a past time: a duration ago, an ISO time (UTC if it names no zone), such seconds."""
    from autoscaler.spec.values import parse_duration

    for parse in (lambda text: now_s - parse_duration(text), float, _iso_s):
        try:
            when_s = parse(text)
        except ValueError:
            continue
        if 0 <= when_s <= now_s:
            return when_s
    allowed = "a past time such as 7d (ago), 2026-11-21T17:00:00Z or seconds since the epoch"
    raise InvalidInput(f"{option}: {text!r} — allowed is {allowed}")


def _iso_s(text: str) -> float:
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()

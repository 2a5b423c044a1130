"""`autoscaler compare`: many policies on many traces."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoscaler import __version__
from autoscaler.cli import exits
from autoscaler.cli.extras import needs
from autoscaler.cli.output import STDOUT, console, prepare, prepare_folder, warn_of, write
from autoscaler.model import InvalidInput, Routing

if TYPE_CHECKING:
    from simulations.compare import Comparison
    from simulations.store import Store
    from simulations.workers import Workers

_POLICIES = "Shipped names or files, with commas between them."
_TRACES = "Files, names or shapes as in `autoscaler replay`; `demo`: all that are bundled; `all`: the catalogue."
_WORKLOADS = "Shipped names or files. Default: tts."
_ROUTING = "shared-queue, least-outstanding, round-robin, random, or several of them. Default: the workloads'."
_JSON = "Write all figures as JSON; - prints them, and no table."
_OUT = "Folder for finished replays; a later run takes them from there."
_QUIET_S = 10.0
"""Without a terminal, seconds between two lines about the progress."""

Tell = Callable[[int, int], None]


def compare(
    *,
    policies: Annotated[str, typer.Option(help=_POLICIES)],
    traces: Annotated[str, typer.Option(help=_TRACES)],
    workloads: Annotated[str, typer.Option(help=_WORKLOADS, show_default=False)] = "tts",
    seeds: Annotated[str, typer.Option(help="Of the random streams; means are over them.")] = "1",
    routing: Annotated[str, typer.Option(help=_ROUTING, show_default=False)] = "",
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one for each core.")] = None,
    dask: Annotated[str | None, typer.Option(help="Compute on the workers of the dask scheduler there.")] = None,
    json: Annotated[Path | None, typer.Option(help=_JSON)] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML page.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    out: Annotated[Path, typer.Option(help=_OUT)] = Path("autoscaler-results"),
    reference: Annotated[bool, typer.Option(help="Compare costs with a plan that knows the future.")] = True,
) -> None:
    """Replay policies against traces: who meets the objective, and at what cost?

    Ctrl-C keeps what is finished; the same command goes on from there.

    Example: `autoscaler compare --policies hpa,keda,kpa --traces demo --workloads tts,asr --seeds 1,2,3`
    """
    with needs("autoscaler compare", "simulations"):
        from autoscaler.spec import find_policy, find_workload
        from simulations.compare import Comparison
        from simulations.store import Store
        from simulations.traffic.find import expand, find
        from simulations.workers import Workers

    prepare(json, report, markdown)
    prepare_folder(out)
    comparison = Comparison(
        policies=tuple(find_policy(name) for name in split(policies)),
        traces=tuple(find(name) for word in split_traces(traces) for name in expand(word)),
        workloads=tuple(find_workload(name) for name in split(workloads)),
        seeds=tuple(_seed(text) for text in split(seeds)),
        routings=tuple(_routing(text) for text in split(routing)),
        with_reference=reference,
    )
    for trace in comparison.traces:
        warn_of(trace)
    for policy in comparison.policies:
        for finding in policy.findings:
            typer.echo(str(finding), err=True)
    store = Store(out)
    _finish(comparison, store, Workers(-1 if jobs is None else jobs, dask))
    command = ["--policies", policies, "--traces", traces, "--workloads", workloads, "--seeds", seeds]
    command += ["--routing", routing] if routing else []
    _present(comparison, store, Outputs(json, report, markdown), command)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go beside the terminal."""

    json: Path | None
    report: Path | None
    markdown: Path | None


def _present(comparison: Comparison, store: Store, outputs: Outputs, command: list[str]) -> None:
    from simulations.compare import closeups, summary
    from simulations.report import records, tables

    found = summary(comparison, store)
    if outputs.json != STDOUT:
        screen = console()
        for grid in found.grids:
            screen.print(tables.comparison_table(grid))
    if outputs.json is not None:
        write(outputs.json, records.comparison_json(found.figures, found.cells, found.standings))
    if outputs.markdown is not None:
        note = f"Version {__version__}: `{shlex.join(['autoscaler', 'compare', *command])}`"
        write(outputs.markdown, tables.markdown(found.grids, note).encode())
    if outputs.report is not None:
        from simulations.report.page import comparison_page

        shown = closeups(comparison, store)
        text = comparison_page(found.figures, shown, comparison.served(), comparison.counted())
        write(outputs.report, text.encode())
        typer.echo(f"report: {outputs.report}", err=True)


def _finish(comparison: Comparison, store: Store, workers: Workers) -> None:
    """Replay what is not there yet; Ctrl-C ends it with what is finished kept."""
    from simulations.replay import engine_is_compiled
    from simulations.workers import finish

    if not engine_is_compiled():
        typer.echo("The engine is compiled once; the first replays take about a minute longer.", err=True)
    there = 0
    try:
        with _progress() as tell, closing(finish(comparison.jobs(), store, workers)) as steps:
            for there, wanted in steps:
                tell(there, wanted)
    except KeyboardInterrupt:
        kept = f"{there} finished replays are kept in {store.folder}"
        typer.echo(f"interrupted: {kept}; the same command goes on from there", err=True)
        raise typer.Exit(exits.INTERRUPTED) from None


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on a terminal, else a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield _lines()
        return
    columns = ("replays", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), "left", TimeRemainingColumn())
    with Progress(*columns, console=screen) as progress:
        task = progress.add_task("replays", total=None)
        yield lambda there, wanted: progress.update(task, completed=there, total=wanted)


def _lines() -> Tell:
    last_s = -_QUIET_S

    def tell(there: int, wanted: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if there == wanted or now_s - last_s >= _QUIET_S:
            typer.echo(f"{there} of {wanted} replays", err=True)
            last_s = now_s

    return tell


def split(text: str) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def split_traces(text: str) -> list[str]:
    """Names with commas between them; a comma within a shape (`step:from=2,to=35`) separates its parameters."""
    return [name.strip() for name in re.split(r",(?!\s*\w+=)", text) if name.strip()]


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise InvalidInput(f"--seeds: {text!r} — whole numbers from 0, with commas between them")
    return int(text)


def _routing(text: str) -> Routing:
    try:
        return Routing(text)
    except ValueError:
        raise InvalidInput(f"--routing: {text!r} — one or more of {', '.join(Routing)}") from None

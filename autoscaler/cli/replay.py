"""`autoscaler replay`: one policy on one trace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoscaler.cli.extras import needs
from autoscaler.cli.output import STDOUT, busy, console, prepare, warn_of, write
from autoscaler.model import InvalidInput, Routing

if TYPE_CHECKING:
    from autoscaler.journal.log import JsonlJournal

_TRACE = "A file of any known format, a bundled or catalogued name, or shapes such as `burst`: see `autoscaler trace`."
_WORKLOAD = "What is served: tts, asr, or a file. Default: what the policy says."


def replay(
    *,
    policy: Annotated[str, typer.Option(help="A shipped policy's name, or a policy, HPA or ScaledObject file.")],
    trace: Annotated[str, typer.Option(help=_TRACE)],
    workload: Annotated[str | None, typer.Option(help=_WORKLOAD, show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random streams.")] = 1,
    routing: Annotated[Routing | None, typer.Option(help="How requests find a pod.", show_default="workload's")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures as JSON; - prints them, and no table.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML page.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Write every decision, for `autoscaler explain`.")] = None,
    reference: Annotated[bool, typer.Option(help="Compare the cost with a plan that knows the future.")] = True,
) -> None:
    """Replay a policy against recorded traffic: did it meet the objective, and at what cost?

    Example: `autoscaler replay --policy hpa --trace burst --workload tts --report burst.html`
    """
    with needs("autoscaler replay", "simulations"):
        from autoscaler.spec import find_policy, find_workload
        from simulations.replay import Reference, Replay, engine_is_compiled, routed
        from simulations.report import records, tables, words
        from simulations.report.summary import measured
        from simulations.traffic.find import find

    prepare(json, report, journal)
    if journal == STDOUT:
        raise InvalidInput("--journal: - — a file: the standard output has the table")
    loaded = find_policy(policy)
    named = find_workload(workload) if workload else None
    served = routed(loaded.serving(named), routing)
    traffic = find(trace)
    warn_of(traffic)
    for finding in loaded.findings:
        typer.echo(str(finding), err=True)
    if not engine_is_compiled():
        typer.echo("The engine is compiled once; the first replay takes about a minute longer.", err=True)

    with busy("replaying"), _log(journal) if journal else nullcontext() as log:
        result = Replay(loaded, traffic, served, seed).run(log)
    with busy("planning with the future known"):
        against = Reference(traffic, named or served, seed).run() if reference else None
    figures = measured(result.figures, against.figures) if against else result.figures

    if json != STDOUT:
        screen = console()
        screen.print(words.replay_headline(figures, served), markup=False, highlight=False, style="bold")
        screen.print(tables.replay_table(figures, served))
    if json is not None:
        write(json, records.replay_json(figures))
    if report is not None:
        from simulations.report.page import replay_page

        write(report, replay_page(result, against, served).encode())
        typer.echo(f"report: {report}", err=True)
    if log and log.lost:
        raise InvalidInput(f"{journal}: {log.lost} decisions could not be written; what stood there is as it was")


@contextmanager
def _log(path: Path) -> Iterator[JsonlJournal]:
    """A decision log that is there if it became whole; one file, however long."""
    from autoscaler.journal.log import JsonlJournal, Rotation

    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        with closing(JsonlJournal(partial, Rotation(max_bytes=sys.maxsize))) as log:
            yield log
        if not log.lost:
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

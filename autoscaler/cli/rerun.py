"""`autoscaler rerun`: decide again what a log recorded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoscaler.cli import exits
from autoscaler.model import InvalidInput

if TYPE_CHECKING:
    from autoscaler.service.rerun import Again

SHOWN = 5
"""Differences that are told in words."""


def rerun(
    *,
    logs: Annotated[list[Path], typer.Argument(help="Decision logs of `autoscaler run`, oldest first.")],
    policies: Annotated[Path, typer.Option(help="The policy file or folder to decide under.", show_default=False)],
    namespace: Annotated[str, typer.Option(help="Of targets whose policy names none.")] = "default",
    workload: Annotated[str | None, typer.Option(help="What is served, for policies that do not say.")] = None,
) -> None:
    """Decide again what a log recorded, offline: under the same policies all is the same, byte for byte.

    Exit code 1: something is different; the first differences are shown. With other policies that tells where they
    would have decided otherwise, given what was seen.

    Example: `autoscaler rerun decisions.jsonl --policies policies/`
    """
    from autoscaler.journal.log import records
    from autoscaler.service.rerun import rerun as again
    from autoscaler.service.wiring import load_jobs
    from autoscaler.spec import find_workload

    served = find_workload(workload) if workload else None
    targets = {job.target.name: job.target for job in load_jobs(policies, namespace, served)}
    ran = skipped = 0
    different: list[Again] = []
    logged: set[str] = set()
    for each in again(chain.from_iterable(map(records, logs)), targets):
        ran, skipped = ran + (each.now is not None), skipped + (each.now is None)
        logged.add(each.recorded.target)
        if each.now is not None and not each.same:
            different.append(each)
    if not ran:
        raise InvalidInput(
            f"{logs[0]}: no tick could be run again — the log must hold the beginning of a target "
            f"(`autoscaler run --journal` writes it); it is of {', '.join(sorted(logged)) or 'none'}, the policies are "
            f"for {', '.join(targets)} (--namespace says where targets are whose policy names no namespace)"
        )
    for line in chain.from_iterable(map(_words, islice(different, SHOWN))):
        typer.echo(line)
    beside = f"; {skipped} were not run: before a beginning, or of a target without a policy here" if skipped else ""
    typer.echo(f"{ran} ticks decided again: {_verdict(len(different))}{beside}")
    if different:
        raise typer.Exit(exits.FINDING)


def _verdict(different: int) -> str:
    return f"{different} different" if different else "the same, byte for byte"


def _words(again: Again) -> Iterator[str]:
    from autoscaler.journal.explain import summary, when

    yield f"{when(again.recorded)}  {again.recorded.target}"
    yield f"  recorded: {summary(again.recorded)}"
    if again.now is not None:
        yield f"  now:      {summary(again.now)}"

"""`autoscaler run`: the loop over real targets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli import exits
from autoscaler.model import Cause, InvalidInput, Missing, Tick

_KUBECONFIG = "How to reach the cluster; without it, the cluster this process runs in."


def run(
    *,
    policies: Annotated[Path, typer.Option(help="A policy file, or a folder of them.", show_default=False)],
    kubeconfig: Annotated[Path | None, typer.Option(help=_KUBECONFIG)] = None,
    once: Annotated[bool, typer.Option("--once", help="Run one tick for each target and exit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    workload: Annotated[str | None, typer.Option(help="What is served, for policies that do not say.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print ticks as JSON lines instead of words.")] = False,
) -> None:
    """Size Deployments by their policies: read Prometheus and the cluster, decide, patch the scale.

    Exit code 1: a target is missing or a write failed; 3: Prometheus or the API server could not be read.

    Example: `autoscaler run --policies policies/hpa.yaml --kubeconfig ~/.kube/config --once --dry-run`
    """
    from autoscaler.cluster.api import connect, own_namespace
    from autoscaler.journal.explain import explain
    from autoscaler.journal.log import encode
    from autoscaler.service.once import run_once
    from autoscaler.service.wiring import load_jobs
    from autoscaler.spec import find_workload

    if not once:
        raise InvalidInput("--once: missing — one tick for each target is all that this version runs")
    api = connect(kubeconfig)
    jobs = load_jobs(policies, own_namespace(kubeconfig), find_workload(workload) if workload else None)
    for job in jobs:
        for finding in job.policy.findings:
            typer.echo(str(finding), err=True)
    ticks = []
    for tick in run_once(jobs, api, "dry run" if dry_run else None):
        ticks.append(tick)
        typer.echo(encode(tick).decode().rstrip() if json else "\n".join(explain(tick)))
    code = exit_code(ticks, dry_run=dry_run)
    if code:
        raise typer.Exit(code)


def exit_code(ticks: Iterable[Tick], *, dry_run: bool) -> int:
    """The worst of what came of the ticks."""
    ticks = list(ticks)
    if any(cause is Cause.UNREACHABLE for tick in ticks for cause in _causes(tick)):
        return exits.UNREACHABLE
    failed = any(not outcome.done for tick in ticks for outcome in tick.outcomes)
    if any(tick.decision is None for tick in ticks) or (failed and not dry_run):
        return exits.FINDING
    return exits.OK


def _causes(tick: Tick) -> list[Cause]:
    if isinstance(tick.seen, Missing):
        return [tick.seen.cause]
    return [problem.missing.cause for problem in tick.seen.signals.problems]

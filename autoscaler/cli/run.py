"""`autoscaler run`: the loop over real targets."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from autoscaler.cli import exits
from autoscaler.model import Cause, InvalidInput, Missing, Tick

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from autoscaler.cluster.lease import Timing
    from autoscaler.ports import Journal
    from autoscaler.service.policies import InForce
    from autoscaler.service.turn import Turn
    from autoscaler.service.wiring import Job

_KUBECONFIG = "How to reach the cluster; without it, the cluster this process runs in."
_LISTEN = "0.0.0.0:8080"
_LEASE = "15/10/2"


def run(
    *,
    policies: Annotated[Path, typer.Option(help="A policy file, or a folder of them.", show_default=False)],
    kubeconfig: Annotated[Path | None, typer.Option(help=_KUBECONFIG)] = None,
    once: Annotated[bool, typer.Option("--once", help="Run one tick for each target and exit.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
    workload: Annotated[str | None, typer.Option(help="What is served, for policies that do not say.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Append every tick to this decision log.")] = None,
    listen: Annotated[str, typer.Option(help="Address for probes and scrapers; port 0 takes a free one.")] = _LISTEN,
    identity: Annotated[
        str,
        typer.Option(
            envvar="POD_NAME",
            help="Who stands for leader: the pod's name. Unlike that of any other process.",
            show_default="host name; with --kubeconfig and a random ending",
        ),
    ] = "",
    lease: Annotated[str, typer.Option(help="Seconds: lease / given up without renewal / between attempts.")] = _LEASE,
    json: Annotated[bool, typer.Option("--json", help="With --once: print ticks as JSON lines.")] = False,
) -> None:
    """Size Deployments by their policies: read Prometheus and the cluster, decide, patch the scale.

    Runs until it is ended; with `--once` each target has one tick, and the exit code says what came of it:
    1: a target is missing, a write failed, or another process leads, which is named; 3: Prometheus or the API server
    could not be read. Nothing is written without the Lease: one that nobody renews is waited for, 15 s as it ships.

    Example: `autoscaler run --policies policies/hpa.yaml --kubeconfig ~/.kube/config --once --dry-run`
    """
    from autoscaler.cluster.api import connect, own_namespace
    from autoscaler.cluster.lease import LEASE, ClusterLease
    from autoscaler.journal.log import JsonlJournal
    from autoscaler.service.policies import PolicyFolder
    from autoscaler.service.process import Candidacy, Controller, run_until
    from autoscaler.service.turn import Turn
    from autoscaler.service.wiring import REQUEST_S, load_jobs
    from autoscaler.spec import find_workload

    api = connect(kubeconfig)
    here = own_namespace(kubeconfig)
    served = find_workload(workload) if workload else None
    log = JsonlJournal(journal) if journal else None
    who = identity or own_identity(kubeconfig)
    if once:
        candidate = None if dry_run else Turn(ClusterLease(api, here, LEASE, REQUEST_S), who, _timing(lease))
        _once(load_jobs(policies, here, served), api, here, log, candidate, json=json)
    else:
        followed = PolicyFolder(policies, here, served)
        _check_some(followed.read(), policies)
        candidacy = None if dry_run else Candidacy(who, _timing(lease))
        _log_as_json()
        controller = Controller(followed, api, here, candidacy=candidacy, log=log, listen=_address(listen))
        run_until(controller, _ended())
        sys.stderr.flush()
        os._exit(exits.OK)  # a tick may still wait for a Prometheus that hangs; it may not write any more


def own_identity(kubeconfig: Path | None) -> str:
    """Who stands for leader where nobody says so.

    In a cluster the host name is the pod's, which the admission policies compare; elsewhere processes share it.
    """
    host = socket.gethostname()
    return host if kubeconfig is None else f"{host}_{uuid.uuid4().hex[:8]}"


def _once(jobs: list[Job], api: ApiClient, here: str, log: Journal | None, turn: Turn | None, *, json: bool) -> None:
    """One tick for each target; without a turn it is a dry run."""
    from autoscaler.journal.explain import explain
    from autoscaler.journal.log import encode
    from autoscaler.service.once import run_once

    for job in jobs:
        for finding in job.policy.findings:
            typer.echo(str(finding), err=True)
    refused = turn.take() if turn else None
    if refused:
        typer.echo(f"nothing is written: {refused}", err=True)
    ticks = []
    try:
        for tick in run_once(jobs, api, here, turn.forbidden if turn else lambda: "dry run"):
            ticks.append(tick)
            if log:
                log.append(tick)
            typer.echo(encode(tick).decode().rstrip() if json else "\n".join(explain(tick)))
            if turn:
                turn.renew()
    finally:
        if turn:
            turn.release()
    if code := exit_code(ticks) or (exits.FINDING if refused else exits.OK):
        raise typer.Exit(code)


def _check_some(in_force: InForce, policies: Path) -> None:
    """A process that knows no target does not start; of one that two files name it says so, in the cluster too."""
    if not in_force.jobs and not in_force.troubles:
        problems = [line for lines in in_force.problems.values() for line in lines]
        raise InvalidInput(*(problems or [f"{policies}: no policy — a ScalingPolicy file, or a folder with one"]))


def _ended() -> threading.Event:
    """Set when this process is asked to end."""
    ended = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ended.set())
    return ended


def _log_as_json() -> None:
    """Every line on stderr is one JSON object, those of libraries too; each is written at once, whichever thread it is.

    What APScheduler warns of, a tick that is skipped because the last one still runs, is on /metrics and /healthz.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    as_json = structlog.processors.JSONRenderer()
    structlog.configure(processors=[*shared, as_json], logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(as_json, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def _timing(lease: str) -> Timing:
    from autoscaler.cluster.lease import Timing

    try:
        lease_s, renew_s, retry_s = map(float, lease.split("/"))
    except ValueError:
        raise InvalidInput(f"--lease {lease}: seconds of lease, renewal and retry, such as {_LEASE}") from None
    return Timing(lease_s, renew_s, retry_s)


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise InvalidInput(f"--listen {listen}: an address and a port, such as {_LISTEN}")
    return host.strip("[]"), int(port)


def exit_code(ticks: Iterable[Tick]) -> int:
    """The worst of what came of the ticks; what was withheld on purpose has not failed."""
    ticks = list(ticks)
    if any(cause is Cause.UNREACHABLE for tick in ticks for cause in _causes(tick)):
        return exits.UNREACHABLE
    failed = any(not (outcome.done or outcome.withheld) for tick in ticks for outcome in tick.outcomes)
    if failed or any(tick.decision is None for tick in ticks):
        return exits.FINDING
    return exits.OK


def _causes(tick: Tick) -> list[Cause]:
    if isinstance(tick.seen, Missing):
        return [tick.seen.cause]
    return [problem.missing.cause for problem in tick.seen.signals.problems]

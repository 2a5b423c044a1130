"""`autoscaler release`: give a target back, as if no controller had ever been there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from autoscaler.cli import exits
from autoscaler.cli.pause import Kubeconfig, Namespace, named
from autoscaler.model import InvalidInput

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Targets = Annotated[
    list[str] | None,
    typer.Argument(help="Deployments, as `namespace/name` or a name beside the controller.", show_default=False),
]


def release(
    targets: Targets = None,
    all_targets: Annotated[bool, typer.Option("--all", help="Every target of the controller.")] = False,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
) -> None:
    """Pause targets, let their standby pods serve and cancel their drains: run it before uninstalling.

    The size stays as it is. `autoscaler resume` takes a target up again.

    Example: `autoscaler release --all --namespace voice-inference`
    """
    from autoscaler.cluster.api import RefusedError, connect, own_namespace
    from autoscaler.cluster.reports import is_there, pause, reported

    if all_targets == bool(targets):
        raise InvalidInput("release: name targets, or give --all")
    api = connect(kubeconfig)
    where = namespace or own_namespace(kubeconfig)
    try:
        names = [named(each, where) for each in targets or ()] or [each.target for each in reported(api, where)]
        if targets and (absent := [name for name in names if not is_there(api, name)]):
            raise InvalidInput(f"{', '.join(absent)}: no such Deployment — nothing is released")
        failed = False
        for name in names:
            pause(api, where, name, paused=True)
            failed |= not _released(api, name)
    except RefusedError as error:
        raise InvalidInput(f"namespace {where}: {error}") from error
    if failed:
        raise typer.Exit(exits.FINDING)


def _released(api: ApiClient, target: str) -> bool:
    """Let every pod of a target serve; whether all do."""
    from autoscaler.cluster.actuator import ClusterActuator
    from autoscaler.cluster.fleet import ClusterFleet
    from autoscaler.model import Missing, Phase, Relabel

    space, _, name = target.partition("/")
    fleet = ClusterFleet(api, space, name).read()
    if isinstance(fleet, Missing):
        typer.echo(f"{target}: paused; {fleet}", err=True)
        return False
    aside = [pod for pod in fleet.pods if pod.gated or pod.phase in (Phase.STANDBY, Phase.DRAINING)]
    outcomes = ClusterActuator(api, space, name).apply(
        tuple(Relabel(pod.name, pod.uid, pod.version, "serving") for pod in aside)
    )
    for outcome in outcomes:
        if not outcome.done:
            typer.echo(f"{target}: {outcome.detail}", err=True)
    done = sum(outcome.done for outcome in outcomes)
    typer.echo(f"{target} released: paused at {fleet.replicas} pods, {done} of {len(aside)} set aside serve again")
    return done == len(aside)

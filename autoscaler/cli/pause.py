"""`autoscaler pause` and `autoscaler resume`: leave a target as it is, and take it up again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoscaler.model import InvalidInput

Target = Annotated[str, typer.Argument(help="The Deployment, as `namespace/name` or a name beside the controller.")]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(help="How to reach the cluster; without it, the cluster we run in.", envvar="KUBECONFIG"),
]
Namespace = Annotated[str | None, typer.Option(help="Where the controller runs.", show_default="the kubeconfig's")]


def pause(target: Target, kubeconfig: Kubeconfig = None, namespace: Namespace = None) -> None:
    """Leave a target at its size until it is resumed; it is still watched and decided for.

    Example: `autoscaler pause voice-inference/emotivoice`
    """
    _set(target, kubeconfig, namespace, paused=True)


def resume(target: Target, kubeconfig: Kubeconfig = None, namespace: Namespace = None) -> None:
    """Size a paused target again.

    Example: `autoscaler resume voice-inference/emotivoice`
    """
    _set(target, kubeconfig, namespace, paused=False)


def named(target: str, namespace: str) -> str:
    """A target's full name; one without a namespace is beside the controller.

    Raises:
        InvalidInput: it names nothing.
    """
    space, slash, name = target.rpartition("/")
    if not name or (slash and not space) or "/" in space:
        raise InvalidInput(f"target {target!r}: give `namespace/name`, or a name in namespace {namespace}")
    return f"{space or namespace}/{name}"


def _set(target: str, kubeconfig: Path | None, namespace: str | None, *, paused: bool) -> None:
    from autoscaler.cluster import reports
    from autoscaler.cluster.api import RefusedError, connect, own_namespace

    api = connect(kubeconfig)
    where = namespace or own_namespace(kubeconfig)
    name = named(target, where)
    try:
        known = reports.known(api, where, name)
        if not known and not reports.is_there(api, name):
            raise InvalidInput(
                f"{name}: no such Deployment, and no controller in namespace {where} has told of it — nothing is "
                f"{'paused' if paused else 'resumed'}; `autoscaler status` shows the targets"
            )
        reports.pause(api, where, name, paused=paused)
    except RefusedError as error:
        raise InvalidInput(f"{name}: {error}") from error
    if not known:
        typer.echo(f"{name}: no controller in namespace {where} has told of it so far", err=True)
    typer.echo(f"{name} {'paused' if paused else 'resumed'}")

"""`autoscaler status`: what the controller made of its targets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoscaler.cli.pause import Kubeconfig, Namespace
from autoscaler.model import InvalidInput

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from rich.table import Table

    from autoscaler.cluster.reports import Reported

REFRESH_S = 2.0
WAIT_S = 5.0
COLUMNS = ("target", "policy", "now", "wanted", "standby", "data", "as of", "why")
NARROW = 110
"""A terminal of fewer characters a line has room for `FEW` columns beside the reasons."""
FEW = ("target", "now", "wanted", "why")


def status(
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every two seconds, until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything that is known, as JSON.")] = False,
) -> None:
    """Show each target: its size, what is wanted, and why.

    It reads the targets' ConfigMaps and the Lease, so it works wherever kubectl does. A status is written when
    something changes, and every five minutes.

    Example: `autoscaler status --namespace voice-inference -w`
    """
    from autoscaler.cluster.api import connect, own_namespace

    if watch and json:
        raise InvalidInput("--watch --json: one of them")
    api = connect(kubeconfig)
    where = namespace or own_namespace(kubeconfig)
    if json:
        typer.echo(_as_json(*_read(api, where)))
    elif watch:
        _watch(api, where)
    else:
        from autoscaler.cli.output import console

        screen = console()
        screen.print(_table(*_read(api, where), where, screen.width))


def _read(api: ApiClient, namespace: str) -> tuple[list[Reported], str]:
    """The statuses, and who leads."""
    from autoscaler.cluster.api import RefusedError
    from autoscaler.cluster.lease import LEASE, ClusterLease
    from autoscaler.cluster.reports import reported

    try:
        lease = ClusterLease(api, namespace, LEASE, WAIT_S).read()
        return reported(api, namespace, WAIT_S), lease.holder if lease else ""
    except RefusedError as error:
        raise InvalidInput(f"namespace {namespace}: {error}") from error


def _as_json(found: Sequence[Reported], leader: str) -> str:
    import orjson

    targets = [{**each.status, "target": each.target, "paused": each.paused} for each in found]
    return orjson.dumps({"leader": leader, "targets": targets}, option=orjson.OPT_INDENT_2).decode()


def _watch(api: ApiClient, namespace: str) -> None:
    """A table that is drawn anew; an API server that does not answer for a while is said above it."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from autoscaler.model import Unreachable

    table: Table | str = "…"
    screen = Console()
    with Live(console=screen, screen=False, auto_refresh=False) as live:
        while True:
            said = Text()
            try:
                table = _table(*_read(api, namespace), namespace, screen.width)
            except Unreachable as error:
                said = Text(f"as last heard: {error}", style="red")
            live.update(Group(said, table) if said else table, refresh=True)
            time.sleep(REFRESH_S)


def _table(found: Sequence[Reported], leader: str, namespace: str, width: int) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"leader: {leader or 'nobody'}", title_justify="left", expand=False)
    columns = COLUMNS if width >= NARROW else FEW
    for name in columns:
        right = name in ("now", "wanted", "standby", "data")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for each in found:
        cells = dict(zip(COLUMNS, map(escape, _row(each)), strict=True))
        if columns is FEW:
            cells["target"] += f"\n{cells['policy']}"
        table.add_row(*(cells[name] for name in columns))
    if not found:
        told = f"no targets yet: no controller in namespace {namespace} has told of one"
        table.add_row(*[""] * (len(columns) - 1), escape(told))
    return table


def _row(each: Reported) -> list[str]:
    said = each.status
    age_s = said.get("dataAgeSeconds")
    return [
        each.target,
        f"{said.get('policy', '?')} ({said.get('mode', '?')}{', paused' if each.paused else ''})",
        str(said.get("replicas", "?")),
        str(said.get("serving", "?")),
        str(said.get("standby", "")),
        "" if age_s is None else f"{age_s:g} s",
        _clock(said.get("at")),
        _why(said),
    ]


def _why(said: dict[str, Any] | Any) -> str:  # noqa: ANN401 — JSON that somebody may have edited
    """What ruled, and what is wrong."""
    wrong = [
        f"{each.get('type')} {each.get('reason')}: {each.get('message')}"
        for each in said.get("conditions", ())
        if (each.get("status") == "False") == (each.get("type") != "ScalingLimited") and each.get("message")
    ]
    ruling = f"{said['ruledBy']}: {said.get('reason', '')}" if "ruledBy" in said else ""
    return "\n".join(filter(None, [ruling, *wrong]))


def _clock(text: object) -> str:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC).strftime("%H:%M:%S")
    except ValueError:
        return ""

"""`autoscaler explain`: why a size was chosen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from autoscaler.cli.pause import Namespace
from autoscaler.model import InvalidInput, Observation, Tick

Kubeconfig = Annotated[Path | None, typer.Option(help="How to reach the cluster of a live target.")]


def explain(
    log: Annotated[
        Path, typer.Argument(help="A decision log (JSONL); with --kubeconfig, a live target.", show_default=False)
    ],
    at: Annotated[
        str | None,
        typer.Option(
            help="Explain the tick in force at this time: ISO 8601, epoch seconds, or +1h30m from the start of the log."
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Only this target, where the log holds several.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print ticks as JSON lines instead of words.")] = False,
    *,
    kubeconfig: Kubeconfig = None,
    namespace: Namespace = None,
) -> None:
    """Show what was seen, what each stage said and what ruled.

    Without `--at`: every change of size or of what ruled, a line each, then the last change in full.

    Of a live target the last change is shown, as its ConfigMap has it, and how long its starts take.

    Example: `autoscaler explain decisions.jsonl --at +2h`

    Example: `autoscaler explain voice-inference/emotivoice --kubeconfig ~/.kube/config`
    """
    if kubeconfig is not None:
        if at is not None or target is not None:
            raise InvalidInput("--at and --target are for decision logs: a live target shows its last change")
        typer.echo(_live(str(log), kubeconfig, namespace, as_json=json))
        return
    from autoscaler.journal import explain as words
    from autoscaler.journal.log import encode, read

    ticks: Iterator[Tick] = (tick for tick in read(log) if target in (None, tick.target))
    first = next((tick for tick in ticks if isinstance(tick.seen, Observation)), None)
    if first is None or not isinstance(first.seen, Observation):
        raise InvalidInput(f"{log}: no decision{f' for target {target}' if target else ''} in this log")
    ticks = chain([first], ticks)

    if at is not None:
        found = words.at(ticks, _when(at, first.seen.at_s))
        if found is None:
            raise InvalidInput(f"--at {at}: before the first decision of {log}")
        _show(*found, as_json=json)
        return

    last = None
    for last in words.changes(ticks):
        tick = last[1]
        typer.echo(encode(tick).decode().rstrip() if json else f"{words.when(tick)}  {words.summary(tick)}")
    if last and not json:
        typer.echo("")
        _show(*last, as_json=False)


def _live(target: str, kubeconfig: Path, namespace: str | None, *, as_json: bool) -> str:
    """The last change of a target, in words or as its status has it."""
    import orjson

    from autoscaler.cluster.api import RefusedError, connect, own_namespace
    from autoscaler.cluster.reports import reported

    where = namespace or own_namespace(kubeconfig)
    name = target if "/" in target else f"{where}/{target}"
    try:
        found = {each.target: each for each in reported(connect(kubeconfig), where)}
    except RefusedError as error:
        raise InvalidInput(f"namespace {where}: {error}") from error
    if name not in found or not found[name].status:
        known = ", ".join(found) or "there is none"
        raise InvalidInput(f"{name}: no decision of it in namespace {where} — known: {known}")
    if as_json:
        return orjson.dumps(dict(found[name].status), option=orjson.OPT_INDENT_2).decode()
    return "\n".join([found[name].explained, *starts_in_words(found[name].status)])


def starts_in_words(status: Mapping[str, Any]) -> list[str]:
    """What a status says of how long starts take, line by line; empty where it says nothing of it."""
    lines = []
    for kind in status.get("starts") or ():
        where = [f"{key}={value}" for key, value in kind.get("nodeSelector", {}).items()]
        where += [kind["nodeType"]] if "nodeType" in kind else []
        lines.append("  " + " ".join([*kind.get("images", ()), *(["on", ", ".join(where)] if where else [])]))
        of_server = kind.get("load") or {}
        for what, told in (("order to Ready", kind), ("of that, the server", of_server)):
            phases = ", ".join(
                f"{phase} {times['p50']:.3g} s (95 %: {times['p95']:.3g} s)"
                for phase, times in told.get("seconds", {}).items()
            )
            lines += [f"    {what}, {told['count']} seen: {phases}"] if phases else []
    missing = status.get("loadPhasesMissing")
    lines += [f"  what servers do until they are ready is not known: {missing}"] if missing else []
    return ["starts", *lines] if lines else []


def _show(before: Tick | None, tick: Tick, *, as_json: bool) -> None:
    from autoscaler.journal.explain import explain as in_words
    from autoscaler.journal.log import encode

    typer.echo(encode(tick).decode().rstrip() if as_json else "\n".join(in_words(tick, before)))


_OFFSET = re.compile(r"\+(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def _when(text: str, start_s: float) -> float:
    """Seconds since the epoch.

    Raises:
        InvalidInput: none of the three forms.
    """
    offset = _OFFSET.fullmatch(text)
    if offset and any(offset.groups()):
        hours, minutes, seconds = (float(part or 0) for part in offset.groups())
        return start_s + 3600 * hours + 60 * minutes + seconds
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        allowed = "2026-11-21T17:00:00Z, seconds since the epoch, or +1h30m"
        raise InvalidInput(f"--at: {text!r} — a time such as {allowed}") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()

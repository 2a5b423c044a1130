"""`autoscaler check`: whether policy files can be used, and what of them a replay leaves out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoscaler.cli import exits
from autoscaler.model import InvalidInput

if TYPE_CHECKING:
    from autoscaler.spec import Finding

_FILES = "Policies, workloads, HPA and ScaledObject manifests, or names of shipped policies."


def check(
    files: Annotated[list[str] | None, typer.Argument(help=_FILES, show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, one entry a file.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema that editors use, and exit.")] = False,
    kind: Annotated[str, typer.Option(help="Kind of the schema: ScalingPolicy or Workload.")] = "ScalingPolicy",
) -> None:
    """Say, with line and column, what is wrong with files and what of them cannot be replayed.

    Exit code 1: usable, but a replay has to leave something out that decides; 2: a file cannot be used.

    Example: `autoscaler check my-policy.yaml my-hpa.yaml`
    """
    if schema:
        _print_schema(kind)
        return
    if not files:
        raise InvalidInput("check: no file — one or more files, or --schema")
    reports = [_report(name) for name in files]
    if as_json:
        typer.echo(json.dumps([report.data for report in reports], indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(line for report in reports for line in report.lines))
    raise typer.Exit(max(report.exit_code for report in reports))


@dataclass(frozen=True, slots=True)
class _Report:
    """What there is to say of one file."""

    exit_code: int
    lines: tuple[str, ...]
    data: dict[str, Any]


def _report(name: str) -> _Report:
    from autoscaler.spec import load_file, shipped_policies

    path = shipped_policies().get(name, Path(name))
    try:
        loaded = load_file(path)
    except InvalidInput as error:
        data = {"file": str(path), "usable": False, "problems": list(error.problems), "findings": []}
        return _Report(exits.USAGE, error.problems, data)
    data = {
        "file": str(path),
        "usable": True,
        "kind": loaded.kind,
        "name": loaded.name,
        "problems": [],
        "findings": [_data(finding) for finding in loaded.findings],
    }
    exit_code = exits.FINDING if any(finding.changes_decisions for finding in loaded.findings) else exits.OK
    return _Report(exit_code, (f"{path}: usable: {loaded.summary}", *map(str, loaded.findings)), data)


def _data(finding: Finding) -> dict[str, Any]:
    problem = finding.problem
    return {
        "line": problem.place.line,
        "column": problem.place.column,
        "field": problem.route,
        "text": problem.text,
        "changes_decisions": finding.changes_decisions,
    }


def _print_schema(kind: str) -> None:
    from autoscaler.spec.schema import KINDS, json_schema

    if kind not in KINDS:
        raise InvalidInput(f"--kind {kind}: unknown — one of {', '.join(KINDS)}")
    typer.echo(json.dumps(json_schema(kind), indent=2, ensure_ascii=False))

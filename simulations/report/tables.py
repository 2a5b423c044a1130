"""Results as tables: for the terminal (rich) and as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from autoscaler.model import Workload
from simulations.report import words
from simulations.report.grid import Entry, Grid
from simulations.result import Figures


def replay_table(figures: Figures, workload: Workload) -> Table:
    """The figures that matter, each with what it is measured against."""
    good = words.met(figures.missed_ratio, workload)
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    verdict = Text("met" if good else "missed", style="bold green" if good else "bold red")
    table.add_row("objective", verdict, words.objective(workload))
    for name, value, note in _lines(figures, workload):
        table.add_row(name, value, note)
    return table


def _lines(figures: Figures, workload: Workload) -> tuple[tuple[str, str, str], ...]:
    reference = "clairvoyant reference, pod-hours" if figures.reference_pod_hours is not None else "no reference asked"
    return (
        ("missed", words.percent(figures.missed_ratio), f"{words.share(words.allowed(workload))} allowed"),
        ("  late", words.whole(figures.late), f"of {words.whole(figures.requests)} requests"),
        ("  left", words.whole(figures.left), "gave up waiting or were rejected"),
        ("latency P50", words.seconds(figures.latency_p50_s), "of answered requests"),
        ("latency P99", words.seconds(figures.latency_p99_s), f"objective {words.seconds(workload.objective_s)}"),
        ("pod-hours", words.hours(figures.pod_hours), "starting, standby, serving and draining"),
        ("  starting", words.hours(figures.starting_pod_hours), ""),
        ("  standby", words.hours(figures.standby_pod_hours), ""),
        ("reference", words.hours(figures.reference_pod_hours), reference),
        ("lower bound", words.hours(figures.lower_bound_pod_hours), "no plan that meets the objective can cost less"),
        ("cost ratio", words.times(figures.cost_ratio), "pod-hours over the reference"),
        ("scale-ups", words.whole(figures.scale_ups), f"in {words.whole(figures.decisions)} decisions"),
        ("scale-downs", words.whole(figures.scale_downs), ""),
        ("pod starts", words.whole(figures.pod_starts), ""),
    )


def comparison_table(grid: Grid) -> Table:
    """A grid for the terminal: green keeps the objective, red does not, dim is not counted."""
    title = f"{grid.setup.workload}, {grid.setup.routing}: {grid.cost_unit}, and requests missed"
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("trace", overflow="fold")
    for policy in grid.policies:
        table.add_column(Text(policy), justify="right", overflow="fold")
    for row in grid.rows:
        table.add_row(Text(row.name), *(_shown(entry) for entry in row.entries), style="" if row.counted else "dim")
    table.add_section()
    for name, values in grid.totals:
        table.add_row(Text(name), *values)
    return table


def _shown(entry: Entry | None) -> Text:
    if entry is None:
        return Text(words.NOTHING)
    return Text.assemble(entry.cost, " ", (entry.missed.replace(" ", ""), "green" if entry.kept else "red"))


def markdown(grids_: Sequence[Grid], note: str) -> str:
    """All grids as Markdown; bold misses are beyond the objective, traces in italics are not counted.

    Args:
        grids_: one for each workload and routing.
        note: what was run, and the command that runs it again.
    """
    return "\n\n".join([note, *(_markdown(grid) for grid in grids_)]) + "\n"


def _markdown(grid: Grid) -> str:
    head = ["trace", *map(_cell_text, grid.policies)]
    lines = [
        f"### {_cell_text(grid.setup.workload)}, {_cell_text(grid.setup.routing)}",
        "",
        f"Each place: {grid.cost_unit} / requests missed. **Bold**: beyond the objective. *Italics*: not counted.",
        "",
        _line(head),
        _line(["---", *("---:" for _ in grid.policies)]),
    ]
    for row in grid.rows:
        name = _cell_text(row.name)
        lines.append(_line([name if row.counted else f"*{name}*", *(_marked(entry) for entry in row.entries)]))
    lines += [_line([f"**{name}**", *values]) for name, values in grid.totals]
    return "\n".join(lines)


def _marked(entry: Entry | None) -> str:
    if entry is None:
        return words.NOTHING
    return f"{entry.cost} / {entry.missed if entry.kept else f'**{entry.missed}**'}"


def _line(entries: Sequence[str]) -> str:
    return "| " + " | ".join(entries) + " |"


def _cell_text(text: str) -> str:
    """A user's name inside a table: no column, no markup, no tag."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text

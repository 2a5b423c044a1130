"""Cost against misses: where every policy stands on every trace, as a Bokeh plot."""

from __future__ import annotations

from collections.abc import Sequence

from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.models.annotations import Span
from bokeh.models.renderers import DataRenderer
from bokeh.plotting import figure

from simulations.report.canvas import POLICY_COLOURS, Drawing, Key, canvas, number_axis, policy_role, tooltip
from simulations.report.summary import Cell

MARKERS = {
    "circle": "●",
    "square": "■",
    "triangle": "▲",
    "diamond": "◆",
    "inverted_triangle": "▼",
    "hex": "⬢",
    "star": "★",
    "plus": "✚",
}
"""One for each policy, so that colour is not the only sign."""
LEAST_SHOWN_PERCENT = 0.01
"""The axis is logarithmic: fewer misses are drawn here."""
MARGIN = 1.3
"""Beyond the lowest and the highest point; what the objective allows is always within."""
COSTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 1.75, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 40)
POD_HOURS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
PERCENTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def frontier(policies: Sequence[str], cells: Sequence[Cell], allowed: float) -> Drawing:
    """One point for each policy and trace, a large one for a policy's mean over counted traces.

    Args:
        policies: in the order of their colours.
        cells: those of one workload and routing.
        allowed: share of requests that may miss.
    """
    shown = [_shown(100 * cell.missed_ratio) for cell in cells] + [_shown(100 * allowed)]
    plot = canvas(420, "log", "log", y_range=Range1d(start=min(shown) / MARGIN, end=max(shown) * MARGIN))
    keys = []
    points: list[DataRenderer] = []
    for number, policy in enumerate(policies):
        own = [cell for cell in cells if cell.policy == policy]
        drawn = [_mean(plot, number, policy, own), _singles(plot, number, own)]
        sign = MARKERS[_marker(number)]
        keys.append(Key(policy, policy_role(number), sign, tuple(renderer.id for renderer in drawn)))
        points += drawn
    plot.add_layout(Span(location=_shown(100 * allowed), dimension="width", line_dash="dashed", tags=["ink"]))
    plot.yaxis.axis_label = "requests missed, %"
    number_axis(plot.yaxis, PERCENTS)
    if all(cell.cost_ratio is not None for cell in cells):
        plot.xaxis.axis_label = "cost over the clairvoyant reference"
        number_axis(plot.xaxis, COSTS)
    else:
        plot.xaxis.axis_label = "pod-hours"
        number_axis(plot.xaxis, POD_HOURS)
    tips = tooltip(
        [("policy", "@policy"), ("trace", "@trace"), ("cost", "@cost{0.000}"), ("missed", "@missed{0.000} %")]
    )
    plot.add_tools(HoverTool(renderers=points, tooltips=tips, show_arrow=False))
    return Drawing(plot, tuple(keys))


def _singles(plot: figure, number: int, cells: Sequence[Cell]) -> DataRenderer:
    points = [
        (
            cell.policy,
            cell.trace if cell.counted else f"{cell.trace} (not counted)",
            _cost(cell),
            100 * cell.missed_ratio,
        )
        for cell in cells
    ]
    drawn = plot.scatter(
        "cost", "shown", marker=_marker(number), source=_source(points), size=7, fill_alpha=0.35, line_alpha=0.6
    )
    drawn.glyph.tags = [policy_role(number)]
    return drawn


def _mean(plot: figure, number: int, policy: str, cells: Sequence[Cell]) -> DataRenderer:
    """The mean over counted traces; no point where none is counted."""
    counted = [cell for cell in cells if cell.counted]
    points = []
    if counted:
        cost = sum(map(_cost, counted)) / len(counted)
        missed = 100 * sum(cell.missed_ratio for cell in counted) / len(counted)
        points.append((policy, f"mean over {len(counted)} traces", cost, missed))
    drawn = plot.scatter(
        "cost", "shown", marker=_marker(number), source=_source(points), size=17, line_width=2, fill_alpha=0.9
    )
    drawn.glyph.tags = [policy_role(number)]
    return drawn


def _shown(missed_percent: float) -> float:
    return max(missed_percent, LEAST_SHOWN_PERCENT)


def _cost(cell: Cell) -> float:
    return cell.pod_hours if cell.cost_ratio is None else cell.cost_ratio


def _marker(number: int) -> str:
    """Shifted where colours begin again, so that no two policies look the same."""
    return list(MARKERS)[(number + number // POLICY_COLOURS) % len(MARKERS)]


def _source(points: Sequence[tuple[str, str, float, float]]) -> ColumnDataSource:
    return ColumnDataSource(
        {
            "policy": [policy for policy, _, _, _ in points],
            "trace": [trace for _, trace, _, _ in points],
            "cost": [cost for _, _, cost, _ in points],
            "missed": [missed for _, _, _, missed in points],
            "shown": [_shown(missed) for _, _, _, missed in points],
        }
    )

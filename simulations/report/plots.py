"""The plots of the page, as Bokeh models without data: the page fills them for the replay that is looked at.

Colours are roles (`tags`), which the page's style sheet turns into colours for its theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bokeh.document import Document
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CrosshairTool,
    DataRange1d,
    DatetimeTickFormatter,
    HoverTool,
    Range1d,
    RangeTool,
    WheelZoomTool,
)
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from simulations.report.canvas import Drawing, Key, canvas, number_axis, policy_role, tooltip
from simulations.report.frontier import frontier
from simulations.report.grid import Grid
from simulations.report.panels import Layer, Panel
from simulations.report.summary import Cell

LATENCIES_S = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)


@dataclass(frozen=True, slots=True)
class Plots:
    """A Bokeh document, and its roots by name (also the id of each one's place in the page)."""

    document: Mapping[str, object]
    roots: Mapping[str, str]
    legends: Mapping[str, Sequence[Key]]
    """Of each root."""


def plots(
    panels: Sequence[Panel],
    policies: Sequence[str],
    grids: Sequence[Grid],
    cells: Sequence[Cell],
    allowed: Mapping[str, float],
) -> Plots:
    """The plots over time; for several policies also their fleets on one traffic, and the frontiers."""
    window = Range1d(name="window", start=0, end=1)
    crosshair = Span(dimension="height", line_width=1, line_dash="dotted", tags=["muted"])
    drawn = {"overview": Drawing(_overview(window))}
    for panel in panels:
        drawn[panel.name] = _panel(panel, window, crosshair)
    if len(policies) > 1:
        drawn["fleets"] = _fleets(policies, window, crosshair)
        for number, grid in enumerate(grids):
            of_setup = [cell for cell in cells if cell.setup == grid.setup]
            drawn[f"frontier-{number}"] = frontier(policies, of_setup, allowed[grid.setup.workload])
    document = Document()
    for drawing in drawn.values():
        document.add_root(drawing.plot)
    return Plots(
        document=document.to_json(deferred=False),
        roots={name: drawing.plot.id for name, drawing in drawn.items()},
        legends={name: drawing.keys for name, drawing in drawn.items()},
    )


def _over_time(name: str, height: int, x_range: Range1d, *, logarithmic: bool = False) -> figure:
    if logarithmic:
        plot = canvas(height, "datetime", "log", name=name, x_range=x_range)
        number_axis(plot.yaxis, LATENCIES_S)
    else:
        from_zero = DataRange1d(start=0, range_padding=0.08)
        plot = canvas(height, "datetime", "linear", name=name, x_range=x_range, y_range=from_zero)
    plot.xaxis.formatter = DatetimeTickFormatter()
    plot.xgrid.visible = False
    return plot


def _panel(panel: Panel, window: Range1d, crosshair: Span) -> Drawing:
    plot = _over_time(panel.name, panel.height, window, logarithmic=panel.logarithmic)
    source = _source(panel.name, ["t", *(layer.column for layer in panel.layers)])
    areas = [layer for layer in panel.layers if layer.kind == "area"]
    lines = [layer for layer in panel.layers if layer.kind != "area"]
    keys = (*_areas(plot, areas, source), *(_line(plot, layer, source) for layer in lines))
    _add_time_tools(plot, crosshair)
    plot.add_tools(_hover(plot, panel, source))
    return Drawing(plot, keys if len(keys) > 1 else ())


def _areas(plot: figure, layers: Sequence[Layer], source: ColumnDataSource) -> list[Key]:
    """Stacked areas; a spike narrower than a pixel is seen by its edge."""
    if not layers:
        return []
    columns = [layer.column for layer in layers]
    areas = plot.varea_stack(columns, x="t", source=source, fill_alpha=0.5)
    edges = plot.vline_stack(columns, x="t", source=source, line_width=1)
    # Where the layers above are empty their edges coincide; the lowest is the one to see.
    plot.renderers = [*areas, *reversed(edges)]
    for layer, area, edge in zip(layers, areas, edges, strict=True):
        area.glyph.tags = edge.glyph.tags = [layer.role]
    drawn = zip(layers, areas, edges, strict=True)
    return [Key(layer.label, layer.role, "■", (area.id, edge.id)) for layer, area, edge in drawn]


def _line(plot: figure, layer: Layer, source: ColumnDataSource) -> Key:
    dash = "dashed" if layer.kind == "dashed" else "solid"
    line = plot.line("t", layer.column, source=source, line_width=1.5, line_dash=dash)
    line.glyph.tags = [layer.role]
    return Key(layer.label, layer.role, "╌" if layer.kind == "dashed" else "━", (line.id,))


def _hover(plot: figure, panel: Panel, source: ColumnDataSource) -> HoverTool:
    """All values at one time; it holds on to an unseen line, since areas cannot be hit by their time."""
    guide = plot.line("t", panel.layers[0].column, source=source, line_alpha=0)
    values = [(layer.label, f"@{layer.column}{{{panel.tooltip}}}") for layer in panel.layers]
    return HoverTool(
        renderers=[guide],
        tooltips=tooltip([("at", "@t{%H:%M:%S}"), *values]),
        formatters={"@t": "datetime"},
        mode="vline",
        show_arrow=False,
    )


def _fleets(policies: Sequence[str], window: Range1d, crosshair: Span) -> Drawing:
    plot = _over_time("fleets", 200, window)
    keys = tuple(
        _line(plot, Layer("held", policy, policy_role(number)), _source(f"fleet-{number}", ["t", "held"]))
        for number, policy in enumerate(policies)
    )
    _add_time_tools(plot, crosshair)
    return Drawing(plot, keys)


def _overview(window: Range1d) -> figure:
    """The whole replay, small; a frame on it shows and moves what the plots show."""
    plot = _over_time("overview", 64, Range1d(name="whole", start=0, end=1))
    area = plot.varea("t", 0, "requests_rps", source=_source("overview", ["t", "requests_rps"]), fill_alpha=0.5)
    area.glyph.tags = ["traffic"]
    frame = RangeTool(x_range=window, start_gesture="pan")
    frame.overlay.tags = ["frame"]
    plot.add_tools(frame)
    plot.yaxis.visible = False
    plot.ygrid.visible = False
    return plot


def _source(name: str, columns: Sequence[str]) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns}, name=f"data-{name}")


def _add_time_tools(plot: figure, crosshair: Span) -> None:
    """One crosshair through all plots; drag to zoom into a time, Ctrl and wheel to zoom at the pointer."""
    zoom = BoxZoomTool(dimensions="width")
    plot.add_tools(CrosshairTool(overlay=crosshair), zoom, WheelZoomTool(dimensions="width", modifiers="ctrl"))
    plot.toolbar.active_drag = zoom

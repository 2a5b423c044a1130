"""What all plots of the page have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bokeh.models import Axis, DataRange1d, FixedTicker, NoOverlap, NumeralTickFormatter, Range
from bokeh.plotting import figure

LEFT_BORDER_PX = 58
"""The same for all plots over time, so that their times stand above each other."""


POLICY_COLOURS = 8
"""Colours that the style sheet has for policies; further policies begin again."""


def policy_role(number: int) -> str:
    """The colour of the policy with this number."""
    return f"policy-{number % POLICY_COLOURS}"


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend, which the page sets as a button that hides what it names."""

    label: str
    role: str
    """Of the colour."""
    sign: str
    models: tuple[str, ...]
    """Identifiers of what is hidden."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A plot and its legend."""

    plot: figure
    keys: tuple[Key, ...] = ()


Scale = Literal["linear", "log", "datetime"]


def canvas(
    height: int,
    x_scale: Scale,
    y_scale: Scale,
    *,
    name: str | None = None,
    x_range: Range | None = None,
    y_range: Range | None = None,
) -> figure:
    """An empty plot as wide as the page; title, legend, colours and controls are the page's."""
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools=[],
        min_border_left=LEFT_BORDER_PX,
        min_border_right=12,
        name=name,
        x_range=x_range or DataRange1d(),
        y_range=y_range or DataRange1d(),
        x_axis_type=x_scale,
        y_axis_type=y_scale,
    )
    plot.update(background_fill_color=None, border_fill_color=None, outline_line_color=None)
    return plot


def tooltip(rows: Sequence[tuple[str, str]]) -> str:
    """What stands beside the pointer, in the page's colours: labels, and values in Bokeh's notation (`@column`).

    Bokeh gives a tooltip a white ground; the negative margin covers it.
    """
    lines = "".join(f'<div style="color:var(--muted)">{label}</div><div>{value}</div>' for label, value in rows)
    return (
        '<div style="margin:-6px;padding:7px 11px;border:1px solid var(--rule);'
        "background:var(--raised);color:var(--ink);font:13px/1.45 var(--sans);"
        f'display:grid;grid-template-columns:auto auto;gap:0 10px">{lines}</div>'
    )


def number_axis(axis: Axis, ticks: Sequence[float]) -> None:
    """Plain numbers on a logarithmic axis; those that have no room are left out."""
    axis.ticker = FixedTicker(ticks=ticks)
    axis.formatter = NumeralTickFormatter(format="0,0.[000]")
    axis.major_label_policy = NoOverlap()

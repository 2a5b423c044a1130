"""What is drawn over time: one panel a question."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Layer:
    """One series of a plot: the colour role it has, and how it is drawn."""

    column: str
    label: str
    role: str
    kind: str = "line"
    """`line`, `dashed`, or `area`: areas of one plot are stacked in their order."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot over time."""

    name: str
    title: str
    unit: str
    layers: tuple[Layer, ...]
    key: str
    """The series whose extremes survive thinning in the browser."""
    height: int = 170
    logarithmic: bool = False
    tooltip: str = "0.[00]"


PANELS = (
    Panel(
        "traffic",
        "Traffic",
        "requests per second",
        (Layer("requests_rps", "arriving", "traffic", "area"),),
        key="requests_rps",
    ),
    Panel(
        "pods",
        "Pods that hold a GPU, and the work offered",
        "pods; offered work in busy pods",
        (
            Layer("serving", "serving", "serving", "area"),
            Layer("standby", "standby", "standby", "area"),
            Layer("starting", "starting", "starting", "area"),
            Layer("draining", "draining", "draining", "area"),
            Layer("offered", "offered work", "ink"),
            Layer("reference", "clairvoyant reference", "reference", "dashed"),
        ),
        key="held",
        height=240,
    ),
    Panel(
        "latency",
        "Latency against the objective",
        "seconds from arrival to answer, logarithmic",
        (
            Layer("latency_p50_s", "P50", "p50"),
            Layer("latency_p99_s", "P99", "p99"),
            Layer("objective_s", "objective", "ink", "dashed"),
        ),
        key="latency_p99_s",
        height=200,
        logarithmic=True,
        tooltip="0.000",
    ),
    Panel(
        "missed",
        "Where requests missed, and why",
        "requests per second by arrival; late: answered after the objective, left: gave up or rejected",
        (
            Layer("late_rps", "late", "late", "area"),
            Layer("left_rps", "left", "left", "area"),
        ),
        key="missed_rps",
    ),
    Panel("queue", "Queue", "requests waiting", (Layer("queued", "waiting", "queue", "area"),), key="queued"),
    Panel(
        "cost",
        "Cost so far",
        "pod-hours",
        (Layer("cost_pod_h", "held", "serving"), Layer("work_pod_h", "work offered", "ink", "dashed")),
        key="cost_pod_h",
    ),
)


def panels(*, with_reference: bool) -> tuple[Panel, ...]:
    """All panels; without the reference's line where there is none."""
    if with_reference:
        return PANELS
    return tuple(replace(p, layers=tuple(layer for layer in p.layers if layer.column != "reference")) for p in PANELS)

"""One page that holds a whole report and needs nothing else: no network, no server, no file beside it.

The plotting library's script comes out of the installed package. A content security policy forbids every
request, and every script but those written here, so a name in a policy file can do no harm.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import orjson
from bokeh.resources import Resources
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from autoscaler import __version__
from autoscaler.model import Workload
from simulations.report import words
from simulations.report.closeup import Closeup, budget, closeup
from simulations.report.grid import grids
from simulations.report.panels import panels
from simulations.report.plots import plots
from simulations.report.summary import Standing, cells, standings
from simulations.result import Figures, Result

SCRIPT = ("base", "theme", "replay", "timeplots", "decisions", "chooser", "start")
"""The page's own script, in the order in which its parts need each other."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure with its name and what it is measured against."""

    name: str
    value: str
    note: str
    tone: str = ""


def replay_page(result: Result, reference: Result | None, workload: Workload) -> str:
    """The page of one replay, and of the clairvoyant plan's replay where it is measured against it."""
    shown = closeup(result, reference, workload, budget(1))
    return _page(
        figures=(shown.figures,),
        closeups=(shown,),
        workloads={workload.name: workload},
        counted={shown.figures.trace: True},
        compared=False,
    )


def comparison_page(
    figures: Sequence[Figures],
    closeups: Sequence[Closeup],
    workloads: Mapping[str, Workload],
    counted: Mapping[str, bool],
) -> str:
    """The page of a comparison.

    Args:
        figures: every replay.
        closeups: those that are shown over time; at least one.
        workloads: by the name that figures give.
        counted: for each trace, whether means include it.
    """
    return _page(figures=figures, closeups=closeups, workloads=workloads, counted=counted, compared=True)


def _page(
    *,
    figures: Sequence[Figures],
    closeups: Sequence[Closeup],
    workloads: Mapping[str, Workload],
    counted: Mapping[str, bool],
    compared: bool,
) -> str:
    allowed = {name: words.allowed(workload) for name, workload in workloads.items()}
    table = cells(figures, counted, allowed)
    ranking = standings(table)
    shown = grids(table, ranking, workloads) if compared else ()
    policies = tuple(dict.fromkeys(each.policy for each in figures))
    drawn = panels(with_reference=any(each.figures.reference_pod_hours is not None for each in closeups))
    drawing = plots(drawn, policies, shown, table, allowed)
    cases = [_case(each, workloads[each.figures.workload]) for each in closeups]
    headlines = _headlines(ranking, workloads) if compared else (cases[0].headline,)
    library, script = _library(), _script()
    return _template().render(
        security=_security(library, script),
        version=__version__,
        title=headlines[0],
        css=Markup(_asset("page.css")),  # noqa: S704 -- part of this package
        kind="Comparison" if compared else "Replay",
        headlines=headlines,
        standfirst=_standfirst(figures, workloads),
        grids=shown,
        seeds=_listed("seed", [each.seed for each in figures]),
        roots=drawing.roots,
        panels=drawn,
        cases=cases,
        packed=[each.packed for each in closeups],
        data=_embedded(
            {
                "plots": {"document": drawing.document, "roots": drawing.roots, "legends": drawing.legends},
                "panels": [{"name": p.name, "key": p.key, "columns": [x.column for x in p.layers]} for p in drawn],
                "policies": policies,
                "cases": cases,
            }
        ),
        library=Markup(library),  # noqa: S704 -- part of an installed package
        script=Markup(script),  # noqa: S704 -- part of this package
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """What the page's script knows of a replay before it unpacks it."""

    policy: str
    trace: str
    workload: str
    routing: str
    seed: int
    clock: bool
    objective_s: float
    headline: str
    facts: tuple[Fact, ...]


def _case(each: Closeup, workload: Workload) -> _Case:
    figures = each.figures
    return _Case(
        figures.policy,
        figures.trace,
        figures.workload,
        figures.routing,
        figures.seed,
        each.clock,
        workload.objective_s,
        words.replay_headline(figures, workload),
        _facts(figures, workload),
    )


def _facts(figures: Figures, workload: Workload) -> tuple[Fact, ...]:
    met = words.met(figures.missed_ratio, workload)
    cost = f"over {words.hours(figures.reference_pod_hours)} pod-hours of the reference"
    return (
        Fact(
            "Missed",
            words.percent(figures.missed_ratio),
            f"{words.share(words.allowed(workload))} allowed; {words.whole(figures.late)} late, "
            f"{words.whole(figures.left)} left",
            "good" if met else "bad",
        ),
        Fact("Latency P99", words.seconds(figures.latency_p99_s), f"objective {workload.objective_s:g} s"),
        Fact("Latency P50", words.seconds(figures.latency_p50_s), "of answered requests"),
        Fact(
            "Pod-hours",
            words.hours(figures.pod_hours),
            f"{words.hours(figures.starting_pod_hours)} starting, {words.hours(figures.standby_pod_hours)} standby",
        ),
        Fact(
            "Cost ratio",
            words.times(figures.cost_ratio),
            cost if figures.cost_ratio is not None else "no reference asked",
        ),
        Fact(
            "Pod starts",
            words.whole(figures.pod_starts),
            f"{words.whole(figures.scale_ups)} scale-ups, {words.whole(figures.scale_downs)} scale-downs",
        ),
    )


def _headlines(ranking: Sequence[Standing], workloads: Mapping[str, Workload]) -> tuple[str, ...]:
    """One sentence for each workload and routing; where there are several, it says which."""
    setups = tuple(dict.fromkeys(standing.setup for standing in ranking))
    if not setups:
        return ("None of these traces counts: there are no means.",)
    sentences = (
        words.comparison_headline(tuple(s for s in ranking if s.setup == setup), workloads[setup.workload])
        for setup in setups
    )
    if len(setups) == 1:
        return tuple(sentences)
    return tuple(f"{s.workload}, {s.routing}: {sentence}" for s, sentence in zip(setups, sentences, strict=True))


def _standfirst(figures: Sequence[Figures], workloads: Mapping[str, Workload]) -> str:
    """What was replayed, on what."""
    traces = list(dict.fromkeys(each.trace for each in figures))
    traffic = f"{len(traces)} traces" if len(traces) > 3 else ", ".join(traces)
    requests = words.whole(sum({(each.trace, each.seed): each.requests for each in figures}.values()))
    services = "; ".join(
        f"{name}, {words.objective(workload)}, {words.seconds(workload.service_mean_s)} mean service, "
        f"{workload.cold_start.typical_s:g} s cold start"
        for name, workload in workloads.items()
    )
    routings = ", ".join(dict.fromkeys(each.routing for each in figures))
    seeds = _listed("seed", [each.seed for each in figures])
    return f"Traffic: {traffic} ({seeds}, {requests} requests). Workload: {services}. Routing: {routings}."


def _listed(name: str, values: Sequence[int]) -> str:
    """`seed 1`, `seeds 1, 2, 3`."""
    known = sorted(set(values))
    return f"{name}{'s' if len(known) > 1 else ''} {', '.join(map(str, known))}"


def _embedded(data: object) -> Markup:
    """JSON inside a script element: no sign in it can end the element."""
    text = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 -- JSON without a tag


def _security(*scripts: str) -> str:
    """Only these scripts run, and nothing is fetched from anywhere."""
    digests = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:"


@cache
def _library() -> str:
    return "\n".join(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw)


@cache
def _script() -> str:
    return "\n".join(_asset(f"{part}.js") for part in SCRIPT)


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html.j2"))

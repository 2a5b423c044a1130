"""PromQL: its syntax, and which queries are a known signal in disguise.

A replay has no Prometheus. It knows the signals of the `speech` preset; a query over the shipped metric names
that computes one of them reads the same in a replay as in the cluster. Any other query is named, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import promql_parser as promql

Signal = Literal["rate", "completed-rate", "busy", "concurrency", "queue", "in-flight", "slots", "gpu", "latency-p99"]
"""The words of `autoscaler.policies.windows`: what can be read over a window of scrapes."""

MAX_CHARACTERS = 2_000
MAX_OPERATORS = 200
"""The parser recurses over operators and brackets, and its stack ends the process, not the query."""

_NESTING = re.compile(r"[(+\-*/%^<>]|\b(?:and|or|unless)\b")


@dataclass(frozen=True, slots=True)
class Measure:
    """A signal over a window, as policies read it from scrapes."""

    signal: Signal
    window_s: float
    """0: the newest sample, or the newest two for a rate."""
    factor: float = 1.0


def syntax_error(query: str) -> str | None:
    """What is wrong with a query; None for one that Prometheus would parse."""
    if len(query) > MAX_CHARACTERS or len(_NESTING.findall(query)) > MAX_OPERATORS:
        return f"at most {MAX_CHARACTERS} characters and {MAX_OPERATORS} operators"
    try:
        promql.parse(query)
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True)
class Named:
    """A metric that a policy file names for a signal."""

    signal: Signal
    gauge: bool
    matchers: frozenset[str]
    """The choice of series that makes it this signal, in PromQL."""
    factor: float = 1.0
    """From the metric's unit to the signal's."""


def measured(query: str, named: Mapping[str, Sequence[Named]] = MappingProxyType({})) -> Measure | str:
    """The signal that a valid query computes, or why it is none that is known.

    Args:
        query: PromQL.
        named: metrics beyond the shipped ones, by name.
    """
    try:
        return _measure(promql.parse(query), named)
    except _NotKnownError as error:
        return str(error)


def measured_name(name: str) -> Measure | str:
    """What a metrics adapter that serves the inference server's metrics gives under this name.

    A counter is served as a rate (`…_per_second`) over 2 minutes by the rule of prometheus-adapter's walkthrough;
    the window is the adapter's and stands in no HPA.
    """
    if name in _GAUGES:
        return Measure(_GAUGES[name], 0.0)
    if name in _GPU_UNITS:
        return Measure("gpu", 0.0, _GPU_UNITS[name])
    counter = name.removesuffix("_per_second") + "_total"
    if name.endswith("_per_second") and counter in _COUNTERS:
        return Measure(_COUNTERS[counter], ADAPTER_WINDOW_S)
    if _KEPT_BY_KEDA.match(name):
        return "KEDA keeps this HPA and serves its metrics: give the ScaledObject instead"
    return "which series it is, only the metrics adapter knows: state it under signals.metrics of a ScalingPolicy"


ADAPTER_WINDOW_S = 120.0
_KEPT_BY_KEDA = re.compile(r"s\d+-")


class _NotKnownError(Exception):
    """A part of a query that is no part of a known signal."""


_COUNTERS: Mapping[str, Signal] = {
    "speech_requests_received_total": "rate",
    "speech_requests_completed_total": "completed-rate",
    "speech_request_duration_seconds_count": "completed-rate",
    "speech_service_seconds_count": "completed-rate",
    "speech_service_seconds_sum": "busy",
    "speech_busy_seconds_total": "busy",
    "speech_queue_integral_seconds_total": "concurrency",
}
_GAUGES: Mapping[str, Signal] = {
    "speech_queue_depth": "queue",
    "speech_requests_in_flight": "in-flight",
    "speech_slots_busy": "slots",
}
_GPU_UNITS: Mapping[str, float] = {"DCGM_FI_DEV_GPU_UTIL": 100.0, "DCGM_FI_PROF_GR_ENGINE_ACTIVE": 1.0}
"""Means over pods, not sums; the factor leads from a ratio to the exporter's unit."""
_BUCKETS = "speech_request_duration_seconds_bucket"
NAMES = (*_COUNTERS, *_GAUGES, *_GPU_UNITS, _BUCKETS)

_TARGET_LABELS = frozenset({"service", "namespace", "job", "app", "deployment", "cluster"})
"""Labels that say whose series are meant, one value for a target: a replay knows one target only."""
_POD_LABELS = frozenset({"pod", "container", "instance"})
"""May choose a target's pods, never group them."""


def _measure(expr: promql.Expr, named: Mapping[str, Sequence[Named]]) -> Measure:
    """A query up to a constant factor and a default for the case of no series."""
    if isinstance(expr, promql.ParenExpr):
        return _measure(expr.expr, named)
    if isinstance(expr, promql.BinaryExpr):
        return _combined(expr, named)
    if isinstance(expr, promql.AggregateExpr):
        return _aggregated(expr, named)
    if isinstance(expr, promql.Call) and expr.func.name == "histogram_quantile":
        return _quantile(expr)
    if isinstance(expr, promql.NumberLiteral):
        raise _NotKnownError("a constant")
    raise _NotKnownError("one series for each pod: sum(…) them")


def _combined(expr: promql.BinaryExpr, named: Mapping[str, Sequence[Named]]) -> Measure:
    operator = str(expr.op)
    if operator == "or" and _is_vector_of_zero(expr.rhs):
        return _measure(expr.lhs, named)
    series, constant = expr.lhs, _number(expr.rhs)
    if operator == "*" and constant is None:
        series, constant = expr.rhs, _number(expr.lhs)
    if operator not in ("*", "/") or constant is None or constant <= 0:
        raise _NotKnownError(f"`{operator}` with something else than a positive constant")
    measure = _measure(series, named)
    return replace(measure, factor=measure.factor * constant if operator == "*" else measure.factor / constant)


def _number(expr: promql.Expr) -> float | None:
    return float(expr.val) if isinstance(expr, promql.NumberLiteral) else None


def _is_vector_of_zero(expr: promql.Expr) -> bool:
    return isinstance(expr, promql.Call) and expr.func.name == "vector" and _number(expr.args[0]) == 0


def _aggregated(expr: promql.AggregateExpr, named: Mapping[str, Sequence[Named]]) -> Measure:
    operator = str(expr.op)
    _check_labels(expr, _TARGET_LABELS)
    name, function, window_s, own = _series(expr.expr, named)
    counter = own.signal if own and not own.gauge else _COUNTERS.get(name)
    gauge = own.signal if own and own.gauge else _GAUGES.get(name)
    unit = 1 / own.factor if own else 1.0
    if name in _GPU_UNITS:
        _check(operator == "avg", f"`{operator}` of {name}, not `avg`")
        _check(function in ("", "avg_over_time"), f"`{function}` of a gauge")
        return Measure("gpu", window_s, _GPU_UNITS[name])
    _check(operator == "sum", f"`{operator}` over the pods, not `sum`")
    if counter is not None:
        _check(function in ("rate", "irate", "increase"), f"`{function or 'the bare value'}` of a counter, not `rate`")
        newest_two = function == "irate"
        return Measure(counter, 0.0 if newest_two else window_s, unit * (window_s if function == "increase" else 1.0))
    if gauge is not None:
        _check(function in ("", "avg_over_time"), f"`{function}` of a gauge, not `avg_over_time`")
        return Measure(gauge, window_s, unit)
    known = ", ".join((*NAMES, *named))
    raise _NotKnownError(f"{name} is not one of the metrics that a replay has: {known}")


def _quantile(expr: promql.Call) -> Measure:
    quantile, buckets = expr.args
    _check(_number(quantile) == 0.99, "a quantile other than 0.99")
    summed = isinstance(buckets, promql.AggregateExpr) and str(buckets.op) == "sum"
    _check(summed, "buckets that are not summed by (le)")
    _check_labels(buckets, _TARGET_LABELS | {"le"})
    name, function, window_s, _ = _series(buckets.expr, {})
    _check(name == _BUCKETS and function == "rate", f"not rate({_BUCKETS}[…])")
    return Measure("latency-p99", window_s)


def _series(expr: promql.Expr, named: Mapping[str, Sequence[Named]]) -> tuple[str, str, float, Named | None]:
    """Metric name, function over time (or none) and window of the innermost part, and what the file calls it."""
    if isinstance(expr, promql.VectorSelector):
        name, own = _selected(expr, named)
        return name, "", 0.0, own
    if isinstance(expr, promql.Call) and len(expr.args) == 1 and isinstance(expr.args[0], promql.MatrixSelector):
        matrix = expr.args[0]
        name, own = _selected(matrix.vector_selector, named)
        return name, str(expr.func.name), matrix.range.total_seconds(), own
    raise _NotKnownError("neither a metric nor a function of one metric over a window")


def _selected(selector: promql.VectorSelector, named: Mapping[str, Sequence[Named]]) -> tuple[str, Named | None]:
    """Metric name, and of the named metrics of this name the one that has just these series."""
    _check(selector.offset is None and selector.at is None, "`offset` and `@` look at another time")
    _check(selector.name is not None, "a selector without a metric name")
    _check(not selector.matchers.or_matchers, "`or` between label matchers")
    chosen = {condition(each): each.name for each in selector.matchers.matchers}
    choice = narrowing(chosen)
    candidates = named.get(str(selector.name), ())
    own = next((each for each in candidates if each.matchers == choice), None)
    _check(
        own is not None or not choice, f"a choice of series by {', '.join(sorted({chosen[each] for each in choice}))}"
    )
    meant = " or ".join(", ".join(sorted(each.matchers)) for each in candidates)
    _check(own is not None or not candidates, f"all series of {selector.name}, not those with {meant}")
    return str(selector.name), own


def narrowing(conditions: Iterable[str]) -> frozenset[str]:
    """Of label matchers in PromQL those that choose among a target's series."""
    return frozenset(each for each in conditions if re.split(r"[=!]", each)[0] not in _TARGET_LABELS | _POD_LABELS)


def condition(matcher: promql.Matcher) -> str:
    """A label matcher as it is written."""
    escaped = matcher.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{matcher.name}{OPERATORS[str(matcher.op)]}"{escaped}"'


OPERATORS: Mapping[str, str] = {
    "MatchOp.Equal": "=",
    "MatchOp.Re": "=~",
    "MatchOp.NotEqual": "!=",
    "MatchOp.NotRe": "!~",
}


def _check_labels(expr: promql.AggregateExpr, allowed: frozenset[str]) -> None:
    modifier = expr.modifier
    if modifier is None:
        return
    _check(modifier.type == promql.AggModifierType.By, "`without` keeps several series")
    foreign = sorted(set(modifier.labels) - allowed)
    _check(not foreign, f"several series, by {', '.join(foreign)}")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _NotKnownError(otherwise)

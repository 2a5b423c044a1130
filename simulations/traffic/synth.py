"""Made traffic: a few shapes with parameters, and sums of them.

    burst                                   2 → 35 → 2 requests/s
    step:from=2,to=35,at=60s                one that stays
    diurnal:low=3,high=60,for=7d + spike:peak=40,at=9h,decay=10m,every=1d

A shape is a rate over time; a term's `for` says how long the trace is (the longest of all terms counts), and
every term goes on to the end. Durations carry their unit; rates are in requests/s, or `120/m`, `3600/h`.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from autoscaler.model import InvalidInput
from autoscaler.spec.values import parse_duration
from simulations.traffic.rows import Floats
from simulations.traffic.trace import Trace

MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0
MAX_RPS = 1e6
MAX_BINS = 1_000_000
"""Bins of a made trace: 11 days of seconds; wider bins reach further."""
SLICES = 10
"""A bin's mean rate is the mean over the middles of this many slices of it."""


def constant(_t: Floats, *, rate_rps: float = 10.0) -> float:
    """Always the same."""
    return rate_rps


def step(t: Floats, *, from_rps: float = 2.0, to_rps: float = 35.0, at_s: float = 180.0) -> Floats:
    """One change that stays."""
    return np.where(t < at_s, from_rps, to_rps)


def burst(
    t: Floats, *, from_rps: float = 2.0, to_rps: float = 35.0, at_s: float = 180.0, hold_s: float = 300.0
) -> Floats:
    """A change that goes back as it came: the push of 2 to 35 requests/s."""
    return np.where((t >= at_s) & (t < at_s + hold_s), to_rps, from_rps)


def ramp(
    t: Floats, *, from_rps: float = 2.0, to_rps: float = 35.0, at_s: float = 180.0, over_s: float = 600.0
) -> Floats:
    """A straight change over some time, which stays."""
    return from_rps + (to_rps - from_rps) * np.clip((t - at_s) / over_s, 0.0, 1.0)


def spike(
    t: Floats, *, peak_rps: float = 30.0, at_s: float = 300.0, decay_s: float = 30.0, every_s: float = math.inf
) -> Floats:
    """Up at once and down exponentially (`decay` is the time to 37 %); comes again after `every`."""
    since = np.where(t >= at_s, np.mod(np.maximum(t - at_s, 0.0), every_s), np.inf)
    return peak_rps * np.exp(-since / decay_s)


def diurnal(
    t: Floats,
    *,
    low_rps: float = 2.0,
    high_rps: float = 35.0,
    peak_s: float = 14 * HOUR_S,
    period_s: float = DAY_S,
    sharpness: float = 1.0,
) -> Floats:
    """A daily wave with its top at `peak` after midnight; a sharpness above 1 narrows the top."""
    wave = (1 + np.cos(2 * np.pi * (t - peak_s) / period_s)) / 2
    return low_rps + (high_rps - low_rps) * wave**sharpness


def on_off(
    t: Floats,
    *,
    low_rps: float = 0.0,
    high_rps: float = 20.0,
    on_s: float = 300.0,
    off_s: float = 600.0,
    at_s: float = 0.0,
) -> Floats:
    """Blocks of `on` seconds, `off` seconds apart, the first at `at`."""
    in_block = (t >= at_s) & (np.mod(t - at_s, on_s + off_s) < on_s)
    return np.where(in_block, high_rps, low_rps)


def noise(t: Floats, *, sd_rps: float = 2.0, every_s: float = 10.0, seed: int = 0) -> Floats:
    """Normal deviates with mean 0, a new one after `every`; the sum of all terms never falls below 0."""
    index = np.floor(t / every_s).astype(np.int64)
    if index[-1] >= MAX_BINS * SLICES:
        raise InvalidInput(f"noise: every {every_s:g} s for {t[-1]:.0f} s — allowed are {MAX_BINS * SLICES} deviates")
    return sd_rps * np.random.default_rng(seed).standard_normal(int(index[-1]) + 1)[index]


@dataclass(frozen=True, slots=True)
class Shape:
    """A rate over time, and how long a trace of it is where nobody says."""

    rate: Callable[..., Floats | float]
    lasts_s: float

    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Its parameters by the names that expressions use."""
        own = [each for each in inspect.signature(self.rate).parameters.values() if each.kind is each.KEYWORD_ONLY]
        return {each.name.removesuffix("_rps").removesuffix("_s"): each for each in own}


SHAPES: Mapping[str, Shape] = {
    "constant": Shape(constant, 10 * MINUTE_S),
    "step": Shape(step, 10 * MINUTE_S),
    "burst": Shape(burst, 10 * MINUTE_S),
    "ramp": Shape(ramp, 20 * MINUTE_S),
    "spike": Shape(spike, 10 * MINUTE_S),
    "diurnal": Shape(diurnal, DAY_S),
    "on-off": Shape(on_off, HOUR_S),
    "noise": Shape(noise, 10 * MINUTE_S),
}

_MAY_BE_ZERO = ("at", "peak")
"""Durations that are points in time; the others must be longer than nothing."""


def is_expression(text: str) -> bool:
    """Whether a text begins like a shape."""
    return re.split(r"[:+\s]", text.strip(), maxsplit=1)[0] in SHAPES


def make(expression: str, *, bin_s: float = 1.0, poisson_seed: int | None = None) -> Trace:
    """Make a trace of an expression such as `burst` or `diurnal:low=3,high=60,for=7d + noise:sd=2`.

    Args:
        expression: one shape or a sum.
        bin_s: width of the bins.
        poisson_seed: draw whole numbers of requests from the Poisson law with this seed; None keeps the expected
            counts, which a replay rounds with its own seed.

    Raises:
        InvalidInput: a term cannot be understood, a value is out of its range, or there would be too many bins.
    """
    terms = [_term(text.strip(), expression) for text in expression.split("+")]
    lasts_s = max((term.for_s for term in terms if term.for_s), default=0.0) or max(
        term.shape.lasts_s for term in terms
    )
    bins = math.ceil(lasts_s / bin_s) if bin_s > 0 else 0
    if not 1 <= bins <= MAX_BINS:
        raise InvalidInput(
            f"shape {expression!r}: {lasts_s:g} s in bins of {bin_s:g} s — allowed are 1 to {MAX_BINS} bins"
        )
    middles = (np.arange(bins * SLICES) + 0.5) * (bin_s / SLICES)
    rate = np.zeros(len(middles))
    for term in terms:
        rate += term.shape.rate(middles, **term.arguments)
    counts = np.maximum(rate, 0.0).reshape(bins, SLICES).mean(axis=1) * bin_s
    labels = {"format": "made", "shape": expression}
    if poisson_seed is not None:
        counts = np.random.default_rng(poisson_seed).poisson(counts).astype(np.float64)
        labels["poisson_seed"] = str(poisson_seed)
    return Trace(expression, float(bin_s), counts, labels=labels)


@dataclass(frozen=True, slots=True)
class _Term:
    shape: Shape
    arguments: Mapping[str, float]
    for_s: float | None


def _term(text: str, expression: str) -> _Term:
    name, _colon, rest = text.partition(":")
    where = f"shape {expression!r}: {text!r}"
    shape = SHAPES.get(name.strip())
    if shape is None:
        raise InvalidInput(f"{where}: no such shape{_nearest(name, SHAPES)} — allowed are {', '.join(SHAPES)}")
    parameters = shape.parameters()
    arguments: dict[str, float] = {}
    for_s = None
    for pair in filter(None, (pair.strip() for pair in rest.split(","))):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key == "for" and equals:
            for_s = _value(f"{where}: for", "for_s", value)
        elif key in parameters and equals:
            arguments[parameters[key].name] = _value(f"{where}: {key}", parameters[key].name, value)
        else:
            known = [*parameters, "for"]
            raise InvalidInput(
                f"{where}: {pair!r}{_nearest(key, known)} — allowed are NAME=VALUE with {', '.join(known)}"
            )
    return _Term(shape, arguments, for_s)


def _nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _value(where: str, parameter: str, text: str) -> float:
    """A value with the unit that its parameter's name tells."""
    if parameter.endswith("_s"):
        return _duration_s(where, parameter.removesuffix("_s"), text)
    if parameter.endswith("_rps"):
        return _rate_rps(where, text)
    if parameter == "seed":
        if text.isdecimal():
            return int(text)
        raise InvalidInput(f"{where}: {text!r} — allowed is a whole number, 0 or more")
    number = _number(text)
    if not 0 < number <= 100:
        raise InvalidInput(f"{where}: {text!r} — allowed is a number above 0, at most 100")
    return number


def _duration_s(where: str, name: str, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise InvalidInput(f"{where}: {text!r} — allowed is {error}") from error
    if seconds == 0 and name not in _MAY_BE_ZERO:
        raise InvalidInput(f"{where}: {text!r} — allowed is a duration above 0")
    return seconds


_RATE = re.compile(r"(?P<number>[^/a-z]+)(?:rps|/(?P<per>[smh]))?")


def _rate_rps(where: str, text: str) -> float:
    match = _RATE.fullmatch(text)
    number = _number(match["number"]) if match else math.nan
    rate = number / {"s": 1.0, "m": 60.0, "h": 3600.0}[match["per"] or "s"] if match else math.nan
    if not 0 <= rate <= MAX_RPS:
        raise InvalidInput(f"{where}: {text!r} — allowed is a rate such as 35, 120/m or 3600/h, 0 to {MAX_RPS:g}/s")
    return rate


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

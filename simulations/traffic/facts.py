"""Figures that describe a trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulations.traffic.bins import rebin
from simulations.traffic.rows import Floats
from simulations.traffic.trace import Trace

DAY_S = 86_400.0
BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Facts:
    """A trace in figures; rates and pods are those of the scaled evaluation window."""

    name: str
    bin_s: float
    duration_s: float
    requests: float
    """Recorded, over the whole trace, unscaled."""
    single_arrivals: bool
    """Whether the time of each request is known."""
    start_s: float
    scale: float
    eval_start_s: float
    eval_requests: float
    mean_rps: float
    peak_rps: float
    """Of the busiest bin."""
    peak_minute_rps: float
    """Of the busiest minute, or bin where bins are longer."""
    idle_ratio: float
    """Share of bins without a request."""
    mean_busy_pods: float
    """Mean rate times the service time."""
    peak_busy_pods: float
    """The busiest minute's rate times the service time."""
    largest_rise_busy_pods: float
    """From one minute, or longer bin, to the next."""
    daily_correlation: float | None
    """Of the rate with itself a day earlier, over the whole trace; None below two days or without variation."""


def facts(trace: Trace, service_s: float) -> Facts:
    """Describe a trace.

    Args:
        trace: what is described.
        service_s: mean service time of a request; one request is served at a time.
    """
    first = round(trace.eval_start_s / trace.bin_s)
    window = trace.counts[first:] * trace.scale
    mean_rps = float(window.mean()) / trace.bin_s
    minutes = _minute_rps(window, trace.bin_s)
    return Facts(
        name=trace.name,
        bin_s=trace.bin_s,
        duration_s=trace.duration_s,
        requests=float(trace.counts.sum()),
        single_arrivals=trace.arrivals_s is not None,
        start_s=trace.start_s,
        scale=trace.scale,
        eval_start_s=trace.eval_start_s,
        eval_requests=float(window.sum()),
        mean_rps=mean_rps,
        peak_rps=float(window.max()) / trace.bin_s,
        peak_minute_rps=float(minutes.max()),
        idle_ratio=float(np.mean(window == 0)),
        mean_busy_pods=mean_rps * service_s,
        peak_busy_pods=float(minutes.max()) * service_s,
        largest_rise_busy_pods=float(np.diff(minutes).max(initial=0.0)) * service_s,
        daily_correlation=_daily_correlation(trace),
    )


def character(known: Facts) -> str:
    """What the figures mean for an autoscaler, in a few words."""
    words = []
    if known.daily_correlation is not None:
        strength = known.daily_correlation
        kind = "daily cycle" if strength >= 0.5 else "weak daily cycle" if strength >= 0.2 else "no daily cycle"
        words.append(f"{kind} (correlation {known.daily_correlation:.2f})")
    if known.idle_ratio >= 0.01:
        words.append(f"idle {known.idle_ratio:.0%} of the time")
    if known.mean_rps > 0:
        ratio = known.peak_minute_rps / known.mean_rps
        kind = "steady" if ratio < 1.5 else "uneven" if ratio < 3 else "bursty" if ratio < 10 else "spiky"
        words.append(f"{kind}: busiest minute {ratio:.1f}x the mean")
    return ", ".join(words)


def sparkline(trace: Trace, width: int) -> str:
    """The mean rate over the whole trace in one line of block characters, 0 to the highest."""
    slices = np.array_split(trace.counts, min(width, len(trace.counts)))
    means = np.array([part.mean() for part in slices])
    top = means.max() or 1.0
    return "".join(BARS[int(np.ceil(mean / top * (len(BARS) - 1)))] for mean in means)


def _minute_rps(counts: Floats, bin_s: float) -> Floats:
    """Rates of whole minutes, or of bins where they are longer; of the whole where it is shorter than a minute."""
    per_minute = max(1, round(60 / bin_s))
    whole = len(counts) // per_minute * per_minute
    if whole == 0:
        return np.array([counts.mean() / bin_s])
    rates: Floats = counts[:whole].reshape(-1, per_minute).mean(axis=1) / bin_s
    return rates


def _daily_correlation(trace: Trace) -> float | None:
    if trace.duration_s < 2 * DAY_S:
        return None
    counts = rebin(trace, max(600.0, trace.bin_s)).counts
    day = round(DAY_S / max(600.0, trace.bin_s))
    before, after = counts[:-day], counts[day:]
    if before.std() == 0 or after.std() == 0:
        return None
    return float(np.corrcoef(before, after)[0, 1])

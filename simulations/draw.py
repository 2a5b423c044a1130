"""From a trace and a seed to single requests, by the random streams of the published protocol.

A stream is `numpy.random.default_rng([seed, crc32(name), number])`, so two programs that follow the same
page replay the same requests one by one.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from autoscaler.model import History, InvalidInput, Workload
from simulations.traffic.trace import Trace

Floats = npt.NDArray[np.float64]

TRAFFIC, SERVICE, STARTS, FATES, ROUTES, LOSSES = 1, 2, 3, 4, 5, 6
"""Numbers of the random streams; the protocol names the first three, the others are for what it leaves out."""
START_DRAWS = 65_536
"""Cold starts that are drawn ahead; a run that orders more pods begins again with the first."""
MOST_REQUESTS = 100_000_000
"""A replay keeps some 65 bytes for each request in memory."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests of one replay."""

    arrival_s: Floats
    """Ascending, from 0 at the beginning of the replay; shape (requests,)."""
    service_s: Floats
    """Service time of each request; shape (requests,)."""
    duration_s: float
    history: History


def stream(seed: int, name: str, number: int) -> np.random.Generator:
    """One random stream of a replay."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])


def draw(trace: Trace, workload: Workload, seed: int) -> Traffic:
    """Draw the requests of one replay.

    Single arrivals are replayed as recorded where the trace has them and its scale is 1; otherwise counts
    are scaled with stochastic rounding and every arrival is uniform within its bin.

    Raises:
        InvalidInput: nothing is left of the trace after `eval_start_s`, or it has more than `MOST_REQUESTS`.
    """
    first = round(trace.eval_start_s / trace.bin_s)
    if not 0 <= first < len(trace.counts):
        raise InvalidInput(
            f"trace {trace.name}: eval_start_s is {trace.eval_start_s:g}, "
            f"allowed is 0 to less than the trace's {trace.duration_s:g} s"
        )
    with np.errstate(over="ignore"):
        expected = trace.counts[first:].sum() * trace.scale
    if expected > MOST_REQUESTS:
        raise InvalidInput(
            f"trace {trace.name}: {expected:.3g} requests after eval_start_s, allowed are {MOST_REQUESTS:g}; "
            "replay a shorter window or a smaller scale"
        )
    random = stream(seed, trace.name, TRAFFIC)
    counts = round_up_at_random(trace.counts * trace.scale, random)
    if trace.arrivals_s is not None and trace.scale == 1.0:
        arrival_s = trace.arrivals_s[np.searchsorted(trace.arrivals_s, trace.eval_start_s) :] - trace.eval_start_s
    else:
        arrival_s = place(counts[first:], trace.bin_s, random)
    return Traffic(
        arrival_s=arrival_s,
        service_s=service_times(len(arrival_s), workload, stream(seed, trace.name, SERVICE)),
        duration_s=trace.bin_s * (len(counts) - first),
        history=History(trace.bin_s, counts[:first], clock_of_second_0(trace), known=_known(trace, first)),
    )


def _known(trace: Trace, first: int) -> npt.NDArray[np.bool_] | None:
    """Whether each bin of the history was recorded; None: all were."""
    return trace.measured()[:first] if trace.gaps_s else None


def clock_of_second_0(trace: Trace) -> float:
    """Clock time at which the replay begins; the epoch where the trace does not say when it was recorded."""
    return trace.start_s + trace.eval_start_s if trace.start_s else 0.0


def round_up_at_random(counts: Floats, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Whole numbers with the given means: x becomes floor(x), plus one with probability x - floor(x)."""
    floor = np.floor(counts)
    return (floor + (random.random(len(counts)) < counts - floor)).astype(np.int64)


def place(counts: npt.NDArray[np.int64], bin_s: float, random: np.random.Generator) -> Floats:
    """Ascending times of `counts` arrivals, uniform within bins of `bin_s` seconds from 0 on."""
    times = np.repeat(np.arange(len(counts), dtype=np.float64), counts)
    times += random.random(len(times))
    times *= bin_s
    times.sort()
    return times


def service_times(count: int, workload: Workload, random: np.random.Generator) -> Floats:
    """Log-normal service times with the workload's mean and coefficient of variation, in order of arrival."""
    times = random.standard_normal(count)
    variance = math.log1p(workload.service_cv**2)
    times *= math.sqrt(variance)
    times += math.log(workload.service_mean_s) - variance / 2
    return np.exp(times, out=times)


def cold_starts(name: str, workload: Workload, seed: int) -> Floats:
    """Log-normal times from order to loaded, in order of ordering; shape (START_DRAWS,)."""
    cold = workload.cold_start
    return cold.typical_s * np.exp(cold.sigma * stream(seed, name, STARTS).standard_normal(START_DRAWS))

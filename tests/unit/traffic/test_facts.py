"""Figures of a trace, checked by hand."""

import numpy as np
import pytest

from simulations.traffic.facts import character, facts, sparkline
from simulations.traffic.synth import make
from simulations.traffic.trace import Trace


def test_figures_of_the_scaled_evaluation_window():
    counts = np.array([999.0, 60, 120, 0, 60])
    known = facts(Trace("t", 60.0, counts, scale=2, eval_start_s=60), service_s=0.5)
    assert (known.duration_s, known.requests, known.eval_requests) == (300, 1239, 480)
    assert (known.mean_rps, known.peak_rps, known.peak_minute_rps, known.idle_ratio) == (2, 4, 4, 0.25)
    assert (known.mean_busy_pods, known.peak_busy_pods, known.largest_rise_busy_pods) == (1, 2, 1)


def test_short_bins_are_judged_by_the_minute():
    counts = np.array([60.0] + [0.0] * 119)
    known = facts(Trace("t", 1.0, counts), service_s=1.0)
    assert (known.peak_rps, known.peak_minute_rps, known.largest_rise_busy_pods) == (60, 1, 0)


def test_a_trace_shorter_than_a_minute_is_its_own_minute():
    assert facts(Trace("t", 1.0, np.array([5.0, 7.0])), 0.1).peak_minute_rps == 6


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        pytest.param("constant", "steady: busiest minute 1.0x the mean", id="steady"),
        pytest.param("burst", "uneven: busiest minute 1.9x the mean", id="burst"),
        pytest.param("on-off", "idle 67% of the time, bursty: busiest minute 3.0x the mean", id="on-off"),
        pytest.param("spike:peak=50,for=1h", "idle 8% of the time, spiky: busiest minute 51.9x the mean", id="spike"),
        pytest.param(
            "diurnal:for=3d", "daily cycle (correlation 1.00), uneven: busiest minute 1.9x the mean", id="days"
        ),
    ],
)
def test_character(expression, words):
    assert character(facts(make(expression), 0.18)) == words


def test_a_flat_trace_has_no_daily_correlation():
    assert facts(make("constant:for=3d"), 0.18).daily_correlation is None


@pytest.mark.parametrize(
    ("counts", "width", "line"),
    [
        ([0, 1, 2, 4, 8], 5, " ▁▂▄█"),
        ([0, 0, 8, 8], 2, " █"),
        ([1, 1], 60, "██"),
        ([0, 0], 60, "  "),
    ],
)
def test_sparkline(counts, width, line):
    assert sparkline(Trace("t", 1.0, np.array(counts, dtype=float)), width) == line

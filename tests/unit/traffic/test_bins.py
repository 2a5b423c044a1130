"""From times and counts to bins: no request is lost, whatever the width."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.model import InvalidInput
from simulations.traffic import bins
from simulations.traffic.bins import Recorded, from_arrivals, rebin
from simulations.traffic.rows import Rows, Tally
from simulations.traffic.trace import Trace


def arrivals(times: list[float], bin_s: float | None = None) -> Trace:
    rows = Rows(Path("t"), np.arange(len(times)), (np.array(times, dtype=float),))
    return from_arrivals(Recorded("t", "t.csv", {}, Tally(), bin_s), [rows], "arrival_s")


counts = st.lists(st.integers(0, 10_000), min_size=1, max_size=200).map(lambda found: np.array(found, dtype=float))
widths = st.sampled_from([0.5, 1.0, 7.0, 10.0, 60.0, 90.0, 300.0])


@given(counts, widths, widths)
@settings(deadline=None)
def test_rebinning_keeps_every_request(counted, old_s, new_s):
    trace = rebin(Trace("t", old_s, counted), new_s)
    assert trace.counts.sum() == pytest.approx(counted.sum(), rel=1e-12)
    assert np.all(trace.counts >= 0)
    assert len(trace.counts) * new_s >= len(counted) * old_s > (len(trace.counts) - 1) * new_s


@given(counts, st.integers(1, 20))
@settings(deadline=None)
def test_bins_split_and_joined_again_are_the_same(counted, parts):
    trace = Trace("t", 60.0, counted)
    np.testing.assert_allclose(rebin(rebin(trace, 60.0 / parts), 60.0).counts, counted, atol=1e-6)


@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=300), st.none() | widths)
@settings(deadline=None)
def test_every_arrival_is_in_one_bin(times, bin_s):
    trace = arrivals(sorted(times), bin_s)
    assert trace.counts.sum() == len(times)
    if trace.arrivals_s is not None:
        np.testing.assert_array_equal(trace.arrivals_s, sorted(times))
        assert trace.arrivals_s[-1] < trace.duration_s


@pytest.mark.parametrize(
    ("times", "bin_s", "single"),
    [
        pytest.param([0, 0, 1, 2], 1, False, id="whole seconds with ties"),
        pytest.param([0, 1, 2, 3], 1, True, id="whole seconds, each its own"),
        pytest.param([0, 0, 60, 120], 1, False, id="too few times to tell a slow clock"),
        pytest.param([0, *range(0, 600, 60)], 60, False, id="a clock of minutes"),
        pytest.param([0, *range(0, 600, 60), 601], 1, False, id="but for one stamp"),
        pytest.param([0, 0, 0.5, 2], 1, True, id="half a second is finer than a second"),
    ],
)
def test_a_coarse_clock_gives_counts_alone(times, bin_s, single):
    trace = arrivals(sorted(times))
    assert (trace.bin_s, trace.arrivals_s is not None) == (bin_s, single)


def test_a_long_recording_gets_the_finest_bins_that_fit(monkeypatch):
    monkeypatch.setattr(bins, "MAX_BINS", 100)
    assert arrivals([0.5, 99.5]).bin_s == 1
    assert arrivals([0.5, 100.5]).bin_s == 10
    assert arrivals([0.5, 5_000.5]).bin_s == 60


def test_bins_that_were_asked_for_and_are_too_many_are_refused(monkeypatch):
    monkeypatch.setattr(bins, "MAX_BINS", 100)
    with pytest.raises(InvalidInput, match=r"t\.csv: 102 bins of 1 s — allowed are 100"):
        arrivals([0.5, 101.5], bin_s=1.0)
    with pytest.raises(InvalidInput, match="allowed are 100"):
        rebin(Trace("t", 60.0, np.ones(10)), 0.1)


@pytest.mark.parametrize("bin_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_width_that_is_none_is_refused(bin_s):
    with pytest.raises(InvalidInput, match="allowed is a finite number above 0"):
        rebin(Trace("t", 60.0, np.ones(10)), bin_s)

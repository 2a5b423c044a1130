"""Made traffic: what each shape does, what sums do, what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.model import InvalidInput
from simulations.traffic import synth
from simulations.traffic.synth import SHAPES, make

DAY_S = 86_400

AT = {
    "constant:rate=3": {0: 3, 599: 3},
    "step:from=2,to=35,at=60s": {0: 2, 59: 2, 60: 35, 599: 35},
    "burst": {0: 2, 179: 2, 180: 35, 479: 35, 480: 2, 599: 2},
    "burst:from=1,to=9,at=10s,hold=20s,for=1m": {9: 1, 10: 9, 29: 9, 30: 1, 59: 1},
    "ramp:from=0,to=60,at=60s,over=1m": {30: 0, 60: 0.5, 90: 30.5, 119: 59.5, 120: 60, 1199: 60},
    "spike:peak=100,at=10s,decay=10s": {9: 0, 10: 95.16, 20: 35.01, 30: 12.88},
    "spike:peak=100,at=10s,decay=1s,every=60s,for=3m": {10: 63.2, 70: 63.2, 130: 63.2, 40: 0},
    "diurnal:low=2,high=10,peak=14h": {14 * 3600: 10, 2 * 3600: 2, 8 * 3600: 6, 20 * 3600: 6},
    "diurnal:low=0,high=16,peak=12h,sharpness=4": {12 * 3600: 16, 6 * 3600: 1},
    "on-off:high=5,on=1m,off=2m": {0: 5, 59: 5, 60: 0, 179: 0, 180: 5},
    "on-off:low=1,high=5,on=1m,off=2m,at=30s": {0: 1, 30: 5, 89: 5, 90: 1, 210: 5},
    "step:from=2,to=35,at=60s + constant:rate=0.5": {0: 2.5, 60: 35.5},
    "burst:from=120/m,to=36000/h,at=0s": {0: 10, 300: 2},
}


@pytest.mark.parametrize("expression", AT)
def test_rate_at_some_seconds(expression):
    trace = make(expression)
    for second, rate in AT[expression].items():
        assert trace.counts[second] == pytest.approx(rate, rel=2e-3, abs=2e-3), second


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_has_defaults_and_a_length(name):
    trace = make(name)
    assert trace.duration_s == SHAPES[name].lasts_s
    assert trace.counts.sum() > 0
    assert np.all(trace.counts >= 0)


@pytest.mark.parametrize(
    ("expression", "bin_s", "duration_s"),
    [
        pytest.param("burst", 1.0, 600, id="the shape's own"),
        pytest.param("burst:for=5m", 1.0, 300, id="asked for"),
        pytest.param("constant + diurnal", 60.0, DAY_S, id="the longest of a sum"),
        pytest.param("constant:for=1h + diurnal", 60.0, 3600, id="asked for in one term"),
        pytest.param("constant:for=1h + diurnal:for=7d", 60.0, 7 * DAY_S, id="the longest asked for"),
        pytest.param("constant:for=61s", 60.0, 120, id="whole bins"),
    ],
)
def test_length(expression, bin_s, duration_s):
    assert make(expression, bin_s=bin_s).duration_s == duration_s


@given(st.sampled_from([1.0, 5.0, 10.0, 60.0]), st.sampled_from([name for name in SHAPES if name != "noise"]))
@settings(deadline=None)
def test_wider_bins_hold_the_same_requests(bin_s, name):
    expression = f"{name}:for=10m"
    assert make(expression, bin_s=bin_s).counts.sum() == pytest.approx(make(expression).counts.sum(), rel=0.02, abs=1)


def test_noise_is_the_same_for_the_same_seed_and_never_makes_traffic_negative():
    first, again, other = (make(f"constant:rate=1 + noise:sd=2,seed={seed}").counts for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    assert first.min() == 0


def test_noise_keeps_its_deviation():
    counts = make("constant:rate=100,for=1d + noise:sd=5,every=10s").counts
    assert counts.mean() == pytest.approx(100, abs=0.5)
    assert counts.std() == pytest.approx(5, rel=0.05)


def test_poisson_counts_are_whole_and_scatter_as_poisson():
    counts = make("constant:rate=20,for=6h", poisson_seed=1).counts
    assert np.all(counts == np.floor(counts))
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(counts, make("constant:rate=20,for=6h", poisson_seed=1).counts)


REFUSED = {
    "brust": "no such shape, did you mean 'burst'? — allowed are constant, step",
    "burst + ": "'': no such shape",
    "burst:too=3": "'too=3', did you mean 'to'? — allowed are NAME=VALUE with from, to, at, hold, for",
    "burst:from": "'from' — allowed are NAME=VALUE|'from', did you mean 'from'",
    "burst:from=3x": "from: '3x' — allowed is a rate such as 35, 120/m or 3600/h",
    "burst:from=-1": "from: '-1' — allowed is a rate",
    "burst:from=nan": "from: 'nan' — allowed is a rate",
    "burst:from=1e9": "from: '1e9' — allowed is a rate",
    "burst:at=3": "at: '3' — allowed is a duration with its unit",
    "burst:hold=0s": "hold: '0s' — allowed is a duration above 0",
    "diurnal:sharpness=0": "sharpness: '0' — allowed is a number above 0",
    "noise:seed=1.5": "seed: '1.5' — allowed is a whole number",
    "constant:for=1000d": "allowed are 1 to 1000000 bins",
    "noise:every=1ms,for=10d": "allowed are 10000000 deviates",
}


@pytest.mark.parametrize(("expression", "message"), REFUSED.items(), ids=REFUSED)
def test_refused(expression, message):
    with pytest.raises(InvalidInput) as refused:
        make(expression, bin_s=1.0)
    assert any(part in str(refused.value) for part in message.split("|"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("burst", True), ("burst:to=3", True), ("burst+constant", True), ("on-off", True), ("bursts", False), ("", False)],
)
def test_what_begins_like_a_shape(text, expected):
    assert synth.is_expression(text) is expected

"""The lead time: a prior that starts outweigh, and the windows that follow."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.leadtime import LeadTime, Windows, windows
from autoscaler.forecast.residual import Residuals
from autoscaler.model import ColdStart

TTS = ColdStart(15.0, 15.0 * math.exp(0.2 * 1.6448536))
ASR = ColdStart(45.0, 45.0 * math.exp(0.2 * 1.6448536))


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        # research note "algorithm", C.1
        pytest.param(TTS, Windows(lead=3, order=(3, 7), hold=7, served_from=4), id="tts"),
        pytest.param(ASR, Windows(lead=9, order=(8, 13), hold=19, served_from=10), id="asr"),
    ],
)
def test_the_published_windows(prior, expected):
    assert windows(LeadTime(prior), interval_s=5.0, data_age_s=3.0) == expected


def test_before_any_start_the_prior_holds():
    assert LeadTime(TTS).quantiles_s(0.5, 0.95) == pytest.approx((15.0, TTS.slow_s))


def test_many_starts_outweigh_the_prior_and_a_new_image_brings_it_back():
    learned = LeadTime(TTS).learned(*([60.0] * 200))
    assert learned.quantiles_s(0.5)[0] == pytest.approx(60.0, rel=0.06)
    assert learned.forgotten() == LeadTime(TTS)


@given(st.lists(st.floats(0.0, 600.0), max_size=300))
def test_quantiles_rise_and_windows_are_in_order(starts):
    lead = LeadTime(TTS).learned(*starts)
    early, typical, late = lead.quantiles_s(0.2, 0.5, 0.95)
    assert 0 < early < typical < late
    assert len(lead.starts_s) <= 200
    spans = windows(lead, 5.0, 3.0)
    assert spans.order[0] + 4 <= spans.order[1]
    assert spans.hold >= spans.order[0] + 4


def test_residuals_forget_the_prior_for_what_happens():
    residuals = Residuals(5.0)
    assert residuals.histogram.sum() == pytest.approx(1.0)
    for _ in range(3000):
        residuals.add(1.0)
    assert residuals.histogram.max() > 0.95
    residuals.add(99.0)
    residuals.add(-99.0)
    assert np.isfinite(residuals.histogram).all()

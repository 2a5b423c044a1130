"""Figures of how good forecasts were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss

from autoscaler.forecast.bins import BINS, bin_of, log_ratio
from autoscaler.forecast.calibration import PROBABILITIES, Calibration, Forecasts, quantiles

loads = st.floats(0, 50)
said = st.lists(loads, min_size=4, max_size=4).map(lambda values: tuple(sorted(values)))


def judged(windows, interval_s=1e-3):
    """Figures over windows of (load that came, level, used, own, residual); next to nothing fades."""
    calibration = Calibration.over(interval_s)
    for came, level, used, own, residual in windows:
        calibration.judge(came, Forecasts(level, used, own, residual))
    return calibration.figures()


@given(st.lists(st.tuples(st.floats(1, 50), loads, said, said, said), min_size=1, max_size=30))
def test_the_figures_are_those_of_the_textbook(windows):
    came, level = np.array([window[0] for window in windows]), np.array([window[1] for window in windows])
    used, own, residual = (np.array([window[i] for window in windows]) for i in (2, 3, 4))
    found = judged(windows)

    def loss(quantile):
        return np.mean([mean_pinball_loss(came, quantile[:, i], alpha=p) for i, p in enumerate(PROBABILITIES)])

    assert found["pinball"] == pytest.approx(loss(used) / came.mean(), abs=1e-4)
    assert found["wape"] == pytest.approx(np.abs(came - used[:, 0]).sum() / came.sum(), abs=1e-4)
    for i, name in ((1, "coverage_p90"), (2, "coverage_p95"), (3, "coverage_p99")):
        assert found[name] == pytest.approx(np.mean(came <= used[:, i]), abs=1e-4)
        assert found[f"{name}_by_load"] == pytest.approx(came[came <= used[:, i]].sum() / came.sum(), abs=1e-4)
    if loss(residual) > 1e-3:
        assert found["skill_residual"] == pytest.approx(1 - loss(own) / loss(residual), rel=1e-3, abs=1e-3)
    if np.abs(came - level).sum() > 1e-3:
        skill = 1 - np.abs(came - used[:, 0]).sum() / np.abs(came - level).sum()
        assert found["skill_naive"] == pytest.approx(skill, rel=1e-3, abs=1e-3)


def test_a_true_forecast_covers_what_it_says_and_beats_a_vague_one():
    random = np.random.default_rng(5)
    ratios = random.normal(0.0, 0.3, 20_000)
    true, vague = (np.bincount(bin_of(values), minlength=BINS).astype(float) for values in (ratios, 3 * ratios))
    windows = [
        (13.0 * np.exp(ratio) - 0.3, 12.7, quantiles(true, 12.7), quantiles(true, 12.7), quantiles(vague, 12.7))
        for ratio in random.permutation(ratios)[:4000]
    ]
    found = judged(windows)
    for probability in (90, 95, 99):
        assert found[f"coverage_p{probability}"] == pytest.approx(probability / 100, abs=0.02)
    assert found["skill_residual"] > 0.2
    assert found["skill_naive"] == pytest.approx(0.0, abs=0.02)


def test_old_windows_fade():
    good, bad = (10.0,) * 4, (1.0,) * 4
    calibration = Calibration.over(60.0)
    for used in [bad] * 1440 + [good] * 4 * 1440:
        calibration.judge(10.0, Forecasts(10.0, used, used, used))
    assert calibration.figures()["coverage_p99"] > 0.95


def test_an_idle_service_is_not_judged():
    assert judged([]) == {}
    assert judged([(0.0, 0.0, (0.0,) * 4, (0.0,) * 4, (0.0,) * 4)]) == {}


@given(st.floats(0, 40), st.floats(0, 40))
def test_quantiles_of_a_forecast_without_doubt_are_its_load(load, level):
    histogram = np.zeros(BINS)
    histogram[bin_of(log_ratio(load, level))] = 1.0
    within = quantiles(histogram, level)
    assert len(set(within)) == 1
    if abs(log_ratio(load, level)) < 4.5:
        assert within[0] == pytest.approx(load, rel=0.03, abs=0.02)

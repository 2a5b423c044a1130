"""What a refit takes from a history."""

import numpy as np
import pytest

from autoscaler.forecast.features import layout
from autoscaler.forecast.leadtime import Windows
from autoscaler.forecast.series import LoadSeries
from autoscaler.policies.predictive.learn import LONGEST_S, learn, refit_after_s

WINDOWS = Windows(lead=3, order=(3, 7), hold=7, served_from=4)


@pytest.mark.parametrize(
    ("every_s", "rhythm_s"),
    [
        pytest.param(37 * 60.0, 37 * 60.0, id="every 37 minutes"),
        pytest.param(3600.0, None, id="every hour, which is listed"),
    ],
)
def test_a_rhythm_of_the_data_is_one_more_period_and_nothing_changes_without_one(every_s, rhythm_s):
    clock_s = 5.0 * np.arange(720 * 5)
    series = LoadSeries(5.0, 0.0)
    series.append(np.random.default_rng(1).poisson(15 + 125 * (clock_s % every_s < 120)))
    model = learn(series, WINDOWS, 0.036, lambda clock: clock, 1).model
    assert model.rhythm_s == (None if rhythm_s is None else pytest.approx(rhythm_s, abs=15))
    without = layout(series, WINDOWS.lead)
    assert len(model.layout.first) == len(without.first) + (rhythm_s is not None)


@pytest.mark.parametrize(
    ("known_s", "after_s"),
    [
        pytest.param(600.0, 300.0, id="minutes"),
        pytest.param(8 * 3600.0, 4 * 3600.0, id="hours"),
        pytest.param(32 * 3600.0, LONGEST_S, id="a day and a third: from here on the longest"),
        pytest.param(28 * 86400.0, LONGEST_S, id="four weeks"),
    ],
)
def test_a_short_past_is_learned_anew_sooner(known_s, after_s):
    assert refit_after_s(known_s) == after_s

"""Announced events: when they are, and what they do to a forecast."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.bins import BINS, loads
from autoscaler.forecast.series import LoadSeries
from autoscaler.model import Event, Moment
from autoscaler.policies.predictive.calendar import announced, raised

ZURICH = ZoneInfo("Europe/Zurich")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZURICH).timestamp()


def met(event: Event, now: str, window=(3, 7)):
    """What the calendar says at a local time of a service with steadily 20 requests in 5 s."""
    series = LoadSeries(5.0, at(now) - 5 * 720)
    series.append(np.full(720, 20.0))
    return announced((event,), series, 20.0, window, ZURICH)


ONCE = Event("push", Moment(time(18), day=date(2026, 12, 24)), Moment(time(18, 30), day=date(2026, 12, 24)), 35.0)
WEEKLY = Event("monday", Moment(time(9), weekday=0), Moment(time(9, 20), weekday=0), 35.0)
NIGHT = Event("batch", Moment(time(23, 50)), Moment(time(0, 10)), 35.0)
WEEKEND = Event("weekend", Moment(time(20), weekday=4), Moment(time(6), weekday=0), 35.0)


@pytest.mark.parametrize(
    ("event", "now", "comes"),
    [
        pytest.param(ONCE, "2026-12-24T17:59:20", False, id="the window ends before it"),
        pytest.param(ONCE, "2026-12-24T17:59:30", True, id="a pod ordered now would serve in it"),
        pytest.param(ONCE, "2026-12-24T18:29:40", True, id="its last seconds"),
        pytest.param(ONCE, "2026-12-24T18:29:50", False, id="over before a pod would serve"),
        pytest.param(ONCE, "2027-12-24T18:10:00", False, id="once is once"),
        pytest.param(WEEKLY, "2026-03-23T09:10:00", True, id="a Monday in winter"),
        pytest.param(WEEKLY, "2026-03-30T09:10:00", True, id="a Monday in summer"),
        pytest.param(WEEKLY, "2026-03-31T09:10:00", False, id="a Tuesday"),
        pytest.param(NIGHT, "2026-03-24T23:55:00", True, id="before midnight"),
        pytest.param(NIGHT, "2026-03-25T00:05:00", True, id="after midnight"),
        pytest.param(NIGHT, "2026-03-25T00:11:00", False, id="the day after"),
        pytest.param(WEEKEND, "2026-03-28T12:00:00", True, id="over days"),
        pytest.param(WEEKEND, "2026-03-30T05:30:00", True, id="and a shift of the clocks"),
        pytest.param(WEEKEND, "2026-03-30T06:30:00", False, id="to its end"),
    ],
)
def test_when_an_event_is(event, now, comes):
    found = met(event, now)
    assert found.names == ((event.name,) if comes else ())
    assert found.load == (175.0 if comes else 0.0)
    assert (event.name in found.said) == comes


def test_a_factor_is_over_the_load_before_the_event_not_in_it():
    event = Event("sale", WEEKLY.begin, WEEKLY.end, factor=3.0)
    series = LoadSeries(5.0, at("2026-03-23T08:00:00"))
    series.append(np.concatenate([np.full(720, 20.0), np.full(120, 60.0)]))
    assert announced((event,), series, 60.0, (3, 7), ZURICH).load == pytest.approx(60.0)
    assert met(event, "2026-03-23T08:59:45").load == pytest.approx(60.0)


def test_the_larger_of_two_events_rules_and_both_are_named():
    small = Event("small", WEEKLY.begin, WEEKLY.end, 10.0)
    series = LoadSeries(5.0, at("2026-03-23T09:05:00"))
    found = announced((small, WEEKLY), series, 0.0, (3, 7), ZURICH)
    assert (found.names, found.load) == (("small", "monday"), 175.0)


@given(st.integers(0, 1000), st.floats(0, 20), st.floats(0, 200))
def test_an_announcement_only_adds(seed, level, load):
    law = np.random.default_rng(seed).random(BINS)
    law /= law.sum()
    found = raised(law, level, load)
    assert found.sum() == pytest.approx(1.0)
    assert (np.cumsum(found) <= np.cumsum(law) + 1e-12).all()
    if load < 50 * (level + 0.3):
        assert loads(level)[found > 0].min() >= 0.95 * load - 0.02

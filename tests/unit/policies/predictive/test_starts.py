"""Starts that do not end are replaced, without a storm of orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.forecast.leadtime import LeadTime
from autoscaler.model import ColdStart, Fleet, Phase, Pod, Step
from autoscaler.policies.predictive.starts import overdue, replaced

LEAD = LeadTime(ColdStart(15.0, 20.84))
"""Its 99 % quantile is 23.9 s."""


def pod(phase=Phase.STARTING, age_s=10.0, **given):
    return Pod("p", phase, 1000.0 - age_s, **given)


@pytest.mark.parametrize(
    ("pods", "late"),
    [
        pytest.param([pod(), pod(age_s=23.0)], 0, id="on their way"),
        pytest.param([pod(age_s=25.0), pod()], 1, id="later than all but one in a hundred"),
        pytest.param([pod(stuck=True)], 1, id="known to be stuck"),
        pytest.param([pod(age_s=500.0, gated=True)], 0, id="meant for standby"),
        pytest.param([pod(Phase.SERVING, age_s=500.0)], 0, id="it serves"),
        pytest.param([], 0, id="none"),
    ],
)
def test_what_is_overdue(pods, late):
    assert overdue(Fleet(len(pods), tuple(pods)), LEAD, 1000.0) == late


def test_of_pods_that_shall_stand_by_starts_are_overdue_too():
    pods = pod(age_s=500.0, gated=True), pod(gated=True), pod(age_s=500.0)
    assert overdue(Fleet(3, pods), LEAD, 1000.0, gated=True) == 1


@pytest.mark.parametrize(
    ("target", "late", "ordered"),
    [
        pytest.param(8, 0, None, id="none"),
        pytest.param(8, 1, 9, id="one for one"),
        pytest.param(8, 8, 10, id="at most a quarter"),
        pytest.param(1, 1, 2, id="at least one"),
        pytest.param(20, 3, None, id="the maximum"),
        pytest.param(19, 3, 20, id="up to the maximum"),
    ],
)
def test_how_many_are_ordered_in_their_place(target, late, ordered):
    steps = replaced(Step("order", target, 0, ""), late, 20)
    assert (steps[-1].serving if steps else None) == ordered


@pytest.mark.parametrize(
    ("late", "ordered"),
    [(0, None), (1, (2, 7)), (3, (2, 8)), (9, (2, 8))],
    ids=["none", "one for one", "at most a quarter of all", "a storm"],
)
def test_a_reserve_is_filled_up_for_starts_that_hang(late, ordered):
    steps = replaced(Step("reserve", 2, 6, ""), late, 12, gated=True)
    assert [(step.serving, step.standby) for step in steps] == ([] if ordered is None else [ordered])


def test_the_reserve_and_what_is_ordered_for_it_stay_under_the_maximum():
    assert replaced(Step("reserve", 4, 8, ""), 2, 12, gated=True) == ()


@given(st.integers(1, 60), st.integers(1, 40))
def test_where_no_start_ever_ends_the_orders_end(wanted, ticks):
    """Each order becomes overdue in turn: the fleet stays bounded."""
    pods = wanted
    for _ in range(ticks):
        steps = replaced(Step("order", wanted, 0, ""), pods, 1000)
        pods = max(pods, steps[-1].serving)
    assert pods <= 1.25 * wanted + 1

"""Which price is used: the lowest that fits the budget, corrected by what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.policies.predictive.price import log_grid
from autoscaler.policies.predictive.shadows import Told
from autoscaler.policies.predictive.steering import COMES_TRUE, PriceRule, Steering, comes_true

RULE = PriceRule(budget=0.01, start=1.3, least=0.2, most=20.0, correction=1.0)
PRICES = log_grid(0.05, 120.0, 64)


def after(hours: float, rps: float = 20.0, measured: float = 0.0, replayed: float = 0.0) -> Steering:
    """A service that ran for a while, with the given shares of misses."""
    steering = Steering(price=1.3)
    for _ in range(int(hours * 60)):
        requests = rps * 60
        steering.saw(requests, 60.0)
        steering.judged(requests, measured * requests, replayed * requests, 60.0)
    return steering


def falling(at_one: float):
    """Shares that fall with the price."""
    return at_one * PRICES**-0.8


def told(requests: float = 0.0, lived=0.0, promised=0.01, spent=0.0) -> Told:
    """Shares by price: of what the shadows lived and of what forecasts promised."""
    each = np.ones(64)
    return Told(PRICES, promised * each, requests * lived * each, spent * each, requests)


def test_with_plenty_of_data_the_replayed_share_meets_the_allowance():
    steering = after(48, measured=0.0088, replayed=0.0088)
    price = steering.pick(told(1e7, falling(0.02)), RULE)
    assert 0.02 * price**-0.8 == pytest.approx(0.0088, rel=0.03)


@pytest.mark.parametrize(
    ("lived", "spent", "rule", "why"),
    [
        pytest.param(0.02, 0.0, RULE, "what keeps the misses within 0.88%", id="the allowance"),
        pytest.param(1e-4, 0.0, RULE, "the least there is", id="nothing is missed"),
        pytest.param(0.5, 0.0, RULE, "the most that may be paid", id="the cap"),
        pytest.param(
            0.06, 1e9 * PRICES, RULE, "more has not paid so far", id="dearer shadows cost more than they save"
        ),
        pytest.param(0.02, 0.0, replace(RULE, least=1.0, most=1.0), "as the policy file has it", id="a stated price"),
    ],
)
def test_the_price_says_why_it_is_what_it_is(lived, spent, rule, why):
    steering = after(48, measured=0.0088, replayed=0.0088)
    steering.pick(told(1e7, falling(lived), spent=spent), rule)
    assert steering.why == why


def test_more_measured_than_replayed_makes_it_dearer():
    honest, worse = after(48, measured=0.008, replayed=0.008), after(48, measured=0.016, replayed=0.008)
    assert worse.correction(RULE) == pytest.approx(2.0, rel=0.01)
    lived = told(1e7, falling(0.01))
    assert worse.pick(lived, RULE) > honest.pick(lived, RULE)


@pytest.mark.parametrize("at_one", [0.005, 0.02, 0.06])
def test_before_anything_was_lived_the_price_keeps_what_the_forecasts_promise(at_one):
    price = after(0.1).pick(told(promised=falling(at_one)), RULE)
    assert COMES_TRUE[1] * at_one * price**-0.8 == pytest.approx(0.0088, rel=0.1) or price == RULE.least


def test_what_was_lived_outweighs_what_was_promised():
    lived, feared = falling(0.01), falling(0.5)
    requests = [20.0 * 60 * minutes for minutes in (1, 10, 600)]
    prices = [after(1).pick(told(each, lived, feared), RULE) for each in requests]
    assert prices[0] > 3 * prices[2]
    assert prices == sorted(prices, reverse=True)
    assert prices[2] == pytest.approx(after(1).pick(told(1e9, lived, feared), RULE), rel=0.35)


@pytest.mark.parametrize(
    ("requests", "lived", "part"),
    [
        pytest.param(0.0, 0.0, COMES_TRUE[1], id="nothing lived: the most"),
        pytest.param(1e6, 0.02, 0.2, id="a fifth of it came"),
        pytest.param(1e6, 0.0, COMES_TRUE[0], id="nothing of it came: the least"),
        pytest.param(1e6, 0.3, COMES_TRUE[1], id="more than promised came: the shadows tell that by themselves"),
    ],
)
def test_how_much_of_a_promise_comes_true(requests, lived, part):
    assert comes_true(told(requests, lived, promised=0.1), weight=1000.0) == pytest.approx(part, rel=0.01)


def test_foretold_leaves_out_what_was_lived():
    steering = after(1)
    assert steering.pick(told(1e6, 0.5).foretold(), RULE) == steering.pick(told(), RULE)


@pytest.mark.parametrize(
    ("at_one", "price"),
    [
        pytest.param(0.0, RULE.least, id="never below the least"),
        pytest.param(50.0, RULE.most, id="never above the most"),
    ],
)
def test_the_price_is_bounded(at_one, price):
    assert after(48).pick(told(1e9, falling(at_one)), RULE) == price


@pytest.mark.parametrize(
    ("dearer_by", "price"),
    [
        pytest.param(0.0, RULE.most, id="dearer shadows pay no more: as dear as the budget wants"),
        pytest.param(1e7, 2.0, id="much is paid for nothing: no dearer than what pays"),
    ],
)
def test_no_price_that_buys_misses_for_more_than_they_may_cost(dearer_by, price):
    """Out of reach of the budget, misses fall up to a price of 2 and no further."""
    requests = 1e7
    saved = 0.02 * np.minimum(PRICES / 2, 1.0) ** -0.8
    spent = 1e6 + dearer_by * np.log(PRICES / PRICES[0])
    picked = after(48).pick(told(requests, saved, falling(0.01), spent), RULE)
    assert picked == pytest.approx(price, rel=0.15)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param(0.0, 2 * 0.0088, id="what was saved may be spent, at most double"),
        pytest.param(0.0088, 0.0088, id="on the line"),
        pytest.param(0.05, 0.5 * 0.0088, id="a debt is repaid, at least half stays"),
    ],
)
def test_the_allowance_repays_debts_within_a_day(measured, expected):
    assert after(96, measured=measured).allowance(RULE) == pytest.approx(expected, rel=0.01)


def test_the_first_two_minutes_are_not_judged():
    steering = Steering(price=1.3)
    steering.judged(100.0, 50.0, 1.0, 120.0)
    assert steering.measured == 0.0
    steering.judged(100.0, 50.0, 1.0, 5.0)
    assert steering.measured == 50.0


def test_the_price_moves_fast_at_first_and_slowly_later():
    young, old = Steering(price=1.0), Steering(price=1.0)
    young.steer(10.0, data_s=0.0, interval_s=5.0)
    old.steer(10.0, data_s=1e6, interval_s=5.0)
    assert 1.0 < old.price < young.price < 10.0

"""2 requests/s become 35: what the pods in reserve are for."""

import pytest

from autoscaler.model import Routing
from autoscaler.spec import find_policy
from simulations.story import tell, variants

POLICIES = {variant.name: variant.policy for variant in variants(find_policy("holiday-push"))}


@pytest.mark.parametrize("phase_s", [0.1, 1.3, 2.5, 3.7, 4.9])
@pytest.mark.parametrize("routing", [Routing.SHARED_QUEUE, Routing.LEAST_OUTSTANDING])
def test_the_shipped_policy_has_eight_pods_serving_within_ten_seconds_and_loses_nothing(routing, phase_s):
    told = tell(find_policy("holiday-push"), routing, seed=1, phase_s=phase_s)
    assert told.lost == 0
    assert told.enough_serve_s <= 10.0
    assert told.well_again_s <= 22.0


@pytest.mark.parametrize("phase_s", [0.05, 0.55, 0.95])
def test_scraped_every_second_eight_serve_within_four(phase_s):
    told = tell(find_policy("holiday-push"), Routing.LEAST_OUTSTANDING, seed=1, phase_s=phase_s, scrape_s=1.0)
    assert told.lost == 0
    assert told.enough_serve_s <= 4.0
    assert told.well_again_s <= 15.0


@pytest.mark.parametrize("name", ["gated 0", "serving 0"])
def test_without_pods_in_reserve_eight_serve_within_ninety_seconds(name):
    told = tell(POLICIES[name], Routing.SHARED_QUEUE, seed=1, phase_s=2.5)
    assert 15.0 < told.enough_serve_s <= 90.0


def test_pods_in_reserve_that_serve_need_no_promotion():
    told = tell(POLICIES["serving 6"], Routing.SHARED_QUEUE, seed=1, phase_s=2.5)
    assert (told.lost, told.enough_serve_s, told.well_again_s) == (0, 0.0, 0.0)

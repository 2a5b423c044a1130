"""The reference that knows the future: what it costs, what it misses, where it is kept."""

from dataclasses import replace

import numpy as np
import pytest
from simulation.cases import ASR, TTS, steady

from autoscaler.model import Batching, InvalidInput
from simulations import clairvoyant
from simulations.draw import draw
from simulations.run import run
from simulations.score import lower_bound_s
from simulations.traffic import Trace, find


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def square(low=2.0, high=20.0, name="square"):
    """Two levels, changing every 200 s."""
    return Trace(name, 1.0, np.tile(np.repeat([low, high], 200), 3))


@pytest.mark.parametrize("workload", [TTS, ASR], ids=lambda workload: workload.name)
def test_it_spends_the_misses_that_are_permitted_and_no_more(workload):
    plan = clairvoyant.reference(square(), workload, 1)
    assert 0.7 * 0.01 < plan.missed_ratio <= 0.01


def test_it_costs_more_than_the_hard_lower_bound_and_less_than_the_right_constant():
    trace = square()
    plan = clairvoyant.reference(trace, TTS, 1)
    bound_s = lower_bound_s(draw(trace, TTS, 1), TTS, 120.0)
    peak = plan.pods.max()
    assert bound_s / 3600 < plan.pod_hours < 0.8 * peak * (1200 - 120) / 3600


def test_it_has_a_pod_for_every_busy_slot_of_traffic_without_chance():
    # One request a second of 0.9 s, but three at a time from 300 s to 400 s; a pod for each, ordered once.
    work_s = 0.9
    requests = np.ones(600)
    requests[300:400] = 3.0
    arrival_s = np.repeat(np.arange(600.0), requests.astype(int)) + 0.05
    workload = replace(TTS, service_mean_s=work_s, service_cv=0.0, objective_s=1.0, objective_share=1.0)
    trace = Trace("regular", 1.0, requests, arrivals_s=arrival_s)
    plan = clairvoyant.reference(trace, workload, 1)
    np.testing.assert_array_equal(plan.pods[120:300], 1)
    np.testing.assert_array_equal(plan.pods[300:400], 3)
    np.testing.assert_array_equal(plan.pods[400:], 1)
    assert plan.pod_hours == pytest.approx((480 + 2 * 100 + 2 * 15) / 3600)
    assert plan.missed_ratio == 0.0


def test_a_gap_shorter_than_a_cold_start_is_bridged():
    # A pod that is dropped for 10 s costs a cold start of 15 s when it comes back.
    for gap_s, between in [(10, 2), (20, 1)]:
        requests = np.full(400, 2.0)
        requests[200 : 200 + gap_s] = 1.0
        arrival_s = np.repeat(np.arange(400.0), requests.astype(int)) + 0.05
        workload = replace(TTS, service_mean_s=0.9, service_cv=0.0, objective_s=1.0, objective_share=1.0)
        plan = clairvoyant.reference(Trace("gap", 1.0, requests, arrivals_s=arrival_s), workload, 1)
        assert plan.pods[200 : 200 + gap_s].max() == between


def test_out_of_reach_it_says_how_much_it_misses():
    plan = clairvoyant.reference(steady(40.0), replace(TTS, max_replicas=5), 1)
    assert plan.missed_ratio > 0.2
    assert plan.pods.max() == 5


def test_as_a_policy_it_costs_what_its_plan_says():
    trace = square()
    plan = clairvoyant.reference(trace, TTS, 1)
    figures = run(clairvoyant.case(plan, trace, TTS, 1)).figures
    assert figures.pod_hours == pytest.approx(plan.pod_hours, rel=0.03)
    assert figures.missed_ratio <= 0.013


def test_batches_have_no_reference():
    with pytest.raises(InvalidInput, match="batches"):
        clairvoyant.reference(square(), replace(TTS, batching=Batching(4, 0.5)), 1)


def test_a_plan_is_made_once(monkeypatch):
    first = clairvoyant.reference(square(), TTS, 1)
    monkeypatch.setattr(clairvoyant, "solve", lambda *_: pytest.fail("planned again"))
    again = clairvoyant.reference(square(), TTS, 1)
    np.testing.assert_array_equal(again.pods, first.pods)
    assert (again.pod_hours, again.missed_ratio) == (first.pod_hours, first.missed_ratio)


@pytest.mark.parametrize(
    "other",
    [(square(high=21.0), TTS, 1), (square(), ASR, 1), (square(), TTS, 2), (square(), replace(TTS, max_replicas=3), 1)],
    ids=["traffic", "workload", "seed", "bounds"],
)
def test_another_case_is_another_plan(other, cache):
    clairvoyant.reference(square(), TTS, 1)
    clairvoyant.reference(*other)
    assert len(list(cache.rglob("*.npz"))) == 2


@pytest.mark.parametrize("damage", [b"", b"not a plan", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_plan_is_made_again(damage, cache):
    first = clairvoyant.reference(square(), TTS, 1)
    (kept,) = cache.rglob("*.npz")
    kept.write_bytes(kept.read_bytes()[:200] if damage is None else damage)
    assert clairvoyant.reference(square(), TTS, 1).pod_hours == first.pod_hours
    assert len(kept.read_bytes()) > 200


def test_a_cache_that_cannot_be_written_does_not_matter(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert clairvoyant.reference(square(), TTS, 1).pod_hours > 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "workload", "published"),
    [
        ("azure_llm_conv_2023", TTS, 13.30),
        ("azure_llm_conv_2023", ASR, 13.57),
        ("mooncake_conversation", TTS, 15.97),
        ("mooncake_conversation", ASR, 17.11),
        ("azfn_bursty", TTS, 96.79),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_it_agrees_with_the_published_reference(shared, name, workload, published):
    plan = clairvoyant.reference(find(str(shared / "traces" / f"{name}.csv.gz")), workload, 1)
    assert plan.pod_hours == pytest.approx(published, rel=0.01)
    assert plan.missed_ratio <= 0.01

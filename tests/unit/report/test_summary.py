"""Means over seeds, then over counted traces, as the protocol states."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulations.report.summary import cells, measured, standings

COUNTED = {"steady": True, "spiky": True, "hopeless": False}
ALLOWED = {"tts": 0.01}


def test_a_trace_is_kept_by_its_mean_over_seeds(make_figures):
    runs = [
        make_figures(trace="steady", seed=1, missed_ratio=0.004),
        make_figures(trace="steady", seed=2, missed_ratio=0.014),
        make_figures(trace="spiky", seed=1, missed_ratio=0.004),
        make_figures(trace="spiky", seed=2, missed_ratio=0.018),
    ]
    steady, spiky = cells(runs, COUNTED, ALLOWED)
    assert (steady.missed_ratio, steady.kept) == (pytest.approx(0.009), True)
    assert (spiky.missed_ratio, spiky.kept) == (pytest.approx(0.011), False)
    assert steady.seeds == (1, 2)


def test_what_no_policy_can_serve_is_shown_and_not_counted(make_figures):
    runs = [
        make_figures(trace="steady", missed_ratio=0.004, cost_ratio=1.5),
        make_figures(trace="hopeless", missed_ratio=0.9, cost_ratio=18.0),
    ]
    table = cells(runs, COUNTED, ALLOWED)
    assert [cell.trace for cell in table] == ["steady", "hopeless"]
    (standing,) = standings(table)
    assert (standing.traces, standing.kept, standing.cost_ratio) == (1, 1, 1.5)


def test_means_over_traces(make_figures):
    runs = [make_figures(trace="steady", cost_ratio=1.0), make_figures(trace="spiky", cost_ratio=4.0)]
    (standing,) = standings(cells(runs, COUNTED, ALLOWED))
    assert standing.cost_ratio == pytest.approx(2.5)
    assert standing.cost_ratio_geometric == pytest.approx(2.0)


def test_workloads_and_routings_are_never_mixed(make_figures):
    runs = [make_figures(trace="steady", routing=routing) for routing in ("shared-queue", "random")]
    assert [s.setup.routing for s in standings(cells(runs, COUNTED, ALLOWED))] == ["shared-queue", "random"]


def test_a_missing_reference_makes_no_mean(make_figures):
    runs = [make_figures(trace="steady"), make_figures(trace="spiky", cost_ratio=None, reference_pod_hours=None)]
    (standing,) = standings(cells(runs, COUNTED, ALLOWED))
    assert standing.cost_ratio is None
    assert standing.cost_ratio_geometric is None


def test_costs_are_measured_against_the_plan(make_figures):
    alone = make_figures(pod_hours=15.0, reference_pod_hours=None, cost_ratio=None)
    figures = measured(alone, make_figures(policy="clairvoyant", reference_pod_hours=10.0))
    assert (figures.reference_pod_hours, figures.cost_ratio) == (10.0, 1.5)
    assert figures.policy == "hpa"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(missed=st.lists(st.floats(0, 1), min_size=1, max_size=8), random=st.randoms(use_true_random=False))
def test_the_order_of_seeds_does_not_matter(make_figures, missed, random):
    runs = [make_figures(trace="steady", seed=seed, missed_ratio=value) for seed, value in enumerate(missed)]
    (one,) = cells(runs, COUNTED, ALLOWED)
    (other,) = cells(random.sample(runs, len(runs)), COUNTED, ALLOWED)
    assert one.missed_ratio == pytest.approx(other.missed_ratio)
    assert one.seeds == other.seeds

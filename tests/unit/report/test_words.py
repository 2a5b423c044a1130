"""Numbers as people read them, and sentences that state the result."""

import math

import pytest

from simulations.report import words
from simulations.report.summary import Setup, Standing


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        pytest.param(0.0, "0.00 %", id="none"),
        pytest.param(0.00001, "<0.01 %", id="some, but too few to print, is not none"),
        pytest.param(0.0042, "0.42 %", id="below ten percent with two decimals"),
        pytest.param(0.2587, "25.9 %", id="above with one"),
        pytest.param(math.nan, "–", id="no number"),
    ],
)
def test_percent(ratio, text):
    assert words.percent(ratio) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (0.83, "0.83 s"), (29.96, "30.0 s"), (math.nan, "–")],
)
def test_seconds(seconds, text):
    assert words.seconds(seconds) == text


@pytest.mark.parametrize(
    ("pod_hours", "text"),
    [(4.0, "4.00"), (18.2, "18.2"), (1234.5, "1,234.5"), (None, "–")],
)
def test_hours(pod_hours, text):
    assert words.hours(pod_hours) == text


@pytest.mark.parametrize(
    ("missed_ratio", "met"),
    [
        pytest.param(0.0099, True, id="below"),
        pytest.param(0.01, True, id="exactly what is allowed"),
        pytest.param(0.0101, False, id="above"),
    ],
)
def test_met_compares_with_what_the_objective_leaves(tts, missed_ratio, met):
    assert words.met(missed_ratio, tts) is met


def test_headline_of_a_replay_that_met_its_objective(tts, make_figures):
    assert words.replay_headline(make_figures(), tts) == (
        "hpa met 99 % within 0.8 s: missed 0.42 %; 18.2 pod-hours, 1.35× the clairvoyant reference."
    )


def test_headline_says_what_was_not_met_and_leaves_out_a_reference_nobody_asked_for(tts, make_figures):
    figures = make_figures(missed_ratio=0.0172, reference_pod_hours=None, cost_ratio=None)
    assert words.replay_headline(figures, tts) == ("hpa did not meet 99 % within 0.8 s: missed 1.72 %; 18.2 pod-hours.")


def standing(policy: str, kept: int, cost: float | None, hours: float = 20.0) -> Standing:
    return Standing(Setup("tts", "shared-queue"), policy, 16, kept, 0.005, cost, cost, hours)


@pytest.mark.parametrize(
    ("standings", "policies"),
    [
        pytest.param([standing("cheap", 10, 1.2), standing("safe", 16, 1.4)], ["safe", "cheap"], id="fewer for less"),
        pytest.param([standing("dear", 16, 1.4), standing("cheap", 16, 1.2)], ["cheap"], id="as many for less"),
        pytest.param([standing("best", 16, 1.2), standing("worse", 10, 1.3)], ["best"], id="fewer for more"),
        pytest.param([standing("a", 16, None, 30), standing("b", 9, None, 20)], ["a", "b"], id="pod-hours, no ratio"),
    ],
)
def test_the_frontier_is_what_no_other_beats(standings, policies):
    assert [each.policy for each in words.frontier(tuple(standings))] == policies


def test_headline_of_a_comparison_names_the_best_and_who_keeps_fewer_for_less(tts):
    standings = (standing("hpa", 9, 1.1), standing("safe", 16, 1.4), standing("dear", 16, 2.0))
    assert words.comparison_headline(standings, tts) == (
        "safe kept 16 of 16 traces within 1 % missed, at 1.40× the clairvoyant reference; hpa 9 at 1.10×."
    )


@pytest.mark.parametrize(
    ("policies", "named"), [(["hpa", "keda"], "hpa and keda"), (["hpa", "keda", "kpa"], "hpa, keda and kpa")]
)
def test_headline_names_all_that_stand_alike(tts, policies, named):
    standings = (standing("dear", 16, 2.0), *(standing(policy, 16, 1.4) for policy in policies))
    assert words.comparison_headline(standings, tts) == (
        f"{named} kept 16 of 16 traces within 1 % missed, at 1.40× the clairvoyant reference."
    )


def test_headline_without_a_reference_is_in_pod_hours(tts):
    assert words.comparison_headline((standing("hpa", 9, None),), tts) == (
        "hpa kept 9 of 16 traces within 1 % missed, at 20.0 pod-hours a trace."
    )

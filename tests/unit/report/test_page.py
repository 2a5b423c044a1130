"""The page is one file that asks for nothing and shows names as they are."""

import base64
import html
import json
import re
from html.parser import HTMLParser

import pytest

from simulations.report.closeup import budget, closeup
from simulations.report.page import comparison_page, replay_page
from simulations.report.panels import panels
from simulations.report.plots import plots

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Elements(HTMLParser):
    """All start tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def comparison(tts, make_result):
    results = [
        make_result(hours=1, margin=margin, policy=policy, trace=trace, cost_ratio=margin)
        for policy, margin in (("hpa", 1.4), ("kpa", 1.6), (NASTY, 1.2))
        for trace in ("steady", "spiky", NASTY)
    ]
    shown = [closeup(result, None, tts, budget(len(results))) for result in results]
    counted = {"steady": True, "spiky": True, NASTY: False}
    return comparison_page([result.figures for result in results], shown, {"tts": tts}, counted)


def test_the_headline_states_the_result(tts, make_result):
    page = replay_page(make_result(), None, tts)
    (headline,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page)
    assert html.unescape(headline).startswith("hpa met 99 % within 0.8 s: missed 0.42 %")


def test_without_a_trace_that_counts_the_headline_says_so(tts, make_result):
    result = make_result()
    shown = [closeup(result, None, tts, budget(1))]
    page = comparison_page([result.figures], shown, {"tts": tts}, {result.figures.trace: False})
    assert '<h1 class="headline">None of these traces counts: there are no means.</h1>' in page


def test_requests_are_counted_once_however_many_policies_they_meet(tts, make_result):
    results = [make_result(policy=policy, seed=seed, requests=1200) for policy in ("hpa", "kpa") for seed in (1, 2)]
    shown = [closeup(results[0], None, tts, budget(1))]
    page = comparison_page([each.figures for each in results], shown, {"tts": tts}, {results[0].figures.trace: True})
    assert "(seeds 1, 2, 2,400 requests)" in page


def test_what_the_objective_allows_is_always_in_sight(tts, make_result):
    results = [make_result(policy=policy, missed_ratio=0.0005) for policy in ("hpa", "kpa")]
    shown = [closeup(result, None, tts, budget(2)) for result in results]
    page = comparison_page([each.figures for each in results], shown, {"tts": tts}, {results[0].figures.trace: True})
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', page, re.DOTALL)[1])
    (frontier,) = (
        root["attributes"]
        for root in data["plots"]["document"]["roots"]
        if root["id"] == data["plots"]["roots"]["frontier-0"]
    )
    low, high = (frontier["y_range"]["attributes"][edge] for edge in ("start", "end"))
    assert 0.01 <= low < 0.05
    assert 1.0 < high < 2.0


def test_a_page_measures_against_the_reference_it_is_given(tts, make_result):
    result = make_result(pod_hours=15.0, reference_pod_hours=None, cost_ratio=None)
    reference = make_result(policy="clairvoyant", reference_pod_hours=10.0)
    page = replay_page(result, reference, tts)
    assert "15.0 pod-hours, 1.50× the clairvoyant reference" in page
    assert '"label":"clairvoyant reference"' in page
    assert '"label":"clairvoyant reference"' not in replay_page(result, None, tts)


def test_nothing_is_loaded_from_anywhere(comparison):
    for tag, attributes in Elements(comparison).found:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img"}
        assert not {"src", "srcset", "data"} & attributes.keys()


def test_only_scripts_of_this_page_may_run(comparison):
    import hashlib

    (policy,) = (a["content"] for tag, a in Elements(comparison).found if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    run = re.findall(r"<script>(.*?)</script>", comparison, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in run]
    assert len(digests) == 2
    assert all(f"'sha256-{digest}'" in policy for digest in digests)


def test_names_are_escaped_wherever_they_stand(comparison):
    assert "alert(1)" in comparison
    assert NASTY not in comparison
    assert "<img" not in comparison
    data = re.search(r'id="page-data">(.*?)</script>', comparison, re.DOTALL)
    assert data is not None
    assert NASTY in json.loads(data[1])["policies"]


def test_every_plot_has_its_place(comparison):
    places = {attributes["id"] for _, attributes in Elements(comparison).found if "id" in attributes}
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', comparison, re.DOTALL)[1])
    assert data["plots"]["roots"].keys() <= places
    assert {"overview", "traffic", "pods", "latency", "missed", "queue", "cost", "fleets", "frontier-0"} <= places


def test_every_replay_is_carried(comparison):
    data = json.loads(re.search(r'id="page-data">(.*?)</script>', comparison, re.DOTALL)[1])
    places = {attributes.get("id") for tag, attributes in Elements(comparison).found if tag == "script"}
    assert len(data["cases"]) == 9
    assert {f"case-{number}" for number in range(9)} <= places


def test_one_policy_has_no_frontier(tts, make_result):
    assert 'id="frontier-0"' not in replay_page(make_result(), None, tts)


@pytest.mark.parametrize(("replays", "most"), [(1, 40_000), (12, 20_000), (480, 500)])
def test_many_replays_share_one_page(replays, most):
    assert budget(replays).points == most


def test_two_days_of_noise_stay_under_six_megabytes(tts, make_result):
    assert len(replay_page(make_result(hours=48), None, tts)) < 6_000_000


def test_colours_are_roles_of_the_style_sheet(tts, make_result):
    page = replay_page(make_result(), None, tts)
    drawn = plots(panels(with_reference=True), ["hpa", "kpa"], (), (), {})
    roles = set(re.findall(r'"tags":\s*\["([\w-]+)"\]', json.dumps(drawn.document)))
    css = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    light, dark = css.split('[data-theme="dark"]')[:2]
    for role in roles:
        assert f"--{role}:" in light
        assert f"--{role}:" in dark

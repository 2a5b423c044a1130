"""The report in a real browser: it opens without complaint, asks nobody for anything, and does what it says."""

import re
import shutil
import time
from dataclasses import replace

import pytest

from autoscaler.spec import find_policy, find_workload
from simulations.replay import Replay
from simulations.report.closeup import budget, closeup
from simulations.report.page import comparison_page, replay_page
from simulations.traffic.find import find

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]
SPAN = "((w) => (w.end - w.start) / 1000)(Bokeh.documents[0].get_model_by_name('window'))"
NASTY = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"


@pytest.fixture(scope="module")
def tts():
    return find_workload("tts")


@pytest.fixture(scope="module")
def results(tts):
    """Two policies on two traces, replayed; one policy has a name that a page must not take for its own."""
    found = []
    for name in ("hpa", "kpa"):
        policy = find_policy(name)
        for trace in ("burst", "diurnal:low=3,high=40,for=6h"):
            result = Replay(policy, find(trace), policy.serving(tts)).run()
            title = NASTY if name == "kpa" else name
            found.append(replace(result, figures=replace(result.figures, policy=title)))
    return found


@pytest.fixture(scope="module")
def pages(results, tts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    shown = [closeup(result, None, tts, budget(len(results))) for result in results]
    counted = {result.figures.trace: True for result in results}
    texts = {
        "replay": replay_page(results[1], None, tts),
        "comparison": comparison_page([result.figures for result in results], shown, {"tts": tts}, counted),
    }
    paths = {name: folder / f"{name}.html" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text, encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


class Visit:
    """One page that is looked at, and everything it said and asked for."""

    def __init__(self, browser, path, **look) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 900}, **look)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)
        self.page.wait_for_selector("html[data-ready]", state="attached", timeout=30_000)

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.said if line.startswith(("error", "warning"))]

    def until(self, expression: str, seconds: float = 10) -> None:
        """Wait for a condition; the page forbids the evaluation that Playwright's own waiting uses."""
        end_s = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end_s, f"waited too long for {expression}"
            self.page.wait_for_timeout(20)

    def window(self) -> float:
        """Seconds that the plots show."""
        return self.page.evaluate(SPAN)


@pytest.fixture
def visit(browser, pages):
    opened = []

    def open_page(name, **look) -> Visit:
        opened.append(Visit(browser, pages[name], **look))
        return opened[-1]

    yield open_page
    for each in opened:
        each.page.close()


@pytest.mark.parametrize("name", ["replay", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_without_complaint_and_asks_for_nothing_else(visit, name, scheme):
    seen = visit(name, color_scheme=scheme)
    assert seen.complaints == []
    assert seen.asked == [seen.url]
    assert seen.page.locator("#failure").is_hidden()
    assert seen.page.evaluate("document.documentElement.dataset.theme") == scheme


@pytest.mark.parametrize("name", ["replay", "comparison"])
def test_every_plot_is_drawn(visit, name):
    page = visit(name).page
    for plot in page.locator(".plot").all():
        box = plot.bounding_box()
        assert box["width"] > 1000, plot.get_attribute("id")
        assert box["height"] > 50, plot.get_attribute("id")
    drawn = page.evaluate("Bokeh.documents[0].get_model_by_name('data-pods').get_length()")
    assert drawn > 50


def test_a_name_is_text_whatever_it_looks_like(visit):
    seen = visit("comparison")
    assert "owned" not in seen.page.title()
    assert seen.page.locator("img").count() == 0
    assert seen.page.locator("table.grid th", has_text="<script>").count() == 1
    seen.page.locator("#chooser select").last.select_option(NASTY)
    seen.until("document.getElementById('case-headline').textContent.includes('<script>')")
    assert "owned" not in seen.page.title()
    assert seen.complaints == []


def test_the_theme_can_be_chosen_against_the_system(visit):
    page = visit("replay", color_scheme="light").page
    paper = "getComputedStyle(document.body).backgroundColor"
    line = "Bokeh.documents[0].get_model_by_name('pods').yaxis[0].major_label_text_color"
    before = page.evaluate(paper), page.evaluate(line.replace("yaxis[0]", "left[0]"))
    page.get_by_role("button", name="Dark").click()
    after = page.evaluate(paper), page.evaluate(line.replace("yaxis[0]", "left[0]"))
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_zooming_one_plot_zooms_all_and_shows_finer_data(visit):
    seen = visit("replay")
    assert seen.window() == pytest.approx(6 * 3600)
    plot = seen.page.locator("#latency")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    seen.page.mouse.move(box["x"] + 400, box["y"] + 80)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + 600, box["y"] + 90, steps=5)
    seen.page.mouse.up()
    seen.until(f"{SPAN} < 7200")
    spans = seen.page.evaluate(
        "['traffic', 'pods', 'missed'].map((n) => Bokeh.documents[0].get_model_by_name(n).x_range.start)"
    )
    assert len(set(spans)) == 1
    seen.page.get_by_role("button", name="Whole").click()
    assert seen.window() == pytest.approx(6 * 3600)


def test_a_click_in_a_legend_hides_what_it_names(visit):
    page = visit("replay").page
    key = page.locator(".legend button", has_text="offered work").first
    key.click()
    assert key.get_attribute("aria-pressed") == "false"
    hidden = page.evaluate("Bokeh.documents[0].get_model_by_name('pods').renderers.filter((r) => !r.visible).length")
    assert hidden == 1


def numbers(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"[\d,]+", text)]


def test_decisions_are_found_by_what_they_say(visit):
    seen = visit("replay")
    page = seen.page
    page.get_by_label("only changes of size").uncheck()
    found, all_of_them = numbers(page.locator("#found").inner_text())
    assert found == all_of_them > 10
    page.get_by_label("Find").fill("hpa window")
    seen.until(f"!document.getElementById('found').textContent.startsWith('{found:,} ')")
    fewer, _ = numbers(page.locator("#found").inner_text())
    assert 0 < fewer < found
    assert all("hpa window" in row for row in page.locator("#decision-rows tr").all_inner_texts())


def test_a_click_on_a_decision_shows_its_time(visit):
    seen = visit("replay")
    seen.page.locator("#decision-rows button").nth(3).click()
    seen.until(f"{SPAN} < 1300")
    assert seen.window() == pytest.approx(1200)


def test_another_replay_can_be_looked_at(visit):
    seen = visit("comparison")
    assert seen.window() == pytest.approx(600)
    seen.page.locator("#chooser select").first.select_option("diurnal:low=3,high=40,for=6h")
    seen.until(f"{SPAN} === 21600")
    assert seen.complaints == []


@pytest.mark.parametrize("name", ["replay", "comparison"])
def test_a_phone_scrolls_down_not_sideways(visit, name):
    seen = visit(name)
    seen.page.set_viewport_size({"width": 390, "height": 800})
    seen.until("document.documentElement.scrollWidth <= 390")
    assert seen.page.locator("h1").is_visible()


def test_without_scripts_the_figures_are_there(browser, pages):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["comparison"].as_uri())
    assert page.locator("table.grid tbody tr").count() == 2
    assert "need JavaScript" in page.locator("noscript").inner_text()
    context.close()

"""The status page in a real browser: it shows what was decided, runs nothing else, and asks nobody else."""

import math
import shutil
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from autoscaler.model import (
    Cause,
    Decision,
    Fleet,
    Missing,
    Observation,
    Phase,
    Pod,
    Problem,
    Scrape,
    Signals,
    Step,
    Tick,
)
from autoscaler.service.board import CHANGES, POINTS, Board
from autoscaler.service.endpoint import Endpoint

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]
NASTY = "<img src=x onerror=\"document.title = 'owned'\"><script>document.title = 'owned'</script>"
NOW_S = 1_795_000_000.0
TTS, ASR = "voice/tts", "voice/asr"


def tick(target, at_s, wanted, *, load=None, reason="worth their cost", problems=(), starting=0, paused=False):
    pods = [Pod(f"p{i}", Phase.SERVING, 0.0, 1.0) for i in range(max(1, wanted - starting))]
    pods += [Pod(f"s{i}", Phase.STARTING, at_s) for i in range(starting)]
    scrape = Scrape(at_s - 2.0, received=at_s, queued=0.0)
    seen = Observation(at_s, Signals((scrape,), problems), Fleet(wanted, tuple(pods)), paused)
    insight = {}
    if load is not None:
        insight = {
            "load_now": load,
            "load_p50": load,
            "load_p90": 1.3 * load,
            "load_p99": 1.7 * load,
            "lead_p50_s": 15.0,
        }
    return Tick(target, seen, Decision(at_s, wanted, 0, (Step("order", wanted, 0, reason),), "order", insight), ())


def lived():
    """An hour of a service that breathes, and of one whose signals are gone."""
    board = Board()
    for second in range(0, 3600, 5):
        load = 6 + 4 * math.sin(second / 500)
        wanted = math.ceil(1.3 * load)
        starting = int(second % 900 < 30)
        board.append(tick(TTS, NOW_S + second, wanted, load=load, starting=starting))
    board.append(tick(ASR, NOW_S, 2, reason=NASTY, problems=(Problem("received", Missing(Cause.STALE, NASTY)),)))
    return board


@contextmanager
def served(board, **more):
    def report(target):
        detail = board.detail(target) if target else {"identity": "pod-a", "leading": True, **board.overview()}
        return detail and {**detail, **more}

    endpoint = Endpoint("127.0.0.1", 0, CollectorRegistry(), {}, report)
    endpoint.start()
    try:
        yield f"http://127.0.0.1:{endpoint.port}/"
    finally:
        endpoint.stop()


@contextmanager
def opened(url, **options):
    """The page; fails on any complaint, and on any request to anybody else."""
    from playwright.sync_api import sync_playwright

    complaints, foreign = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(**options)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.on("request", lambda request: request.url.startswith(url.partition("#")[0]) or foreign.append(request.url))
        page.set_default_timeout(20_000)
        page.goto(url)
        yield page
        browser.close()
    assert [said for said in complaints if not any(each in said for each in ("favicon", "status of 500"))] == []
    assert [asked for asked in foreign if not asked.endswith("favicon.ico")] == []


class TestInTheBrowser:
    pytestmark = needs_browser

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_targets_pods_forecast_and_reasons_are_shown(self, scheme, tmp_path):
        board = lived()
        with served(board) as url, opened(url, color_scheme=scheme, viewport={"width": 1200, "height": 1500}) as page:
            page.get_by_role("button", name=TTS).click()
            page.wait_for_selector("#load path", state="attached")
            assert page.text_content("#who") == "pod-a leads"
            assert page.locator("#targets tr").count() == 2
            assert page.locator("#load path[opacity]").count() == 2
            assert page.locator("#pods path[opacity]").count() == 4
            assert "worth their cost" in page.text_content("#explained")
            assert page.locator("#changes tr").count() == len(board.detail(TTS)["changes"]) > 10
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, paper[4:-1].split(","))) > 380) == (scheme == "light")
            page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)

    def test_what_a_cluster_says_is_text_and_never_runs(self):
        with served(lived()) as url, opened(url + "#" + ASR.replace("/", "%2F")) as page:
            page.wait_for_selector("#targets tr[aria-selected=true]")
            assert NASTY in page.text_content("#targets")
            assert page.title() == "Speech autoscaler"
            assert page.locator("#targets img").count() == 0

    def test_how_long_starts_take_is_shown_with_what_the_server_does_meanwhile(self):
        ready, weights = {"ready": {"p50": 14.0, "p95": 18.0}}, {"weights": {"p50": 8.0, "p95": 9.5}}
        starts = [
            {"images": [NASTY], "nodeSelector": {"gpu": "a100"}, "nodeType": "a2", "count": 3, "seconds": ready},
            {"images": ["tts:1"], "nodeSelector": {}, "load": {"count": 2, "seconds": weights}},
        ]
        with served(lived(), starts=starts) as url, opened(url + "#" + TTS.replace("/", "%2F")) as page:
            page.wait_for_selector("#starts tr")
            first, second = page.locator("#starts tr").all_text_contents()
            assert first == f"{NASTY} on gpu=a100, a23 seen: ready 14 s (18 s)"
            assert second == "tts:12 seen: weights 8 s (9.5 s)"
            assert page.title() == "Speech autoscaler"
        with served(lived(), loadPhasesMissing="absent: none") as url, opened(url) as page:
            page.wait_for_selector("#starts tr", state="attached")
            assert page.text_content("#starts") == "not known: absent: none"

    def test_a_controller_that_is_gone_is_said_and_the_last_figures_stay(self):
        with served(lived()) as url, opened(url) as page:
            page.wait_for_selector("#targets tr")
            page.route("**/status.json*", lambda route: route.fulfill(status=500, body="{}"))
            page.evaluate("refresh()")
            page.wait_for_selector("#said:not(:empty)")
            assert "as last heard: 500" in page.text_content("#said")
            assert page.locator("#targets tr").count() == 2
            page.unroute("**/status.json*")


def test_a_board_keeps_an_hour_and_no_more():
    board = Board()
    for second in range(0, 10_000, 5):
        board.append(tick(TTS, NOW_S + second, 2 + second // 10 % 2, load=1.0))
    kept = board.detail(TTS)
    times = [row[0] for row in kept["points"]]
    assert (len(times), len(kept["changes"])) == (POINTS, CHANGES)
    assert times[-1] - times[0] == 10.0 * (POINTS - 1)
    assert times == sorted(times)
    assert kept["changes"][0]["at"] > kept["changes"][-1]["at"]


def test_a_fleet_that_cannot_be_read_leaves_the_last_figures():
    board = Board()
    board.append(tick(TTS, NOW_S, 3))
    board.append(Tick(TTS, Missing(Cause.ABSENT, "no Deployment"), None, ()))
    [row] = board.overview()["targets"]
    assert (row["serving"], row["wrong"]) == (3, "absent: no Deployment")


def test_nobody_knows_a_target_that_was_never_seen():
    assert Board().detail("voice/other") is None

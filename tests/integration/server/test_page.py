"""The page to try it, in a real browser with a microphone that plays a file."""

from __future__ import annotations

import shutil

import pytest
import soundfile

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]
IN_TIME_MS = 60_000


@pytest.fixture
def open_page():
    """Opens a URL; the test fails on any complaint of the page."""
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"],
        )
        page = browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        page.set_default_timeout(IN_TIME_MS)

        def open_url(url: str):
            page.goto(url)
            return page

        yield open_url
        browser.close()
    assert [said for said in complaints if "status of 400" not in said] == []


def test_an_uploaded_file_becomes_text_with_language_emotion_and_event(open_page, digits_server, digit_clips) -> None:
    page = open_page(digits_server.url)
    page.set_input_files("#file", digit_clips[10].path)
    page.wait_for_selector("#tags .tag")
    assert page.text_content("#text") == "95"
    assert page.locator("#tags .tag").all_text_contents() == ["en", "happy", "speech"]
    assert not page.locator("#speak").is_visible()


def test_a_recording_is_transcribed(open_page, digits_server) -> None:
    """Chromium's fake microphone beeps: what counts is that the recording arrives and is answered."""
    page = open_page(digits_server.url)
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_timeout(700)  # time that is recorded
    page.click("#record")
    page.wait_for_selector("#text:not(:empty)")


def test_a_refusal_is_shown(open_page, digits_server, tmp_path) -> None:
    short = tmp_path / "short.wav"
    soundfile.write(short, [0.0] * 100, 16_000)
    page = open_page(digits_server.url)
    page.set_input_files("#file", short)
    page.wait_for_selector("#status.error")
    assert "at least 0.1 s" in page.text_content("#status")


def test_a_text_becomes_sound(open_page, emotivoice_server) -> None:
    page = open_page(emotivoice_server.url)
    page.wait_for_selector("#voice option", state="attached")
    page.fill("#input", "你好。")
    page.click("#say")
    page.wait_for_selector("#sound[src]")
    duration_s = page.locator("#sound").evaluate(
        "sound => sound.duration || new Promise(done => { sound.onloadedmetadata = () => done(sound.duration) })"
    )
    assert duration_s > 0.1
    assert not page.locator("#listen").is_visible()

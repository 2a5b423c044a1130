"""A running controller as people watch it: its page in a browser, and `autoscaler status -w` in a terminal."""

import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress

import pytest
from rig.processes import wait_for
from rig.scene import BUSY, IDLE, carry, policy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.prometheus,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
    pytest.mark.parametrize("prometheus", ["3"], indirect=True, ids=["prometheus-3"]),
]
ROWS, COLUMNS = 40, 140


@contextmanager
def terminal(*arguments):
    """A command in a terminal of its own; gives what it has shown so far, and ends it as Ctrl-C does."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.set_blocking(ours, False)
    command = [sys.executable, "-m", "autoscaler", *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        shown = bytearray()

        def screen():
            with suppress(BlockingIOError):
                shown.extend(os.read(ours, 1 << 16))
            return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))

        try:
            yield process, screen
        finally:
            process.kill()
            os.close(theirs)
    os.close(ours)


def test_a_page_and_a_table_follow_the_controller(installed, pods, prometheus):
    from playwright.sync_api import sync_playwright

    tts = installed.cluster.deploy(installed.namespace, "tts", 2)
    carry(pods, tts, IDLE)
    name = f"{installed.namespace}/tts"
    looks = ["status", "-w", "--kubeconfig", installed.cluster.plane.kubeconfig, "--namespace", installed.namespace]
    policies = installed.policies(tts=policy("tts", prometheus.url))
    with installed.leading(installed.pods()[0], policies) as ours, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]).new_page()
        page.goto(ours.url)
        row = page.locator("#targets tr", has_text=name)
        row.wait_for(timeout=20_000)
        with terminal(*looks) as (process, screen):
            wait_for("the table", lambda: re.search(rf"{name}\W+2\W+2\b", screen()))
            carry(pods, tts, BUSY)
            wait_for("growth", lambda: tts.read().spec.replicas == 3)
            wait_for("the table to show it", lambda: re.search(rf"{name}\W+\d\W+3\b", screen()))
            process.send_signal(signal.SIGINT)
            wait_for("its end", lambda: screen() and process.poll() is not None)  # nobody ends who cannot write
            assert process.returncode == 130
            assert "Traceback" not in screen()
        wait_for("the page to show it", lambda: "3" in row.locator("td").all_text_contents())

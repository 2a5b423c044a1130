"""Record the bundled burst: `python -m simulations.demo.record_burst OUT.json.gz`, ten minutes.

A real Prometheus scrapes a real inference server (the engine `sleeper`, which needs no model) while Poisson arrivals
follow the shape `burst`; then `autoscaler trace record` saves what Prometheus saw. Needs `prometheus` on the PATH
and the extras `server` and `simulations`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import numpy as np
import requests
import yaml

from simulations.draw import place
from simulations.traffic.synth import make

SHAPE = "burst"
SEED = 1
SCRAPE_S = 1
SLOTS = 8
"""Requests at a time: 35 requests/s of 0.18 s keep 6.3 slots busy, so that nothing is refused."""
CLIENTS = 64
METRIC = "speech_requests_received_total"
SETTLE_S = 3 * SCRAPE_S
"""Before and after the traffic, so that the first and the last request lie between two scrapes."""


def main() -> None:
    """Serve, scrape, play, record."""
    out = Path(sys.argv[1])
    with TemporaryDirectory() as name:
        folder = Path(name)
        with _server() as server, _prometheus(folder, server) as prometheus:
            requests.post(f"{server}/v1/sleep", timeout=30).raise_for_status()  # from now on the counter is exported
            _wait(f"{prometheus}/api/v1/query?query={METRIC}", '"result":[{')
            time.sleep(SETTLE_S)
            began_s = time.time()
            _play(server)
            ended_s = time.time()
            time.sleep(SETTLE_S)
            span = ["--from", f"{began_s - SCRAPE_S:.0f}", "--to", f"{ended_s + SCRAPE_S:.0f}"]
            record = [sys.executable, "-c", "from autoscaler.cli import main; main()", "trace", "record", METRIC]
            options = ["--prometheus", prometheus, "--step", f"{SCRAPE_S}s", "--out", str(out)]
            subprocess.run([*record, *options, *span], check=True)


def _play(server: str) -> None:
    """Send each request at its time, whether earlier ones were answered or not."""
    counts = make(SHAPE, poisson_seed=SEED).counts.astype(np.int64)
    times = place(counts, 1.0, np.random.default_rng(SEED))
    http = requests.Session()
    http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=CLIENTS))

    def ask() -> None:
        http.post(f"{server}/v1/sleep", timeout=30).raise_for_status()

    start_s = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        waiting = []
        for at_s in times:
            time.sleep(max(0.0, start_s + at_s - time.monotonic()))
            waiting.append(clients.submit(ask))
        for answer in waiting:
            answer.result()


@contextmanager
def _server() -> Iterator[str]:
    """The inference server with the sleeper; gives its address."""
    program = [sys.executable, "-c", "from inference_server.cli import main; main()", "serve", "--engine", "sleeper"]
    process = subprocess.Popen([*program, "--port", "0", "-o", f"slots={SLOTS}"], stdout=subprocess.PIPE, text=True)
    with _ended(process):
        address = process.stdout.readline().strip() if process.stdout else ""
        _wait(f"{address}/readyz", "")
        yield address


@contextmanager
def _prometheus(folder: Path, server: str) -> Iterator[str]:
    """A Prometheus that scrapes the server; gives its address."""
    program = which("prometheus")
    if program is None:
        raise SystemExit("prometheus is not on the PATH")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    job = {"job_name": "sleeper", "static_configs": [{"targets": [server.removeprefix("http://")]}]}
    timing = {"scrape_interval": f"{SCRAPE_S}s", "scrape_timeout": f"{SCRAPE_S}s"}
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": timing, "scrape_configs": [job]}))
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    process = subprocess.Popen([program, *options, f"--web.listen-address=127.0.0.1:{port}"])
    with _ended(process):
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/-/ready", "")
        yield address


@contextmanager
def _ended(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, text: str, within_s: float = 30.0) -> None:
    """Wait until an address answers well and says a text."""
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        try:
            answer = requests.get(url, timeout=5)
            if answer.ok and text in answer.text:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url}: not ready within {within_s:g} s")


if __name__ == "__main__":
    main()

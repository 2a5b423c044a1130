"""A real Prometheus on loopback that scrapes what a file names."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rig import programs
from rig.exporter import DATED, TOGETHER
from rig.processes import Late, Process, free_ports, start, wait_for

_ATTEMPTS = 3


@dataclass
class PrometheusServer:
    """A Prometheus with its data folder; it can be ended and started again on the same address."""

    program: Path
    folder: Path
    port: int
    process: Process | None = None
    web: Path | None = None
    """Its own TLS and users, if any (`--web.config.file`)."""
    kept_days: int = 15
    """For so long samples are kept; 15 is its own default."""

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"{'https' if self.web else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> bool:
        """Start it and wait until it is ready; False if it ended by itself."""
        self.process = process = start(
            self.program,
            [
                f"--config.file={self.folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.folder / 'data'}",
                f"--storage.tsdb.retention.time={self.kept_days}d",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
                *([f"--web.config.file={self.web}"] if self.web else []),
            ],
            self.folder / "prometheus.log",
        )
        answers = _listens(self.port) if self.web else _answers(f"{self.url}/-/ready")
        wait_for("Prometheus is ready", lambda: answers() or not process.alive)
        return process.alive

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.stop()
            self.process = None

    def scrape(self, targets: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """Scrape these addresses, each with its labels, from now on (re-read within a second)."""
        groups = [{"targets": [address], "labels": dict(labels)} for address, labels in targets]
        new = self.folder / "targets.new"
        new.write_text(json.dumps(groups))
        new.rename(self.folder / "targets.json")

    def text(self, path: str) -> str:
        """What it serves at a path."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as response:
            return str(response.read().decode())

    def query(self, promql: str, at_s: float | None = None) -> list[dict]:
        """The series of an instant query: now, or at a time."""
        asked = {"query": promql} | ({} if at_s is None else {"time": f"{at_s:.3f}"})
        address = f"{self.url}/api/v1/query?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(address, timeout=5) as response:
            return json.load(response)["data"]["result"]


@contextmanager
def prometheus_server(
    version: str,
    folder: Path,
    scrape_s: float = 1.0,
    together: str = "",
    web: Path | None = None,
    kept_days: int = 15,
) -> Iterator[PrometheusServer]:
    """Start Prometheus "2" or "3"; ended with the block.

    New targets of its file are scraped within five seconds or so. What the address `together` serves is scraped from
    the start, and believed about its own labels; by "3", which still sees at once that a dated series ends, about the
    times of its samples, too.

    Raises:
        programs.Absent: this machine does not have it.
        Late: it did not come up.
    """
    interval = f"{round(scrape_s * 1000)}ms"
    dated = {"metrics_path": DATED, "track_timestamps_staleness": True}
    jobs: list[dict[str, Any]] = [
        {"job_name": "pods", "file_sd_configs": [{"files": [str(folder / "targets.json")]}]},
        {
            "job_name": "together",
            "honor_labels": True,
            "static_configs": [{"targets": [together] if together else []}],
            **(dated if version == "3" else {"metrics_path": TOGETHER}),
        },
    ]
    timing = {"scrape_interval": interval, "scrape_timeout": interval}
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"global": timing, "scrape_configs": jobs}))
    for _ in range(_ATTEMPTS):
        server = PrometheusServer(programs.prometheus(version), folder, free_ports(1)[0], web=web, kept_days=kept_days)
        server.scrape([])
        try:
            if server.start():
                yield server
                return
        finally:
            server.stop()
    raise Late(f"Prometheus did not come up:\n{(folder / 'prometheus.log').read_text()[-2000:]}")


def backfill(version: str, folder: Path, counters: Mapping[str, Iterable[tuple[float, float]]]) -> None:
    """Write a past into the data folder of a Prometheus that is not yet started.

    Args:
        version: of Prometheus: "2" or "3".
        folder: the one that the server will be started in.
        counters: samples (time in whole seconds, value) by series, such as `requests_total{pod="a"}`; no older than
            the server will keep them.

    Raises:
        programs.Absent: this machine does not have promtool.
    """
    names = {series.partition("{")[0] for series in counters}
    text = folder / "past.om"
    with text.open("w") as file:
        file.writelines(f"# TYPE {name.removesuffix('_total')} counter\n" for name in sorted(names))
        for series, past in counters.items():
            file.writelines(f"{series} {value:.12g} {at_s:.0f}\n" for at_s, value in past)
        file.write("# EOF\n")
    promtool = programs.prometheus(version).with_name("promtool")
    # It reads the file once for each block: blocks of two hours would make it read weeks hundreds of times.
    # Prometheus 2 knows no others.
    longest = ["--max-block-duration=30d"] if version == "3" else []
    command = [promtool, "tsdb", "create-blocks-from", *longest, "openmetrics", text, folder / "data"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    finally:
        text.unlink()


def _answers(url: str) -> Callable[[], bool]:
    def asked() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    return asked


def _listens(port: int) -> Callable[[], bool]:
    """For a server that lets nobody in who has no certificate."""

    def asked() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return asked

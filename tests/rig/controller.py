"""The controller as a process of its own."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from rig.processes import Process, start, wait_for

_MAIN = "from autoscaler.cli import main; main()"
QUICK_LEASE = "3/2/0.5"


@dataclass
class ControllerProcess:
    """A running controller."""

    process: Process

    def log(self) -> list[dict[str, Any]]:
        """Its log lines so far."""
        *whole, _ = self.process.log.read_bytes().split(b"\n")  # it goes on writing the last one
        return [json.loads(line) for line in whole if line.startswith(b"{")]

    @property
    def url(self) -> str:
        """Where its probes and metrics are."""
        started = wait_for("the controller to start", lambda: self._started() or not self.process.alive)
        assert isinstance(started, list), self.process.tail()
        return f"http://127.0.0.1:{started[0]['port']}"

    def _started(self) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == "started"]

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum over its series of this name with these labels; 0 where there is none."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = (sample for family in families for sample in family.samples)
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    def leading(self) -> bool:
        """Whether it says that it leads."""
        return "speech_autoscaler_leader 1.0" in self.get("/metrics")[1]


@contextmanager
def controller(
    folder: Path,
    name: str,
    policies: Path,
    kubeconfig: Path,
    *flags: object,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ControllerProcess]:
    """Start one, with more in its environment on wish; ended with the block."""
    arguments = [
        *("-c", _MAIN, "run", "--policies", str(policies), "--kubeconfig", str(kubeconfig)),
        *("--identity", name, "--listen", "127.0.0.1:0", "--lease", QUICK_LEASE, *map(str, flags)),
    ]
    process = start(Path(sys.executable), arguments, folder / f"{name}.log", os.environ | dict(environment or {}))
    try:
        yield ControllerProcess(process)
    finally:
        process.stop()

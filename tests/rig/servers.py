"""Pods as processes: the inference server with the engine `sleeper`, and a Prometheus that scrapes them."""

from __future__ import annotations

import os
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig.node import Node
from rig.processes import Process, start
from rig.prometheus import PrometheusServer

_MAIN = "from inference_server.cli import main; main()"
PATIENCE_S = 30.0
PROBE_S = 2.0


@dataclass
class Server:
    """One inference server."""

    process: Process
    url: str

    def ready(self) -> bool:
        """What `/readyz` says; a server that has crashed is not ready."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=PROBE_S) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def end(self) -> None:
        """SIGTERM: it finishes what it holds."""
        self.process.popen.terminate()

    def ended(self) -> bool:
        """Whether the process has ended."""
        return not self.process.alive

    def stop(self) -> None:
        """End it and wait for it."""
        self.process.stop()


@dataclass(frozen=True)
class Servers:
    """Starts inference servers, all on the same port of addresses of their own."""

    folder: Path
    port: int
    load_s: float
    objective_s: float = 0.8
    flags: Sequence[str] = ()
    """More of `inference-server serve`."""

    def start(self, pod: str, address: str) -> Server:
        """Start one; it is ready when its model would have loaded."""
        arguments = [
            *("-c", _MAIN, "serve", "--engine", "sleeper", "-o", f"load_s={self.load_s}", "-o", "slots=1"),
            *("--host", address, "--port", str(self.port), "--objective-s", str(self.objective_s)),
            *("--max-wait-s", str(PATIENCE_S), "--deadline-s", str(2 * PATIENCE_S), "--max-in-flight", "1000"),
            *("--drain-delay-s", "0.5", "--log-level", "warning", *self.flags),
        ]
        process = start(Path(sys.executable), arguments, self.folder / f"{pod}.log", dict(os.environ))
        return Server(process, f"http://{address}:{self.port}")


@contextmanager
def scraped(node: Node, prometheus: PrometheusServer, port: int) -> Iterator[None]:
    """Tell Prometheus of the node's pods as they come and go, until the block ends."""
    over = threading.Event()

    def tell() -> None:
        told: dict[str, str] = {}
        while not over.wait(0.2):
            now = node.addresses()
            if now != told:
                told = now
                labels = ({"namespace": node.namespace, "pod": pod} for pod in now)
                prometheus.scrape(zip((f"{address}:{port}" for address in now.values()), labels, strict=True))

    thread = threading.Thread(target=tell, name="targets", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

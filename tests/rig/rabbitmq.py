"""A real RabbitMQ with its own Prometheus plugin, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig.processes import free_ports, start, wait_for
from rig.programs import Absent

_INSTALLED = Path("/usr/lib/rabbitmq/lib")


@dataclass(frozen=True)
class Broker:
    """A running RabbitMQ."""

    url: str
    """For AMQP."""
    exporter: str
    """Host and port of its metrics."""


@contextmanager
def rabbitmq_broker(folder: Path) -> Iterator[Broker]:
    """Start one with its own Erlang port mapper; ended with the block.

    Raises:
        Absent: this machine does not have it.
        Late: it did not come up.
    """
    program = next(iter(sorted(_INSTALLED.glob("rabbitmq_server-*/sbin/rabbitmq-server"))), None)
    mapper_program = shutil.which("epmd")
    if program is None or mapper_program is None:
        raise Absent("no RabbitMQ: apt-get install rabbitmq-server")
    port, distribution, mapper_port, exporter = free_ports(4)
    (folder / "plugins").write_text("[rabbitmq_prometheus].\n")
    (folder / "rabbitmq.conf").write_text(
        f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {exporter}\ncollect_statistics_interval = 500\n"
    )
    environment = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
    }
    mapper = subprocess.Popen([mapper_program, "-port", str(mapper_port), "-address", "127.0.0.1"])
    process = start(program, [], folder / "rabbitmq.log", environment)
    try:
        address = f"127.0.0.1:{exporter}"
        wait_for("RabbitMQ exports its metrics", lambda: _exports(address) or not process.alive, 120)
        assert process.alive, process.tail()
        yield Broker(f"amqp://guest:guest@127.0.0.1:{port}/", address)
    finally:
        os.killpg(process.popen.pid, signal.SIGKILL)  # it is a script that started the virtual machine
        process.popen.wait(30)
        mapper.terminate()
        mapper.wait(30)


def _exports(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False

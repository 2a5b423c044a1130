"""How long a target is without a leader when the leader dies, or is stopped past its lease: with the lease as it ships.

`python -m rig.takeover` installs the manifests on a real control plane, takes the leader's process away while its
target is to grow, and reads in the audit log when the other pod took the Lease and when it wrote first.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rig.cluster import Cluster
from rig.control_plane import control_plane
from rig.controller import ControllerProcess
from rig.exporter import Exporter, exporter
from rig.installed import Installed, hand_overs, install, scale_times, stale_writes
from rig.processes import wait_for
from rig.prometheus import PrometheusServer, prometheus_server
from rig.scene import BUSY, IDLE, carry, policy

LEASE = "15/10/2"
"""What `autoscaler run` does without being told."""


@dataclass(frozen=True)
class Taken:
    """Seconds from the fault on."""

    lease_s: float
    """Till another pod held the Lease."""
    write_s: float
    """Till the first write of that pod took effect."""
    stale: int
    """Writes of the old leader that took effect after it had lost the Lease."""


def kill(old: ControllerProcess, wrote: Callable[[], object]) -> None:
    """SIGKILL."""
    old.process.kill()
    wait_for("the other to write", wrote)


def stop(old: ControllerProcess, wrote: Callable[[], object]) -> None:
    """SIGSTOP; it is woken when the other has written, and must know that it leads no more."""
    old.process.popen.send_signal(signal.SIGSTOP)
    wait_for("the other to write", wrote)
    old.process.popen.send_signal(signal.SIGCONT)
    wait_for("the old leader to know", lambda: not old.leading())


FAULTS = {"killed (SIGKILL)": kill, "stopped past its lease (SIGSTOP), woken": stop}


def take(installed: Installed, pods: Exporter, prometheus: PrometheusServer, fault: str, lease: str = LEASE) -> Taken:
    """Take the leader away once."""
    target = installed.cluster.deploy(installed.namespace, "tts", 2)
    carry(pods, target, IDLE)
    policies = installed.policies(tts=policy("tts", prometheus.url, least=2))
    with installed.pair(policies, "--lease", lease) as (old, other):
        wait_for("the follower to be ready too", lambda: other.get("/readyz")[0] == 200)
        wait_for("the leader to decide", lambda: old.metric("speech_autoscaler_decisions_total") > 0)
        struck_s = time.time()
        carry(pods, target, BUSY)
        FAULTS[fault](old, lambda: target.read().spec.replicas == 3)
        wait_for("the other to lead", other.leading)
    taken_s = next(_seconds(each.at) for each in hand_overs(installed) if _seconds(each.at) > struck_s)
    wrote_s = next(_seconds(at) for at in scale_times(installed) if _seconds(at) > struck_s)
    return Taken(taken_s - struck_s, wrote_s - struck_s, len(stale_writes(installed)))


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def main(arguments: Sequence[str]) -> int:
    """Print a row for each fault."""
    parser = argparse.ArgumentParser(prog="python -m rig.takeover", description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--lease", default=LEASE, help="seconds of lease, renewal and retry")
    asked = parser.parse_args(arguments)
    print(
        f"| the leader is | another holds the Lease ({asked.lease}) | its first write | writes of the old one after |"
    )
    print("| --- | --- | --- | --- |")
    with TemporaryDirectory() as name, control_plane(Path(name)) as plane, exporter() as pods:
        (Path(name) / "prometheus").mkdir()
        with prometheus_server("3", Path(name) / "prometheus", 0.5, together=pods.address) as prometheus:
            for fault in FAULTS:
                found = []
                for number in range(asked.times):
                    folder = Path(name) / f"{list(FAULTS).index(fault)}-{number}"
                    folder.mkdir()
                    found.append(take(install(Cluster(plane), folder), pods, prometheus, fault, asked.lease))
                lease, write = ([getattr(each, at) for each in found] for at in ("lease_s", "write_s"))
                print(
                    f"| {fault} | {_range(lease)} | {_range(write)} | {sum(each.stale for each in found)} |", flush=True
                )
    return 0


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.1f} s ({min(values):.1f}–{max(values):.1f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

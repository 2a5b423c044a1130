"""Speed of the replay engine, against references in the same run.

    python benchmarks/engine.py [--write docs/speed.md]

Every part runs in a process of its own, so that its memory is its own. Times are the processor's: other programs on
the machine slow a part down less than the clock would say, but they do.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np

REPEATS = 3
DAY_S = 86_400
DAY_RPS = 15.05
"""1.3 million requests a day."""
OFFERED = 0.8
SERVERS = 10
SIMPY_REQUESTS = 200_000
HEAD = """# Speed of the replay engine

Written by `python benchmarks/engine.py --write docs/speed.md`; `make bench` prints it. {machine}; Python {python}.
Processor time, best of {repeats}. Other programs on the machine make every figure larger; ratios are of the same run.

| what | found | asked for |
|---|---|---|
{table}
"""


def best_of(times: int, action: Callable[[], float]) -> float:
    return min(action() for _ in range(times))


def timed(action: Callable[[], object]) -> float:
    """Processor time of this process; nothing here runs on more than one core."""
    begin_s = time.process_time()
    action()
    return time.process_time() - begin_s


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ---------------------------------------------------------------- parts, each in its own process


def engine_alone(requests: int, use: float, pods: int) -> dict[str, float]:
    """A constant number of pods under Poisson traffic, text-to-speech service times, scrapes every 5 s."""
    from simulations.engine import Engine, Load, Service, Watch
    from simulations.world import EDGES_S

    random = np.random.default_rng(1)
    service_s = random.lognormal(np.log(0.18) - np.log(1.36) / 2, np.sqrt(np.log(1.36)), requests)
    arrival_s = np.cumsum(random.exponential(0.18 / (use * pods), requests))
    load = Load(arrival_s, service_s, np.ones(1))
    warm_up = Load(arrival_s[:100], service_s[:100], np.ones(1))

    def once(load: Load) -> float:
        engine = Engine(Service(0.8, patience_s=30.0), load, Watch(edges_s=EDGES_S), pods)
        return timed(lambda: (engine.advance(load.arrival_s[-1]), engine.finish()))

    once(warm_up)
    return {"seconds": best_of(REPEATS, lambda: once(load))}


def day(policy: str, tick_s: float, *, log: bool, requests: float = 1.3e6) -> dict[str, float]:
    """A day with a twofold rhythm, under a policy, through the controller's own loop."""
    from autoscaler.journal.log import JsonlJournal, Rotation
    from autoscaler.loop import Target
    from autoscaler.model import Rails
    from autoscaler.policies.fixed import FixedPolicy
    from autoscaler.policies.hpa import HpaPolicy, HpaSettings
    from autoscaler.policies.hpa.settings import MetricKind, MetricSpec, TargetKind
    from autoscaler.policies.windows import Signal, Windowed
    from autoscaler.spec import find_workload
    from simulations.run import Case, run
    from simulations.traffic import Trace

    minutes = np.arange(DAY_S // 60)
    shape = 1 + 0.7 * np.sin(2 * np.pi * minutes / len(minutes)) + 0.2 * np.sin(2 * np.pi * minutes / 240)
    trace = Trace("day", 60.0, shape * requests / shape.sum())
    metric = MetricSpec(MetricKind.PODS, "load", TargetKind.AVERAGE_VALUE, 700)
    policies = {
        "fixed": FixedPolicy(12, tick_s=tick_s),
        "hpa": HpaPolicy(HpaSettings(60, 1, (metric,)), {"load": Windowed(Signal.BUSY, 60.0)}, tick_s),
    }
    target = Target(policy, policies[policy], Rails(1, 60))

    def once(trace: Trace) -> float:
        case = Case(trace, find_workload("tts"), policy, lambda _: target)
        with tempfile.TemporaryDirectory() as folder:
            journal = JsonlJournal(Path(folder) / "log", Rotation(2**40)) if log else None
            return timed(lambda: run(case, journal))

    once(Trace("warm-up", 60.0, shape[:5]))
    seconds = best_of(REPEATS, lambda: once(trace))
    return {"seconds": seconds, "ticks": len(range(3, DAY_S, int(tick_s))), "bytes": peak_bytes()}


def mmc_here(requests: int) -> dict[str, float]:
    """M/M/10 at load 0.8 in this engine."""
    from simulations.engine import Engine, Load, Service, Watch

    arrival_s, service_s = _mmc(requests)
    load = Load(arrival_s, service_s, np.ones(1))
    Engine(Service(1.0), Load(arrival_s[:9], service_s[:9], np.ones(1)), Watch(), SERVERS).advance(1.0)
    engine = Engine(Service(1.0), load, Watch(), SERVERS)
    seconds = timed(lambda: (engine.advance(arrival_s[-1]), engine.finish()))
    return {"seconds": seconds, "wait_s": float((engine.finish_s - arrival_s - service_s).mean())}


def mmc_simpy(requests: int) -> dict[str, float]:
    """The same requests in simpy, written as its manual does."""
    import simpy

    arrival_s, service_s = _mmc(requests)
    waits_s = []

    def request(world: simpy.Environment, servers: simpy.Resource, service_s: float) -> Iterator[simpy.Event]:
        came_s = world.now
        with servers.request() as server:
            yield server
            waits_s.append(world.now - came_s)
            yield world.timeout(service_s)

    def source(world: simpy.Environment, servers: simpy.Resource) -> Iterator[simpy.Event]:
        for gap_s, work_s in zip(np.diff(arrival_s, prepend=0.0).tolist(), service_s.tolist(), strict=True):
            yield world.timeout(gap_s)
            world.process(request(world, servers, work_s))

    world = simpy.Environment()
    world.process(source(world, simpy.Resource(world, SERVERS)))
    return {"seconds": timed(world.run), "wait_s": float(np.mean(waits_s))}


def _mmc(requests: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    return np.cumsum(random.exponential(1 / (OFFERED * SERVERS), requests)), random.exponential(1.0, requests)


def start_up() -> dict[str, float]:
    """A Python process that loads the engine, compiled before."""
    code = "import time, simulations.run; print(time.process_time())"

    def once() -> float:
        return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)

    return {"seconds": best_of(REPEATS, once)}


# ---------------------------------------------------------------- the page


def alone(part: Callable[..., dict[str, float]], *arguments: object, **named: object) -> dict[str, float]:
    """Run a part in a fresh process."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(part, arguments, named)


def page() -> str:
    rate = {pods: 5e6 / alone(engine_alone, 5_000_000, 0.8, pods)["seconds"] / 1e6 for pods in (4, 16, 60)}
    small, large = (alone(engine_alone, number, 0.8, 16)["seconds"] for number in (1_000_000, 10_000_000))
    slow, fast = alone(day, "hpa", 15.0, log=True), alone(day, "hpa", 5.0, log=True)
    unlogged, still = alone(day, "hpa", 5.0, log=False), alone(day, "fixed", 5.0, log=False)
    idle = alone(day, "fixed", 43_200.0, log=False)
    ten_days = alone(day, "fixed", 43_200.0, log=False, requests=1.3e7)
    here, there = alone(mmc_here, SIMPY_REQUESTS), alone(mmc_simpy, SIMPY_REQUESTS)

    def each_us(more: dict[str, float], less: dict[str, float]) -> float:
        return 1e6 * (more["seconds"] - less["seconds"]) / fast["ticks"]

    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    rows = [
        *((f"engine alone, {pods} pods at load 0.8", f"{rate[pods]:.1f} M requests/s", "10") for pods in rate),
        ("the engine with 10 times the requests (10 M)", f"{large / small:.1f} times the time", "at most 11"),
        ("a whole replay of a day with 10 times the requests (13 M)", times(ten_days, idle), "at most 11"),
        (f"a day of 1.3 M requests, hpa at 15 s ({slow['ticks']} decisions)", f"{slow['seconds']:.2f} s", ""),
        (f"the same at 5 s ({fast['ticks']} decisions)", f"{fast['seconds']:.2f} s", "3 s"),
        ("of it, drawing, serving and scoring", f"{idle['seconds']:.2f} s", ""),
        ("each tick: ports and loop, constant policy", f"{each_us(still, idle):.0f} µs", ""),
        ("each tick: the hpa rule on top", f"{each_us(unlogged, still):.0f} µs", ""),
        ("each tick: the decision log on top", f"{each_us(fast, unlogged):.0f} µs", ""),
        ("memory at most, 1.3 M requests", f"{fast['bytes'] / 1e6:.0f} MB", "500 MB"),
        ("memory at most, 13 M requests", f"{ten_days['bytes'] / 1e6:.0f} MB", ""),
        ("start of the process, compiled before", f"{alone(start_up)['seconds']:.2f} s", ""),
        (f"M/M/10 at load 0.8, {SIMPY_REQUESTS:,} requests: simpy over this engine", times(there, here), "at least 30"),
        ("mean wait of these requests, simpy and here", f"{there['wait_s']:.6f} s, {here['wait_s']:.6f} s", "the same"),
    ]
    table = "\n".join(f"| {what} | {found} | {asked} |" for what, found, asked in rows)
    return HEAD.format(machine=machine, python=platform.python_version(), repeats=REPEATS, table=table)


def times(more: dict[str, float], less: dict[str, float]) -> str:
    return f"{more['seconds'] / less['seconds']:.1f} times the time"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    text = page()
    print(text)
    if asked.write:
        with tempfile.NamedTemporaryFile("w", dir=asked.write.parent, delete=False) as file:
            file.write(text)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(asked.write)


if __name__ == "__main__":
    main()

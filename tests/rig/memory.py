"""Memory of predictive targets that have learned from their past: the controller's classes, no cluster, real fits.

Policies are loaded from files and run by the service's own classes, which learn in processes of their own; the past,
the load and the pods are made up. `python -m rig.memory` prints what the process takes as targets come. Fits are what
takes time, so only the first targets learn; each further one is given what one of them learned, as a copy of its own,
as it would have come from the process that learned it.
"""

from __future__ import annotations

import argparse
import logging
import pickle
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import structlog
from prometheus_client import CollectorRegistry
from rig.scale import names, policy_text

from autoscaler.loop import Immediate, Ports
from autoscaler.model import Action, Fitted, Fleet, History, Outcome, Phase, Pod, Scrape, Signals
from autoscaler.policies.policy import Lasting
from autoscaler.service.board import Board
from autoscaler.service.continuity import Continuity
from autoscaler.service.learner import Job as Learning
from autoscaler.service.learner import Learner
from autoscaler.service.policies import PolicyFolder
from autoscaler.service.recorder import Metrics, Recorder
from autoscaler.service.runner import Runner
from autoscaler.service.wiring import Job

BEGIN_S = 1_700_000_000.0
BIN_S = 60.0
RATE_RPS = 4.0
SERVICE_S = 0.3
TICKS = 30
"""Of each target once it has learned."""


@dataclass
class World:
    """Everything around one target: steady requests, five pods that serve, a past of some days."""

    seed: int
    days: float
    now_s: float = BEGIN_S

    def read(self, after_s: float, until_s: float, fleet: Fleet) -> Signals:
        """See `SignalSource`: a scrape at each tick."""
        requests = RATE_RPS * (until_s - BEGIN_S + 3600.0)
        return Signals((Scrape(until_s, received=requests, completed=requests, service_s=SERVICE_S * requests),))

    def apply(self, actions: tuple[Action, ...]) -> tuple[Outcome, ...]:
        """See `Actuator`: the pods stay as they are."""
        return tuple(Outcome(action, done=False, withheld=True) for action in actions)

    def past(self, until_s: float) -> History:
        """Poisson counts about a rhythm of a day, with a peak of its own."""
        minutes = np.arange(round(self.days * 86400 / BIN_S))
        rhythm = 1.0 + 0.7 * np.sin(2 * np.pi * (minutes / 1440 + self.seed / 24))
        counts = np.random.default_rng(self.seed).poisson(RATE_RPS * BIN_S * rhythm)
        return History(BIN_S, counts.astype(np.int64), until_s - until_s % BIN_S)


class Clock:
    """The time of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_s(self) -> float:
        """See `Clock`."""
        return self._world.now_s


class Pods:
    """Five pods that serve."""

    def read(self) -> Fleet:
        """See `FleetSource`."""
        return Fleet(5, tuple(Pod(f"pod-{n}", Phase.SERVING, BEGIN_S - 3600, BEGIN_S - 3550) for n in range(5)))


class Shelf(dict[str, str]):
    """A store of kept memories."""

    def kept(self, target: str) -> str | None:
        """See `Store`."""
        return self.get(target)

    def keep(self, target: str, text: str) -> None:
        """See `Store`."""
        self[target] = text


class Fits:
    """What targets learn: the first of them each for itself, the others by turns what these did.

    Args:
        folder: where it is kept, for this is no part of what is measured.
        fits: so many targets learn.

    Attributes:
        most: what the largest process that learned had for itself, bytes: without what it shares with this one.
    """

    def __init__(self, folder: Path, fits: int) -> None:
        self._learner, self._folder, self._fits, self._asked = Learner(nice=0), folder, fits, 0
        self.most = 0

    def learn(self, job: Learning) -> Fitted | None:
        """What a job gives, or what another one gave."""
        file = self._folder / f"{self._asked % self._fits}"
        self._asked += 1
        if self._asked > self._fits:
            found: Fitted | None = pickle.loads(file.read_bytes())
            return found
        over = threading.Event()
        watching = threading.Thread(target=self._watch, args=[over])
        watching.start()
        try:
            fitted = self._learner.learn(job)
        finally:
            over.set()
            watching.join()
        file.write_bytes(pickle.dumps(fitted))
        return fitted

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(0.05):
            for child in psutil.Process().children():
                with suppress(psutil.NoSuchProcess):
                    self.most = max(self.most, child.memory_full_info().uss)


def runner(job: Job, world: World, metrics: Metrics, recorder: Recorder, shelf: Shelf, fits: Fits) -> Runner:
    """A target of the service in its world; it learns at once."""
    policy = job.target.policy
    assert isinstance(policy, Lasting)
    ports = Ports(Clock(world), world, Pods(), world, recorder, Immediate())
    continuity = Continuity(
        job.target.name, policy, shelf, world.past, trainer=ports.trainer, metrics=metrics, learn=fits.learn
    )
    return Runner(
        job.target,
        lambda: ports,
        metrics,
        ready=lambda: True,
        paused=lambda: False,
        continuity=continuity,
    )


def jobs(folder: Path, targets: int) -> list[Job]:
    """As many predictive policies as the service would load them."""
    for name in names(targets):
        (folder / f"{name}.yaml").write_text(policy_text("predictive", name, "http://127.0.0.1:9090"))
    return [job for _, job in sorted(PolicyFolder(folder, "voice").read().jobs.items())]


def grown(targets: int, days: float, fits: Fits) -> Iterator[tuple[int, int]]:
    """Targets that have learned and ticked, and what the process takes then, bytes; none of them is let go."""
    metrics = Metrics(CollectorRegistry())
    recorder, shelf, kept = Recorder(metrics, [Board()]), Shelf(), []
    process = psutil.Process()
    with TemporaryDirectory() as folder:
        made = jobs(Path(folder), targets)
    yield 0, process.memory_info().rss
    for number, job in enumerate(made, 1):
        world = World(number, days)
        each = runner(job, world, metrics, recorder, shelf, fits)
        for _ in range(TICKS):
            each.run()
            world.now_s += job.target.policy.tick_s
        kept.append(each)
        yield number, process.memory_info().rss


def main(arguments: Sequence[str]) -> int:
    """Grow to so many targets, and print a table on the way."""
    parser = argparse.ArgumentParser(prog="python -m rig.memory", description=__doc__)
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--days", type=float, default=14.0, help="of history that each learns from")
    parser.add_argument("--fits", type=int, default=5, help="targets that learn, each from a history of its own")
    parser.add_argument("--every", type=int, default=10, help="targets between two lines")
    asked = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print("| predictive targets | memory | while one learns | after |\n| --- | --- | --- | --- |", flush=True)
    began_s = time.monotonic()
    with TemporaryDirectory() as folder:
        fits = Fits(Path(folder), asked.fits)
        for number, taken in grown(asked.targets, asked.days, fits):
            if number % asked.every == 0 or number == asked.targets:
                after_s = time.monotonic() - began_s
                learning = taken + fits.most
                print(f"| {number} | {taken / 1e6:.0f} MB | {learning / 1e6:.0f} MB | {after_s:.0f} s |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

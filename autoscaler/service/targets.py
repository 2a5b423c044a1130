"""The targets of one process: begun, replaced and given up as the policies in force change."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from autoscaler.service.continuity import Left
from autoscaler.service.runner import Runner
from autoscaler.service.sources import continues, group_of
from autoscaler.service.wiring import Job

CLOSE_S = 1.0
"""A tick under way may end before its target is replaced."""
SPREAD = 0.2
"""Of their interval: so close to each other tick the targets that share their queries …"""
SPREAD_S = 1.0
"""… and at most so many seconds: an answer is meant to be new to the last of them too."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Beat:
    """When the targets of one group tick: each a little after the group's own moment, which recurs every tick."""

    began: datetime

    def next(self, tick_s: float, place: float, now: datetime) -> datetime:
        """The moment of a member that ticks so often: the one to come first, or the one that has just passed.

        `place`: where in the span of the group's ticks it lies, from 0 to below 1.
        """
        first = self.began + timedelta(seconds=place * min(SPREAD * tick_s, SPREAD_S))
        missed = max(0, math.floor((now - first).total_seconds() / tick_s))
        return first + timedelta(seconds=missed * tick_s)


class Targets:
    """Runs the ticks of all targets. Any thread may change which.

    Args:
        make: a runner for a policy, given what a runner of the same target leaves behind, as far as it holds.
        scheduler: runs ticks: none of a target beside another, missed ones at most once.
    """

    def __init__(self, make: Callable[[Job, Left | None], Runner], scheduler: BackgroundScheduler) -> None:
        self._make = make
        self._scheduler = scheduler
        self._running: dict[str, tuple[Job, Runner]] = {}
        self._beats: dict[Hashable, Beat] = {}
        self._changing = threading.Lock()

    @property
    def jobs(self) -> Mapping[str, Job]:
        """What is sized, by target."""
        return {name: job for name, (job, _) in self._running.items()}

    def job(self, name: str) -> Job | None:
        """That of one target; None where it is not sized any more."""
        found = self._running.get(name)
        return found and found[0]

    @property
    def runners(self) -> tuple[Runner, ...]:
        """Their runners."""
        return tuple(runner for _, runner in self._running.values())

    def settle(self, jobs: Mapping[str, Job]) -> None:
        """Size what is in force now.

        Targets that share their queries tick one soon after the other, groups of them are spread over the interval.
        """
        with self._changing:
            before = self.jobs
            changed = [name for name, job in jobs.items() if name not in before or before[name].policy != job.policy]
            self._change(jobs, changed, carry=True)

    def begin_anew(self) -> None:
        """Each target goes on as after a restart, and ticks are due by the clock as it is now."""
        with self._changing:
            self._beats.clear()
            self._change(self.jobs, list(self.jobs), carry=False)

    def _change(self, jobs: Mapping[str, Job], changed: Collection[str], *, carry: bool) -> None:
        """Size these, some of them with another runner.

        Args:
            jobs: all that are sized.
            changed: those with another runner.
            carry: whether times that were noted hold on.
        """
        running = dict(self._running)
        for name in set(running) - set(jobs):
            self._end(*running.pop(name))
            _log.warning("no longer sized", target=name)
        self._begin_beats({group_of(jobs[name]): jobs[name].target.policy.tick_s for name in changed}, jobs)
        places = _places(jobs)
        for name in changed:
            before = running.get(name)
            left = self._end(*before) if before else None
            if left and before and not (carry and continues(before[0], jobs[name])):
                left = left.kept_alone
            runner = self._make(jobs[name], left)
            running[name] = jobs[name], runner
            self._schedule(name, runner, self._beats[group_of(jobs[name])], places[name])
            policy = jobs[name].policy
            findings = [str(finding) for finding in policy.findings]
            _log.info("policy in force", target=name, file=policy.source, policy=policy.summary, findings=findings)
        self._running = running

    def _begin_beats(self, new: Mapping[Hashable, float], jobs: Mapping[str, Job]) -> None:
        """Groups that nobody was part of begin now, spread over their interval; those without anybody end."""
        groups = {group_of(job) for job in jobs.values()}
        self._beats = {group: beat for group, beat in self._beats.items() if group in groups}
        begun = [group for group in new if group not in self._beats]
        for index, group in enumerate(begun):
            self._beats[group] = Beat(datetime.now(UTC) + timedelta(seconds=new[group] * index / len(begun)))

    def close(self, within_s: Callable[[], float]) -> None:
        """Begin no tick any more; each target keeps what outlives this process."""
        self._scheduler.shutdown(wait=False)
        for runner in self.runners:
            runner.close(within_s())

    def _schedule(self, name: str, runner: Runner, beat: Beat, place: float) -> None:
        tick_s = runner.target.policy.tick_s
        first = beat.next(tick_s, place, datetime.now(UTC))
        trigger = IntervalTrigger(seconds=tick_s, timezone=UTC)
        self._scheduler.add_job(runner.run, trigger, id=name, replace_existing=True, next_run_time=first)

    def _end(self, job: Job, runner: Runner) -> Left | None:
        self._scheduler.remove_job(job.target.name)
        return runner.close(CLOSE_S)


def _places(jobs: Mapping[str, Job]) -> Mapping[str, float]:
    """Where in the span of its group each target ticks, from 0 to below 1: evenly, in the order of names.

    In that order targets are asked for together, so that the portions of one answer are taken before the next comes.
    """
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for name in sorted(jobs):
        groups[group_of(jobs[name])].append(name)
    return {name: rank / len(names) for names in groups.values() for rank, name in enumerate(names)}

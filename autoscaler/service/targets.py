"""The targets of one process: begun, replaced and given up as the policies in force change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from autoscaler.service.runner import Runner
from autoscaler.service.wiring import Job

CLOSE_S = 1.0
"""A tick under way may end before its target is replaced."""
_log = structlog.get_logger(__name__)


class Targets:
    """Runs the ticks of all targets. To be changed by one thread at a time.

    Args:
        make: a runner for a policy, given what a runner of the same target leaves behind.
        scheduler: runs ticks: none of a target beside another, missed ones at most once.
    """

    def __init__(self, make: Callable[[Job, bytes | None], Runner], scheduler: BackgroundScheduler) -> None:
        self._make = make
        self._scheduler = scheduler
        self._running: dict[str, tuple[Job, Runner]] = {}

    @property
    def jobs(self) -> Mapping[str, Job]:
        """What is sized, by target."""
        return {name: job for name, (job, _) in self._running.items()}

    @property
    def runners(self) -> tuple[Runner, ...]:
        """Their runners."""
        return tuple(runner for _, runner in self._running.values())

    def settle(self, jobs: Mapping[str, Job]) -> None:
        """Size what is in force now; the first ticks of targets that begin together are spread over their interval."""
        running = dict(self._running)
        for name in set(running) - set(jobs):
            self._end(*running.pop(name))
            _log.warning("no longer sized", target=name)
        changed = [name for name, job in jobs.items() if name not in running or running[name][0].policy != job.policy]
        for index, name in enumerate(changed):
            left = self._end(*running[name]) if name in running else None
            runner = self._make(jobs[name], left)
            running[name] = jobs[name], runner
            self._schedule(name, runner, index / len(changed))
            policy = jobs[name].policy
            findings = [str(finding) for finding in policy.findings]
            _log.info("policy in force", target=name, file=policy.source, policy=policy.summary, findings=findings)
        self._running = running

    def close(self, within_s: Callable[[], float]) -> None:
        """Begin no tick any more; each target keeps what outlives this process."""
        self._scheduler.shutdown(wait=False)
        for runner in self.runners:
            runner.close(within_s())

    def _schedule(self, name: str, runner: Runner, phase: float) -> None:
        tick_s = runner.target.policy.tick_s
        first = datetime.now(UTC) + timedelta(seconds=tick_s * phase)
        trigger = IntervalTrigger(seconds=tick_s, timezone=UTC)
        self._scheduler.add_job(runner.run, trigger, id=name, replace_existing=True, next_run_time=first)

    def _end(self, job: Job, runner: Runner) -> bytes | None:
        self._scheduler.remove_job(job.target.name)
        return runner.close(CLOSE_S)

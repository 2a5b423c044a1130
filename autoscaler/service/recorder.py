"""What a running controller says of itself: decision log, metrics, one line for each change."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from autoscaler.cluster.starts import Typical
from autoscaler.journal.explain import summary
from autoscaler.model import Missing, Observation, Outcome, Phase, Tick
from autoscaler.ports import Journal

_log = structlog.get_logger(__name__)
_DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The controller's own metrics. Labels are targets and small fixed sets, never pods or messages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge, counter = partial(Gauge, registry=registry), partial(Counter, registry=registry)
        by_target = ["target"]
        self._newest_s: dict[str, float] = {}
        self.leader = gauge("speech_autoscaler_leader", "1 while this process may write.")
        self.desired = gauge("speech_autoscaler_desired_replicas", "Pods decided on.", ["target", "kind"])
        self.pods = gauge("speech_autoscaler_replicas", "Pods seen, by state.", ["target", "state"])
        self.decisions = counter("speech_autoscaler_decisions", "Decisions, by what ruled.", ["target", "ruled_by"])
        insight = "Figures of the last decision: forecast and how good it was, lead time, price."
        self.insight = gauge("speech_autoscaler_insight", insight, ["target", "figure"])
        unread = "Signals that could not be read."
        self.problems = counter("speech_autoscaler_signal_problems", unread, ["target", "cause"])
        self.writes = counter("speech_autoscaler_writes", "Writes to the cluster.", ["target", "kind", "result"])
        failed = "Requests to write to the cluster that failed, also where they were tried again."
        self.write_errors = counter("speech_autoscaler_write_errors", failed, ["target", "kind", "error"])
        unasked = "Attempts to take, to renew or to look at the Lease that failed."
        self.lease_errors = counter("speech_autoscaler_lease_errors", unasked)
        contested = "1 while a target is held because somebody else changes its size again and again."
        self.contested = gauge("speech_autoscaler_contested", contested, by_target)
        self.failures = counter("speech_autoscaler_tick_failures", "Ticks that ended in an error of ours.", by_target)
        strange = "1 while the Service of a target does not select its pods as it should."
        self.misdirected = gauge("speech_autoscaler_service_misdirected", strange, by_target)
        by_phase = ["target", "node_type", "phase", "quantile"]
        phases = "How long the phases of a start took: until scheduled, started, ready."
        self.start_s = gauge("speech_autoscaler_start_seconds", phases, by_phase)
        load = "Of the last of them, how long the server's own phases took."
        self.load_s = gauge("speech_autoscaler_load_seconds", load, by_phase)
        due = "Ticks that were due and did not take place: the one before ran on, or no thread was free."
        self.skipped = counter("speech_autoscaler_ticks_skipped", due, by_target)
        unusable = "Policy files that cannot be used; what was in force before stays."
        self.policies_refused = gauge("speech_autoscaler_policy_files_refused", unusable)
        unfit = "Kept memories that did not fit: the target began anew."
        self.refused = counter("speech_autoscaler_kept_memory_refused", unfit, by_target)
        past = "Length of the past that was read from Prometheus; 0 where it has none."
        self.history_s = gauge("speech_autoscaler_history_seconds", past, by_target)
        unwritten = "Events and lines of the decision log that could not be written since the start."
        self.lost = gauge("speech_autoscaler_records_lost", unwritten, ["record"])
        self.data_age_s = gauge("speech_autoscaler_data_age_seconds", "Age of the newest scrape at a tick.", by_target)
        took = "Time of one tick of one target."
        self.tick_s = Histogram(
            "speech_autoscaler_tick_duration_seconds", took, buckets=_DURATIONS_S, registry=registry
        )

        self._of_targets = (
            *(self.desired, self.pods, self.decisions, self.insight, self.problems, self.writes, self.contested),
            *(
                self.write_errors,
                self.failures,
                self.skipped,
                self.refused,
                self.history_s,
                self.data_age_s,
                self.misdirected,
                self.start_s,
                self.load_s,
            ),
        )

    def forget(self, target: str) -> None:
        """Show nothing any more of a target that is no longer sized: its last figures would stand for ever."""
        self._newest_s.pop(target, None)
        for metric in self._of_targets:
            metric.remove_by_labels({"target": target})

    def count_write_error(self, target: str, kind: str, error: str) -> None:
        """Take a request to write that failed."""
        self.write_errors.labels(target, kind, error).inc()

    def count_unwritten(self, target: str, error: str) -> None:
        """Take a status that could not be written; it is tried again at the next tick."""
        self.count_write_error(target, "status", error)

    def starts(self, target: str, typical: Typical) -> None:
        """Show what starts of one kind take; no type of its nodes: the label is empty, which is none."""
        for gauge, phases_s in ((self.start_s, typical.phases_s), (self.load_s, typical.loads_s)):
            for phase, (median_s, slow_s) in phases_s.items():
                gauge.labels(target, typical.kind.node_type, phase, "0.5").set(median_s)
                gauge.labels(target, typical.kind.node_type, phase, "0.95").set(slow_s)

    def count(self, tick: Tick) -> None:
        """Take what a tick says."""
        name = tick.target
        if isinstance(tick.seen, Missing):
            self.problems.labels(name, tick.seen.cause).inc()
            return
        for phase in Phase:
            self.pods.labels(name, phase).set(tick.seen.fleet.count(phase))
        for problem in tick.seen.signals.problems:
            self.problems.labels(name, problem.missing.cause).inc()
        for scrape in tick.seen.signals.scrapes[-1:]:
            self._newest_s[name] = scrape.at_s
        if name in self._newest_s:
            self.data_age_s.labels(name).set(tick.seen.at_s - self._newest_s[name])
        if tick.decision is not None:
            self.contested.labels(name).set(any(step.stage == "contested" for step in tick.decision.steps))
            self.desired.labels(name, "serving").set(tick.decision.serving)
            self.desired.labels(name, "standby").set(tick.decision.standby)
            self.decisions.labels(name, tick.decision.ruled_by).inc()
            for figure, value in tick.decision.insight.items():
                self.insight.labels(name, figure).set(value)
        for outcome in tick.outcomes:
            self.writes.labels(name, outcome.action.kind, _result_of(outcome)).inc()


def _result_of(outcome: Outcome) -> str:
    return "done" if outcome.done else "withheld" if outcome.withheld else "not done"


class Recorder:
    """Journal of all targets of one process.

    Args:
        metrics: where ticks are counted.
        others: who else is told of every tick, such as the decision log.
    """

    def __init__(self, metrics: Metrics, others: Sequence[Journal] = ()) -> None:
        self._metrics = metrics
        self._others = others
        self._lock = threading.Lock()
        self._said: dict[str, tuple[object, ...]] = {}

    def append(self, tick: Tick) -> None:
        """See `Journal`."""
        with self._lock:
            self._metrics.count(tick)
            for other in self._others:
                other.append(tick)
            said = _gist(tick)
            changed = self._said.get(tick.target) != said
            self._said[tick.target] = said
        if changed:
            _log.info(
                summary(tick), target=tick.target, written=[_result(tick, index) for index in range(len(tick.outcomes))]
            )

    def forget(self, target: str) -> None:
        """Show nothing any more of a target that is no longer sized."""
        with self._lock:
            self._metrics.forget(target)
            self._said.pop(target, None)


def _result(tick: Tick, index: int) -> str:
    outcome = tick.outcomes[index]
    return f"{outcome.action.kind}: {'done' if outcome.done else outcome.detail}"


def _gist(tick: Tick) -> tuple[object, ...]:
    """What makes a tick worth a line: another size, another ruling stage, other problems."""
    if tick.decision is None or not isinstance(tick.seen, Observation):
        return (tick.seen.cause if isinstance(tick.seen, Missing) else None,)
    causes = tuple((problem.signal, problem.missing.cause) for problem in tick.seen.signals.problems)
    return tick.decision.serving, tick.decision.standby, tick.decision.ruled_by, causes

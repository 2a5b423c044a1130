"""One query for many targets: asked once, divided here.

Targets that read the same metrics from the same Prometheus differ only in whose series they mean. Whoever of them
comes first asks for all, and the others are given their portion. So queries grow with what is asked, not with the
number of targets, and a Prometheus that fails is waited for once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.model import InvalidInput, Unreachable
from autoscaler.prometheus.client import Answer, Prometheus, Series, TooLarge
from autoscaler.prometheus.metrics import PODS, Exporter, Kind, Subject, deployments_of_pod, shortened

REUSE_S = 10.0
"""So old an answer may be when the last one takes a portion of it: a machine that is too slow shall not ask more.

Where it can keep up, portions are taken within a second or two. Where not, one that is too old is asked for anew,
with those of hundreds of others, which makes the next ones late (docs/scale.md).
"""
NEAR_S, FAR_S = 90.0, 240.0
"""Targets that are up to date ask for no more than the first; those that lag behind ask together up to the second."""
MOST_PODS = 2_000
"""Of one answer."""
MOST_SERIES = 8_000
"""Of one answer: while it is read it takes some 20 MB, which Python seldom gives back. So of pods that tell as much as
the inference server, 145 are asked for at once; twice as many took 26 MB more (docs/scale.md)."""
EDGES = 22
"""Of a histogram, about: the inference server's have so many."""
ROOM = 0.75
"""Of that, for fleets that grow: who is asked for together changes only when it is used up."""
MOST_NAMES = 4_000
"""Characters of names in one query: it travels in an address, and proxies take 8 KB."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What one target is given of an answer."""

    as_of_s: float
    from_s: float
    """The answer reaches back to here."""
    series: Sequence[Series] = ()
    warnings: tuple[str, ...] = ()
    failure: Unreachable | InvalidInput | None = None
    """Why there is no answer."""


@dataclass(slots=True)
class _Standing:
    """What is known of one target."""

    pods: int = 4
    """A guess, until it is said."""
    next_s: float | None = None
    """Where its next question begins."""


class SharedQuery:
    """One exporter's metrics in one Prometheus, for all targets that read them. Safe between threads.

    Args:
        prometheus: who is asked; nobody else uses it.
        exporter: for what.
        monotonic: seconds of a clock that never jumps.
    """

    def __init__(
        self, prometheus: Prometheus, exporter: Exporter, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.exporter = exporter
        self._prometheus = prometheus
        self._monotonic = monotonic
        self._asking = threading.Lock()
        self._books = threading.Lock()
        self._failure: Unreachable | None = None
        self._standings: dict[Subject, _Standing] = {}
        self._batches: dict[Subject, tuple[Subject, ...]] = {}
        self._most_pods = min(MOST_PODS, MOST_SERIES // _series_a_pod(exporter))
        self._given: dict[Subject, tuple[float, Portion]] = {}

    def serve(self, subjects: Collection[Subject]) -> None:
        """Ask for these from now on, and for no others unless they come by themselves."""
        with self._books:
            self._standings = {each: self._standings.get(each, _Standing()) for each in subjects}
            self._given = {each: given for each, given in self._given.items() if each in self._standings}
            self._divide_up()

    def read(self, subject: Subject, from_s: float, until_s: float) -> Portion:
        """Raw samples of one target since a time: its portion of an answer that is new to it.

        Args:
            subject: whose.
            from_s: samples after this.
            until_s: now.

        Raises:
            Unreachable: Prometheus gave no usable answer, to this target or to one that asked for it too.
            InvalidInput: it refused the query.
        """
        portion = self._waiting(subject, from_s) or self._in_turn(subject, from_s, until_s)
        if portion.failure is not None:
            raise type(portion.failure)(*portion.failure.args)
        return portion

    def past(self, subject: Subject, from_s: float, until_s: float) -> Answer:
        """Raw samples of one target from a time to another; never shared. Raises as `read` does."""
        with self._asking:
            return self._prometheus.query(_promql(self.exporter, [subject], until_s - from_s), until_s)

    def goes_on(self, subject: Subject, from_s: float, pods: int) -> None:
        """Say where a target's next question will begin, and how many pods it has."""
        with self._books:
            if (standing := self._standings.get(subject)) is not None:
                standing.next_s, standing.pods = from_s, max(1, pods)

    def close(self) -> None:
        """Close the connection, when no question is under way."""
        with self._asking:
            self._prometheus.close()

    def _waiting(self, subject: Subject, from_s: float) -> Portion | None:
        """A portion that lies ready, if it is young enough and reaches back far enough. It is given once."""
        with self._books:
            asked_s, portion = self._given.pop(subject, (-math.inf, None))
        if portion is None or self._monotonic() - asked_s > REUSE_S:
            return None
        return portion if portion.failure is not None or portion.from_s <= from_s else None

    def _in_turn(self, subject: Subject, from_s: float, until_s: float) -> Portion:
        """Ask as soon as nobody else does.

        Who comes while a Prometheus that failed last is asked again is told so at once: it may hang, and threads for
        ticks, also those of targets with another Prometheus, are few.
        """
        failure = self._failure
        if not self._asking.acquire(blocking=failure is None):
            return Portion(until_s, from_s, failure=failure)
        try:  # whoever has waited may meanwhile have been asked for
            return self._waiting(subject, from_s) or self._ask(subject, from_s, until_s)
        finally:
            self._asking.release()

    def _ask(self, subject: Subject, from_s: float, until_s: float) -> Portion:
        """Ask for a target and for all that can be asked for with it; gives its own portion."""
        with self._books:
            batch = self._batch(subject, from_s, until_s)
            nexts = (self._standings[each].next_s for each in batch if each in self._standings)
            from_s = min([from_s, *(next_s for next_s in nexts if next_s is not None)])
        try:
            answer = self._prometheus.query(_promql(self.exporter, batch, until_s - from_s))
        except (Unreachable, InvalidInput) as failure:
            self._failure = None if isinstance(failure, TooLarge | InvalidInput) else failure
            portions = dict.fromkeys(batch, Portion(until_s, from_s, failure=failure))
            if isinstance(failure, TooLarge | InvalidInput) and len(batch) > 1:
                self._ask_less()
        else:
            self._failure = None
            shares = split(answer.series, self.exporter, batch)
            portions = {each: Portion(until_s, from_s, share, answer.warnings) for each, share in shares.items()}
        asked_s = self._monotonic()
        with self._books:
            usable = {each: given for each, given in self._given.items() if asked_s - given[0] <= REUSE_S}
            self._given = usable | {each: (asked_s, portion) for each, portion in portions.items() if each != subject}
        return portions[subject]

    def _ask_less(self) -> None:
        """What was too much at once is asked for in halves from now on."""
        with self._books:
            self._most_pods = max(1, self._most_pods // 2)
            self._divide_up()

    def _batch(self, subject: Subject, from_s: float, until_s: float) -> Sequence[Subject]:
        """Who is asked for together: targets of one batch that are about as far behind."""
        reach_s = until_s - from_s
        together = self._batches.get(subject, (subject,))
        if len(together) > 1 and sum(self._standings[each].pods for each in together) > self._most_pods:
            self._divide_up()
            together = self._batches[subject]
        if reach_s > FAR_S or subject not in self._standings:
            return [subject]
        if reach_s <= NEAR_S:
            return [each for each in together if each == subject or self._fits(each, until_s, near=True)]
        behind = {
            each: self._standings[each].pods
            for each in together
            if each == subject or (each not in self._given and self._fits(each, until_s, near=False))
        }
        parts = batches(behind, self.exporter, ROOM * self._most_pods * NEAR_S / FAR_S)
        return next(part for part in parts if subject in part)

    def _fits(self, subject: Subject, until_s: float, *, near: bool) -> bool:
        next_s = self._standings[subject].next_s
        if next_s is None:
            return True
        return (until_s - next_s <= NEAR_S) if near else (NEAR_S < until_s - next_s <= FAR_S)

    def _divide_up(self) -> None:
        """Who is asked for with whom from now on."""
        pods = {subject: standing.pods for subject, standing in self._standings.items()}
        divided = batches(pods, self.exporter, ROOM * self._most_pods)
        self._batches = {each: together for together in divided for each in together}


def batches(pods: Mapping[Subject, int], exporter: Exporter, most_pods: float) -> list[tuple[Subject, ...]]:
    """Targets that one query can name, with at most so many pods; filled in the order of names.

    Args:
        pods: how many each target has.
        exporter: what is asked of them.
        most_pods: of one query, but for a target that has more by itself.
    """
    found: list[list[Subject]] = []
    counted = characters = math.inf
    for each in sorted(pods, key=lambda each: (each.namespace, each.deployment, each.more)):
        counted += pods[each]
        characters += sum(len(each.fact(fact)) + 1 for _, fact in exporter.told_by)
        if counted > most_pods or characters > MOST_NAMES:
            found.append([])
            counted, characters = pods[each], 0
        found[-1].append(each)
    return [tuple(batch) for batch in found]


def split(
    series: Iterable[Series], exporter: Exporter, subjects: Sequence[Subject]
) -> Mapping[Subject, Sequence[Series]]:
    """Each target's series of an answer; what belongs to none is left out.

    It is divided by names as far as these tell targets apart; a target still checks what it is given.
    """
    if len(subjects) == 1:
        return {subjects[0]: tuple(series)}
    owners: dict[tuple[str, ...], list[Subject]] = defaultdict(list)
    for subject in subjects:
        owners[_key(exporter, subject)].append(subject)
    known: dict[tuple[str, ...], list[list[Series]]] = {}
    shares: dict[Subject, list[Series]] = {subject: [] for subject in subjects}
    labels = [label for label, _ in exporter.told_by]
    for each in series:
        said = tuple([each.labels.get(label, "") for label in labels])
        takers = known.get(said)
        if takers is None:
            takers = known[said] = [shares[owner] for key in _keys(exporter, said) for owner in owners.get(key, ())]
        for taker in takers:
            taker.append(each)
    return shares


def _key(exporter: Exporter, subject: Subject) -> tuple[str, ...]:
    return tuple(shortened(subject.deployment) if fact == PODS else subject.fact(fact) for _, fact in exporter.told_by)


def _keys(exporter: Exporter, said: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The keys of the targets that labels with these values may belong to."""
    place = next((place for place, (_, fact) in enumerate(exporter.told_by) if fact == PODS), None)
    if place is None:
        return {said}
    return {(*said[:place], name, *said[place + 1 :]) for name in deployments_of_pod(said[place])}


def _series_a_pod(exporter: Exporter) -> int:
    """About how many series a pod has of an exporter's metrics."""
    return sum(EDGES if metric.kind is Kind.HISTOGRAM else 1 for metric in exporter.metrics)


def _promql(exporter: Exporter, subjects: Collection[Subject], seconds: float) -> str:
    return f"{exporter.selector(subjects)}[{math.ceil(seconds * 1000)}ms]"

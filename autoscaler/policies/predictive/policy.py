"""The predictive policy: one tick from scrapes to a wish.

Read `PredictivePolicy.propose` from top to bottom: experience, forecast, wants at every price, the price, the target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from autoscaler.forecast.gaps import mended
from autoscaler.forecast.leadtime import LeadTime, alike, windows
from autoscaler.forecast.residual import Residuals
from autoscaler.forecast.series import KEPT_S, spread, spread_known
from autoscaler.model import Fit, Fitted, History, Observation, Phase, Proposal, Step
from autoscaler.policies.policy import AnyPolicy
from autoscaler.policies.predictive import continuity
from autoscaler.policies.predictive.borrowing import Borrowing
from autoscaler.policies.predictive.demand import Demand, Gap, Interval
from autoscaler.policies.predictive.experience import (
    adopt,
    bridge,
    capacity,
    decide_shadows,
    forecast,
    known_s,
    live,
    outlook,
    remember,
    remember_all,
    replay,
    skip,
    slots_per_request,
    wants,
)
from autoscaler.policies.predictive.insight import insight
from autoscaler.policies.predictive.keeping import Keeping, Wants
from autoscaler.policies.predictive.learn import FIRST_FITS_S, learn, refit_after_s
from autoscaler.policies.predictive.memory import Memory, Model, Traffic
from autoscaler.policies.predictive.price import Outlook, backlog_pods
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.shadows import PRICES, Shadows, grid
from autoscaler.policies.predictive.standby import Gate, Moment
from autoscaler.policies.predictive.starts import overdue, replaced, start_anew
from autoscaler.policies.predictive.steering import Steering
from autoscaler.policies.predictive.trust import Trust
from autoscaler.policies.predictive.watch import limits

Floats = npt.NDArray[np.floating]
_IN_USE = slice(PRICES, PRICES + 1)
"""Where the price in use stands behind those of the shadows."""
Ints = npt.NDArray[np.int64]

DATA_AGE_S = 3.0
"""Mean age of the newest scrape at a tick."""
FROM_HERE = "busy at the present load; a rule without foresight would start from here"
OBSERVE_FIRST_S = 60.0
"""Without history the pods that are there stay for the first minute."""
CLEARED_AT_S = 180.0
"""What the shadows missed before belongs to the size that was found, and moves no price."""
SHORT_HISTORY_S = 4 * 3600.0
REPLAYED_S, REPLAYED_SHARE = 48 * 3600.0, 0.4
"""How much of the history the shadows are replayed on; the model that they use saw only what lies before."""


@dataclass(frozen=True, slots=True)
class PredictivePolicy:
    """As many pods as are worth their cost, given what the load may become."""

    settings: Settings
    history: History | None = None
    """Traffic from before the first tick, where it is known."""

    @property
    def tick_s(self) -> float:
        """Seconds between two decisions."""
        return self.settings.tick_s

    @property
    def lookback_s(self) -> float:
        """Scrapes wanted from before the first tick: enough for a first rate."""
        return 4 * self.settings.interval_s

    def start(self) -> Memory:
        """The memory before the first tick: with a history, a model of it and shadows that were replayed on it."""
        history, settings = self.history, self.settings
        if history is None or not len(history.counts):
            return self._begin(start_s=math.nan)
        memory = self._begin(history.end_s - len(history.counts) * history.bin_s)
        noise = np.random.default_rng([settings.seed, 1])
        counts = spread(mended(history), history.bin_s, settings.interval_s, noise)
        known = spread_known(history, settings.interval_s)
        memory.history_s = len(counts) * settings.interval_s
        if memory.history_s <= SHORT_HISTORY_S:
            remember_all(memory, counts, known)
            return memory
        replayed = int(min(REPLAYED_S / settings.interval_s, REPLAYED_SHARE * len(counts)))
        remember_all(memory, counts[:-replayed], known[:-replayed])
        self._learn_now(memory)
        replay(memory, settings, counts[-replayed:], known[-replayed:])
        self._learn_now(memory)
        memory.next_fit_s = history.end_s + refit_after_s(known_s(memory))
        memory.cleared = True
        return memory

    def propose(self, memory: Memory, seen: Observation) -> tuple[Memory, Proposal]:
        """The wish for this tick."""
        self._arrive(memory, seen)
        memory = self._join(memory, seen)
        intervals = memory.demand.take(seen.signals)
        for interval in intervals:
            self._experience(memory, interval)
        if not intervals and memory.wish is not None:
            return memory, self._again(memory, memory.wish, seen)
        if memory.history_s <= SHORT_HISTORY_S and _observed_s(memory, seen.at_s) < OBSERVE_FIRST_S:
            memory.wish = _wish(self._observe_first(memory, seen), {})
            return memory, self._again(memory, memory.wish, seen)

        settings, steering = self.settings, memory.steering
        prices = grid(memory.demand.law.mean_s)
        foreseen = forecast(memory, settings)
        asked = np.append(prices, steering.price) / settings.spare_price
        if memory.gate is not None:
            asked = np.append(asked, memory.gate.price(steering.price))
        wanted, ahead = wants(memory, settings, foreseen, asked), outlook(memory, foreseen)
        span_s = settings.interval_s * sum(isinstance(each, Interval) and each.known for each in intervals)
        if intervals:
            decide_shadows(memory, settings, wanted.only(slice(PRICES)), ahead, span_s)
            steering.steer(self._pick(memory, prices), memory.history_s + steering.age_s, span_s)
            if memory.gate is not None:
                memory.gate.foresaw(int(wanted.order[-1]), memory.windows.order[0])
        steps = self._follow(memory, wanted.only(_IN_USE), ahead, span_s, seen)
        memory.wish = _wish(tuple(steps), insight(memory, self.settings.price, foreseen.within))
        return memory, replace(self._again(memory, memory.wish, seen), fit=self._fit(memory, seen.at_s))

    @property
    def reach_s(self) -> float:
        """How much of the past it learns from."""
        return KEPT_S

    def keep(self, memory: Memory, at_s: float) -> bytes:
        """See `Lasting`."""
        return continuity.keep(memory, self.settings, at_s)

    def recall(self, kept: bytes, at_s: float) -> Memory:
        """See `Lasting`."""
        memory = continuity.recall(kept, self.settings, at_s, self._begin(start_s=math.nan))
        memory.next_fit_s = at_s + FIRST_FITS_S[0]
        return memory

    def continues(self, before: AnyPolicy) -> bool:
        """See `Lasting`."""
        return isinstance(before, PredictivePolicy) and self.settings.counts_as(before.settings)

    def carried(self, memory: Memory, kept: bytes, at_s: float) -> Memory:
        """See `Lasting`."""
        carried = self.recall(kept, at_s)
        continuity.take_along(carried, memory)
        carried.next_fit_s = min(memory.next_fit_s, carried.next_fit_s)  # one that was under way is lost
        return carried

    def knows_the_past(self, memory: Memory) -> bool:
        """See `Lasting`."""
        return memory.knows_the_past

    def warmed(self, history: History, kept: bytes | None, at_s: float) -> Fitted | None:
        """See `Lasting`."""
        if not len(history.counts):
            return None
        if kept is None:
            memory = replace(self, history=history).start()
        else:
            memory = self.recall(kept, at_s)
            continuity.relived(memory, history, self.settings, np.random.default_rng([self.settings.seed, 1]))
            self._learn_now(memory)
        digest = memory.model.forest.digest if memory.model else "history"
        return Fitted(digest, continuity.Warm(memory, recalled=kept is not None))

    def _join(self, memory: Memory, seen: Observation) -> Memory:
        """Go on with what a history has taught meanwhile."""
        if seen.fitted is None or not isinstance(seen.fitted.model, continuity.Warm):
            return memory
        memory = continuity.joined(memory, seen.fitted.model, self.settings)
        memory.knows_the_past = True
        if memory.model is not None:
            memory.next_fit_s = seen.at_s + refit_after_s(known_s(memory))
        return memory

    def _begin(self, start_s: float) -> Memory:
        settings = self.settings
        lead = LeadTime(settings.workload.cold_start)
        spans = windows(lead, settings.interval_s, DATA_AGE_S)
        priors = settings.priors
        prior = priors.nearest(settings.workload.cold_start.typical_s, settings.interval_s) if priors else None
        return Memory(
            traffic=Traffic.begin(settings.interval_s, start_s),
            demand=Demand.begin(settings.workload, settings.interval_s),
            lead=lead,
            windows=spans,
            order_residuals=Residuals(settings.interval_s),
            hold_residuals=Residuals(settings.interval_s),
            shadows=Shadows.begin(1, spans.served_from, settings.bounds.max_pods),
            steering=Steering(settings.price.start),
            trust=Trust.over(settings.interval_s),
            keeping=Keeping.begin(1, 0, settings.bounds.max_pods),
            borrowing=Borrowing.of(prior) if prior else None,
            gate=Gate.closed(settings.reserve, settings.interval_s) if settings.reserve else None,
        )

    def _arrive(self, memory: Memory, seen: Observation) -> None:
        """Take over what is there at the first tick; after it, adopt models and learn from starts that ended."""
        start_anew(memory, seen.fleet, learn_by_s=seen.at_s + FIRST_FITS_S[0])
        loaded = frozenset(pod.name for pod in seen.fleet.pods if pod.loaded_at_s is not None)
        if math.isnan(memory.began_s):
            memory.began_s = seen.at_s
            memory.keeping.target[:] = self._found(seen)
            if memory.gate is not None:
                memory.gate.want(seen.at_s, 1, needed=_in_service(seen))
            if not memory.cleared:
                memory.shadows = Shadows.begin(
                    max(seen.fleet.replicas, 1), memory.windows.served_from, self.settings.bounds.max_pods
                )
                memory.next_fit_s = seen.at_s + FIRST_FITS_S[0]
            if memory.demand.last is None:  # else the next interval begins where the last one ended
                bridge(memory, seen.signals.scrapes[0].at_s if seen.signals.scrapes else seen.at_s)
        elif loaded - memory.loaded:
            leads = [
                pod.loaded_at_s - pod.ordered_at_s
                for pod in seen.fleet.pods
                if pod.loaded_at_s is not None and pod.name not in memory.loaded and pod.revision == seen.fleet.revision
            ]
            memory.lead = memory.lead.learned(*leads)
        memory.loaded = loaded
        if seen.fitted is not None and isinstance(seen.fitted.model, Model):
            adopt(memory, seen.fitted.model)

    def _experience(self, memory: Memory, interval: Interval | Gap) -> None:
        """One finished interval: remember it, let the shadows live it, judge the price by it. A gap teaches nothing."""
        if isinstance(interval, Gap):
            skip(memory, interval.intervals)
            return
        remember(memory, interval)
        span_s = self.settings.interval_s
        memory.steering.saw(interval.requests, span_s)
        replayed = live(memory, self.settings, interval) if interval.known else interval.misses or 0.0
        measured = replayed if interval.misses is None else interval.misses
        memory.steering.judged(interval.requests, measured, replayed, span_s)
        if not memory.cleared and memory.traffic.series.end_s - memory.began_s >= CLEARED_AT_S:
            memory.shadows.clear()
            memory.cleared = True

    def _pick(self, memory: Memory, prices: Floats) -> float:
        """The price that the shadows found; the first one while they tell of nothing that a price could mend.

        No price mends an objective that is missed with any number of pods, nor what the size that was found misses:
        of the first moments only what the forecasts promise counts.
        """
        rule, told = self.settings.price, memory.shadows.told(prices)
        if told is None or memory.demand.service.out_of_reach:
            memory.steering.why = "where it begins"
            return rule.start
        return memory.steering.pick(told if memory.cleared else told.foretold(), rule)

    def _follow(self, memory: Memory, wanted: Wants, ahead: Outlook, span_s: float, seen: Observation) -> list[Step]:
        """The target of this tick, stage by stage: what is ordered, what waits, what is held."""
        order, start_price_s = int(wanted.order[0]), self.settings.start_price_s
        now = _busy_pods(memory)
        why = f"worth their cost when a pod ordered now would serve, at {memory.steering.said()}"
        steps = [
            Step("present", now, 0, "; ".join([FROM_HERE, *self._limits(memory, seen)])),
            Step("order", order, 0, why + self._borrowed(memory) + memory.trust.said() + memory.announced.said),
        ]
        waits = self._backlog(memory, ahead, seen.fleet.count(Phase.SERVING))
        wanted = wanted.with_backlog(waits, self.settings.bounds.max_pods)
        if wanted.order[0] > order:
            order = int(wanted.order[0])
            gone_s = self.settings.backlog.drain_s
            steps.append(Step("backlog", order, 0, f"{memory.demand.queued:.0f} requests wait: gone in {gone_s:g} s"))
        memory.keeping.follow(wanted, start_price_s, span_s)
        if memory.target > order:
            steps.append(Step("hold", memory.target, 0, self._held(int(wanted.hold[0]), memory.target)))
        late = overdue(seen.fleet, memory.lead, seen.at_s)
        return [*steps, *replaced(steps[-1], late, self.settings.bounds.max_pods)]

    def _limits(self, memory: Memory, seen: Observation) -> list[str]:
        """What pods cannot mend."""
        law, rule = memory.demand.law, self.settings.price
        memory.watch.look(seen.signals.scrapes, seen.fleet.count(Phase.SERVING) * law.slots, law.mean_s)
        load = memory.traffic.level.value * slots_per_request(memory)
        tables = capacity(memory, self.settings)
        found = limits(
            law,
            rule.budget,
            out_of_reach=memory.demand.service.out_of_reach,
            tables=tables,
            load=load,
            correction=memory.steering.correction(rule),
        )
        return [*found, *memory.demand.said(), *memory.watch.said(law.batching)]

    def _held(self, hold: int, target: int) -> str:
        """Why there are more pods than are ordered."""
        wanted = f"{hold} would be wanted again within two lead times"
        if target <= hold:
            return wanted
        return f"{wanted}; keeping the others has cost less than a start yet ({self.settings.start_price_s:g} pod-s)"

    def _found(self, seen: Observation) -> int:
        """Pods that are there, but for those that stand by whatever comes."""
        reserve = self.settings.reserve
        return seen.fleet.replicas - (min(seen.fleet.standing_by, reserve.least) if reserve else 0)

    def _observe_first(self, memory: Memory, seen: Observation) -> tuple[Step, ...]:
        memory.keeping.target[:] = max(self._found(seen), 1)
        why = "the first minute without history: the pods that are there stay"
        return (Step("observe", memory.target, 0, why),)

    def _again(self, memory: Memory, wish: Proposal, seen: Observation) -> Proposal:
        """A wish that knows serving pods only, with spare ones standing by where they do."""
        gate, traffic, scrapes = memory.gate, memory.traffic, seen.signals.scrapes
        if gate is None:
            return wish
        if scrapes:
            pods = seen.fleet.count(Phase.SERVING)
            moment = Moment(
                at_s=seen.at_s,
                series=traffic.series,
                demand=memory.demand,
                largest=traffic.largest,
                pods=pods,
                loaded=pods + seen.fleet.count(Phase.STANDBY),
                scrape=scrapes[-1],
            )
            gate.look(moment, memory.steering.price, capacity(memory, self.settings), self.settings.backlog)
        steps = gate.split(wish.steps)
        late = overdue(seen.fleet, memory.lead, seen.at_s, gated=True)
        return _wish((*steps, *replaced(steps[-1], late, self.settings.bounds.max_pods, gated=True)), wish.insight)

    def _borrowed(self, memory: Memory) -> str:
        """How much of the forecast is not from the own past, and where it is from."""
        priors, borrowing = self.settings.priors, memory.borrowing
        if priors is None or borrowing is None:
            return ""
        return f"; {borrowing.weight:.0%} of the forecast is what other services taught (prior {priors.digest})"

    def _backlog(self, memory: Memory, ahead: Outlook, serving: int) -> Ints:
        """Pods that drain the measured queue in time; shape (1,)."""
        law = memory.demand.law
        return backlog_pods(
            load=np.array([memory.traffic.series.last * slots_per_request(memory)]),
            waiting=np.array([memory.demand.queued * law.mean_s]),
            slots=np.array([serving * law.carried]),
            rule=self.settings.backlog,
            ahead=ahead,
            slots_per_pod=law.carried,
        )

    def _learn_now(self, memory: Memory) -> None:
        """Learn and adopt at once, before the first tick."""
        scale, settings = slots_per_request(memory), self.settings
        fitted = learn(memory.traffic.series, memory.windows, scale, settings.local_s, settings.seed)
        if fitted is not None:
            adopt(memory, fitted.model)

    def _fit(self, memory: Memory, now_s: float) -> Fit | None:
        """A refit that is due, as a job of its own."""
        if now_s < memory.next_fit_s:
            return None
        age_s = now_s - memory.began_s
        early = [moment_s for moment_s in FIRST_FITS_S if moment_s > age_s and memory.history_s <= SHORT_HISTORY_S]
        memory.next_fit_s = memory.began_s + early[0] if early else now_s + refit_after_s(known_s(memory))
        series, scale, settings = memory.traffic.series.copy(), slots_per_request(memory), self.settings
        measured = windows(memory.lead, settings.interval_s, DATA_AGE_S)
        spans = memory.windows if alike(measured, memory.windows) else measured
        return Fit(partial(learn, series, spans, scale, settings.local_s, settings.seed))


def _observed_s(memory: Memory, at_s: float) -> float:
    """How long the load is known."""
    return memory.observed_s + at_s - memory.began_s


def _busy_pods(memory: Memory) -> int:
    """Pods that the present load keeps busy, without margin."""
    load = memory.traffic.level.value * slots_per_request(memory)
    return max(1, math.ceil(load / memory.demand.law.carried))


def _wish(steps: tuple[Step, ...], insight: Mapping[str, float]) -> Proposal:
    return Proposal(steps[-1].serving, steps[-1].standby, steps, insight)


def _in_service(seen: Observation) -> int:
    """Pods that serve or will, once they are loaded."""
    return max(seen.fleet.replicas - seen.fleet.standing_by, 1)

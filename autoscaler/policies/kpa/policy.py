"""Knative's autoscaler as a policy: its averages read from scrapes, its pods from the fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autoscaler.model import InvalidInput, Missing, Observation, Phase, Proposal, Reading, Step
from autoscaler.policies.kpa.buckets import smoothing
from autoscaler.policies.kpa.decider import TICK_S, Averages, DeciderState, tick
from autoscaler.policies.kpa.scaler import Pods, ScalerState, Wish, reconcile
from autoscaler.policies.kpa.settings import Aggregation, KpaSettings, Metric
from autoscaler.policies.windows import Signal, Window, Windowed, mean_rates

SIGNALS = {Metric.CONCURRENCY: Signal.CONCURRENCY, Metric.RPS: Signal.RATE}


@dataclass(frozen=True, slots=True)
class KpaMemory:
    """What the autoscaler and the reconciler remember, and the scrapes they read."""

    window: Window
    decider: DeciderState | None = None
    scaler: ScalerState | None = None


@dataclass(frozen=True, slots=True)
class KpaPolicy:
    """One revision's autoscaler.

    Knative scrapes every second into one-second buckets. Here the counters' increase between scrapes is known
    exactly, whatever the interval: the linear average is the increase over the window, the weighted one weighs
    each second with the mean rate between the scrapes around it. Windows end at the newest scrape; a panic window
    shorter than a scrape interval is one interval long.
    """

    settings: KpaSettings
    factor: float = 1.0
    """The averages are multiplied by this (a rate by the mean service time gives busy pods)."""
    tick_s: float = TICK_S
    stable: Windowed = field(init=False)
    panicked: Windowed = field(init=False)

    def __post_init__(self) -> None:
        if self.settings.max_scale and self.settings.max_scale < self.settings.min_scale:
            raise InvalidInput(f"max-scale {self.settings.max_scale} is below min-scale {self.settings.min_scale}")
        signal, stale_s = SIGNALS[self.settings.metric], self.settings.stable_window_s
        windows_s = {"stable": self.settings.stable_window_s, "panicked": self.settings.panic_window_s}
        for name, window_s in windows_s.items():
            object.__setattr__(self, name, Windowed(signal, window_s, self.factor, stale_s))

    @property
    def lookback_s(self) -> float:
        """The stable window."""
        return self.settings.stable_window_s

    def start(self) -> KpaMemory:
        """A revision that is created at the first tick."""
        return KpaMemory(Window(self.lookback_s))

    def propose(self, memory: KpaMemory, seen: Observation) -> tuple[KpaMemory, Proposal]:
        """One tick and one reconcile; before two scrapes there is nothing to decide on."""
        window, now_s, current = memory.window.add(seen.signals), seen.at_s, seen.fleet.replicas
        if not window.comparable:
            hold = Step("kpa", current, 0, "waits for two scrapes")
            return KpaMemory(window, memory.decider, memory.scaler), Proposal(current, 0, (hold,))
        ready = seen.fleet.count(Phase.SERVING)
        decider = memory.decider or DeciderState.new(self.settings, ready, now_s)
        scaler = memory.scaler or ScalerState.new(now_s)
        decider, reason = tick(self.settings, decider, self._averages(window, now_s), ready, now_s)
        wish = Wish(decider.wish, decider.excess_burst, reason)
        scaler, size, steps = reconcile(self.settings, scaler, wish, Pods(current, ready), now_s)
        return KpaMemory(window, decider, scaler), Proposal(size, 0, steps)

    def _averages(self, window: Window, now_s: float) -> Averages | None:
        stable, panicked = self._average(self.stable, window, now_s), self._average(self.panicked, window, now_s)
        if isinstance(stable, Missing) or isinstance(panicked, Missing):
            return None
        return Averages(stable, panicked)

    def _average(self, reading: Windowed, window: Window, now_s: float) -> Reading:
        average = reading.read(window, now_s)
        if isinstance(average, Missing) or self.settings.aggregation is Aggregation.LINEAR:
            return average
        return weighted(reading, window)


def weighted(reading: Windowed, window: Window) -> Reading:
    """The weighted-exponential average of a counter's rate: each second older weighs (1 - c) times less."""
    keep = 1.0 - smoothing(math.ceil(reading.window_s))
    rates = mean_rates(reading.signal, window, reading.window_s)
    if isinstance(rates, Missing):
        return rates
    weights = (rate * (math.pow(keep, ends_s) - math.pow(keep, begins_s)) for begins_s, ends_s, rate in rates)
    return reading.factor * sum(weights)

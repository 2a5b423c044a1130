"""Small traffic and workloads for the tests of replays."""

import math
from dataclasses import dataclass

import numpy as np

from autoscaler.loop import Target
from autoscaler.model import ColdStart, Proposal, Rails, Step, Workload
from autoscaler.model.workload import Z95
from simulations.traffic import Trace

TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 15.0 * math.exp(0.2 * Z95)), patience_s=30.0)
ASR = Workload("asr", 1.0, 0.99, 0.18, 0.8, ColdStart(45.0, 45.0 * math.exp(0.2 * Z95)), patience_s=30.0)


def steady(rate_rps: float, duration_s: int = 600, history_s: int = 0, name: str = "steady") -> Trace:
    """The same count in every second."""
    return Trace(name, 1.0, np.full(history_s + duration_s, float(rate_rps)), eval_start_s=float(history_s))


@dataclass(frozen=True)
class Script:
    """Asks for the size that stands last in a list of (from second, serving, standby), and keeps what it saw."""

    sizes: tuple[tuple[float, int, int], ...]
    seen: list
    tick_s: float = 5.0
    lookback_s: float = 0.0

    def start(self):
        return None

    def propose(self, memory, seen):
        self.seen.append(seen)
        _, serving, standby = next(size for size in reversed(self.sizes) if seen.at_s >= size[0])
        return memory, Proposal(serving, standby, (Step("script", serving, standby, "as written"),))


def scripted(*sizes, tick_s=5.0, seen=None, rails=None):
    """A target that follows a script."""
    policy = Script(tuple(sizes), [] if seen is None else seen, tick_s)
    return lambda _history: Target("scripted", policy, rails or Rails(0, 60))


def fixed(pods):
    """A target that always asks for the same size."""
    return scripted((-math.inf, pods, 0))

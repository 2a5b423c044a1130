"""The story's peers in replays: which setting of an HPA or a ScaledObject meets the jump best.

`python -m simulations.story_peers` tries a grid of them and prints the best. An HPA syncs every 15 s and knows nothing
of scrapes, so a jump is replayed at several phases of both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from statistics import median

from autoscaler.loop import Target
from autoscaler.model import Rails, Routing, Workload
from autoscaler.policies.windows import Signal
from autoscaler.spec import find_policy
from simulations.draw import draw
from simulations.peers import Family, Hpa
from simulations.spaces import words
from simulations.story import JUMP_S, PUSH_S, Jump, Told, push, replayed

LEAST, MOST = 2, 12
SCRAPE_PHASES_S = (0.5, 2.5, 4.5)
TICKS_AFTER_S = (0.7, 5.7, 10.7)
METRICS = (Signal.RATE.value, Signal.BUSY.value, Signal.CONCURRENCY.value)
WINDOWS_S = (10.0, 15.0, 30.0, 60.0)
TARGETS = (0.5, 0.6, 0.7, 0.8, 0.9)
GROWTH = ("default", "unlimited")
AS_GOOD = 0.005
"""Of settings whose late share differs by less than this the cheaper one is the better one."""


def told_by(setting: Hpa, jump: Jump, served: Workload, seed: int) -> list[Told]:
    """What becomes of a jump under a setting, at each phase."""
    target = Target("push", setting.policy(served), Rails(LEAST, MOST))
    return [
        replayed(jump, target, served, seed=seed, phase_s=phase_s, tick_after_s=tick_after_s)
        for phase_s, tick_after_s in product(SCRAPE_PHASES_S, TICKS_AFTER_S)
    ]


def settings() -> Iterator[Hpa]:
    """The grid. Both families follow the same rule where there is always a pod, so one is tried."""
    for metric, window_s, growth, target in product(METRICS, WINDOWS_S, GROWTH, TARGETS):
        yield Hpa(target, metric, window_s, growth=growth, least=LEAST, family=Family.HPA)


def best(tried: Sequence[tuple[Hpa, list[Told]]]) -> list[tuple[Hpa, list[Told]]]:
    """Best first: the least late share, and of those that are as good the fewest pod-seconds."""
    least = min(_late(told) for _, told in tried)
    return sorted(tried, key=lambda each: _rank(each[1], least))


def _rank(told: Sequence[Told], least: float) -> tuple[int, float]:
    return int((_late(told) - least) / AS_GOOD), median(each.pushed_pod_s for each in told)


def _late(told: Sequence[Told]) -> float:
    return median(each.late_ratio for each in told)


def main() -> int:
    """Print the ten best."""
    served = find_policy("holiday-push").serving(None)
    served = replace(served, routing=Routing.LEAST_OUTSTANDING, min_replicas=LEAST, max_replicas=MOST)
    jump = Jump(draw(push(1), served, 1), JUMP_S, PUSH_S)
    tried = [(setting, told_by(setting, jump, served, 1)) for setting in settings()]
    for setting, told in best(tried)[:10]:
        pods, lost = median(each.pushed_pod_s for each in told), max(each.lost for each in told)
        print(f"{words(setting)}: {_late(told):.1%} late, {lost} lost at most, {pods:.0f} pod-seconds in the push")
    return 0


if __name__ == "__main__":
    sys.exit(main())

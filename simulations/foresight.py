"""The cheapest number of pods for each second, to one who knows every request: the programme of `clairvoyant.py`.

Everything that numba compiles for it stands in this one file, because its cache notices changes of this file alone.
Requests are given to slots when they arrive, first come first served.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pods = npt.NDArray[np.int16]
Table = npt.NDArray[np.int16]
Function = TypeVar("Function", bound=Callable[..., Any])

NEAR = 3
"""Changes of so many pods in one second are tried one by one; of larger ones only the cheapest."""
REACH_S = 600
"""No cold start is longer, as far as orders ahead of time go."""


def compiled(function: Function) -> Function:
    """Compile, and keep the machine code on disk."""
    return cast("Function", njit(cache=True)(function))


class Price(NamedTuple):
    """What a missed request costs, in pod-seconds; it changes once."""

    first_s: float
    later_s: float
    later: int
    """The second from which on the later price holds."""


class Problem(NamedTuple):
    """What the programme plans for."""

    arrival_s: Floats
    service_s: Floats
    arrived: Ints
    """Requests that have arrived by the end of each second."""
    most: Ints
    """Pods in each second beyond which none could be of use."""
    first_pods: int
    least: int
    slots: int
    cold_start_s: float
    objective_s: float
    patience_s: float
    scored: int
    """The first request that is scored."""
    scored_from_s: float


class Front(NamedTuple):
    """The cheapest path to each number of pods; two rows, the last second and this one."""

    value_s: Floats
    """Cost with the price of misses; inf where the path is pointless. Shape (2, pods)."""
    missed: Ints
    free_s: Floats
    """When each slot is free, a heap; shape (2, pods, slots)."""
    trial_s: Floats


@compiled
def _replace_first(heap: Floats, size: int, value: float) -> None:
    """Put a value in the place of the smallest."""
    at, down = 0, 1
    while down < size:
        if down + 1 < size and heap[down + 1] < heap[down]:
            down += 1
        if heap[down] >= value:
            break
        heap[at] = heap[down]
        at = down
        down = 2 * at + 1
    heap[at] = value


@compiled
def _resize(heap: Floats, size: int, wanted: int, now_s: float) -> None:
    """Drop the slots that are free first, or add free ones."""
    while size > wanted:
        size -= 1
        _replace_first(heap, size, heap[size])
    while size < wanted:
        at = size
        size += 1
        while at > 0 and heap[(at - 1) >> 1] > now_s:
            heap[at] = heap[(at - 1) >> 1]
            at = (at - 1) >> 1
        heap[at] = now_s


@compiled
def _serve(p: Problem, heap: Floats, size: int, first: int, last: int) -> int:
    """Give requests `first` to `last` - 1 to the slots that are free first; the number of misses that score."""
    missed = 0
    arrival_s, service_s = p.arrival_s, p.service_s
    for request in range(first, last):
        start_s = max(arrival_s[request], heap[0])
        wait_s = start_s - arrival_s[request]
        stays = wait_s < p.patience_s
        if stays:
            _replace_first(heap, size, start_s + service_s[request])
        if not stays or wait_s + service_s[request] > p.objective_s:
            missed += request >= p.scored
    return missed


@compiled
def _extend(p: Problem, f: Front, place: tuple[int, int], parents: Ints, price_s: float) -> int:
    """The cheapest of some ways to a second and a number of pods; where it comes from, 0 for nowhere."""
    second, pods = place
    old, new = second % 2, (second + 1) % 2
    first = p.arrived[second - 1] if second else 0
    scores = second >= p.scored_from_s
    best = 0
    f.value_s[new, pods] = np.inf
    for parent in parents:
        if parent in (best, 0) or f.value_s[old, parent] == np.inf:
            continue
        cost_s = f.value_s[old, parent]
        if scores:
            cost_s += pods + p.cold_start_s * max(0, pods - parent)
        if cost_s >= f.value_s[new, pods]:
            continue
        f.trial_s[: parent * p.slots] = f.free_s[old, parent, : parent * p.slots]
        _resize(f.trial_s, parent * p.slots, pods * p.slots, float(second))
        missed = _serve(p, f.trial_s, pods * p.slots, first, p.arrived[second])
        if cost_s + price_s * missed < f.value_s[new, pods]:
            best = parent
            f.value_s[new, pods] = cost_s + price_s * missed
            f.missed[new, pods] = f.missed[old, parent] + missed
            f.free_s[new, pods, : pods * p.slots] = f.trial_s[: pods * p.slots]
    return best


@compiled
def _cheapest_below(p: Problem, f: Front, second: int, top: int, below: Ints) -> None:
    """For each number of pods, the smaller one to grow from."""
    start_s = p.cold_start_s if second >= p.scored_from_s else 0.0
    best, best_s = 0, np.inf
    for pods in range(1, len(below)):
        below[pods] = best
        if pods <= top and f.value_s[second % 2, pods] - start_s * pods < best_s:
            best, best_s = pods, f.value_s[second % 2, pods] - start_s * pods


@compiled
def _walk(p: Problem, f: Front, price: Price, parent: Table) -> int:
    """Fill the table of parents; the cheapest number of pods at the end."""
    width = f.value_s.shape[1]
    below, parents = np.zeros(width, np.int64), np.zeros(2 * NEAR + 3, np.int64)
    f.value_s[:] = np.inf
    f.value_s[0, p.first_pods] = 0.0
    f.missed[:] = 0
    f.free_s[:] = 0.0
    top = p.first_pods
    for second in range(len(p.most)):
        old, new = second % 2, (second + 1) % 2
        price_s = price.first_s if second < price.later else price.later_s
        _cheapest_below(p, f, second, top, below)
        f.value_s[new] = np.inf
        above, lowest_s, pointless = 0, np.inf, 0
        survivor = top
        for pods in range(max(top, p.most[second]), p.least - 1, -1):
            if pods <= top and f.value_s[old, pods] < np.inf:
                above = pods
            if pods > p.most[second]:
                continue
            parents[0], parents[1] = above, below[pods]
            for near in range(-NEAR, NEAR + 1):
                parents[NEAR + 2 + near] = pods + near if 1 <= pods + near <= top else 0
            parent[second, pods] = _extend(p, f, (second, pods), parents, price_s)
            # Fewer pods at no less cost: whoever wants them can drop pods a second later.
            if f.value_s[new, pods] >= lowest_s:
                f.value_s[new, pods] = np.inf
                pointless += 1
                if pointless == 2:
                    break
            else:
                lowest_s, survivor, pointless = f.value_s[new, pods], pods, 0
        top = p.most[second]
    return survivor


@compiled
def plan(p: Problem, f: Front, price: Price) -> tuple[Pods, int]:
    """The cheapest plan at a price, and the number of its misses."""
    seconds = len(p.most)
    parent = np.zeros((seconds, f.value_s.shape[1]), np.int16)
    pods = _walk(p, f, price, parent)
    missed = f.missed[seconds % 2, pods]
    path = np.zeros(seconds, np.int16)
    for second in range(seconds - 1, -1, -1):
        path[second] = pods
        pods = parent[second, pods]
    return path, missed


@compiled
def _late_seconds(p: Problem, free_s: Floats, pods: int, need: Ints) -> bool:
    """Note the seconds in which a constant number of pods makes requests late that need not be."""
    free_s[: pods * p.slots] = 0.0
    any_late = False
    request = 0
    for second in range(len(p.arrived)):
        while request < p.arrived[second]:
            start_s = max(p.arrival_s[request], free_s[0])
            wait_s = start_s - p.arrival_s[request]
            if wait_s < p.patience_s:
                _replace_first(free_s, pods * p.slots, start_s + p.service_s[request])
            if wait_s > 0.0 and wait_s + p.service_s[request] > p.objective_s >= p.service_s[request]:
                need[second] = pods + 1
                any_late = True
            request += 1
    return any_late


@compiled
def need(p: Problem, most_pods: int) -> Ints:
    """For each second, the least constant number of pods that makes no request late for want of pods."""
    pods = np.ones(len(p.arrived), np.int64)
    free_s = np.zeros(most_pods * p.slots)
    for size in range(1, most_pods):
        if not _late_seconds(p, free_s, size, pods):
            break
    return pods


@compiled
def highest_nearby(values: Ints, reach: int) -> Ints:
    """For each entry the largest one among itself and `reach` neighbours on either side."""
    highest = values.copy()
    for at in range(len(values)):
        highest[at] = values[max(0, at - reach) : at + reach + 1].max()
    return highest


def front(p: Problem) -> Front:
    """Room for the paths of a problem."""
    pods = int(max(p.most.max(), p.first_pods)) + 1
    return Front(
        value_s=np.zeros((2, pods)),
        missed=np.zeros((2, pods), np.int64),
        free_s=np.zeros((2, pods, pods * p.slots)),
        trial_s=np.zeros(pods * p.slots),
    )


@compiled
def wanted(plan: Pods, start_s: Floats, first_pods: int, begin: int) -> Pods:
    """Pods that must serve or start in each second so that the plan is served, given the cold starts to come.

    Args:
        plan: serving pods for each second.
        start_s: cold starts in order of ordering; begun again when they are used up.
        first_pods: pods that serve at the beginning.
        begin: the first second in which pods can be ordered.

    Returns:
        A pod is ordered when its cold start just reaches a second that needs it. It is kept until then, and while
        the next cold start reaches another such second.
    """
    sizes = plan.copy()
    held_until = np.zeros(max(plan.max(), first_pods) + 1, np.int64)  # for each size, the second it was ordered for
    total, orders = first_pods, 0
    for second in range(begin, len(plan)):
        size = plan[second : second + 2 + int(start_s[orders % len(start_s)])].max()
        while size < total and held_until[size + 1 :].max() > second:
            size += 1
        for order in range(max(0, plan[second : second + REACH_S].max() - total)):
            reach = second + 2 + int(start_s[(orders + order) % len(start_s)])
            if plan[second:reach].max() > total + order:
                size = max(size, total + order + 1)
                held_until[size] = reach
        orders += max(0, size - total)
        total = size
        sizes[second] = total
    return sizes

"""The event loop, compiled by numba: arrivals, completions, impatience, pods that load, scrapes.

Everything that numba compiles stands in this one file, because its cache notices changes of this file alone.
State is a handful of arrays; the names below are their columns. At equal times a completion comes first,
then a request that gives up, an arrival, a pod that changes phase, and the scrape last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Function = TypeVar("Function", bound=Callable[..., Any])
_njit: Any = njit  # its annotations leave out `_nrt`

# Phases of a pod. PENDING waits for a GPU; PROMOTING leaves standby.
PENDING, STARTING, STANDBY, PROMOTING, SERVING, DRAINING, GONE = range(7)
# Columns of `pod_s`: when the pod entered each phase (NaN: never), and when it changes by itself (inf: never).
ORDERED, PLACED, LOADED, IN_SERVICE, LEAVING, ENDED, CHANGE = range(7)
# Columns of `pod_n`. HEAD and TAIL are requests in the pod's own line; row 0 holds the line in front of all pods.
PHASE, BUSY, WAITING, HEAD, TAIL, GATED, RESTARTS, DRAWN = range(8)
FRONT = 0
# What becomes of a start.
LOADS, FAILS, HANGS = range(3)
# How a request finds a pod.
SHARED, LEAST, ROUND_ROBIN, RANDOM = range(4)
# Entries of `mark`.
NEXT_ARRIVAL, IN_HEAP, FREE, LIVE, IN_SERVING, PODS, DRAWS, REDRAWS, HOLDING, OLDEST, TURN, CHANGES, STEP = range(13)
# Entries of `total`, and the first columns of a scrape; the two histograms follow them.
NOW, RECEIVED, COMPLETED, LATE, LEFT, SERVICE_S, CONCURRENCY_S, BUSY_S, QUEUED, BUSY_SLOTS = range(10)
OLDEST_WAIT = SPAN_END = 10
SCRAPE_COLUMNS = 11

NOBODY = -1
FIRST_BACKOFF_S, LAST_BACKOFF_S = 10.0, 300.0
"""The kubelet's pause before it starts a crashed container again: doubled each time up to the last."""


def compiled(function: Function) -> Function:
    """Compile, and keep the machine code on disk.

    Nothing here allocates. Counting references to the arrays of the state, which numba does unless told
    otherwise, would take three quarters of the time.
    """
    return cast("Function", _njit(cache=True, _nrt=False)(function))


def hot(function: Function) -> Function:
    """The same, copied into its callers: passing the state on would cost more than the work."""
    return cast("Function", _njit(cache=True, _nrt=False, inline="always")(function))


class Rules(NamedTuple):
    """What does not change during a run."""

    routing: int
    slots: int
    """Requests, or batches, that one pod serves at a time."""
    batch: int
    """Largest number of requests that a slot takes at once."""
    batch_base_s: float
    """A batch takes this plus `batch_share` times the sum of its requests' own service times."""
    batch_share: float
    patience_s: float
    line: int
    """Largest number of requests waiting in one line; an arrival beyond it is rejected."""
    gpus: int
    """Pods that can hold a GPU at a time; those beyond stay pending."""
    promotion_s: float
    objective_s: float
    scrape_s: float
    scrape_phase_s: float
    step_s: float


class State(NamedTuple):
    """All that a run changes, and its inputs."""

    arrival_s: Floats
    service_s: Floats
    route: Floats
    """Uniform numbers in [0, 1) for random routing; empty otherwise."""
    finish_s: Floats
    """NaN while it is open who serves a request, inf for one that left."""
    pod: Ints
    """The line a request waits in, then the pod that serves it."""
    behind: Ints
    """The next request in the same line or batch."""
    pod_s: Floats
    pod_n: Ints
    heap_s: Floats
    """Completions in service, a binary heap, with the (first) request of each in `heap_request`."""
    heap_request: Ints
    free: Ints
    """Shared line: one entry for each free slot of a serving pod, used last in, first out."""
    live: Ints
    """Pods that are not gone, in order of ordering."""
    serving: Ints
    """Serving pods, in the order in which they began."""
    start_s: Floats
    fate: npt.NDArray[np.int8]
    edges_s: Floats
    bucket: Floats
    """Completions by service time (row 0) and latency (row 1), not cumulative."""
    queued_at_step: Floats
    mark: npt.NDArray[np.int64]
    total: Floats


# ---------------------------------------------------------------- completions in service


@hot
def _push(s: State, finish_s: float, request: int) -> None:
    at = s.mark[IN_HEAP]
    s.mark[IN_HEAP] = at + 1
    while at > 0:
        up = (at - 1) >> 1
        if s.heap_s[up] <= finish_s:
            break
        s.heap_s[at] = s.heap_s[up]
        s.heap_request[at] = s.heap_request[up]
        at = up
    s.heap_s[at] = finish_s
    s.heap_request[at] = request


@hot
def _pop(s: State) -> None:
    size = s.mark[IN_HEAP] - 1
    s.mark[IN_HEAP] = size
    finish_s, request = s.heap_s[size], s.heap_request[size]
    at, down = 0, 1
    while down < size:
        if down + 1 < size and s.heap_s[down + 1] < s.heap_s[down]:
            down += 1
        if s.heap_s[down] >= finish_s:
            break
        s.heap_s[at] = s.heap_s[down]
        s.heap_request[at] = s.heap_request[down]
        at = down
        down = 2 * at + 1
    s.heap_s[at] = finish_s
    s.heap_request[at] = request


# ---------------------------------------------------------------- lines


@hot
def _join(s: State, line: int, request: int) -> None:
    s.pod[request] = line
    if s.pod_n[line, WAITING] == 0:
        s.pod_n[line, HEAD] = request
    else:
        s.behind[s.pod_n[line, TAIL]] = request
    s.pod_n[line, TAIL] = request
    s.pod_n[line, WAITING] += 1
    s.total[QUEUED] += 1


@hot
def _leave_head(s: State, line: int) -> int:
    request: int = s.pod_n[line, HEAD]
    s.pod_n[line, HEAD] = s.behind[request]
    s.pod_n[line, WAITING] -= 1
    s.total[QUEUED] -= 1
    return request


@hot
def _oldest_waiting(s: State, rules: Rules) -> int:
    """The request that waits longest, or NOBODY."""
    if s.total[QUEUED] == 0:
        return NOBODY
    if rules.routing == SHARED:
        return int(s.pod_n[FRONT, HEAD])
    request: int = s.mark[OLDEST]
    while not np.isnan(s.finish_s[request]):
        request += 1
    s.mark[OLDEST] = request
    return request


# ---------------------------------------------------------------- service


@hot
def _duration(s: State, rules: Rules, first: int) -> float:
    """How long a slot is busy with a request, or with the batch that begins with it."""
    if rules.batch == 1:
        return float(s.service_s[first])
    work_s, request = 0.0, first
    while request != NOBODY:
        work_s += s.service_s[request]
        request = s.behind[request]
    return rules.batch_base_s + rules.batch_share * work_s


@hot
def _occupy(s: State, rules: Rules, pod: int, first: int, at_s: float) -> None:
    """Put a request, or the batch that begins with it, into a free slot."""
    finish_s = at_s + _duration(s, rules, first)
    s.pod[first] = pod
    s.finish_s[first] = finish_s
    if rules.batch > 1:
        request = s.behind[first]
        while request != NOBODY:
            s.pod[request] = pod
            s.finish_s[request] = finish_s
            request = s.behind[request]
    s.pod_n[pod, BUSY] += 1
    s.total[BUSY_SLOTS] += 1
    s.total[BUSY_S] += s.total[SPAN_END] - at_s
    _push(s, finish_s, first)


@hot
def _serve(s: State, rules: Rules, pod: int, request: int, at_s: float) -> None:
    """One request, alone in its slot."""
    if rules.batch > 1:
        s.behind[request] = NOBODY
    _occupy(s, rules, pod, request, at_s)


@hot
def _serve_next(s: State, rules: Rules, pod: int, line: int, at_s: float) -> None:
    """The head of a line, and with batching those behind it, up to the largest batch."""
    first = _leave_head(s, line)
    if rules.batch > 1:
        last = first
        for _ in range(min(rules.batch - 1, s.pod_n[line, WAITING])):
            last = _leave_head(s, line)
        s.behind[last] = NOBODY
    _occupy(s, rules, pod, first, at_s)


@hot
def _bucket_of(edges_s: Floats, value_s: float) -> int:
    at = 0
    while at < len(edges_s) and value_s > edges_s[at]:
        at += 1
    return at


@hot
def _answer(s: State, rules: Rules, request: int, service_s: float, at_s: float) -> None:
    latency_s = at_s - s.arrival_s[request]
    s.total[COMPLETED] += 1
    s.total[LATE] += latency_s > rules.objective_s
    s.total[SERVICE_S] += service_s
    s.total[CONCURRENCY_S] -= s.total[SPAN_END] - at_s
    s.bucket[0, _bucket_of(s.edges_s, service_s)] += 1
    s.bucket[1, _bucket_of(s.edges_s, latency_s)] += 1


@hot
def _complete(s: State, rules: Rules, at_s: float) -> bool:
    """Answer what is due first and give its slot the next work; True if a draining pod is gone by it."""
    request = s.heap_request[0]
    pod = s.pod[request]
    _pop(s)
    service_s = _duration(s, rules, request)
    _answer(s, rules, request, service_s, at_s)
    if rules.batch > 1:
        request = s.behind[request]
        while request != NOBODY:
            _answer(s, rules, request, service_s, at_s)
            request = s.behind[request]
    s.pod_n[pod, BUSY] -= 1
    s.total[BUSY_SLOTS] -= 1
    s.total[BUSY_S] -= s.total[SPAN_END] - at_s

    line = FRONT if rules.routing == SHARED else pod
    serves = s.pod_n[pod, PHASE] == SERVING
    if s.pod_n[line, WAITING] > 0 and (serves or line == pod):
        _serve_next(s, rules, pod, line, at_s)
    elif serves:
        if rules.routing == SHARED:
            s.free[s.mark[FREE]] = pod
            s.mark[FREE] += 1
    elif s.pod_n[pod, BUSY] == 0 and s.pod_n[pod, PHASE] == DRAINING:
        _end_pod(s, pod, at_s)
        return True
    return False


@hot
def _choose(s: State, rules: Rules, request: int) -> int:
    """The serving pod that gets a request where each pod has its own line."""
    pods = s.mark[IN_SERVING]
    if rules.routing == RANDOM:
        return int(s.serving[int(s.route[request] * pods)])
    first = s.mark[TURN] % pods
    best, fewest = first, s.pod_n[s.serving[first], BUSY] + s.pod_n[s.serving[first], WAITING]
    if rules.routing == LEAST:  # among equals the next in turn
        for step in range(1, pods):
            at = (first + step) % pods
            outstanding = s.pod_n[s.serving[at], BUSY] + s.pod_n[s.serving[at], WAITING]
            if outstanding < fewest:
                best, fewest = at, outstanding
    s.mark[TURN] = best + 1
    return int(s.serving[best])


@hot
def _admit(s: State, rules: Rules, request: int, at_s: float) -> None:
    """Give an arrival a slot, a place in a line, or a refusal."""
    line = FRONT
    if rules.routing == SHARED:
        if s.mark[FREE] > 0:
            s.mark[FREE] -= 1
            _serve(s, rules, s.free[s.mark[FREE]], request, at_s)
            return
    elif s.mark[IN_SERVING] > 0:
        line = _choose(s, rules, request)
        if s.pod_n[line, BUSY] < rules.slots:
            _serve(s, rules, line, request, at_s)
            return
    if s.pod_n[line, WAITING] < rules.line:
        _join(s, line, request)
    else:
        _give_up(s, request, at_s)


@hot
def _give_up(s: State, request: int, at_s: float) -> None:
    s.finish_s[request] = np.inf
    s.total[LEFT] += 1
    s.total[CONCURRENCY_S] -= s.total[SPAN_END] - at_s


@hot
def _in_system(s: State) -> float:
    return float(s.total[RECEIVED] - s.total[COMPLETED] - s.total[LEFT])


@hot
def _end_span(s: State, at_s: float) -> None:
    s.total[CONCURRENCY_S] -= _in_system(s) * (s.total[SPAN_END] - at_s)
    s.total[BUSY_S] -= s.total[BUSY_SLOTS] * (s.total[SPAN_END] - at_s)
    s.total[NOW] = s.total[SPAN_END] = at_s


@compiled
def _run_requests(s: State, rules: Rules, until_s: float) -> bool:
    """Every event of requests up to `until_s`; stops at once, and returns True, when a draining pod has gone.

    The integrals over time count every request in the system, and every busy slot, up to the end of this span;
    what begins or ends within it corrects them.
    """
    s.total[CONCURRENCY_S] += _in_system(s) * (until_s - s.total[NOW])
    s.total[BUSY_S] += s.total[BUSY_SLOTS] * (until_s - s.total[NOW])
    s.total[SPAN_END] = until_s
    requests = len(s.arrival_s)
    while True:
        coming = s.mark[NEXT_ARRIVAL]
        arrival_s = s.arrival_s[coming] if coming < requests else np.inf
        finish_s = s.heap_s[0] if s.mark[IN_HEAP] > 0 else np.inf
        oldest = _oldest_waiting(s, rules)
        leave_s = s.arrival_s[oldest] + rules.patience_s if oldest != NOBODY else np.inf
        if finish_s <= arrival_s and finish_s <= leave_s:
            if finish_s > until_s:
                break
            if _complete(s, rules, finish_s):
                _end_span(s, finish_s)
                return True
        elif leave_s <= arrival_s:
            if leave_s > until_s:
                break
            _leave_head(s, s.pod[oldest])
            _give_up(s, oldest, leave_s)
        else:
            if arrival_s > until_s:
                break
            s.mark[NEXT_ARRIVAL] = coming + 1
            s.total[RECEIVED] += 1
            s.total[CONCURRENCY_S] += s.total[SPAN_END] - arrival_s
            _admit(s, rules, coming, arrival_s)
    _end_span(s, until_s)
    return False


# ---------------------------------------------------------------- pods


@compiled
def _take_out(pods: Ints, size: int, pod: int) -> int:
    """Remove every entry of a pod from a list, keeping the order; the new size."""
    kept = 0
    for at in range(size):
        if pods[at] != pod:
            pods[kept] = pods[at]
            kept += 1
    return kept


@compiled
def _enter(s: State, pod: int, phase: int) -> None:
    s.pod_n[pod, PHASE] = phase
    s.pod_s[pod, CHANGE] = np.inf
    s.mark[CHANGES] += 1


@compiled
def _end_pod(s: State, pod: int, at_s: float) -> None:
    if s.pod_n[pod, PHASE] != PENDING:
        s.mark[HOLDING] -= 1
    _enter(s, pod, GONE)
    s.pod_s[pod, ENDED] = at_s
    s.mark[LIVE] = _take_out(s.live, s.mark[LIVE], pod)


@compiled
def _begin_serving(s: State, rules: Rules, pod: int, at_s: float) -> None:
    _enter(s, pod, SERVING)
    if np.isnan(s.pod_s[pod, IN_SERVICE]):
        s.pod_s[pod, IN_SERVICE] = at_s
    s.serving[s.mark[IN_SERVING]] = pod
    s.mark[IN_SERVING] += 1
    if rules.routing == SHARED:
        for _ in range(rules.slots - s.pod_n[pod, BUSY]):
            if s.pod_n[FRONT, WAITING] > 0:
                _serve_next(s, rules, pod, FRONT, at_s)
            else:
                s.free[s.mark[FREE]] = pod
                s.mark[FREE] += 1
    else:  # what waited while no pod served
        while s.pod_n[FRONT, WAITING] > 0:
            _admit(s, rules, _leave_head(s, FRONT), at_s)


@compiled
def _load(s: State, pod: int, drawn: int, at_s: float) -> None:
    """Begin a start, which loads, fails or hangs as its draw says."""
    s.pod_n[pod, DRAWN] = drawn
    s.pod_s[pod, CHANGE] = np.inf if s.fate[drawn] == HANGS else at_s + s.start_s[drawn]


@compiled
def _place(s: State, rules: Rules, at_s: float) -> None:
    """Give free GPUs to pending pods, in the order of ordering."""
    for at in range(s.mark[LIVE]):
        if s.mark[HOLDING] >= rules.gpus:
            return
        pod = s.live[at]
        if s.pod_n[pod, PHASE] == PENDING:
            _enter(s, pod, STARTING)
            s.mark[HOLDING] += 1
            s.pod_s[pod, PLACED] = at_s
            _load(s, pod, s.pod_n[pod, DRAWN], at_s)


@compiled
def _next_change(s: State) -> int:
    """The pod that changes its phase first, or NOBODY."""
    first, at_s = NOBODY, np.inf
    for at in range(s.mark[LIVE]):
        if s.pod_s[s.live[at], CHANGE] < at_s:
            first, at_s = s.live[at], s.pod_s[s.live[at], CHANGE]
    return first


@compiled
def _change(s: State, rules: Rules, pod: int, at_s: float) -> None:
    """A start ends, or a promotion does."""
    if s.pod_n[pod, PHASE] == PROMOTING:
        _begin_serving(s, rules, pod, at_s)
    elif s.fate[s.pod_n[pod, DRAWN]] == FAILS:
        backoff_s = min(FIRST_BACKOFF_S * 2.0 ** s.pod_n[pod, RESTARTS], LAST_BACKOFF_S)
        s.pod_n[pod, RESTARTS] += 1
        s.mark[REDRAWS] += 1  # repeated starts take their draws from the other end
        s.mark[CHANGES] += 1
        _load(s, pod, -s.mark[REDRAWS] % len(s.start_s), at_s + backoff_s)
    else:
        s.pod_s[pod, LOADED] = at_s
        if s.pod_n[pod, GATED]:
            _enter(s, pod, STANDBY)
        else:
            _begin_serving(s, rules, pod, at_s)


# ---------------------------------------------------------------- commands between two advances


@compiled
def add_pod(s: State) -> int:
    """A new row in the table of pods."""
    pod: int = s.mark[PODS]
    s.mark[PODS] += 1
    s.live[s.mark[LIVE]] = pod
    s.mark[LIVE] += 1
    s.pod_s[pod, ORDERED] = s.total[NOW]
    s.pod_n[pod, PHASE] = PENDING
    s.mark[CHANGES] += 1
    return pod


@compiled
def open_with(s: State, rules: Rules, pods: int) -> None:
    """Pods that serve from the start and need no cold start."""
    for _ in range(pods):
        pod = add_pod(s)
        s.pod_s[pod, PLACED] = s.pod_s[pod, LOADED] = s.total[NOW]
        s.mark[HOLDING] += 1
        _begin_serving(s, rules, pod, s.total[NOW])


@compiled
def order(s: State, rules: Rules, pods: int) -> None:
    """Order pods; each takes the next draw of the cold starts."""
    for _ in range(pods):
        s.pod_n[add_pod(s), DRAWN] = s.mark[DRAWS] % len(s.start_s)
        s.mark[DRAWS] += 1
    _place(s, rules, s.total[NOW])


@compiled
def _free_at_s(s: State, pod: int) -> float:
    """When the last request that a pod serves or holds in its own line would be answered, at the earliest."""
    last_s: float = s.total[NOW]
    for at in range(s.mark[IN_HEAP]):
        if s.pod[s.heap_request[at]] == pod:
            last_s = max(last_s, s.heap_s[at])
    return last_s


@compiled
def _least_missed(s: State) -> int:
    """The pod that a shrink takes first.

    Pods that wait for a GPU or start, the latest ready first; then standby, the last loaded first; then
    serving ones, with the shortest line of its own first, then the one that is free soonest (an idle one is now).
    """
    best, best_class, best_key, best_line = NOBODY, 9, 0.0, 0
    for at in range(s.mark[LIVE]):
        pod = s.live[at]
        phase, line = s.pod_n[pod, PHASE], s.pod_n[pod, WAITING]
        if phase == DRAINING:
            continue
        if phase <= STARTING:
            rank, key = 0, -s.pod_s[pod, CHANGE] if phase == STARTING else -np.inf
        elif phase < SERVING:
            rank, key = 1 if phase == STANDBY else 2, -s.pod_s[pod, LOADED]
        else:
            rank, key = 3, _free_at_s(s, pod)
        if rank != best_class:
            better = rank < best_class
        elif line != best_line:
            better = line < best_line
        else:
            better = key < best_key or (key == best_key and rank < 3)
        if better:
            best, best_class, best_key, best_line = pod, rank, key, line
    return best


@compiled
def _leave_service(s: State, pod: int) -> None:
    """No request comes to the pod any more; those it holds stay."""
    if s.pod_n[pod, PHASE] == SERVING:
        s.mark[IN_SERVING] = _take_out(s.serving, s.mark[IN_SERVING], pod)
        s.mark[FREE] = _take_out(s.free, s.mark[FREE], pod)


@compiled
def shrink(s: State, rules: Rules, pods: int) -> None:
    """Take pods away: what starts is cancelled, what holds requests drains."""
    for _ in range(pods):
        pod = _least_missed(s)
        if pod == NOBODY:
            return
        s.pod_s[pod, LEAVING] = s.total[NOW]
        _leave_service(s, pod)
        if s.pod_n[pod, BUSY] == 0:
            _end_pod(s, pod, s.total[NOW])
        else:
            _enter(s, pod, DRAINING)
    _place(s, rules, s.total[NOW])


@compiled
def promote(s: State, rules: Rules, pod: int) -> bool:
    """Let a gated pod serve: at once where it still loads, after the promotion where it stands by."""
    phase: int = s.pod_n[pod, PHASE]
    if phase == STANDBY:
        _enter(s, pod, PROMOTING)
        s.pod_s[pod, CHANGE] = s.total[NOW] + rules.promotion_s
    elif phase <= STARTING:
        s.pod_n[pod, GATED] = 0
        s.mark[CHANGES] += 1
    return phase <= SERVING


@compiled
def gate(s: State, pod: int) -> bool:
    """Keep a pod out of service: one that loads becomes standby, one that serves finishes what it holds there.

    False if it leaves already.
    """
    phase: int = s.pod_n[pod, PHASE]
    if phase > SERVING:
        return False
    s.pod_n[pod, GATED] = 1
    if phase <= STARTING:
        s.mark[CHANGES] += 1
    else:
        _leave_service(s, pod)
        _enter(s, pod, STANDBY)
    return True


# ---------------------------------------------------------------- time


@compiled
def _write_scrape(s: State, rules: Rules, scrapes: Floats, row: int) -> None:
    for column in range(OLDEST_WAIT):
        scrapes[row, column] = s.total[column]
    oldest = _oldest_waiting(s, rules)
    scrapes[row, OLDEST_WAIT] = s.total[NOW] - s.arrival_s[oldest] if oldest != NOBODY else 0.0
    column = SCRAPE_COLUMNS
    for kind in range(2):
        below = 0.0
        for at in range(s.bucket.shape[1]):
            below += s.bucket[kind, at]
            scrapes[row, column] = below
            column += 1


@compiled
def advance(s: State, rules: Rules, until_s: float, scraped: int, scrapes: Floats) -> int:
    """Run every event up to `until_s`, writing the scrapes that fall due.

    Args:
        s: the state, changed in place.
        rules: what does not change.
        until_s: time to stop at; events at that very time are run.
        scraped: number of scrapes taken before.
        scrapes: rows to be filled, one for each scrape that can fall due.

    Returns:
        Number of rows filled.
    """
    rows = 0
    while True:
        scrape_s = rules.scrape_phase_s + (scraped + rows) * rules.scrape_s
        step_s = (s.mark[STEP] + 1) * rules.step_s
        changing = _next_change(s)
        change_s = s.pod_s[changing, CHANGE] if changing != NOBODY else np.inf
        stop_s = min(until_s, scrape_s, step_s, change_s)

        if _run_requests(s, rules, stop_s):  # a pod has gone: its GPU may go to a pending one
            _place(s, rules, s.total[NOW])
            continue
        if change_s == stop_s:
            _change(s, rules, changing, stop_s)
            continue
        if step_s == stop_s:
            if s.mark[STEP] < len(s.queued_at_step):
                s.queued_at_step[s.mark[STEP]] = s.total[QUEUED]
            s.mark[STEP] += 1
        if scrape_s == stop_s:
            _write_scrape(s, rules, scrapes, rows)
            rows += 1
        if stop_s == until_s:
            return rows


@compiled
def finish(s: State, rules: Rules) -> None:
    """Serve what still waits with the pods that serve now; nothing is measured any more.

    Where no pod serves, what waits leaves.
    """
    far_s = 1e18
    while _run_requests(s, rules, far_s):
        pass
    for request in range(s.mark[NEXT_ARRIVAL]):
        if np.isnan(s.finish_s[request]):
            s.finish_s[request] = np.inf

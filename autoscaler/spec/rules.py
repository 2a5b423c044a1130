"""What must hold between several fields of a file.

The rules look at the plain values of the document, not at validated models: a mistake in one place must not
hide one in another. A rule whose fields are absent or wrong by themselves says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autoscaler.spec.document import Route, Value, shown
from autoscaler.spec.values import format_duration, format_moment, parse_duration, parse_moment

PEERS = ("hpa", "keda", "kpa")
MOST_WEIGHED = 400
"""Pods that a predictive policy may have: its table of what each size misses grows with their square, to 19 MB here."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Fields that do not go together; told at one of them."""

    route: Route
    text: str
    against: Route = ()
    """The other field; where it is wrong by itself, there is no clash yet."""
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Plain:
    """A file's values as far as they are usable."""

    data: Value

    def at(self, *route: str | int) -> Value:
        """The value there; None where there is none."""
        value = self.data
        for part in route:
            if isinstance(part, str) and isinstance(value, dict):
                value = value.get(part)
            elif isinstance(part, int) and isinstance(value, list) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def whole(self, *route: str | int) -> int | None:
        """A whole number there."""
        value = self.at(*route)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def seconds(self, *route: str | int) -> float | None:
        """A duration there, in seconds."""
        try:
            return parse_duration(self.at(*route))
        except ValueError:
            return None

    def keys(self, *route: str | int) -> list[str]:
        """The keys of a mapping there."""
        value = self.at(*route)
        return list(value) if isinstance(value, dict) else []

    def length(self, *route: str | int) -> int:
        """The length of a list there."""
        value = self.at(*route)
        return len(value) if isinstance(value, list) else 0


Rule = Callable[[Plain, Route], Iterator[Clash]]


def workload_file_clashes(file: Plain) -> Iterator[Clash]:
    """Clashes within a workload file."""
    spec: Route = ("spec",)
    yield from _workload_clashes(file, spec)
    if file.at(*spec, "replicas") is None:
        text = "missing — required: {min, max}, the bounds for policies that state none"
        yield Clash((*spec, "replicas"), text, at_key=True)


def _workload_clashes(file: Plain, at: Route) -> Iterator[Clash]:
    for rule in (_bounds_in_order, _cold_start_in_order, _objective_in_reach):
        yield from rule(file, at)


def policy_clashes(file: Plain) -> Iterator[Clash]:
    """Clashes within a policy file."""
    spec: Route = ("spec",)
    yield from _workload_clashes(file, (*spec, "workload"))
    for rule in (
        _bounds_in_order,
        _bounds_known,
        _standby_in_order,
        _fixed_in_bounds,
        _idle_below_minimum,
        _zero_where_allowed,
        _predictive_in_reach,
        _events_whole,
        _metrics_read_somehow,
        _windows_over_scrapes,
        _one_server,
        _one_login,
        _queue_read_once,
        _service_named,
        _triggers_by_name,
        _paused_at_a_size,
    ):
        yield from rule(file, spec)


def _bounds_in_order(file: Plain, at: Route) -> Iterator[Clash]:
    least, most = (*at, "replicas", "min"), (*at, "replicas", "max")
    low, high = file.whole(*least), file.whole(*most)
    if low is not None and high is not None and low > high:
        yield Clash(least, f"{low} — at most the maximum, {high}", most)


def _cold_start_in_order(file: Plain, at: Route) -> Iterator[Clash]:
    typical, slow = (*at, "coldStart", "typical"), (*at, "coldStart", "slow")
    if _shorter(file, slow, typical):
        why = "it is the 95 % quantile, typical the median"
        yield Clash(slow, f"{file.at(*slow)} — at least coldStart.typical, {file.at(*typical)}: {why}", typical)


def _objective_in_reach(file: Plain, at: Route) -> Iterator[Clash]:
    latency, mean = (*at, "objective", "latency"), (*at, "service", "mean")
    if _shorter(file, latency, mean) or file.seconds(*latency) == file.seconds(*mean) is not None:
        why = "no number of pods is faster"
        yield Clash(latency, f"{file.at(*latency)} — above service.mean, {file.at(*mean)}: {why}", mean)


def _shorter(file: Plain, one: Route, other: Route) -> bool:
    """Whether one duration is shorter than another, where both are durations."""
    first, second = file.seconds(*one), file.seconds(*other)
    return first is not None and second is not None and first < second


def _bounds_known(file: Plain, at: Route) -> Iterator[Clash]:
    workload = file.at(*at, "workload")
    inline = isinstance(workload, dict) and "ref" not in workload
    stated = file.at(*at, "replicas") is not None or file.at(*at, "workload", "replicas") is not None
    if not stated and (workload is None or inline):
        yield Clash((*at, "replicas"), "missing — {min, max} here or in the workload")


def _standby_in_order(file: Plain, at: Route) -> Iterator[Clash]:
    fewest, most, bound = (*at, "standby", "min"), (*at, "standby", "max"), (*at, "replicas", "max")
    low, high, pods = file.whole(*fewest), file.whole(*most), file.whole(*bound)
    if low is not None and high is not None and high < low:
        yield Clash(most, f"{high} — at least standby.min, {low}", fewest)
    if high is not None and pods is not None and high > pods:
        yield Clash(most, f"{high} — at most the maximum of replicas, {pods}: standby pods count", bound)
    kind = file.at(*at, "policy", "type")
    if file.at(*at, "standby", "mode") == "gated" and kind in PEERS:
        yield Clash((*at, "standby", "mode"), f"gated — serving: the rule of {kind} knows no standby pods")


def _fixed_in_bounds(file: Plain, at: Route) -> Iterator[Clash]:
    size = file.whole(*at, "policy", "replicas")
    low, high = file.whole(*at, "replicas", "min"), file.whole(*at, "replicas", "max")
    if size is None or low is None or high is None or file.at(*at, "policy", "type") != "fixed":
        return
    if not low <= size <= high:
        yield Clash((*at, "policy", "replicas"), f"{size} — within the bounds, {low} to {high}", (*at, "replicas"))


def _idle_below_minimum(file: Plain, at: Route) -> Iterator[Clash]:
    field, least = (*at, "policy", "idleReplicaCount"), (*at, "replicas", "min")
    idle, low = file.whole(*field), file.whole(*least)
    if idle is not None and low is not None and idle >= low:
        yield Clash(field, f"{idle} — below the minimum, {low}", least)


def _zero_where_allowed(file: Plain, at: Route) -> Iterator[Clash]:
    if file.whole(*at, "replicas", "min") != 0 or file.at(*at, "policy", "type") != "hpa":
        return
    rule = (*at, "policy")
    kinds = [file.at(*rule, "metrics", index, "type") for index in range(file.length(*rule, "metrics"))]
    if file.at(*rule, "controller", "HPAScaleToZero") is not True:
        yield Clash((*at, "replicas", "min"), "0 — at least 1, unless policy.controller.HPAScaleToZero is true")
    elif not {"Object", "External"} & set(map(str, kinds)):
        yield Clash((*at, "replicas", "min"), "0 — at least 1 without an Object or External metric")


def _predictive_in_reach(file: Plain, at: Route) -> Iterator[Clash]:
    rule = (*at, "policy")
    if file.at(*rule, "type") != "predictive":
        return
    if file.whole(*at, "replicas", "min") == 0:
        yield Clash((*at, "replicas", "min"), "0 — at least 1: with no pod nobody counts the requests to come")
    for bound in ((*at, "replicas", "max"), (*at, "workload", "replicas", "max")):
        if (pods := file.whole(*bound)) is not None and pods > MOST_WEIGHED:
            yield Clash(bound, f"{pods} — at most {MOST_WEIGHED} with a predictive policy: it weighs every size")
    first, most = file.seconds(*rule, "firstPrice"), file.seconds(*rule, "mostPrice")
    if first is not None and most is not None and first > most:
        yield Clash((*rule, "firstPrice"), f"{format_duration(first)} — at most mostPrice, {format_duration(most)}")
    if file.seconds(*rule, "missPrice") is not None:
        for key in ("firstPrice", "mostPrice", "firstCorrection"):
            if file.at(*rule, key) is not None:
                yield Clash((*rule, key), "belongs to missPrice: auto — a stated price needs no other", at_key=True)
    tick, scrape = file.seconds(*rule, "tick"), file.seconds(*at, "signals", "prometheus", "scrapeInterval")
    gated = file.at(*at, "standby", "mode") == "gated"
    if tick is not None and scrape is not None and tick < scrape and not gated:
        yield Clash((*rule, "tick"), f"{format_duration(tick)} — at least scrapeInterval, {format_duration(scrape)}")


def _events_whole(file: Plain, at: Route) -> Iterator[Clash]:
    calendar = (*at, "policy", "calendar")
    for index in range(file.length(*calendar)):
        event = (*calendar, index)
        loads = [key for key in ("requestsPerSecond", "factor") if file.at(*event, key) is not None]
        if len(loads) != 1:
            found = " and ".join(loads) or "no load"
            yield Clash((*event, "name"), f"{shown(file.at(*event, 'name'))} has {found} — requestsPerSecond or factor")
        try:
            begin, end = (parse_moment(file.at(*event, key)) for key in ("from", "to"))
        except ValueError:
            continue
        if (begin.day is None, begin.weekday is None) != (end.day is None, end.weekday is None):
            yield Clash((*event, "to"), f"{format_moment(end)} — written as from is, {format_moment(begin)}")
        elif begin.day is not None and end.day is not None and (end.day, end.at) <= (begin.day, begin.at):
            yield Clash((*event, "to"), f"{format_moment(end)} — after from, {format_moment(begin)}")


def _metrics_read_somehow(file: Plain, at: Route) -> Iterator[Clash]:
    for name in file.keys(*at, "signals", "metrics"):
        metric = (*at, "signals", "metrics", name)
        signal, query = file.at(*metric, "signal"), file.at(*metric, "query")
        if (signal is None) == (query is None):
            yield Clash(metric, "a mapping — either signal with window, or query")
        elif signal is not None and file.at(*metric, "window") is None:
            yield Clash(metric, "window is missing — how long the signal is averaged, such as 60s; 0s: newest sample")
        elif query is not None and file.at(*metric, "window") is not None:
            window = file.at(*metric, "window")
            yield Clash((*metric, "window"), f"{window} — belongs to signal: a query states its own window")


def _windows_over_scrapes(file: Plain, at: Route) -> Iterator[Clash]:
    """A rate needs two samples; an age limit below the interval would make every sample stale."""
    scrapes = (*at, "signals", "prometheus", "scrapeInterval")
    interval = file.seconds(*scrapes)
    if interval is None:
        return
    for name in file.keys(*at, "signals", "metrics"):
        route = (*at, "signals", "metrics", name, "window")
        window = file.seconds(*route)
        if window is not None and 0 < window < 2 * interval:
            least = format_duration(2 * interval)
            yield Clash(route, f"{file.at(*route)} — 0s, or at least two scrape intervals: {least}", scrapes)
    stale = (*at, "signals", "prometheus", "staleAfter")
    if _shorter(file, stale, scrapes):
        yield Clash(stale, f"{file.at(*stale)} — at least scrapeInterval, {file.at(*scrapes)}", scrapes)


def _one_server(file: Plain, at: Route) -> Iterator[Clash]:
    """One controller reads a target's signals from one server."""
    url = file.at(*at, "signals", "prometheus", "url")
    for index in range(file.length(*at, "policy", "triggers")):
        route = (*at, "policy", "triggers", index, "metadata", "serverAddress")
        address = file.at(*route)
        url = url if url is not None else address
        if address is not None and address != url:
            yield Clash(route, f"{shown(address)} — the same server as {shown(url)}: a target's signals come from one")


def _one_login(file: Plain, at: Route) -> Iterator[Clash]:
    auth: Route = (*at, "signals", "prometheus", "auth")
    if file.at(*auth, "basic") is not None and file.at(*auth, "bearerTokenFile") is not None:
        yield Clash((*auth, "basic"), "beside bearerTokenFile — one of the two: a request carries one", at_key=True)
    if file.at(*auth, "tls", "keyFile") is not None and file.at(*auth, "tls", "certFile") is None:
        text = "without certFile — a client's key goes with its certificate"
        yield Clash((*auth, "tls", "keyFile"), text, at_key=True)


def _queue_read_once(file: Plain, at: Route) -> Iterator[Clash]:
    route = (*at, "signals", "queries", "queued")
    if file.at(*route) is not None and file.at(*at, "signals", "queue") is not None:
        yield Clash(route, "belongs to signals.queue or here — what waits is read in one way", at_key=True)


def _service_named(file: Plain, at: Route) -> Iterator[Clash]:
    """A query can only say a name that the file says."""
    for name in file.keys(*at, "signals", "queries"):
        route = (*at, "signals", "queries", name, "query")
        query = file.at(*route)
        if isinstance(query, str) and "$service" in query and file.at(*at, "target", "service") is None:
            yield Clash(route, f"{shown(query)} — needs spec.target.service: it says $service", (*at, "target"))


def _triggers_by_name(file: Plain, at: Route) -> Iterator[Clash]:
    """KEDA takes a name once."""
    first: dict[str, int] = {}
    for index in range(file.length(*at, "policy", "triggers")):
        route = (*at, "policy", "triggers", index, "name")
        name = file.at(*route)
        if isinstance(name, str) and name in first:
            yield Clash(route, f"{name} — a name of its own: trigger {first[name]} has this one")
        elif isinstance(name, str):
            first[name] = index


def _paused_at_a_size(file: Plain, at: Route) -> Iterator[Clash]:
    """KEDA's annotation that holds a target at a size."""
    route: Route = ("metadata", "annotations", "autoscaling.keda.sh/paused-replicas")
    size = file.at(*route)
    if file.at(*at, "policy", "type") == "keda" and isinstance(size, str) and not _is_size(size):
        yield Clash(route, f'{shown(size)} — a number of pods as text, such as "3"')


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6

"""Selectors of policy files: which series a core signal is read from, with places where each target's own names go.

The controller reads raw samples with their own times and differences counters itself; so a query of a signal is a
metric with label matchers and nothing around it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import promql_parser as promql

from autoscaler.spec.promql import OPERATORS, condition, syntax_error

FACTS: Mapping[str, str] = {
    "$namespace": "the target's namespace",
    "$deployment": "the name of the Deployment",
    "$service": "the name of the Service",
    "$pods": "the names of its pods",
}
"""What may stand as the value of a matcher: `=` the target's own, `=~` for its pods."""
_PLACE = re.compile(r"\$\w+")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric and its labels."""

    name: str
    told_by: tuple[tuple[str, str], ...]
    """Labels that tell targets apart, each with the fact that it says: namespace, deployment, service or pods."""
    matchers: tuple[str, ...]
    """The other matchers, in PromQL."""


def parse_selector(template: str) -> Selector:
    """Read a template such as `http_requests_total{namespace="$namespace", pod=~"$pods", code!="503"}`.

    Raises:
        ValueError: what is wrong with it, or what is allowed.
    """
    error = syntax_error(template)
    if error is not None:
        raise ValueError(f"PromQL: {error}")
    found = promql.parse(template)
    if not isinstance(found, promql.VectorSelector) or found.offset is not None or found.at is not None:
        raise ValueError("a metric with label matchers, without functions: the controller sums and differences itself")
    if found.name is None or found.matchers.or_matchers:
        raise ValueError("a metric's name before its matchers, joined by commas")
    told_by, matchers = [], []
    for matcher in found.matchers.matchers:
        operator = OPERATORS[str(matcher.op)]
        if not _PLACE.search(matcher.value):
            matchers.append(condition(matcher))
            continue
        if matcher.value not in FACTS:
            raise ValueError(f"{matcher.value!r} in a matcher: the whole value is one of {', '.join(FACTS)}")
        if operator != ("=~" if matcher.value == "$pods" else "="):
            raise ValueError(f'{matcher.name}{operator}"{matcher.value}": =~ for $pods, = for the others')
        told_by.append((matcher.name, matcher.value[1:]))
    if not told_by and not any(re.match(r"\w+=[^~]", each) for each in matchers):
        raise ValueError('whose series: at least one matcher such as namespace="$namespace" or queue="speech"')
    return Selector(found.name, tuple(sorted(told_by)), tuple(sorted(matchers)))

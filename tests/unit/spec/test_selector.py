"""Queries of one's own for core signals: which templates are taken, and what is said of others."""

import re

import pytest

from autoscaler.spec.selector import Selector, parse_selector


@pytest.mark.parametrize(
    ("template", "selector"),
    [
        pytest.param(
            'http_requests_total{namespace="$namespace", pod=~"$pods", code!~"5.."}',
            Selector("http_requests_total", (("namespace", "namespace"), ("pod", "pods")), ('code!~"5.."',)),
            id="of its pods",
        ),
        pytest.param(
            'gateway_requests_total{service="$service",kube_namespace="$namespace"}',
            Selector("gateway_requests_total", (("kube_namespace", "namespace"), ("service", "service")), ()),
            id="of the whole service",
        ),
        pytest.param(
            'rabbitmq_queue_messages_ready{queue="speech"}',
            Selector("rabbitmq_queue_messages_ready", (), ('queue="speech"',)),
            id="of one thing by its name",
        ),
        pytest.param(r'x{a="q\"\\"}', Selector("x", (), (r'a="q\"\\"',)), id="quotes and backslashes stay"),
    ],
)
def test_a_metric_with_matchers(template, selector):
    assert parse_selector(template) == selector


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ('sum(x{namespace="$namespace"})', "without functions"),
        ('rate(x{namespace="$namespace"}[1m])', "without functions"),
        ('x{namespace="$namespace"} offset 5m', "without functions"),
        ('x{namespace="$namespace"} * 2', "without functions"),
        ('{namespace="$namespace"}', "a metric's name before its matchers"),
        ('x{a="b" or c="d"}', "joined by commas"),
        ('x{namespace="$namespaces"}', "'$namespaces' in a matcher: the whole value is one of $namespace, "),
        ('x{pod=~"$pods|other"}', "the whole value is one of"),
        ('x{namespace=~"$namespace"}', "= for the others"),
        ('x{pod="$pods"}', "=~ for $pods"),
        ("x", "whose series: at least one matcher"),
        ('x{code!="500"}', "whose series: at least one matcher"),
        ("x{", "PromQL:"),
    ],
)
def test_what_is_wrong_is_said(template, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_selector(template)

"""Which queries are a known signal in disguise."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.policies.windows import Signal as PolicySignal
from autoscaler.spec.promql import MAX_OPERATORS, NAMES, Measure, Named, Signal, measured, measured_name, syntax_error


def test_signals_are_the_words_of_the_policies():
    assert set(get_args(Signal)) == set(PolicySignal)


@pytest.mark.parametrize(
    ("query", "measure"),
    [
        ("sum(rate(speech_requests_received_total[1m]))", Measure("rate", 60.0)),
        ("(sum(rate(speech_requests_received_total[90s])))", Measure("rate", 90.0)),
        ('sum(rate(speech_requests_received_total{namespace="a", pod=~"tts-.*"}[1m]))', Measure("rate", 60.0)),
        ("sum by (service) (rate(speech_requests_received_total[1m]))", Measure("rate", 60.0)),
        ("sum(rate(speech_requests_received_total[2m])) * 0.18", Measure("rate", 120.0, 0.18)),
        ("0.18 * sum(rate(speech_requests_received_total[2m]))", Measure("rate", 120.0, 0.18)),
        ("sum(rate(speech_requests_received_total[2m])) / 4", Measure("rate", 120.0, 0.25)),
        ("sum(increase(speech_requests_received_total[2m]))", Measure("rate", 120.0, 120.0)),
        ("sum(rate(speech_requests_received_total[2m])) or vector(0)", Measure("rate", 120.0)),
        ("sum(irate(speech_requests_received_total[2m]))", Measure("rate", 0.0)),
        ("sum(rate(speech_request_duration_seconds_count[2m]))", Measure("completed-rate", 120.0)),
        ("sum(rate(speech_requests_completed_total[2m]))", Measure("completed-rate", 120.0)),
        ("sum(rate(speech_service_seconds_sum[1m]))", Measure("busy", 60.0)),
        ("sum(rate(speech_busy_seconds_total[1m]))", Measure("busy", 60.0)),
        ("sum(rate(speech_queue_integral_seconds_total[30s]))", Measure("concurrency", 30.0)),
        ("sum(speech_queue_depth)", Measure("queue", 0.0)),
        ("sum(avg_over_time(speech_queue_depth[1m]))", Measure("queue", 60.0)),
        ("sum(speech_requests_in_flight)", Measure("in-flight", 0.0)),
        ("sum(speech_slots_busy)", Measure("slots", 0.0)),
        ("avg(DCGM_FI_DEV_GPU_UTIL)", Measure("gpu", 0.0, 100.0)),
        ("avg(avg_over_time(DCGM_FI_PROF_GR_ENGINE_ACTIVE[1m])) * 2", Measure("gpu", 60.0, 2.0)),
        (
            "histogram_quantile(0.99, sum by (le) (rate(speech_request_duration_seconds_bucket[5m])))",
            Measure("latency-p99", 300.0),
        ),
    ],
)
def test_a_known_signal_in_disguise(query, measure):
    assert syntax_error(query) is None
    assert measured(query) == measure


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("rate(speech_requests_received_total[1m])", "one series for each pod: sum(…) them"),
        ("speech_queue_depth", "one series for each pod: sum(…) them"),
        ("sum by (pod) (rate(speech_requests_received_total[1m]))", "several series, by pod"),
        ("sum without (pod) (speech_queue_depth)", "`without` keeps several series"),
        ("max(speech_queue_depth)", "`max` over the pods, not `sum`"),
        ("sum(delta(speech_requests_received_total[1m]))", "`delta` of a counter, not `rate`"),
        ("sum(speech_requests_received_total)", "`the bare value` of a counter, not `rate`"),
        ("sum(max_over_time(speech_queue_depth[1m]))", "`max_over_time` of a gauge, not `avg_over_time`"),
        ("sum(DCGM_FI_DEV_GPU_UTIL)", "`sum` of DCGM_FI_DEV_GPU_UTIL, not `avg`"),
        ("sum(rate(speech_requests_received_total[1m] offset 1d))", "`offset` and `@` look at another time"),
        ('sum(rate(speech_requests_received_total{code="500"}[1m]))', "a choice of series by code"),
        ('sum({job="tts"})', "a selector without a metric name"),
        ("sum(rate(speech_requests_received_total[1m])) - 1", "`-` with something else than a positive constant"),
        ("sum(rate(speech_requests_received_total[1m])) * -1", "`*` with something else than a positive constant"),
        ("sum(speech_queue_depth) or vector(1)", "`or` with something else than a positive constant"),
        ("sum(a) + sum(b)", "`+` with something else than a positive constant"),
        ("sum(rate(a[5m:1m]))", "neither a metric nor a function of one metric over a window"),
        ("42", "a constant"),
        (
            "histogram_quantile(0.95, sum by (le) (rate(speech_request_duration_seconds_bucket[5m])))",
            "a quantile other than 0.99",
        ),
        (
            "histogram_quantile(0.99, rate(speech_request_duration_seconds_bucket[5m]))",
            "buckets that are not summed by (le)",
        ),
        (
            "histogram_quantile(0.99, sum by (le) (rate(speech_service_seconds_bucket[5m])))",
            "not rate(speech_request_duration_seconds_bucket[…])",
        ),
        (
            "sum(rate(http_requests_total[1m]))",
            f"http_requests_total is not one of the metrics that a replay has: {', '.join(NAMES)}",
        ),
    ],
)
def test_why_a_query_cannot_be_replayed(query, why):
    assert syntax_error(query) is None
    assert measured(query) == why


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("sum(", "unclosed left parenthesis"),
        ("rate(x)", "expected type matrix in call to function 'rate', got vector"),
        ("nosuch(x)", "unknown function with name 'nosuch'"),
        ("", "no expression found in input"),
        ("(" * 3000, "at most 2000 characters and 200 operators"),
        ("a" + "+a" * (MAX_OPERATORS + 1), "at most 2000 characters and 200 operators"),
    ],
)
def test_what_prometheus_would_refuse(query, error):
    assert syntax_error(query) == error


def test_the_most_operators_are_parsed():
    assert syntax_error("a" + "+a" * MAX_OPERATORS) is None


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("speech_queue_depth", Measure("queue", 0.0)),
        ("DCGM_FI_DEV_GPU_UTIL", Measure("gpu", 0.0, 100.0)),
        ("speech_requests_received_per_second", Measure("rate", 120.0)),
    ],
)
def test_names_that_a_metrics_adapter_serves(name, measure):
    assert measured_name(name) == measure


def test_a_name_that_keda_serves():
    assert "give the ScaledObject instead" in str(measured_name("s0-prometheus"))


def test_a_name_that_only_the_adapter_knows():
    assert "only the metrics adapter knows" in str(measured_name("queue_per_gpu"))


MARKS = ["(", ")", "[1m]", "[5m:1m]", "{", "}", "=~", '"', ",", " ", "*", "/", "-", " offset 5m", " @ 5", "0.5"]
NAMED = ["sum", "avg", "rate", "by", "or", "vector", "histogram_quantile", "le", "speech_queue_depth", *NAMES[:1]]


@given(st.lists(st.sampled_from(MARKS + NAMED), max_size=14).map("".join) | st.text(max_size=30))
def test_any_text_is_a_signal_or_has_a_reason(query):
    outcome = syntax_error(query) or measured(query)
    assert isinstance(outcome, Measure) or outcome


NAMED = {
    "http_requests_total": [
        Named("rate", False, frozenset({'code!="503"'})),
        Named("completed-rate", False, frozenset({'code="200"'})),
    ],
    "http_busy_milliseconds_total": [Named("busy", False, frozenset(), 0.001)],
    "waiting": [Named("queue", True, frozenset())],
}


@pytest.mark.parametrize(
    ("query", "measure"),
    [
        ('sum(rate(http_requests_total{service="tts", code!="503"}[2m]))', Measure("rate", 120.0)),
        ("sum(rate(http_busy_milliseconds_total[1m]))", Measure("busy", 60.0, 1000.0)),
        ("sum(waiting) / 2", Measure("queue", 0.0, 0.5)),
        ("sum(speech_queue_depth)", Measure("queue", 0.0)),
        (
            "sum(rate(http_requests_total[2m]))",
            'all series of http_requests_total, not those with code!="503" or code="200"',
        ),
        ('sum(rate(http_requests_total{code="200"}[2m]))', Measure("completed-rate", 120.0)),
        ('sum(rate(http_requests_total{code="404"}[2m]))', "a choice of series by code"),
    ],
)
def test_metrics_that_a_policy_names_itself(query, measure):
    assert measured(query, NAMED) == measure

"""What a person reads who got a policy file wrong."""

from __future__ import annotations

import pytest

METRICS = """\
    metrics:
      - type: Pods
        pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: 700m}}
"""


def test_a_file_in_order_has_no_problem(problems, policy):
    assert problems(policy) == []


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        pytest.param(
            "service: emotivoice}",
            "servce: emotivoice}",
            "my.yaml:5:48 spec.target.servce: unknown key — allowed here: kind, name, service; did you mean service?",
            id="unknown key, with the nearest one",
        ),
        pytest.param(
            "  replicas: {min: 1, max: 10}\n",
            "  replicas: {min: 1, max: 10}\n  behavior: {}\n",
            "my.yaml:12:3 spec.behavior: unknown key — belongs to spec.policy.behavior of an hpa rule, or "
            "policy.advanced.horizontalPodAutoscalerConfig.behavior of a keda rule: a peer's rule is complete",
            id="behavior beside a peer's rule",
        ),
        pytest.param(
            "    type: hpa\n",
            "    type: hpa\n    minReplicas: 1\n",
            "my.yaml:15:5 spec.policy.minReplicas: unknown key — belongs to spec.replicas.min",
            id="bounds in the peer's block",
        ),
        pytest.param(
            "preset: speech}",
            "auth: {bearerToken: secret}}",
            "my.yaml:19:56 spec.signals.prometheus.auth.bearerToken: unknown key — belongs to bearerTokenFile: "
            "a policy file holds no secret",
            id="a secret in the file",
        ),
        pytest.param(
            "preset: speech}",
            "headers: {Authorization: secret}}",
            "my.yaml:19:58 spec.signals.prometheus.headers: a mapping — no Authorization: credentials belong "
            "under auth",
            id="credentials among the headers",
        ),
        pytest.param(
            "preset: speech}",
            'headers: {X-Scope-OrgID: "a\\nb"}}',
            "my.yaml:19:58 spec.signals.prometheus.headers: a mapping — one line of at most 512 ASCII characters for "
            "X-Scope-OrgID",
            id="a header of two lines",
        ),
        pytest.param(
            'url: "http://prometheus:9090"',
            'url: "http://me:secret@prometheus:9090"',
            "my.yaml:19:23 spec.signals.prometheus.url: http://me:…@prometheus:9090 — http(s)://host[:port][/path], "
            "without user or password: give those under auth",
            id="a password in the address is not repeated",
        ),
        pytest.param(
            "latency: 800ms",
            "latency: 800",
            "my.yaml:7:26 spec.workload.objective.latency: 800 — a duration with its unit, such as 800ms, 15s, 5m "
            "or 1h30m",
            id="duration without a unit",
        ),
        pytest.param(
            "latency: 800ms",
            "latency: 800 ms",
            "my.yaml:7:26 spec.workload.objective.latency: 800 ms — a duration with its unit, such as 800ms, 15s, 5m "
            "or 1h30m",
            id="duration with a space",
        ),
        pytest.param(
            "mean: 180ms",
            "mean: 0s",
            "my.yaml:8:37 spec.workload.service.mean: 0s — above 0; a duration with its unit, such as 800ms, 15s, 5m "
            "or 1h30m",
            id="duration of nothing",
        ),
        pytest.param(
            "share: 99%",
            "share: 0.99",
            "my.yaml:7:40 spec.workload.objective.share: 0.99 — a share in percent, above 0% and below 100%, such as "
            "99% or 99.9%",
            id="share without percent",
        ),
        pytest.param(
            "share: 99%",
            "share: 100%",
            "my.yaml:7:40 spec.workload.objective.share: 100% — a share in percent, above 0% and below 100%, such as "
            "99% or 99.9%",
            id="share that no queue can meet",
        ),
        pytest.param(
            "averageValue: 700m",
            "averageValue: 700ms",
            "my.yaml:17:81 spec.policy.metrics[0].pods.target.averageValue: 700ms — a Kubernetes quantity above 0, "
            "such as 700m, 10 or 1.5k",
            id="quantity with another unit",
        ),
        pytest.param(
            "max: 10}",
            'max: "10"}',
            'my.yaml:11:27 spec.replicas.max: "10" — a whole number',
            id="number in quotes",
        ),
        pytest.param(
            "max: 10}", "max: 10.5}", "my.yaml:11:27 spec.replicas.max: 10.5 — a whole number", id="part of a pod"
        ),
        pytest.param("max: 10}", "max: -1}", "my.yaml:11:27 spec.replicas.max: -1 — at least 1", id="out of bounds"),
        pytest.param(
            "max: 10}",
            "max: }",
            "my.yaml:11:26 spec.replicas.max: empty — give a value, or leave the key out",
            id="empty value",
        ),
        pytest.param(
            "    routing: least-outstanding\n",
            "    patience:\n",
            "my.yaml:10:14 spec.workload.patience: empty — give a value, or leave the key out",
            id="empty value of a key that may be absent",
        ),
        pytest.param(
            "mean: 180ms}",
            "cv: 0.6}",
            "my.yaml:8:5 spec.workload.service.mean: missing — required: Mean service time of a request alone, without "
            "queueing. Such as 180ms.",
            id="missing key, told at its parent",
        ),
        pytest.param(
            "routing: least-outstanding",
            "routing: least-outstandin",
            "my.yaml:10:14 spec.workload.routing: least-outstandin — one of shared-queue, least-outstanding, "
            "round-robin, random; did you mean least-outstanding?",
            id="word that is not in the list",
        ),
        pytest.param(
            "type: hpa",
            "type: kedda",
            "my.yaml:14:11 spec.policy.type: kedda — one of fixed, hpa, keda, kpa, predictive; did you mean keda?",
            id="rule that does not exist",
        ),
        pytest.param(
            "    type: hpa\n", "", "my.yaml:13:3 spec.policy.type: missing — required here", id="rule without a type"
        ),
        pytest.param(
            "Europe/Zurich",
            "Europe/Zurch",
            "my.yaml:12:21 spec.clock.timeZone: Europe/Zurch — a time zone of the IANA database, such as UTC or "
            "Europe/Zurich; did you mean Europe/Zurich?",
            id="time zone that does not exist",
        ),
        pytest.param(
            "name: emotivoice, namespace",
            "name: EmotiVoice, namespace",
            "my.yaml:3:18 metadata.name: EmotiVoice — a name: lower-case letters, digits, - and ., not longer than 253",
            id="name that Kubernetes would refuse",
        ),
        pytest.param(
            "replicas: {min: 1, max: 10}",
            "replicas: 10",
            "my.yaml:11:13 spec.replicas: 10 — a mapping",
            id="number for a mapping",
        ),
        pytest.param(
            METRICS,
            "    metrics: []\n",
            "my.yaml:15:14 spec.policy.metrics: a list — at least 1 entries",
            id="no metric",
        ),
        pytest.param(
            "{signal: busy, window: 60s}",
            "{query: 'sum(rate(x[1m])'}",
            "my.yaml:21:21 spec.signals.metrics.busy.query: sum(rate(x[1m]) — PromQL: unclosed left parenthesis",
            id="query that Prometheus would refuse",
        ),
        pytest.param(
            "{signal: busy, window: 60s}",
            "{query: 'rate(speech_queue_depth)'}",
            "my.yaml:21:21 spec.signals.metrics.busy.query: rate(speech_queue_depth) — PromQL: expected type matrix in "
            "call to function 'rate', got vector",
            id="query of the wrong type",
        ),
    ],
)
def test_a_field_by_itself(problems, policy, good, bad, problem):
    assert good in policy
    assert problems(policy.replace(good, bad, 1)) == [problem]


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        pytest.param(
            "{min: 1, max: 10}",
            "{min: 11, max: 10}",
            "my.yaml:11:19 spec.replicas.min: 11 — at most the maximum, 10",
            id="minimum above maximum",
        ),
        pytest.param(
            "{min: 1, max: 10}",
            "{min: 0, max: 10}",
            "my.yaml:11:19 spec.replicas.min: 0 — at least 1, unless policy.controller.HPAScaleToZero is true",
            id="an HPA that goes to zero",
        ),
        pytest.param(
            "slow: 21s",
            "slow: 10s",
            "my.yaml:9:37 spec.workload.coldStart.slow: 10s — at least coldStart.typical, 15s: it is the 95 % "
            "quantile, typical the median",
            id="slow start faster than the typical one",
        ),
        pytest.param(
            "latency: 800ms",
            "latency: 150ms",
            "my.yaml:7:26 spec.workload.objective.latency: 150ms — above service.mean, 180ms: no number of pods is "
            "faster",
            id="objective below the service time",
        ),
        pytest.param(
            "  replicas: {min: 1, max: 10}\n",
            "",
            "my.yaml:4:1 spec.replicas: missing — {min, max} here or in the workload",
            id="no bounds anywhere",
        ),
        pytest.param(
            "  clock:",
            "  standby: {mode: gated, min: 2, max: 4}\n  clock:",
            "my.yaml:12:19 spec.standby.mode: gated — serving: the rule of hpa knows no standby pods",
            id="standby beside a peer's rule",
        ),
        pytest.param(
            "{signal: busy, window: 60s}",
            "{signal: busy}",
            "my.yaml:21:13 spec.signals.metrics.busy: window is missing — how long the signal is averaged, such as "
            "60s; 0s: newest sample",
            id="signal without a window",
        ),
        pytest.param(
            "{signal: busy, window: 60s}",
            "{signal: busy, window: 60s, query: up}",
            "my.yaml:21:13 spec.signals.metrics.busy: a mapping — either signal with window, or query",
            id="signal and query",
        ),
        pytest.param(
            "{signal: busy, window: 60s}",
            "{window: 60s, query: up}",
            "my.yaml:21:22 spec.signals.metrics.busy.window: 60s — belongs to signal: a query states its own window",
            id="window beside a query",
        ),
        pytest.param(
            "preset: speech}",
            "scrapeInterval: 45s}",
            "my.yaml:21:36 spec.signals.metrics.busy.window: 60s — 0s, or at least two scrape intervals: 1m30s",
            id="window shorter than two scrapes",
        ),
        pytest.param(
            "preset: speech}",
            "scrapeInterval: 20s, staleAfter: 5s}",
            "my.yaml:19:82 spec.signals.prometheus.staleAfter: 5s — at least scrapeInterval, 20s",
            id="stale before the next scrape",
        ),
        pytest.param(
            "preset: speech}",
            "auth: {bearerTokenFile: /token, basic: {username: me, passwordFile: /password}}}",
            "my.yaml:19:81 spec.signals.prometheus.auth.basic: beside bearerTokenFile — one of the two: a request "
            "carries one",
            id="two ways to log in",
        ),
        pytest.param(
            "preset: speech}",
            "auth: {tls: {keyFile: /key}}}",
            "my.yaml:19:62 spec.signals.prometheus.auth.tls.keyFile: without certFile — a client's key goes with its "
            "certificate",
            id="a client's key alone",
        ),
        pytest.param(
            "    metrics:\n      busy",
            """    queries: {received: {query: 'sum(x{namespace="$namespace"})'}}\n    metrics:\n      busy""",
            """my.yaml:20:33 spec.signals.queries.received.query: sum(x{namespace="$namespace"}) — a metric with """
            "label matchers, without functions: the controller sums and differences itself",
            id="a query with a function",
        ),
        pytest.param(
            "    metrics:\n      busy",
            """    queries: {latencyBuckets: {query: 'x{namespace="$namespace"}'}}\n    metrics:\n      busy""",
            """my.yaml:20:39 spec.signals.queries.latencyBuckets.query: x{namespace="$namespace"} — a metric whose """
            "name ends in _bucket",
            id="a histogram that is none",
        ),
        pytest.param(
            "    metrics:\n      busy",
            """    queue: {type: rabbitmq, queue: speech}\n    queries: {queued: {query: 'x{queue="speech"}'}}\n"""
            "    metrics:\n      busy",
            "my.yaml:21:15 spec.signals.queries.queued: belongs to signals.queue or here — what waits is read in one "
            "way",
            id="a queue read twice",
        ),
        pytest.param(
            "    metrics:\n      busy",
            "    queue: {type: kafka, topic: speech}\n    metrics:\n      busy",
            "my.yaml:20:5 spec.signals.queue.group: missing — required: The consumer group of the target's pods.",
            id="a topic without its group",
        ),
    ],
)
def test_fields_that_do_not_go_together(problems, policy, good, bad, problem):
    assert good in policy
    assert problems(policy.replace(good, bad, 1)) == [problem]


def test_nobody_reads_thousands_of_problems(problems, policy):
    lines = problems(policy + "".join(f"  key{number}: 1\n" for number in range(1000)))
    assert len(lines) == 201
    assert lines[-1] == "my.yaml: and at least 200 more"


def fixed(policy: str, rest: str) -> str:
    head, _, _ = policy.partition("  policy:\n")
    return f"{head}  policy: {{type: fixed, replicas: 4}}\n{rest}"


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        pytest.param(
            "  standby: {mode: gated, min: 3, max: 2}\n",
            "my.yaml:14:39 spec.standby.max: 2 — at least standby.min, 3",
            id="least standby above the most",
        ),
        pytest.param(
            "  standby: {mode: gated, min: 3, max: 20}\n",
            "my.yaml:14:39 spec.standby.max: 20 — at most the maximum of replicas, 10: standby pods count",
            id="more standby than pods",
        ),
        pytest.param(
            "  standby: {mode: gated, min: 1, max: 2, price: 1.5}\n",
            "my.yaml:14:49 spec.standby.price: 1.5 — at most 1",
            id="standby dearer than serving",
        ),
        pytest.param(
            "  standby: {mode: serving, min: 1}\n",
            "my.yaml:14:28 spec.standby.min: unknown key — allowed here: mode",
            id="a number of serving standby",
        ),
    ],
)
def test_standby(problems, policy, rest, problem):
    assert problems(fixed(policy, rest)) == [problem]


def test_a_fixed_size_is_within_the_bounds(problems, policy):
    text = fixed(policy, "").replace("replicas: 4", "replicas: 40")
    assert problems(text) == ["my.yaml:13:35 spec.policy.replicas: 40 — within the bounds, 1 to 10"]


def test_all_problems_of_a_file_are_told_at_once_and_in_its_order(problems, policy):
    text = (
        policy.replace("kind: Deployment", "kind: StatefulSet")
        .replace("latency: 800ms", "latency: 150ms")
        .replace("min: 1, max", "min: yes, max")
        .replace("Zurich", "Zurch")
        .replace("averageValue: 700m", "averageValue: -1")
        .replace("preset: speech", "presets: speech")
        .replace("window: 60s", "window: 1:00")
    )
    assert [line.split(": ")[0] for line in problems(text)] == [
        "my.yaml:5:18 spec.target.kind",
        "my.yaml:7:26 spec.workload.objective.latency",
        "my.yaml:11:19 spec.replicas.min",
        "my.yaml:12:21 spec.clock.timeZone",
        "my.yaml:17:81 spec.policy.metrics[0].pods.target.averageValue",
        "my.yaml:19:49 spec.signals.prometheus.presets",
        "my.yaml:21:36 spec.signals.metrics.busy.window",
    ]


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        pytest.param(
            "kind: ScalingPolicies",
            "my.yaml:2:7 kind: ScalingPolicies — one of ScalingPolicy, Workload, HorizontalPodAutoscaler, "
            "ScaledObject; did you mean ScalingPolicy?",
            id="kind with a slip",
        ),
        pytest.param(
            "name: x",
            "my.yaml:1:1 kind: missing — one of ScalingPolicy, Workload, HorizontalPodAutoscaler, ScaledObject",
            id="no kind",
        ),
        pytest.param(
            "kind: ScalingPolicy",
            "my.yaml:1:13 apiVersion: autoscaling/v1 — autoscaling.speech/v1alpha1",
            id="another version of a policy",
        ),
        pytest.param(
            "kind: HorizontalPodAutoscaler",
            "my.yaml:1:13 apiVersion: autoscaling/v1 — autoscaling/v2: kubectl get hpa.v2.autoscaling NAME -o yaml "
            "prints it so",
            id="an old HPA",
        ),
        pytest.param(
            "kind: ScaledJob",
            "my.yaml:2:7 kind: ScaledJob — a ScaledObject: a ScaledJob starts jobs, it does not size a service",
            id="a ScaledJob",
        ),
        pytest.param("kind: List", "my.yaml:2:7 kind: List — one object a file: split the list", id="a list"),
    ],
)
def test_files_of_other_kinds(problems, head, problem):
    assert problems(f"apiVersion: autoscaling/v1\n{head}\n") == [problem]

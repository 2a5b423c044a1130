"""A user's own manifest is a policy as it is; what of it cannot be replayed is named."""

from __future__ import annotations

import pytest

from autoscaler.model import InvalidInput
from autoscaler.policies.build import build
from autoscaler.policies.hpa.settings import DEFAULT_UP, Limit, LimitKind
from autoscaler.policies.windows import Signal, Windowed
from autoscaler.spec import LoadedPolicy, find_policy, find_workload


def named(policy: LoadedPolicy, *, changes: bool) -> list[str]:
    """Findings without the name of the folder."""
    return [str(f).replace(policy.source, "my.yaml") for f in policy.findings if f.changes_decisions is changes]


def test_an_hpa_is_a_policy_as_it_is(write, hpa):
    policy = find_policy(str(write(hpa)))
    rule, rails = build(policy, find_workload("tts"))
    assert (policy.kind, policy.name, policy.file.metadata.name) == ("HorizontalPodAutoscaler", "my", "tts")
    assert policy.spec.target is not None
    assert policy.spec.target.name == "tts"
    assert (rails.min_replicas, rails.max_replicas) == (2, 20)
    assert rule.settings.behavior.down.limits == (Limit(LimitKind.PERCENT, 10, 60),)
    assert rule.settings.behavior.up == DEFAULT_UP
    assert dict(rule.readings) == {"speech_queue_depth": Windowed(Signal.QUEUE, 0.0)}


def test_what_of_an_hpa_cannot_be_replayed_is_named(write, hpa):
    policy = find_policy(str(write(hpa)))
    cpu, adapter = named(policy, changes=True)
    (selector,) = named(policy, changes=False)
    assert cpu == (
        "my.yaml:16:5 spec.metrics[0]: Resource metric cpu cannot be replayed: a replay has no cpu; what stands for it "
        "can be stated under signals.metrics of a ScalingPolicy"
    )
    assert adapter == (
        "my.yaml:24:5 spec.metrics[2]: External metric sqs_messages cannot be replayed: which series it is, only the "
        "metrics adapter knows: state it under signals.metrics of a ScalingPolicy"
    )
    assert selector == (
        "my.yaml:24:5 spec.metrics[2]: the selector is left out: a replay has the series of one target only"
    )


def test_an_hpa_without_metrics_has_cpu_at_80_percent_and_nothing_to_replay(write, hpa):
    head, _, _ = hpa.partition("  metrics:\n")
    policy = find_policy(str(write(head)))
    (cpu,) = named(policy, changes=True)
    assert cpu.startswith("my.yaml:8:1 spec.metrics[0]: Resource metric cpu cannot be replayed")
    with pytest.raises(InvalidInput) as caught:
        build(policy, find_workload("tts"))
    assert caught.value.problems == (f"{policy.source}: none of its metrics can be read here", str(policy.findings[0]))


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        pytest.param(
            "maxReplicas: 20", "maxReplicas: 1", "13:16 spec.minReplicas: 2 — at most the maximum, 1", id="bounds"
        ),
        pytest.param(
            "  maxReplicas: 20\n",
            "",
            "8:1 spec.maxReplicas: missing — required: Never more; what the GPUs or the budget allow.",
            id="no maximum",
        ),
        pytest.param(
            "  behavior:",
            "  behaviour:",
            "30:3 spec.behaviour: unknown key — allowed here: scaleTargetRef, minReplicas, maxReplicas, metrics, "
            "behavior; did you mean behavior?",
            id="slip in a key",
        ),
        pytest.param(
            "periodSeconds: 60",
            "periodSeconds: 3600",
            "34:51 spec.behavior.scaleDown.policies[0].periodSeconds: 3600 — at most 1800",
            id="limit of the API",
        ),
        pytest.param(
            'averageValue: "5"',
            "averageValue: 0",
            "23:50 spec.metrics[1].pods.target.averageValue: 0 — a Kubernetes quantity above 0, such as 700m, 10 or "
            "1.5k",
            id="nothing for each pod",
        ),
        pytest.param(
            "status: {}",
            "stats: {}",
            "35:1 stats: unknown key — allowed here: apiVersion, kind, metadata, spec, status; did you mean status?",
            id="slip at the top",
        ),
        pytest.param(
            "autoscaling/v2",
            "autoscaling/v2beta2",
            "1:13 apiVersion: autoscaling/v2beta2 — autoscaling/v2: kubectl get hpa.v2.autoscaling NAME -o yaml prints "
            "it so",
            id="old version",
        ),
    ],
)
def test_problems_of_an_hpa_stand_where_they_are_in_the_manifest(problems, hpa, good, bad, problem):
    assert good in hpa
    assert problems(hpa.replace(good, bad, 1)) == [f"my.yaml:{problem}"]


def test_to_kubernetes_null_is_absent(write, hpa):
    policy = find_policy(str(write(hpa.replace("minReplicas: 2", "minReplicas: null"))))
    assert policy.spec.replicas is not None
    assert policy.spec.replicas.min == 1


def test_an_hpa_at_zero_is_taken_to_have_the_gate(write, hpa):
    policy = find_policy(str(write(hpa.replace("minReplicas: 2", "minReplicas: 0"))))
    assert "my.yaml:13:16 spec.minReplicas: 0 is taken to mean that the gate HPAScaleToZero is on" in named(
        policy, changes=False
    )


def test_a_signal_that_no_metric_uses_is_named(write, policy):
    loaded = find_policy(str(write(policy + "      bussy: {signal: busy, window: 15s}\n")))
    assert named(loaded, changes=False) == [
        "my.yaml:22:14 spec.signals.metrics.bussy: is not used: no metric of the rule has this name"
    ]


def test_a_scaled_object_is_a_policy_as_it_is(write, scaled_object):
    policy = find_policy(str(write(scaled_object)))
    rule, rails = build(policy, find_workload("asr"))
    settings = rule.settings
    assert policy.kind == "ScaledObject"
    assert policy.spec.signals.prometheus.url == "http://prometheus.monitoring:9090"
    assert (rails.min_replicas, rails.max_replicas) == (1, 100)
    assert (settings.polling_interval_s, settings.cooldown_s, settings.fallback.replicas) == (15, 120, 6)
    assert settings.behavior.down.stabilization_s == 60
    assert settings.switches.paused_scale_in
    assert dict(rule.readings) == {"rate": Windowed(Signal.RATE, 60.0), "queue": Windowed(Signal.QUEUE, 0.0)}


def test_what_of_a_scaled_object_cannot_be_replayed_is_named(write, scaled_object):
    policy = find_policy(str(write(scaled_object)))
    assert [line.split(": ")[0] for line in named(policy, changes=True)] == [
        "my.yaml:18:23 spec.advanced.scalingModifiers",
        "my.yaml:31:14 spec.triggers[1].metadata.query",
        "my.yaml:36:11 spec.triggers[3].type",
    ]
    assert [line.split(": ")[0] for line in named(policy, changes=False)] == [
        "my.yaml:24:19 spec.triggers[0].metadata.metricName",
        "my.yaml:27:24 spec.triggers[0].authenticationRef",
    ]


SERVER = "      serverAddress: http://prometheus.monitoring:9090\n      query"


@pytest.mark.parametrize(
    ("good", "bad", "problem"),
    [
        pytest.param(
            "cooldownPeriod: 120",
            "cooldownPeriod: 2m",
            "11:19 spec.cooldownPeriod: 2m — a whole number",
            id="KEDA counts in seconds",
        ),
        pytest.param(
            "cooldownPeriod",
            "coolDownPeriod",
            "11:3 spec.coolDownPeriod: unknown key — allowed here: scaleTargetRef, minReplicaCount, maxReplicaCount, "
            "triggers, pollingInterval, cooldownPeriod, initialCooldownPeriod, idleReplicaCount, fallback, advanced; "
            "did you mean cooldownPeriod?",
            id="slip in a key",
        ),
        pytest.param(
            "  minReplicaCount: 1",
            "  idleReplicaCount: 0",
            "12:21 spec.idleReplicaCount: 0 — below the minimum, 0",
            id="idle at the minimum",
        ),
        pytest.param(
            'threshold: "4"',
            'threshold: "0"',
            '26:18 spec.triggers[0].metadata.threshold: "0" — above 0',
            id="nothing for each pod",
        ),
        pytest.param(
            "    name: queue",
            "    name: rate",
            "34:11 spec.triggers[2].name: rate — a name of its own: trigger 0 has this one",
            id="two of a name",
        ),
        pytest.param(
            SERVER,
            SERVER.replace("prometheus.monitoring", "other"),
            "30:22 spec.triggers[1].metadata.serverAddress: http://other:9090 — the same server as "
            "http://prometheus.monitoring:9090: a target's signals come from one",
            id="two servers",
        ),
        pytest.param(
            '"true"',
            '"x"\n    autoscaling.keda.sh/paused-replicas: few',
            "8:42 metadata.annotations.autoscaling.keda.sh/paused-replicas: few — a number of pods as text, "
            'such as "3"',
            id="paused at no size",
        ),
        pytest.param(
            "  scaleTargetRef: {name: tts}\n",
            "",
            "8:1 spec.scaleTargetRef: missing — required: what is scaled",
            id="no target",
        ),
    ],
)
def test_problems_of_a_scaled_object_stand_where_they_are(problems, scaled_object, good, bad, problem):
    assert good in scaled_object
    assert problems(scaled_object.replace(good, bad, 1)) == [f"my.yaml:{problem}"]


def test_a_stateful_set_can_be_replayed_but_not_run(write, hpa):
    policy = find_policy(str(write(hpa.replace("kind: Deployment", "kind: StatefulSet"))))
    assert policy.spec.target is None
    (kind, *_) = named(policy, changes=False)
    assert kind == (
        "my.yaml:11:11 spec.scaleTargetRef.kind: StatefulSet can be replayed, but this controller scales Deployments "
        "only"
    )


def test_defaults_of_keda_rule_where_a_scaled_object_says_nothing(write):
    path = write("""\
        apiVersion: keda.sh/v1alpha1
        kind: ScaledObject
        metadata: {name: a}
        spec:
          scaleTargetRef: {name: a}
          triggers:
            - type: prometheus
              metadata: {serverAddress: "http://p", query: sum(speech_queue_depth), threshold: "5"}
        """)
    policy = find_policy(str(path))
    rule, rails = build(policy, find_workload("tts"))
    settings = rule.settings
    assert (rails.min_replicas, rails.max_replicas) == (0, 100)
    assert (settings.polling_interval_s, settings.cooldown_s, settings.initial_cooldown_s) == (30, 300, 0)
    assert settings.triggers[0].name == "s0-prometheus"
    assert not policy.findings

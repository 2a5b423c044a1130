"""Policies as they are built from files."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from autoscaler.model import Batching, InvalidInput, Mode, Rails
from autoscaler.policies.build import build
from autoscaler.policies.fixed import FixedPolicy
from autoscaler.policies.hpa import HpaSettings, MetricKind, MetricSpec, TargetKind
from autoscaler.policies.keda import KedaSettings
from autoscaler.policies.keda.settings import PrometheusTrigger, Switches
from autoscaler.policies.kpa import KpaSettings
from autoscaler.policies.kpa.settings import Aggregation, Metric
from autoscaler.policies.windows import Signal, Windowed
from autoscaler.spec import find_policy, find_workload

HEAD = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: mine}
spec:
  replicas: {min: 1, max: 10}
"""


@pytest.fixture
def built(write):
    """The policy and the rails of a file with this spec."""

    def built(spec: str, head: str = HEAD):
        return build(find_policy(str(write(head + spec))), find_workload("tts"))

    return built


class TestShipped:
    """The peers with their own defaults, as the published comparison has them (peers_measured.md)."""

    def test_fixed(self):
        assert build(find_policy("fixed")) == (FixedPolicy(23), Rails(1, 60))

    def test_hpa(self):
        policy, rails = build(find_policy("hpa"), find_workload("asr"))
        busy = MetricSpec(MetricKind.PODS, "busy", TargetKind.AVERAGE_VALUE, 700)
        assert policy.settings == HpaSettings(max_replicas=60, min_replicas=1, metrics=(busy,))
        assert (policy.readings, policy.tick_s) == ({"busy": Windowed(Signal.BUSY, 60.0)}, 15.0)
        assert rails == Rails(1, 60)

    def test_keda(self):
        policy, rails = build(find_policy("keda"))
        trigger = PrometheusTrigger("s0-prometheus", pytest.approx(0.7 / 0.18, rel=1e-4))
        assert policy.settings == KedaSettings(triggers=(trigger,), min_replicas=1, max_replicas=60)
        assert policy.readings == {"s0-prometheus": Windowed(Signal.RATE, 120.0)}
        assert rails == Rails(1, 60)

    def test_kpa(self):
        policy, rails = build(find_policy("kpa"))
        assert policy.settings == KpaSettings(total=1.0, target=0.7, min_scale=1, max_scale=60)
        assert rails == Rails(1, 60)


@pytest.mark.parametrize(
    ("served", "problem"),
    [
        pytest.param({"max_replicas": 400}, None, id="as many as are weighed"),
        pytest.param(
            {"max_replicas": 401}, "401 — at most 400 with a predictive policy: it weighs every size", id="more"
        ),
        pytest.param({"max_replicas": 200, "concurrency": 16}, None, id="as many, with more at a time"),
        pytest.param(
            {"max_replicas": 41, "concurrency": 10_000},
            "41 — at most 40 with a predictive policy and 10000 requests a pod: it weighs every size",
            id="more, with very much at a time",
        ),
        pytest.param(
            {"max_replicas": 201, "batching": Batching(8, 0.8571428571428571)},
            "201 — at most 200 with a predictive policy and batches of 8: it weighs every size",
            id="more, with batches that carry four times as much",
        ),
    ],
)
def test_a_predictive_policy_whose_sizes_would_fill_the_memory_is_refused_also_where_the_workload_states_them(
    served, problem
):
    """The workload may come from another file, or be the service's own."""
    policy = find_policy("predictive-tts")
    workload = replace(find_workload("tts"), **served)
    if problem is None:
        build(policy, workload)
    else:
        with pytest.raises(InvalidInput, match=re.escape(problem)):
            build(policy, workload)


def test_bounds_come_from_the_workload_that_is_replayed_unless_the_policy_has_its_own(write):
    other = find_workload(str(write("""\
        apiVersion: autoscaling.speech/v1alpha1
        kind: Workload
        metadata: {name: small}
        spec:
          objective: {latency: 1s, share: 99%}
          service: {mean: 100ms}
          coldStart: {typical: 5s, slow: 5s}
          replicas: {min: 2, max: 7}
        """)))  # fmt: skip
    assert build(find_policy("hpa"), other)[1] == Rails(2, 7)
    own = write(HEAD + "  policy: {type: fixed, replicas: 4}\n")
    assert build(find_policy(str(own)), other)[1] == Rails(1, 10)


@pytest.mark.parametrize(("line", "mode"), [("", Mode.FULL), *((f"  mode: {mode}\n", mode) for mode in Mode)])
def test_the_mode_is_a_rail(built, line, mode):
    _, rails = built(line + "  policy: {type: fixed, replicas: 2}\n")
    assert rails == Rails(1, 10, mode)


def test_a_fixed_fleet_may_have_gated_standby(built):
    policy, _ = built("  policy: {type: fixed, replicas: 2}\n  standby: {mode: gated, min: 6, max: 6}\n")
    assert policy == FixedPolicy(2, standby=6)


def test_flags_of_the_controller_are_the_hpas(built):
    policy, _ = built("""\
  policy:
    type: hpa
    metrics:
      - {type: External, external: {metric: {name: load}, target: {type: Value, value: 10}}}
      - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}
    behavior: {scaleUp: {tolerance: 50m}}
    controller:
      horizontal-pod-autoscaler-sync-period: 30s
      horizontal-pod-autoscaler-tolerance: 0.2
      horizontal-pod-autoscaler-downscale-stabilization: 10m
      horizontal-pod-autoscaler-cpu-initialization-period: 1m
      horizontal-pod-autoscaler-initial-readiness-delay: 5s
  signals:
    prometheus: {staleAfter: 45s}
    metrics:
      load: {signal: rate, window: 30s, factor: 0.18}
      cpu: {query: "sum(speech_slots_busy)"}
""")
    settings = policy.settings
    assert policy.tick_s == 30.0
    assert (settings.tolerance, settings.downscale_stabilization_s) == (0.2, 600)
    assert (settings.cpu_initialization_s, settings.initial_readiness_delay_s) == (60, 5)
    assert (settings.behavior.up.tolerance, settings.behavior.down.stabilization_s) == (0.05, 600)
    assert policy.readings == {
        "load": Windowed(Signal.RATE, 30.0, 0.18, stale_s=45.0),
        "cpu": Windowed(Signal.SLOTS, 0.0, stale_s=45.0),
    }


def test_every_setting_of_the_kpa_reaches_it(built):
    policy, _ = built("""\
  policy:
    type: kpa
    metric: rps
    containerConcurrency: 4
    target: "5"
    target-utilization-percentage: 80
    stable-window: 30s
    panic-window-percentage: 25
    panic-threshold-percentage: 150.0
    max-scale-up-rate: 10
    max-scale-down-rate: 4
    scale-down-delay: 5m
    activation-scale: 2
    metric-aggregation-algorithm: weighted-exponential
    initial-scale: 3
    target-burst-capacity: -1
    scale-to-zero-grace-period: 40s
    scale-to-zero-pod-retention-period: 1m
    enable-scale-to-zero: false
""")
    assert policy.settings == KpaSettings(
        metric=Metric.RPS,
        total=5.0,
        target=4.0,
        stable_window_s=30.0,
        panic_window_s=8.0,
        panic_threshold=1.5,
        max_scale_up_rate=10.0,
        max_scale_down_rate=4.0,
        target_burst_capacity=-1.0,
        scale_down_delay_s=300.0,
        activation_scale=2,
        aggregation=Aggregation.WEIGHTED_EXPONENTIAL,
        min_scale=1,
        max_scale=10,
        initial_scale=3,
        grace_s=40.0,
        retention_s=60.0,
        enable_scale_to_zero=False,
    )


KEDA = """\
  policy:
    type: keda
    idleReplicaCount: 0
    triggers:
      - {type: prometheus, metadata: {query: sum(speech_queue_depth), threshold: 5, ignoreNullValues: "false"}}
      - {type: cpu, metricType: Utilization, metadata: {value: "50"}}
  signals: {metrics: {cpu: {signal: busy, window: 15s}}}
"""


def test_rails_leave_room_for_the_sizes_that_keda_takes_beyond_the_bounds(built):
    policy, rails = built(KEDA)
    assert rails == Rails(0, 10)
    assert policy.settings.idle_replicas == 0
    assert not policy.settings.triggers[0].ignore_null
    assert set(policy.readings) == {"s0-prometheus", "s1-cpu"}


def test_annotations_pause_a_keda_rule_as_they_do_in_keda(built):
    annotations = 'annotations: {autoscaling.keda.sh/paused-replicas: "12"}'
    policy, rails = built(KEDA, HEAD.replace("{name: mine}", f"{{name: mine, {annotations}}}"))
    assert policy.settings.switches == Switches(paused=True, paused_replicas=12)
    assert rails == Rails(0, 12)

"""The peers' rules decide what the peers' own code decides, case by case.

The bundled files were made by running the code of Kubernetes' HPA controller, KEDA and Knative with a fake
clock; `source` in each says which revision. Any other file of the same form is played with

    pytest tests/contracts/test_peer_vectors.py --vectors FILE [--vectors FILE …]
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoscaler.policies.hpa.behavior import HpaState
from autoscaler.policies.hpa.metrics import Failed, MetricValue, Target, Values
from autoscaler.policies.hpa.pods import Patience, PodState, Sample, group
from autoscaler.policies.hpa.quantity import milli
from autoscaler.policies.hpa.rule import sync
from autoscaler.policies.hpa.settings import HpaSettings, MetricKind, MetricSpec
from autoscaler.policies.keda.fallback import Size
from autoscaler.policies.keda.rule import KedaState, poll, sync_hpa
from autoscaler.policies.keda.scalers import Answer, PrometheusAnswer, QueueAnswer, TopicAnswer, Unanswered
from autoscaler.policies.keda.settings import (
    KedaSettings,
    PrometheusTrigger,
    RabbitTrigger,
    ResourceTrigger,
    Switches,
    Trigger,
)
from autoscaler.policies.kpa.buckets import Buckets
from autoscaler.policies.kpa.decider import Averages, DeciderState, collected, tick
from autoscaler.policies.kpa.scaler import Pods, ScalerState, Wish, reconcile
from autoscaler.policies.kpa.settings import KpaSettings

BUNDLED = sorted((Path(__file__).parent / "vectors").glob("*.json.gz"))
EXPECTED = ("desired", "decider", "ebc", "state")

Case = Mapping[str, Any]
Decided = dict[str, Any]
"""What was decided at one step, by the names of the vectors' expected fields; and `why`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    files = metafunc.config.getoption("vectors", default=None) or BUNDLED
    cases = []
    for path in files:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        document = json.loads(raw)
        peer = document["peer"]
        cases += [pytest.param(peer, case, id=f"{peer}-{case['name']}") for case in document["cases"]]
    metafunc.parametrize(("peer", "case"), cases)


def test_peer_decides_as_its_own_code_does(peer: str, case: Case) -> None:
    differences = []
    for step, decided in zip(case["steps"], PLAYERS[peer](case), strict=True):
        differences += [
            f"t={step['t']}: {field} is {decided[field]!r}, must be {step[field]!r} — {decided['why']}"
            for field in EXPECTED
            if field in step and decided[field] != step[field]
        ]
    assert not differences, "\n".join(differences)


def play_hpa(case: Case) -> Iterator[Decided]:
    policy = dict(case["policy"])
    settings = HpaSettings.from_api(policy, policy.pop("controller", {}))
    state = HpaState()
    for step in case["steps"]:
        target, values = hpa_inputs(settings, step)
        state, desired, steps = sync(settings, state, target, values, step["t"])
        assert steps[-1].serving == desired, "the last step carries the result"
        yield {"desired": desired, "why": "; ".join(s.reason for s in steps)}


def hpa_inputs(settings: HpaSettings, step: Case) -> tuple[Target, list[MetricValue]]:
    observed, current = step["observed"], step["current"]
    if "pods" in observed:
        pods = [pod_state(pod) for pod in observed["pods"]]
    else:
        usual = {"cpu": "1", "memory": "1Gi"}
        pods = [pod_state({"name": f"p{i}", "requests": usual}) for i in range(current)]
    target = Target(current, observed.get("statusReplicas", current), sum(pod.serves for pod in pods), len(pods))
    values = [
        metric_value(settings, metric, seen, pods, step["t"])
        for metric, seen in zip(settings.metrics, observed["metrics"], strict=True)
    ]
    return target, values


def pod_state(raw: Case) -> PodState:
    return PodState(
        name=raw["name"],
        phase=raw.get("phase", "Running"),
        ready=None if raw.get("noReadyCondition") else raw.get("ready", True),
        started_at_s=None if raw.get("noStartTime") else raw.get("startTime", -3600),
        ready_changed_at_s=raw.get("readyTransitionTime", -3590),
        deleting=raw.get("deleting", False),
        requests={name: milli(amount) for name, amount in raw.get("requests", {}).items()},
    )


def metric_value(
    settings: HpaSettings, metric: MetricSpec, seen: Case, pods: list[PodState], now_s: float
) -> MetricValue:
    if seen.get("error"):
        return Failed("the query failed")
    if metric.kind is MetricKind.EXTERNAL:
        return Values(tuple(milli(value) for value in seen["values"]))
    if metric.kind is MetricKind.OBJECT:
        return Values((milli(seen["value"]),))
    if "perPod" in seen:
        samples = {pod.name: Sample(milli(seen["perPod"]), now_s) for pod in pods}
    else:
        samples = {
            name: Sample(milli(raw["value"]), raw.get("t", now_s), raw.get("window", 60.0))
            for name, raw in seen["pods"].items()
        }
    resource = metric.name if metric.kind is MetricKind.RESOURCE else ""
    patience = Patience(settings.cpu_initialization_s, settings.initial_readiness_delay_s)
    return group(pods, samples, resource, patience, now_s)


def play_keda(case: Case) -> Iterator[Decided]:
    policy = dict(case["policy"])
    annotations, created_at_s = policy.pop("annotations", {}), policy.pop("createdAt", 0.0)
    settings = KedaSettings.from_api(policy, annotations)
    switches = settings.switches
    state = KedaState.new(settings, created_at_s)
    for step in case["steps"]:
        observed, current = step["observed"], step["current"]
        if "annotations" in observed:
            switches = Switches.from_annotations(observed["annotations"])
        ready = observed.get("ready", current)
        answers = [answer(*both, current) for both in zip(settings.triggers, observed["triggers"], strict=True)]
        if step["actor"] == "operator":
            decided = poll(settings, switches, state, Size(current, ready), answers, now_s=step["t"])
        else:
            target = Target(current, current, ready, current)
            decided = sync_hpa(settings, switches, state, target, answers, now_s=step["t"])
        state, desired, steps = decided
        assert steps[-1].serving == desired, "the last step carries the result"
        yield {"desired": desired, "why": "; ".join(s.reason for s in steps)}


def answer(trigger: Trigger, seen: Case, current: int) -> Answer:
    if seen.get("error"):
        return Unanswered("the query failed")
    if isinstance(trigger, ResourceTrigger):
        pods = [PodState(f"p{i}", started_at_s=-3600, requests={trigger.resource: 1000}) for i in range(current)]
        samples = {pod.name: Sample(milli(seen["perPod"]), 0.0) for pod in pods}
        return group(pods, samples, trigger.resource, Patience(300, 30), 0.0)
    if isinstance(trigger, PrometheusTrigger):
        value = seen.get("value")
        return PrometheusAnswer(None if value is None else float(value), empty=seen.get("empty", False))
    if isinstance(trigger, RabbitTrigger):
        return QueueAnswer(seen["messages"], seen["publishRate"], seen["deliverGetRate"])
    return TopicAnswer(tuple((committed, end) for committed, end in seen["partitions"]))


def play_kpa(case: Case) -> Iterator[Decided]:
    policy = case["policy"]
    settings = KpaSettings.from_api(
        policy.get("config-autoscaler", {}),
        policy.get("annotations", {}),
        policy.get("containerConcurrency", 0),
        reachable=policy.get("reachability") != "Unreachable",
    )
    stable, panicked = Buckets(math.ceil(settings.stable_window_s)), Buckets(math.ceil(settings.panic_window_s))
    decider, scaler = None, None
    for step in case["steps"]:
        now_s, seen = step["t"], step["observed"]
        if "reachability" in seen:
            settings = replace(settings, reachable=seen["reachability"] != "Unreachable")
        decider = decider or DeciderState.new(settings, seen["ready"], now_s)
        scaler = scaler or ScalerState.new(now_s)
        for at_s, value, *proxied in seen.get("stats", ()):
            stable = stable.record(at_s, value - sum(proxied))
            panicked = panicked.record(at_s, value - sum(proxied))
        averages = averages_of(settings, seen, stable, panicked, now_s)
        decider, reason = tick(settings, decider, averages, seen["ready"], now_s)
        pods = Pods(step["current"], seen["ready"], activator_only=seen.get("activatorProbe", True))
        wish = Wish(decider.wish, decider.excess_burst, reason)
        scaler, desired, steps = reconcile(settings, scaler, wish, pods, now_s)
        assert steps[-1].serving == desired, "the last step carries the result"
        why = "; ".join(s.reason for s in steps)
        yield {
            "desired": desired,
            "decider": decider.wish,
            "ebc": decider.excess_burst,
            "state": str(scaler),
            "why": why,
        }


def averages_of(settings: KpaSettings, seen: Case, stable: Buckets, panicked: Buckets, now_s: float) -> Averages | None:
    if seen.get("noData"):
        return None
    if "stable" in seen:
        return Averages(seen["stable"], seen["panic"])
    return collected(settings, stable, panicked, now_s)


PLAYERS = {"hpa": play_hpa, "keda": play_keda, "kpa": play_kpa}

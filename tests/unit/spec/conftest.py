from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from autoscaler.model import InvalidInput
from autoscaler.spec import load_file

POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: emotivoice, namespace: voice-inference}
spec:
  target: {kind: Deployment, name: emotivoice, service: emotivoice}
  workload:
    objective: {latency: 800ms, share: 99%}
    service: {concurrency: 1, mean: 180ms}
    coldStart: {typical: 15s, slow: 21s}
    routing: least-outstanding
  replicas: {min: 1, max: 10}
  clock: {timeZone: Europe/Zurich}
  policy:
    type: hpa
    metrics:
      - type: Pods
        pods: {metric: {name: busy}, target: {type: AverageValue, averageValue: 700m}}
  signals:
    prometheus: {url: "http://prometheus:9090", preset: speech}
    metrics:
      busy: {signal: busy, window: 60s}
"""

HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: tts
  namespace: voice
  creationTimestamp: null
  labels: {app: tts}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: tts
  minReplicas: 2
  maxReplicas: 20
  metrics:
  - type: Resource
    resource:
      name: cpu
      target: {type: Utilization, averageUtilization: 70}
  - type: Pods
    pods:
      metric: {name: speech_queue_depth}
      target: {type: AverageValue, averageValue: "5"}
  - type: External
    external:
      metric:
        name: sqs_messages
        selector: {matchLabels: {queue: tts}}
      target: {type: AverageValue, averageValue: 30}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 600
      policies:
      - {type: Percent, value: 10, periodSeconds: 60}
status: {}
"""

SCALED_OBJECT = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: tts
  namespace: voice
  annotations:
    autoscaling.keda.sh/paused-scale-in: "true"
spec:
  scaleTargetRef: {name: tts}
  pollingInterval: 15
  cooldownPeriod: 120
  minReplicaCount: 1
  fallback: {failureThreshold: 3, replicas: 6}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown: {stabilizationWindowSeconds: 60}
    scalingModifiers: {formula: "rate + queue", target: "5"}
  triggers:
  - type: prometheus
    name: rate
    metadata:
      serverAddress: http://prometheus.monitoring:9090
      metricName: speech_rate
      query: sum(rate(speech_requests_received_total{namespace="voice"}[1m]))
      threshold: "4"
    authenticationRef: {name: prometheus-auth}
  - type: prometheus
    metadata:
      serverAddress: http://prometheus.monitoring:9090
      query: sum(rate(http_requests_total[1m]))
      threshold: "100"
  - type: rabbitmq
    name: queue
    metadata: {protocol: amqp, queueName: tts, mode: QueueLength, value: "20", hostFromEnv: RABBIT}
  - type: cron
    metadata: {timezone: Europe/Zurich, start: 0 6 * * *, end: 0 20 * * *, desiredReplicas: "10"}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, name: str = "my.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def problems(write: Callable[[str], Path]) -> Callable[[str], list[str]]:
    """What is wrong with a text, without the name of the folder."""

    def problems(text: str) -> list[str]:
        path = write(text)
        try:
            load_file(path)
        except InvalidInput as error:
            return [problem.replace(str(path), "my.yaml") for problem in error.problems]
        return []

    return problems


@pytest.fixture
def policy() -> str:
    """A policy file that is in order."""
    return POLICY


@pytest.fixture
def hpa() -> str:
    """A HorizontalPodAutoscaler as people have it in their clusters."""
    return HPA


@pytest.fixture
def scaled_object() -> str:
    """A ScaledObject as people have it in their clusters."""
    return SCALED_OBJECT

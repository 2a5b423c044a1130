"""Whatever the OpenAPI description allows, and what it does not: never a 5xx, never another form of error."""

from __future__ import annotations

import numpy as np
import schemathesis
from hypothesis import HealthCheck, settings

from inference_server.api.app import make_app
from inference_server.engines.engine import BatchLimits
from inference_server.engines.recognition import Heard
from inference_server.engines.synthesis import Sentence
from inference_server.errors import bad_request
from inference_server.serving.lifecycle import Lifecycle
from inference_server.serving.service import Service
from inference_server.telemetry.metrics import Metrics


class Instant:
    """Does at once what an engine of any kind does."""

    device = "none"
    slots = 1
    batching = BatchLimits()
    rate_hz = reference_rate_hz = 16_000
    max_clip_s = 30.0
    voices = ("one",)

    def __init__(self, kind: str) -> None:
        self.kind = self.model = kind

    def load(self, phase) -> None: ...

    def split(self, samples):
        return []

    def plan(self, wish):
        if wish.voice not in self.voices or not wish.text.strip():
            raise bad_request("nothing to say, or nobody to say it")
        return [Sentence(wish.text, 1.0)]

    def run(self, batch):
        return [Heard("<|en|>text") if self.kind == "recognition" else np.zeros(1600, np.int16) for _ in batch]


def described(engine):
    service = Service(engine, Metrics("any", []), Lifecycle(0.0))
    service.load()
    return schemathesis.openapi.from_asgi("/openapi.json", make_app(service))


RECOGNITION = described(Instant("recognition"))
SYNTHESIS = described(Instant("synthesis"))
FEW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def check(case) -> None:
    answer = case.call()
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@RECOGNITION.parametrize()
@FEW
def test_recognition(case) -> None:
    check(case)


@SYNTHESIS.parametrize()
@FEW
def test_synthesis(case) -> None:
    check(case)

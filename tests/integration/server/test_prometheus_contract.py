"""What the autoscaler asks for is what this server exports, as a real Prometheus scrapes it."""

from __future__ import annotations

import time
from typing import get_args

import httpx
import pytest

from autoscaler.prometheus.metrics import NO_ROOM, REFUSED, SPEECH, Kind, Subject
from inference_server.errors import Reason

NAMESPACE, POD = "speech-contract", "sleeper-7d9c5b4f6-x2x4z"
IN_TIME_S = 60


def by_name(found: list[dict]) -> dict[str, list[dict]]:
    names: dict[str, list[dict]] = {}
    for series in found:
        names.setdefault(series["metric"]["__name__"], []).append(series)
    return names


def total(series: list[dict]) -> float:
    return sum(float(each["value"][1]) for each in series)


def wait_scraped(prometheus, condition) -> dict[str, list[dict]]:
    selector = SPEECH.selector([Subject(NAMESPACE, "sleeper")])
    until_s = time.monotonic() + IN_TIME_S
    while True:
        found = by_name(prometheus.query(selector))
        if condition(found):
            return found
        assert time.monotonic() < until_s, found
        time.sleep(0.1)


def test_every_reason_for_a_rejection_is_somebodys_fault_or_comes_again() -> None:
    assert sorted([*NO_ROOM, *REFUSED, "retried"]) == sorted(get_args(Reason))


@pytest.mark.prometheus
def test_every_signal_is_there_from_the_start_and_counts(prometheus, start_server) -> None:
    server = start_server(
        "--engine", "sleeper", "-o", "service_s=0.05", "--objective-s", "0.8", "--objective-s", "0.33"
    )
    server.wait_ready()
    address = server.url.removeprefix("http://")
    prometheus.scrape([(address, {"namespace": NAMESPACE, "pod": POD})])

    found = wait_scraped(prometheus, lambda found: "speech_requests_received_total" in found)
    assert set(found) == {metric.name for metric in SPEECH.metrics}
    for metric in SPEECH.metrics:
        assert total(found[metric.name]) == 0, metric.name
        assert all(each["metric"]["pod"] == POD for each in found[metric.name])

    for _ in range(4):
        assert httpx.post(f"{server.url}/v1/sleep", timeout=30).status_code == 200
    assert httpx.post(f"{server.url}/v1/sleep", json={"service_s": -1}, timeout=30).status_code == 400

    found = wait_scraped(prometheus, lambda found: total(found["speech_requests_rejected_total"]) == 1)
    assert total(found["speech_requests_received_total"]) == 5
    assert total(found["speech_requests_completed_total"]) == 4
    assert total(found["speech_service_seconds_sum"]) >= 4 * 0.05
    assert total(found["speech_queue_integral_seconds_total"]) >= 4 * 0.05
    for metric in SPEECH.metrics:
        if metric.kind is Kind.HISTOGRAM:
            buckets = {each["metric"]["le"]: float(each["value"][1]) for each in found[metric.name]}
            assert {"0.8", "0.33"} <= set(buckets)
            assert buckets["+Inf"] == 4

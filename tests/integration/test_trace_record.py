"""`autoscaler trace record` against a real Prometheus, and stopped in the middle."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import numpy as np
import pytest
from rig.exporter import steady
from rig.processes import wait_for
from rig.web import reply, website

from autoscaler.cli import exits
from autoscaler.prometheus import recording
from autoscaler.prometheus.client import Access, Prometheus
from autoscaler.prometheus.recording import Range, begin
from simulations.traffic import find

METRIC = "speech_requests_received_total"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from autoscaler.cli import main; main()", "trace", *map(str, arguments)]


@pytest.fixture
def counter(prometheus, pods) -> str:
    """A counter of two pods, 10 and 5 requests/s, that Prometheus has seen for a while."""
    space = f"record-{uuid4().hex[:8]}"
    pods.pods[space, "a"], pods.pods[space, "b"] = steady(10), steady(5)
    query = f'{METRIC}{{namespace="{space}"}}'
    samples = f"count_over_time({query}[1m]) >= 10"
    wait_for("ten samples of both pods", lambda: len(prometheus.query(samples)) == 2)
    return query


@pytest.mark.prometheus
def test_a_live_counter_becomes_a_trace(prometheus, counter, tmp_path):
    out = tmp_path / "live.json.gz"
    options = ["--prometheus", prometheus.url, "--from", "20s", "--step", "500ms", "--out", out]
    done = subprocess.run(command("record", counter, *options), capture_output=True, text=True, timeout=60, check=True)
    assert "requests in" in done.stderr

    trace = find(str(out))
    assert (trace.bin_s, trace.labels["values"], trace.labels["series"]) == (0.5, "counter", "2")
    flowing = trace.counts[np.flatnonzero(trace.counts)[1] :]
    assert flowing.sum() / (len(flowing) * trace.bin_s) == pytest.approx(15, rel=0.2)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.prometheus
def test_chunks_join_to_what_one_query_gives(prometheus, counter, tmp_path, monkeypatch):
    [(last_s, _value)] = [each["value"] for each in prometheus.query(f"time() + 0 * sum({counter})")]
    span = Range(counter, float(int(last_s)) - 10, float(int(last_s)) - 1, 0.5)
    server = Prometheus(Access(prometheus.url))

    def record(name: str, points: int) -> Path:
        monkeypatch.setattr(recording, "CHUNK_POINTS", points)
        half_done = begin(tmp_path / name, {}, span, "counter")
        list(half_done.fetch(server.query_range, pytest.fail))
        half_done.finish()
        return tmp_path / name

    assert record("many.json", 4).read_bytes() == record("one.json", 2000).read_bytes()
    server.close()


def test_ctrl_c_keeps_the_chunks_and_the_same_command_goes_on(tmp_path):
    release, asked = threading.Event(), []

    def answer(request):
        fields = parse_qs(urlsplit(request.path).query)
        query = {name: float(fields[name][0]) for name in ("start", "end", "step")}
        asked.append(query["start"])
        if len(asked) == 3:
            release.wait(30)
        times = np.arange(query["start"], query["end"] + 0.5, query["step"])
        values = [[at_s, str(at_s)] for at_s in times]
        result = {"metric": {"__name__": METRIC}, "values": values}
        return reply({"status": "success", "data": {"resultType": "matrix", "result": [result]}})

    with website(answer) as site:
        out = tmp_path / "t.json"
        options = ["--prometheus", site.url, "--from", "0", "--to", "7999", "--step", "1s", "--out", out]
        running = subprocess.Popen(command("record", METRIC, *options), stderr=subprocess.PIPE, text=True)
        wait_for("the third chunk is asked for", lambda: len(asked) == 3)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
        release.set()
        assert running.returncode == exits.INTERRUPTED
        assert "2 of 4 chunks are kept; the same command goes on from there" in said
        assert not out.exists()

        subprocess.run(command("record", METRIC, *options), check=True, timeout=60, capture_output=True)

    assert asked == [0, 2000, 4000, 4000, 6000]
    assert find(str(out)).counts.tolist() == [1] * 7999

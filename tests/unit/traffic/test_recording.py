"""A recording in chunks: every point once, an interruption loses nothing that was finished."""

import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.model import InvalidInput, Unreachable
from autoscaler.prometheus import recording
from autoscaler.prometheus.client import Answer, Series
from autoscaler.prometheus.recording import Range, begin
from simulations.traffic.read import read

ASKED = {"query": "requests_total", "from": "1h", "to": "0s", "step": "1s"}
NAME = {"__name__": "requests_total"}


class Server:
    """Counts up by one a second; fails where it is told to."""

    def __init__(self, fails: int = 0, warnings: tuple[str, ...] = (), value=lambda at_s: at_s) -> None:
        self.fails = fails
        self.warnings = warnings
        self.value = value
        self.asked: list[tuple[float, float]] = []
        self.pauses: list[float] = []

    def query_range(self, query: str, start_s: float, end_s: float, step_s: float) -> Iterator[Answer]:
        self.asked.append((start_s, end_s))
        if self.fails:
            self.fails -= 1
            raise Unreachable("no answer in time")
        times = (start_s + k * step_s for k in range(round((end_s - start_s) / step_s) + 1))
        yield Answer((Series(NAME, tuple((at_s, self.value(at_s)) for at_s in times)),), self.warnings)

    def run(self, half_done: recording.Recording, **options: bool) -> list[int]:
        return list(half_done.fetch(self.query_range, self.pauses.append, **options))


@pytest.fixture
def path(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(recording, "CHUNK_POINTS", 10)
    return tmp_path / "week.json"


SPAN = Range("requests_total", 1000.0, 1034.0, 1.0)


def test_the_file_holds_every_point_once_and_is_a_trace(path):
    half_done = begin(path, ASKED, SPAN, "counter")
    server = Server()
    assert server.run(half_done) == [0, 1, 2, 3]
    assert half_done.finish() == 35

    content = json.loads(path.read_bytes())
    (result,) = content["data"]["result"]
    assert result["values"] == [[1000 + k, str(1000 + k)] for k in range(35)]
    assert content["recording"] == {
        "query": "requests_total",
        "start_s": 1000.0,
        "end_s": 1034.0,
        "step_s": 1.0,
        "values": "counter",
    }
    assert read(path).counts.tolist() == [1] * 34
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_recording_goes_on_where_it_was(path):
    half_done = begin(path, ASKED, SPAN, "counter")
    first = half_done.fetch(Server().query_range, lambda _s: None)
    assert [next(first), next(first)] == [0, 1]
    first.close()  # Ctrl-C
    assert half_done.finished() == 2

    later = begin(path, ASKED, Range("requests_total", 9000.0, 9034.0, 1.0), "counter")
    server = Server()
    server.run(later)
    assert server.asked == [(1020.0, 1029.0), (1030.0, 1034.0)]
    assert later.finish() == 35


def test_a_chunk_that_fails_is_asked_for_again(path):
    half_done = begin(path, ASKED, SPAN, "counter")
    server = Server(fails=3)
    server.run(half_done)
    assert server.pauses == [1, 2, 4]
    assert half_done.finish() == 35


def test_a_server_that_stays_away_ends_the_run_and_keeps_what_is_there(path):
    half_done = begin(path, ASKED, SPAN, "counter")
    with pytest.raises(Unreachable, match="no answer in time"):
        Server(fails=4).run(half_done)
    assert not path.exists()
    assert Server().run(begin(path, ASKED, SPAN, "counter")) == [0, 1, 2, 3]


def test_a_partial_answer_is_not_kept_unless_allowed(path):
    half_done = begin(path, ASKED, SPAN, "counter")
    server = Server(warnings=("remote read: a store is down",))
    with pytest.raises(Unreachable, match="partial: remote read: a store is down"):
        server.run(half_done)
    assert half_done.finished() == 0
    assert server.run(half_done, accept_warnings=True) == [0, 1, 2, 3]


def test_another_question_does_not_go_on_with_the_same_parts(path):
    begin(path, ASKED, SPAN, "counter")
    with pytest.raises(InvalidInput, match="holds another recording"):
        begin(path, {**ASKED, "step": "5s"}, SPAN, "counter")


def test_a_file_that_is_there_is_not_overwritten(path):
    path.write_text("mine")
    with pytest.raises(InvalidInput, match="is there already"):
        begin(path, ASKED, SPAN, "counter")
    assert path.read_text() == "mine"


def test_a_query_without_samples_writes_nothing(path):
    half_done = begin(path, ASKED, SPAN, "counter")
    list(half_done.fetch(lambda *_: iter([Answer(())]), lambda _s: None))
    with pytest.raises(InvalidInput, match="`requests_total` has no samples in this range"):
        half_done.finish()
    assert not path.exists()


def test_a_name_in_gz_is_compressed(path):
    zipped = path.with_name("week.json.gz")
    half_done = begin(zipped, ASKED, SPAN, "counter")
    Server().run(half_done)
    half_done.finish()
    assert json.loads(gzip.decompress(zipped.read_bytes()))["status"] == "success"


@pytest.mark.parametrize(
    ("value", "text"),
    [(5.0, "5"), (0.25, "0.25"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1e21, "1e+21")],
)
def test_samples_are_written_as_prometheus_does(path, value, text):
    half_done = begin(path, ASKED, SPAN, "rate")
    Server(value=lambda _at_s: value).run(half_done)
    half_done.finish()
    assert json.loads(path.read_bytes())["data"]["result"][0]["values"][0] == [1000, text]


@given(
    start_s=st.integers(0, 10**9),
    points=st.integers(2, 12_345),
    step_s=st.sampled_from([0.5, 1.0, 15.0, 60.0]),
)
@settings(deadline=None)
def test_chunks_cover_the_range_without_overlap_and_stay_below_the_servers_limit(start_s, points, step_s):
    span = Range("x", float(start_s), start_s + (points - 1) * step_s, step_s)
    covered = [first + k * step_s for first, last in span.chunks() for k in range(round((last - first) / step_s) + 1)]
    assert covered == [start_s + k * step_s for k in range(points)]
    assert all((last - first) / step_s < 10_000 for first, last in span.chunks())


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ((10.0, 10.0, 1.0), "the end must lie after the start"),
        ((-5.0, 10.0, 1.0), "the end must lie after the start"),
        ((0.0, math.nan, 1.0), "the end must lie after the start"),
        ((0.0, 10.0, 0.0), "allowed is 1 ms to the length of the range"),
        ((0.0, 10.0, 11.0), "allowed is 1 ms to the length of the range"),
    ],
)
def test_a_range_that_is_none_is_refused(span, message):
    with pytest.raises(InvalidInput, match=message):
        Range("x", *span)

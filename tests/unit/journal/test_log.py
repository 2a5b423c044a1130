"""The decision log: whole lines, nothing lost but what the disk refuses, read back as written."""

import errno
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.journal.beginnings import Began, Learned
from autoscaler.journal.log import JsonlJournal, Rotation, decode, encode, read, records
from autoscaler.model import (
    Cause,
    Decision,
    Fleet,
    Histogram,
    History,
    InvalidInput,
    Missing,
    Observation,
    Outcome,
    Phase,
    Pod,
    Problem,
    Relabel,
    Scale,
    Scrape,
    Signals,
    Step,
    Tick,
)

numbers = st.floats(0, 1e12)
readings = st.one_of(numbers, st.builds(Missing, st.sampled_from(Cause), st.text()))
scrapes = st.builds(
    Scrape, numbers, readings, readings, queued=readings, latency=st.builds(Histogram, st.tuples(numbers, numbers))
)
signals = st.builds(
    Signals,
    st.lists(scrapes, max_size=3).map(tuple),
    st.lists(st.builds(Problem, st.text(), st.builds(Missing, st.sampled_from(Cause), st.text()))).map(tuple),
    st.just((0.8, 1.6)),
)
pods = st.builds(Pod, st.text(), st.sampled_from(Phase), numbers, st.none() | numbers)
fleets = st.builds(Fleet, st.integers(0, 99), st.lists(pods, max_size=4).map(tuple), version=st.text())
decisions = st.builds(
    Decision,
    numbers,
    st.integers(0, 99),
    st.integers(0, 9),
    st.lists(st.builds(Step, st.text(), st.integers(0, 9), st.integers(0, 9), st.text())).map(tuple),
    st.text(),
    st.dictionaries(st.text(), numbers, max_size=2),
)
actions = st.builds(Scale, st.integers(0, 99), st.integers(0, 99), st.text()) | st.builds(
    Relabel, st.text(), st.text(), st.text(), st.sampled_from(["serving", "standby", "draining"])
)
ticks = st.builds(
    Tick,
    st.text(),
    st.builds(Observation, numbers, signals, fleets, st.booleans()),
    decisions,
    st.lists(st.builds(Outcome, actions, st.booleans(), st.text())).map(tuple),
)

BLIND = Tick("tts", Missing(Cause.ABSENT, "deployment not found"), None, ())


@given(ticks)
def test_a_tick_survives_writing_and_reading(tick):
    assert decode(encode(tick)) == tick


@given(ticks)
def test_the_same_tick_is_the_same_bytes_on_one_line(tick):
    assert encode(tick) == encode(decode(encode(tick)))
    assert encode(tick).count(b"\n") == 1


@pytest.mark.parametrize("known", [None, np.array([True, False, True])], ids=["all measured", "with a gap"])
def test_a_log_says_how_a_target_began_and_what_past_it_learned_from(tmp_path, known):
    past = History(60.0, np.array([3, 0, 5]), 180.0, known)
    began, learned = Began("tts", 200.0, '{"price": 3}'), Learned.of("tts", "abc", 200.0, past)
    path = tmp_path / "log.jsonl"
    journal = JsonlJournal(path)
    for other in (began, learned):
        journal.note(other)
    journal.append(BLIND)
    assert list(records(path)) == [began, learned, BLIND]
    assert list(read(path)) == [BLIND]
    again = learned.past
    assert (again.bin_s, again.counts.tolist(), again.end_s) == (past.bin_s, past.counts.tolist(), past.end_s)
    assert known is None or again.known.tolist() == known.tolist()


def test_a_log_goes_on_where_it_was_left(tmp_path):
    path = tmp_path / "log.jsonl"
    for _ in range(2):
        journal = JsonlJournal(path)
        journal.append(BLIND)
        journal.close()
    assert list(read(path)) == [BLIND, BLIND]


def test_rotation_keeps_the_newest_files_each_readable(tmp_path):
    path = tmp_path / "log.jsonl"
    journal = JsonlJournal(path, Rotation(max_bytes=3 * len(encode(BLIND)), keep=2))
    for _ in range(20):
        journal.append(BLIND)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]
    assert all(set(read(tmp_path / name)) == {BLIND} for name in names)
    assert journal.lost == 0


def test_a_full_disk_costs_lines_never_half_ones(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    journal = JsonlJournal(path)
    journal.append(BLIND)
    room = [10, None]  # the next write fits in part, the one after it not at all
    real_write = os.write

    def full(file, data):
        if not room or (left := room.pop(0)) is None:
            raise OSError(errno.ENOSPC, "no space left on device")
        return real_write(file, data[:left])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        journal.append(BLIND)
        journal.append(BLIND)
    journal.append(BLIND)
    assert journal.lost == 2
    assert list(read(path)) == [BLIND, BLIND]


@pytest.mark.parametrize("written", [1, 10, 60, 100], ids=lambda count: f"{count} bytes of the last line")
def test_a_log_goes_on_after_a_writer_that_died_in_a_line(tmp_path, written):
    path = tmp_path / "log.jsonl"
    JsonlJournal(path).append(BLIND)
    with path.open("ab") as file:
        file.write(encode(BLIND)[:written])
    JsonlJournal(path).append(BLIND)
    assert list(read(path)) == [BLIND, BLIND]


def test_a_log_whose_writer_died_in_the_header_begins_again(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"format":"speech-au')
    JsonlJournal(path).append(BLIND)
    assert list(read(path)) == [BLIND]


def test_nothing_is_appended_to_another_file(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("kind: ScalingPolicy\n# no newline at the end")
    with pytest.raises(InvalidInput, match="not a decision log, and nothing is appended to it"):
        JsonlJournal(path)
    assert path.read_text() == "kind: ScalingPolicy\n# no newline at the end"


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InvalidInput, match="the decision log cannot be written: No such file"):
        JsonlJournal(tmp_path / "nowhere" / "log.jsonl")


def test_rotation_goes_on_and_keeps_the_older_files_where_somebody_took_the_log_away(tmp_path):
    path = tmp_path / "log.jsonl"
    journal = JsonlJournal(path, Rotation(max_bytes=3 * len(encode(BLIND)), keep=4))
    for _ in range(8):
        journal.append(BLIND)
    older = {file.name for file in tmp_path.iterdir()} - {path.name}
    path.unlink()
    for _ in range(2):
        journal.append(BLIND)
    assert {file.name for file in tmp_path.iterdir()} == {*older, path.name}
    assert list(read(path))
    assert journal.lost == 0


def test_a_disk_that_is_full_at_a_rotation_leaves_every_file_readable(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    journal = JsonlJournal(path, Rotation(max_bytes=len(encode(BLIND)) + 60, keep=4))
    journal.append(BLIND)

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    for failing in ("write", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(os, failing, full)
            for _ in range(5):
                journal.append(BLIND)
        journal.append(BLIND)
    assert journal.lost == 10
    assert {file.name: list(read(file)) for file in tmp_path.iterdir()} == {
        name: [BLIND] for name in ("log.jsonl", "log.jsonl.1", "log.jsonl.2")
    }


def test_a_disk_that_is_full_at_the_start_costs_lines_and_no_start(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space left on device")))
        journal = JsonlJournal(path)
        journal.append(BLIND)
    journal.append(BLIND)
    assert journal.lost == 1
    assert list(read(path)) == [BLIND]


def test_a_line_that_a_dying_writer_left_is_ignored(tmp_path):
    path = tmp_path / "log.jsonl"
    JsonlJournal(path).append(BLIND)
    with path.open("ab") as file:
        file.write(encode(BLIND)[:-9])
    assert list(read(path)) == [BLIND]


def at(at_s: float, ruled_by: str = "fixed") -> Tick:
    seen = Observation(at_s, Signals(()), Fleet(1, ()))
    return Tick("tts", seen, Decision(at_s, 1, 0, (Step("fixed", 1, 0, "always"),), ruled_by), ())


def log_of(tick: Tick) -> bytes:
    return b'{"format":"speech-autoscaler/decision-log","version":1}\n' + encode(tick)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", None, id="an empty log has no ticks"),
        pytest.param(b"hello", r"log\.jsonl:1: not a decision log", id="a line without end"),
        pytest.param(b"hello\n", r"log\.jsonl:1: not a decision log", id="another file"),
        pytest.param(b'{"a": 1}\n', r"log\.jsonl:1: not a decision log", id="another JSON"),
        pytest.param(
            b'{"format":"speech-autoscaler/decision-log","version":9}\n', r":1: version: 9 — .* version 1", id="newer"
        ),
        pytest.param(
            b'{"format":"speech-autoscaler/decision-log","version":1}\n{"target":1}\n', r":2: .*target", id="no tick"
        ),
        pytest.param(
            b'{"format":"speech-autoscaler/decision-log","version":1}\n{"target\n',
            r":2: Invalid JSON",
            id="half a line",
        ),
        pytest.param(
            b'{"format":"speech-autoscaler/decision-log","version":1}\n{"began":{"target":"tts"}}\n',
            r":2: at_s: Field required",
            id="no beginning",
        ),
        pytest.param(log_of(at(1e300)), r":2: seen\.at_s: 1e\+300 — seconds since the epoch", id="no time"),
        pytest.param(log_of(at(0.0, "else")), r":2: decision\.ruled_by: else — one of fixed", id="no such stage"),
    ],
)
def test_a_file_that_is_no_log_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    if message is None:
        assert list(read(path)) == []
    else:
        with pytest.raises(InvalidInput, match=message):
            list(read(path))


def test_a_log_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nowhere\.jsonl: No such file"):
        list(read(tmp_path / "nowhere.jsonl"))

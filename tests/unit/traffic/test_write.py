"""What is written is read again."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.model import InvalidInput
from simulations.traffic.formats.format import ReadOptions
from simulations.traffic.read import read
from simulations.traffic.trace import Trace
from simulations.traffic.write import write

whole = st.integers(0, 10**9).map(float)
counts = st.lists(whole, min_size=2, max_size=50) | st.lists(st.floats(0, 1e9), min_size=2, max_size=50)
traces = st.builds(
    Trace,
    name=st.just("t"),
    bin_s=st.sampled_from([0.5, 1.0, 10.0, 60.0]),
    counts=counts.map(np.array),
    scale=st.floats(0.01, 100),
    eval_start_s=st.just(0.0),
    start_s=st.sampled_from([0.0, 1.7e9]),
    labels=st.just({"source": "made"}),
)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@given(trace=traces)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, suffix, trace):
    path = tmp_path / f"t{suffix}"
    write(trace, path, clock=True)
    again = read(path)
    assert (again.name, again.bin_s, again.start_s) == (trace.name, trace.bin_s, trace.start_s)
    np.testing.assert_array_equal(again.counts, trace.counts)
    if suffix == ".parquet":
        assert (again.scale, again.labels["source"]) == (trace.scale, "made")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_the_same_trace_gives_the_same_bytes(tmp_path, suffix):
    trace = Trace("t", 60.0, np.arange(100.0))
    write(trace, tmp_path / f"a{suffix}")
    write(trace, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_form_is_the_published_one(tmp_path):
    write(Trace("t", 60.0, np.array([5.0, 0.0]), start_s=1.7e9), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "timestamp_s,count\n0,5\n60,0\n"


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"allowed endings are \.csv, \.csv\.gz, \.parquet"):
        write(Trace("t", 60.0, np.ones(3)), tmp_path / "t.xlsx")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be written: No such file"):
        write(Trace("t", 60.0, np.ones(3)), tmp_path / "nowhere" / "t.csv")


def test_nothing_is_left_of_a_write_that_fails(tmp_path):
    class Unwritable(dict):
        def items(self):
            raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        write(Trace("t", 60.0, np.ones(3), labels=Unwritable()), tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "counts", "options"),
    [
        pytest.param({"timestamp_s": [0, 60], "count": [5, 7], "note": ["a", "b"]}, [5, 7], ReadOptions(), id="counts"),
        pytest.param({"arrival_s": [0.5, 2.5], "input_size": [1, 2]}, [1, 0, 1], ReadOptions(), id="requests"),
        pytest.param({"arrival_s": [2.5, 0.5]}, [1, 0, 1], ReadOptions(max_disorder_s=2), id="nearly in order"),
    ],
)
def test_parquet_of_others(tmp_path, columns, counts, options):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", options=options).counts.tolist() == counts


def test_empty_fields_of_parquet_are_malformed_rows(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"timestamp_s": [0, 60, 120, 180], "count": [5, None, 7, 1]}), path)
    trace = read(path)
    assert trace.counts.tolist() == [5, 0, 7, 1]
    assert trace.labels["malformed_first"].startswith(f"{path}:2: ")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param(
            {"time": [0], "n": [1]}, "columns time, n — allowed are timestamp_s, count or arrival_s", id="names"
        ),
        pytest.param({"arrival_s": ["x"]}, "arrival_s: .* — allowed are numbers", id="words"),
        pytest.param({"timestamp_s": [0, 60], "count": [1, -1]}, ":2: count: -1 — allowed is", id="negative"),
    ],
)
def test_other_parquet_is_refused(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InvalidInput, match=message):
        read(tmp_path / "t.parquet", format="parquet")


def test_damaged_parquet_is_refused(put):
    with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
        read(put("t.parquet", b"PAR1 and then nothing"))

"""From a name to a trace: files, bundled ones, the catalogue, shapes."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from autoscaler.model import InvalidInput
from simulations.traffic import catalogue, expand, find
from simulations.traffic.formats.format import ReadOptions
from simulations.traffic.synth import make

ENTRY = {
    "name": "office",
    "file": "office.csv",
    "bin_s": 60,
    "scale": 2.5,
    "eval_start_s": 60,
    "counted": False,
    "source": "a door",
    "start_time_if_known": "2003-03-03 00:00",
    "known_gaps": [{"start_s": 60, "end_s": 120, "why": "power"}],
    "sha256": "0",
}


@pytest.fixture
def folder(put, tmp_path, monkeypatch) -> Path:
    """A shared folder with one trace, and nothing else near."""
    (tmp_path / "traces").mkdir()
    put("traces/office.csv", "timestamp_s,count\n0,4\n60,6\n120,1\n")
    put("traces/catalogue.json", json.dumps([ENTRY]))
    monkeypatch.setenv("SPEECH_SHARED", str(tmp_path))
    return tmp_path / "traces"


def test_a_catalogued_trace_carries_what_its_catalogue_says(folder):
    trace = find("office")
    assert (trace.name, trace.bin_s, trace.scale, trace.eval_start_s, trace.counted) == ("office", 60, 2.5, 60, False)
    assert trace.start_s == 1046649600  # Monday 2003-03-03 00:00 read as UTC
    assert trace.counts.tolist() == [4, 6, 1]
    assert (trace.labels["source"], trace.labels["known_gaps"]) == ("a door", "60-120 s")


def test_the_same_file_by_its_path_is_used_as_its_catalogue_says(folder):
    by_path = find(str(folder / "office.csv"))
    assert (by_path.name, by_path.scale) == ("office", 2.5)


def test_a_file_that_no_catalogue_names_is_used_as_it_is(folder, put):
    assert find(str(put("traces/other.csv", "timestamp_s,count\n0,4\n60,6\n"))).scale == 1


def test_a_shape_is_found_by_its_expression():
    trace = find("step:from=2,to=35,at=60s")
    np.testing.assert_array_equal(trace.counts, make("step:from=2,to=35,at=60s").counts)


def test_bins_may_be_asked_for_with_any_name(folder):
    options = ReadOptions(bin_s=120)
    assert find("office", options=options).counts.tolist() == [10, 1]
    assert find("constant:rate=1", options=options).counts.tolist() == [120] * 5
    assert find(str(folder / "office.csv"), options=options).counts.tolist() == [10, 1]


def test_options_for_files_are_refused_with_names(folder):
    with pytest.raises(InvalidInput, match="trace 'office': function, format — allowed for files alone"):
        find("office", format="counts", options=ReadOptions(function="f"))


def test_an_unknown_name_lists_what_is_known_and_the_nearest(folder):
    with pytest.raises(InvalidInput) as refused:
        find("offices")
    lines = refused.value.problems
    assert lines[0] == "trace 'offices': no such file or name, did you mean 'office'? — known are"
    assert lines[1].startswith("  bundled: demo-")
    assert lines[2:] == (
        "  catalogue: office",
        "  shapes and their sums: constant, step, burst, ramp, spike, diurnal, on-off, noise",
    )


def test_without_a_catalogue_the_message_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("SPEECH_SHARED", str(tmp_path / "nowhere"))
    with pytest.raises(InvalidInput, match=r"catalogue: none; set \$SPEECH_SHARED"):
        find("worldcup")
    with pytest.raises(InvalidInput, match="traces 'all': no catalogue"):
        expand("all")


@pytest.mark.parametrize(
    ("word", "names"),
    [
        pytest.param("all", ["office"], id="all of the catalogue"),
        pytest.param("counted", [], id="those that count"),
        pytest.param("demo-office", ["demo-office"], id="one name"),
        pytest.param("burst", ["burst"], id="a shape"),
    ],
)
def test_words_that_stand_for_traces(folder, word, names):
    assert expand(word) == names


def test_a_folder_with_a_catalogue_stands_for_its_traces(folder):
    assert expand(str(folder)) == [str(folder / "office.csv")]


def test_a_folder_without_a_catalogue_stands_for_its_files(put, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("b.csv.gz", "a.csv", "c.csv.xz", "notes.md"):
        put(f"mine/{name}", "timestamp_s,count\n0,4\n60,6\n")
    assert expand(str(tmp_path / "mine")) == [
        str(tmp_path / "mine" / name) for name in ("a.csv", "b.csv.gz", "c.csv.xz")
    ]


@pytest.mark.parametrize(
    ("catalogued", "message"),
    [(False, r"mine: no traces — allowed: files that end in \.gz"), (True, r"mine/catalogue\.json: no traces")],
    ids=["nothing in it", "an empty catalogue"],
)
def test_a_folder_without_traces_is_refused(put, tmp_path, catalogued, message):
    (tmp_path / "mine").mkdir()
    if catalogued:
        put("mine/catalogue.json", "[]")
    with pytest.raises(InvalidInput, match=message):
        expand(str(tmp_path / "mine"))


def test_a_folder_is_no_trace(tmp_path):
    with pytest.raises(InvalidInput, match=r"a folder — allowed is one trace; `autoscaler compare --traces` takes"):
        find(str(tmp_path))


def test_a_catalogued_file_that_is_not_there_is_named(folder):
    (folder / "office.csv").unlink()
    with pytest.raises(InvalidInput, match=r"office\.csv: no such file"):
        find(str(folder / "office.csv"))


def test_a_catalogued_list_of_requests_is_counted_in_the_bins_of_its_catalogue(folder, put):
    put("traces/office.csv", "arrival_s\n0.5\n1.25\n61\n130\n")
    trace = find("office")
    assert (trace.bin_s, trace.counts.tolist()) == (60, [2, 1, 1])


def test_an_evaluation_that_begins_inside_a_bin_begins_at_the_nearest_one(folder, put):
    put("traces/catalogue.json", json.dumps([ENTRY | {"eval_start_s": 70}]))
    trace = find("office")
    assert (trace.eval_start_s, trace.labels["eval_start"]) == (60, "70 s, taken as 60 s")


def test_the_clock_of_the_file_holds_where_the_catalogue_knows_none(folder, put):
    put("traces/office.csv", "timestamp_s,count\n1700000000,4\n1700000060,6\n")
    put("traces/catalogue.json", json.dumps([ENTRY | {"start_time_if_known": None}]))
    assert find("office").start_s == 1700000000


def test_a_file_with_other_bins_than_its_catalogue_says_is_refused(folder, put):
    put("traces/office.csv", "timestamp_s,count\n0,4\n90,6\n")
    with pytest.raises(InvalidInput, match=r"bins of 90 s — .*catalogue\.json says 60 s"):
        find("office")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0}, "office.scale: 0 — Input should be greater than 0"),
        ({"bin_s": None}, "office.bin_s: None — Input should be a valid number"),
        ({"file": "../../etc/passwd"}, "office.file: '../../etc/passwd' — String should match pattern"),
        ({"eval_start_s": -5}, "office.eval_start_s: -5 — Input should be greater than or equal to 0"),
        ({"counted": "perhaps"}, "office.counted: 'perhaps' — Input should be a valid boolean"),
        ({"known_gaps": [{"start_s": 9}]}, "office.known_gaps.0.end_s: not there — Field required"),
        ({"known_gaps": [{"start_s": 9, "end_s": 3}]}, r"office\.known_gaps\.0: .* — end_s must be above start_s"),
        ({"name": None}, "0.name: None — Input should be a valid string"),
    ],
    ids=["scale", "bins", "a file elsewhere", "evaluation", "counted", "half a gap", "a gap that ends first", "name"],
)
def test_a_broken_catalogue_is_refused_at_its_entry(folder, put, change, message):
    put("traces/catalogue.json", json.dumps([ENTRY | change]))
    with pytest.raises(InvalidInput, match=f"catalogue.json: {message}"):
        find("office")


BROKEN = {
    "no JSON": ('[{"name": "a",', r"catalogue\.json:1:15: not JSON: "),
    "NaN": ('[{"scale": NaN}]', r"catalogue\.json:1:\d+: not JSON: "),
    "no list": ('{"traces": []}', "catalogue.json: dict — allowed is a list with an entry for each trace"),
    "an entry that is none": ("[7]", "catalogue.json: 0: 7 — Input should be a valid dictionary"),
    "a name twice": (json.dumps([ENTRY, ENTRY]), "catalogue.json: office: names two entries"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_catalogue_that_is_none_is_refused(folder, put, text, message):
    put("traces/catalogue.json", text)
    with pytest.raises(InvalidInput, match=message):
        find("office")


def test_a_catalogue_may_begin_with_a_byte_order_mark(folder, put):
    put("traces/catalogue.json", "\ufeff" + json.dumps([ENTRY]))
    assert find("office").scale == 2.5


CLOCKS = {
    None: 0,
    "": 0,
    "2016-11-06": 1478390400,
    "2003-03-03 00:00": 1046649600,
    "1995-07-01 00:00:01": 804556801,
    "2023-11-16 18:17:03": 1700158623,
    "day 0 of the trace (trace starts 2021-01-31)": 1612051200,
    "day 3 of the trace (trace starts 2021-01-31)": 1612310400,
    "unknown day of August 2021, 00:00": 0,
    "some time in May": 0,
}


@pytest.mark.parametrize(("text", "start_s"), CLOCKS.items(), ids=map(str, CLOCKS))
def test_the_clock_of_second_0(text, start_s):
    assert catalogue.clock_s(text) == start_s


def bundled() -> list[dict]:
    return json.loads((catalogue.bundled() / "catalogue.json").read_text())


@pytest.mark.parametrize("entry", bundled(), ids=lambda entry: entry["name"])
def test_bundled_traces_can_be_replayed_and_say_what_they_are(entry):
    trace = find(entry["name"])
    assert trace.counts[round(trace.eval_start_s / trace.bin_s) :].sum() > 1000
    assert trace.labels["source"].startswith(("made: ", "recorded: "))
    assert (catalogue.bundled() / entry["file"]).stat().st_size < 300_000


@pytest.mark.parametrize("entry", [entry for entry in bundled() if "shape" in entry], ids=lambda entry: entry["name"])
def test_bundled_days_are_what_their_command_makes(entry):
    made = make(entry["shape"], bin_s=entry["bin_s"], poisson_seed=entry["poisson_seed"])
    np.testing.assert_array_equal(find(entry["name"]).counts, made.counts)
    assert f'trace synth "{entry["shape"]}" --bin 10s --poisson-seed 1' in entry["transformation"]


SHARED = catalogue.shared()


@pytest.mark.shared
@pytest.mark.skipif(SHARED is None, reason="no ../shared/traces and no $SPEECH_SHARED: see docs/traces.md")
def test_the_shared_catalogue_is_read_as_it_states():
    assert SHARED is not None
    for stated in json.loads((SHARED / "catalogue.json").read_text()):
        trace = find(stated["name"])
        assert trace.counts.sum() == stated["total"]
        assert (trace.bin_s, trace.duration_s) == (stated["bin_s"], stated["duration_s"])
        assert hashlib.sha256((SHARED / stated["file"]).read_bytes()).hexdigest() == stated["sha256"]
    assert len(expand("all")) == 18
    assert len(expand("counted")) == 16

"""Answers of Prometheus: counters with resets and new pods, rates, counts within steps."""

import json

import numpy as np
import pytest

from autoscaler.model import InvalidInput
from simulations.traffic.formats.format import ReadOptions
from simulations.traffic.read import read

T0 = 1_700_000_000


def answer(*series: tuple[dict[str, str], dict[int, object]], **more: object) -> str:
    """A matrix; samples by the second of the trace."""
    result = [
        {"metric": labels, "values": [[T0 + second, str(value)] for second, value in samples.items()]}
        for labels, samples in series
    ]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}} | more)


def counter(pod: str) -> dict[str, str]:
    return {"__name__": "speech_requests_received_total", "pod": pod}


COUNTERS = {
    "one pod; what came before is not known": (
        [(counter("a"), {0: 100, 15: 105, 30: 105, 45: 112})],
        [5, 0, 7],
    ),
    "a restart counts from 0": ([(counter("a"), {0: 100, 15: 105, 30: 3, 45: 4})], [5, 3, 1]),
    "a new pod counts from 0": ([(counter("a"), {0: 100, 15: 105, 30: 106}), (counter("b"), {15: 4, 30: 9})], [9, 6]),
    "a pod that goes": ([(counter("a"), {0: 1, 15: 2, 30: 3}), (counter("b"), {0: 5, 15: 9})], [5, 1]),
    "missing samples are spread": ([(counter("a"), {0: 0, 15: 3, 45: 9, 60: 9})], [3, 3, 3, 0]),
}


@pytest.mark.parametrize(("series", "counts"), COUNTERS.values(), ids=COUNTERS)
def test_counters_are_differenced(put, series, counts):
    trace = read(put("t.json", answer(*series)))
    assert (trace.bin_s, trace.start_s, trace.labels["values"]) == (15, T0, "counter")
    np.testing.assert_allclose(trace.counts, counts)


def test_missing_samples_are_told(put):
    trace = read(put("t.json", answer((counter("a"), {0: 0, 15: 3, 45: 9}))))
    assert trace.labels["missing_samples"] == "1, spread evenly"


RATES = {
    "rate": ({}, ReadOptions(values="rate"), [30, 75, 60]),
    "count": ({}, ReadOptions(values="count"), [2, 5, 4]),
    "a nameless series that falls by a little is a rate": ({}, ReadOptions(), [30, 75, 60]),
    "a recording rule named for its rate": ({"__name__": "pod:requests:rate1m"}, ReadOptions(), [30, 75, 60]),
}


@pytest.mark.parametrize(("labels", "options", "counts"), RATES.values(), ids=RATES)
def test_rates_and_counts_belong_to_the_step_before_their_sample(put, labels, options, counts):
    trace = read(put("t.json", answer((labels, {0: 2, 15: 5, 30: 4}))), options=options)
    assert (trace.bin_s, trace.start_s) == (15, T0 - 15)
    np.testing.assert_allclose(trace.counts, counts)


def test_what_the_recorder_noted_rules(put):
    text = answer(({"__name__": "odd"}, {0: 0, 15: 5}), recording={"values": "counter", "query": "odd"})
    assert read(put("t.json", text)).counts.tolist() == [5]


def test_the_data_alone_is_an_answer_too(put):
    data = json.loads(answer((counter("a"), {0: 0, 15: 5})))["data"]
    assert read(put("t.json", json.dumps(data))).counts.tolist() == [5]


def test_bins_may_be_asked_for(put):
    text = answer((counter("a"), {0: 0, 15: 5, 30: 6, 45: 6, 60: 10}))
    assert read(put("t.json.gz", text), options=ReadOptions(bin_s=30)).counts.tolist() == [6, 4]


@pytest.mark.parametrize("series", [{}, {"__name__": "queue_depth"}], ids=["nameless and never falling", "a gauge"])
def test_samples_that_may_be_anything_need_an_option(put, series):
    with pytest.raises(InvalidInput, match="give --values counter"):
        read(put("t.json", answer((series, {0: 1, 15: 2, 30: 3}))))


REFUSED = {
    "NaN": (
        answer((counter("a"), {0: 1, 15: "NaN"})),
        r"series 1 \{__name__=.*pod=\"a\"\}: sample 2 at 1700000015.000: nan — allowed is a finite value, 0 or more",
    ),
    "+Inf": (answer((counter("a"), {0: 1, 15: "+Inf"})), "sample 2 at 1700000015.000: inf — allowed"),
    "negative": (answer((counter("a"), {0: -1, 15: 2})), "sample 1 at 1700000000.000: -1 — allowed"),
    "time going back": (answer((counter("a"), {15: 1, 0: 2})), "sample 2 .* time must rise"),
    "a series twice": (answer((counter("a"), {0: 1}), (counter("a"), {0: 1})), "series 2 .*: a second series"),
    "no series": (answer(), "no series with two samples or more"),
    "one sample": (answer((counter("a"), {0: 1})), "no series with two samples or more"),
    "off the grid": (answer((counter("a"), {0: 1, 10: 2, 25: 3})), "samples off the grid of 10 s"),
    "an error": ('{"status":"error","error":"bad query"}', "status 'error': bad query"),
    "an instant answer": (
        '{"status":"success","data":{"resultType":"vector","result":[]}}',
        "not the answer to a range",
    ),
    "half a file": ('{"status":"success",\n"data": {"resultType"', r"t\.json:2:\d+: not JSON"),
    "other values": (
        '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"x"]]}]}}',
        "series 1: cannot be read",
    ),
    "steps of next to nothing": (
        answer((counter("a"), {0: 1})).replace("[[1700000000", '[[0, "1"], [1e-320, "1"], [1700000000'),
        "inf steps of",
    ),
    "labels of lists": (
        '{"status":"success","data":{"resultType":"matrix","result":[{"metric":[1],"values":[[1,"1"]]}]}}',
        "series 1: cannot be read",
    ),
    "other series": (
        '{"status":"success","data":{"resultType":"matrix","result":[{"values":[]}]}}',
        "series 1: cannot be read",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(put, text, message):
    with pytest.raises(InvalidInput, match=message):
        read(put("t.json", text))


def test_two_answers_are_refused(put):
    one = put("a.json", answer((counter("a"), {0: 0, 15: 5})))
    with pytest.raises(InvalidInput, match="allowed is one answer"):
        read([one, one])

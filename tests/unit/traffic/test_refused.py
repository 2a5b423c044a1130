"""Lines that are malformed are counted and shown; values that cannot be are refused at their line."""

import numpy as np
import pytest

from autoscaler.model import InvalidInput
from simulations.traffic import table
from simulations.traffic.formats.format import ReadOptions
from simulations.traffic.read import read

COUNTS = "timestamp_s,count\n"
REQUESTS = "arrival_s,input_size,output_size\n"
LOG = 'a - - [01/Feb/2024:00:{} +0000] "GET / HTTP/1.1" 200 1\n'
MOONCAKE = '{{"timestamp": {}, "input_length": 1, "output_length": 1}}\n'
AZURE_LLM = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
MINUTES = [str(minute) for minute in range(1, 1441)]
AZURE = f"HashOwner,HashApp,HashFunction,Trigger,{','.join(MINUTES)}\n"


REFUSED = {
    "negative count": (COUNTS + "0,1\n60,-3\n", "t:3: count: -3 — allowed is a finite number, 0 or more"),
    "count that is no number": (COUNTS + "0,1\n60,nan\n", "t:3: count: nan — allowed is a finite number, 0 or more"),
    "infinite count": (COUNTS + "0,1\n60,inf\n", "t:3: count: inf — allowed is a finite number, 0 or more"),
    "infinite time": (COUNTS + "0,1\ninf,1\n", "t:3: timestamp_s: inf — allowed is a finite time, 0 or more"),
    "negative time": (COUNTS + "-60,1\n0,1\n", "t:2: timestamp_s: -60 — allowed is a finite time, 0 or more"),
    "time going back": (COUNTS + "0,1\n60,1\n30,1\n", "t:4: timestamp_s: 30 after 60 — time must rise from row to row"),
    "a bin twice": (COUNTS + "0,1\n60,1\n60,1\n", "t:4: timestamp_s: 60 after 60 — time must rise from row to row"),
    "off the grid": (
        COUNTS + "0,1\n60,1\n150,1\n",
        "t:4: timestamp_s: 150 — allowed is a multiple of 60 s (the smallest distance of two rows) from 0",
    ),
    "one bin": (COUNTS + "0,1\n", "t: 1 row — allowed are two or more, to know the bin width"),
    "no rows": (COUNTS, "t: no rows — allowed are two or more, to know the bin width"),
    "a column twice": (
        "timestamp_s,count,count\n0,1,1\n",
        "t:1: column 'count' is twice — found timestamp_s, count, count",
    ),
    "milliseconds": (
        COUNTS + "1700000000000,1\n1700000060000,1\n",
        "t:2: timestamp_s: 1700000000000 — allowed are seconds, before the year 2100: are these milliseconds?",
    ),
    "arrivals in milliseconds": (
        REQUESTS + "1700000000000,1,1\n",
        "t:2: arrival_s: 1700000000000 — allowed are seconds, before the year 2100: are these milliseconds?",
    ),
    "too many bins": (
        COUNTS + "0,1\n1,1\n100000000,1\n",
        "t: 100000001 bins of 1 s — allowed are 10000000; if the times are right, choose wider bins",
    ),
    "times apart by next to nothing": (
        COUNTS + "0,1\n1e-320,1\n60,1\n",
        "t: inf bins of 9.99989e-321 s — allowed are 10000000; if the times are right, choose wider bins",
    ),
    "request going back": (
        REQUESTS + "0.5,1,1\n2,1,1\n1.5,1,1\n",
        "t:4: arrival_s: 1.5 after 2 — time may go back by at most 0 s",
    ),
    "negative arrival": (REQUESTS + "-1,1,1\n", "t:2: arrival_s: -1 — allowed is a finite time, 0 or more"),
    "no requests": (REQUESTS, "t: no requests"),
    "log going back too far": (
        LOG.format("10:00") + LOG.format("05:00") + LOG.format("04:59"),
        "t:3: time: 1706745899 after 1706746200 — time may go back by at most 300 s",
    ),
    "Mooncake going back": (
        MOONCAKE.format(2000) + MOONCAKE.format(1000),
        "t:2: timestamp: 1 after 2 — time may go back by at most 0 s",
    ),
    "negative calls": (
        AZURE + f"o,a,f,http,{','.join(['0'] * 1439)},-2\n",
        "t:2: 1440: -2 — allowed is a finite number, 0 or more",
    ),
    "a negative duration": (
        "app,func,end_timestamp,duration\na,f,10,-1\n",
        "t:2: end_timestamp - duration: -1 — allowed is a finite time, 0 or more",
    ),
    "a short day": (
        "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,1,2\n",
        "t:1: column '3' is not there — found HashOwner, HashApp, HashFunction, Trigger, 1, 2",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_with_file_line_value_and_what_is_allowed(put, text, message):
    path = put("t", text)
    with pytest.raises(InvalidInput) as refused:
        read(path)
    assert refused.value.problems == (message.replace("t:", f"{path}:", 1),)


GOOD_COUNTS = [f"{60 * i},{i}\n" for i in range(20)]

MALFORMED = {
    "counts": (COUNTS + "".join(GOOD_COUNTS[:5]) + "oops\n" + "".join(GOOD_COUNTS[5:]), 7, "oops", "1 of 2 fields"),
    "counts: too few fields": (COUNTS + "".join(GOOD_COUNTS) + "1200\n", 22, "1200", "1 of 2 fields"),
    "counts: too many fields": (COUNTS + "".join(GOOD_COUNTS) + "1200,1,1\n", 22, "1200,1,1", "3 of 2 fields"),
    "counts: empty field": (COUNTS + "1,\n" + "".join(GOOD_COUNTS), 2, "1,", "count: not a number"),
    "counts: open quote": (COUNTS + "".join(GOOD_COUNTS) + '1200,"1\n', 22, '1200,"1', "unexpected end of data"),
    "counts: not UTF-8": (
        COUNTS.encode() + "".join(GOOD_COUNTS).encode() + b"1200,\xff\n",
        22,
        "1200,\ufffd",
        "not UTF-8",
    ),
    "counts: no newline at the end": (COUNTS + "".join(GOOD_COUNTS) + "1200,x", 22, "1200,x", "count: not a number"),
    "requests": (REQUESTS + "0,1,1\n1,1\n2.5,1,1\n3,1,1\n", 3, "1,1", "2 of 3 fields"),
    "Azure LLM: no such day": (
        AZURE_LLM + "2023-11-16 18:17:03.5,1,1\n2023-02-31 18:17:03,1,1\n2023-11-16 18:17:04,1,1\n",
        3,
        "2023-02-31 18:17:03,1,1",
        "TIMESTAMP: not a date",
    ),
    "access log": (LOG.format("00:00") + "GET / 200\n" + LOG.format("00:01"), 2, "GET / 200", ""),
    "access log: no such day": (
        LOG.format("00:00") + LOG.format("00:01") + LOG.format("00:02").replace("01/Feb", "30/Feb"),
        3,
        'a - - [30/Feb/2024:00:00:02 +0000] "GET / HTTP/1.1" 200 1',
        "",
    ),
    "Mooncake": (MOONCAKE.format(1) + MOONCAKE.format(2) + '{"timestamp": 3,\n', 3, '{"timestamp": 3,', ""),
    "Mooncake: no time": (
        MOONCAKE.format(1) + MOONCAKE.format(2) + MOONCAKE.format("null"),
        3,
        '{"timestamp": null, "input_length": 1, "output_length": 1}',
        "",
    ),
    "Azure Functions": (
        AZURE + f"o,a,f,http,{','.join(['1'] * 1440)}\n" * 2 + "o,a,g\n",
        4,
        "o,a,g",
        "3 of 1444 fields",
    ),
}


@pytest.mark.parametrize(("text", "line", "shown", "why"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_line_is_counted_and_shown(put, text, line, shown, why):
    path = put("t", text)
    trace = read(path)
    assert trace.labels["malformed"].startswith("1 of ")
    assert trace.labels["malformed_first"] == f"{path}:{line}: {shown!r}" + (f" ({why})" if why else "")


def test_malformed_lines_are_found_wherever_they_stand(put, monkeypatch):
    monkeypatch.setattr(table, "BY_LINE_BYTES", 100)
    rows = [f"{i}.5,1,1" for i in range(5000)]
    bad = [3, 4, 777, 2500, 4999]
    for line in bad:
        rows[line] = f"bad{line}"
    path = put("t", REQUESTS + "\n".join(rows))

    trace = read(path)

    assert trace.labels["malformed"] == "5 of 5000 lines are malformed"
    assert trace.labels["malformed_first"].splitlines() == [
        f"{path}:{line + 2}: 'bad{line}' (1 of 3 fields)" for line in bad
    ]
    np.testing.assert_array_equal(trace.arrivals_s, [i + 0.5 for i in range(5000) if i not in bad])


def test_more_malformed_lines_than_allowed_are_refused_and_the_first_shown(put):
    path = put("t", REQUESTS + "".join(f"{i},1,1\n" if i % 50 else "bad\n" for i in range(1000)))
    with pytest.raises(InvalidInput) as refused:
        read(path)
    assert refused.value.problems[0] == (
        f"{path}: 20 of 1000 lines are malformed — allowed are 1.00%, or 10 lines among more rows than that"
    )
    assert refused.value.problems[1:] == tuple(
        f"{path}:{line}: 'bad' (1 of 3 fields)" for line in (2, 52, 102, 152, 202)
    )


def test_the_bound_on_malformed_lines_can_be_raised(put):
    path = put("t", REQUESTS + "".join(f"{i}.5,1,1\n" if i % 50 else "bad\n" for i in range(1000)))
    assert read(path, options=ReadOptions(max_malformed_ratio=0.02)).counts.sum() == 980


def test_a_file_of_nothing_but_garbage_is_given_up_early(put):
    path = put("t", REQUESTS + "bad\n" * 1_000_000)
    with pytest.raises(InvalidInput, match="1001 of the first 1002 lines are malformed"):
        read(path)


def test_a_stated_disorder_allows_time_to_go_back(put):
    text = LOG.format("10:00") + LOG.format("00:00")
    trace = read(put("t", text), options=ReadOptions(max_disorder_s=600))
    assert (len(trace.counts), trace.counts[0], trace.counts[-1]) == (601, 1, 1)


def test_a_missing_column_is_named_with_those_found(put):
    with pytest.raises(InvalidInput, match="t:1: column 'count' is not there — found timestamp_s, requests"):
        read(put("t", "timestamp_s,requests\n0,1\n"), format="counts")


def test_a_function_without_calls_is_refused(put):
    path = put("t", AZURE + f"o,a,f,http,{','.join(['1'] * 1440)}\n")
    with pytest.raises(InvalidInput, match="function 'g' has no calls in 1 files"):
        read(path, options=ReadOptions(function="g"))


def test_blank_lines_before_the_header_are_skipped_and_counted(put):
    assert read(put("blank", "\n\n" + COUNTS + "0,1\n60,2\n")).counts.tolist() == [1, 2]
    bad = put("bad", "\n\n" + COUNTS + "0,1\n60,-2\n")
    with pytest.raises(InvalidInput, match="bad:5: count: -2"):
        read(bad)

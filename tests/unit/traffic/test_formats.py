"""What each format's file means: bins, counts, clock, single arrivals."""

from dataclasses import dataclass

import numpy as np
import pytest

from autoscaler.model import InvalidInput
from simulations.traffic.formats.format import ReadOptions
from simulations.traffic.read import FORMATS, detect, read

DAY = ",".join(str(minute) for minute in range(1, 1441))
AZURE_HEADER = f"HashOwner,HashApp,HashFunction,Trigger,{DAY}\n"


def azure_row(function: str, **counts: int) -> str:
    """A function with calls in some minutes, such as m1=5."""
    minutes = (str(counts.get(f"m{minute}", 0)) for minute in range(1, 1441))
    return f"owner,app,{function},http,{','.join(minutes)}\n"


DEFAULTS = ReadOptions()


@dataclass
class Case:
    format: str
    text: str
    bin_s: float
    counts: list[float]
    start_s: float = 0.0
    arrivals_s: list[float] | None = None
    options: ReadOptions = DEFAULTS


CASES = {
    "counts": Case("counts", "timestamp_s,count\n0,5\n60,0\n120,7\n", 60, [5, 0, 7]),
    "counts: absent bins are empty": Case("counts", "timestamp_s,count\n0,5\n10,1\n40,7\n", 10, [5, 1, 0, 0, 7]),
    "counts: from the epoch": Case("counts", "timestamp_s,count\n1700000000,5\n1700000060,1\n", 60, [5, 1], 1.7e9),
    "counts: fractions, other columns and order": Case(
        "counts", "x,count,timestamp_s\na,0.5,0\nb,1.25,0.5\n", 0.5, [0.5, 1.25]
    ),
    "counts: byte-order mark, CRLF, spaces, quotes, blank lines": Case(
        "counts", '\ufefftimestamp_s, count\r\n0,"5"\r\n\r\n60, 6\r\n\r\n', 60, [5, 6]
    ),
    "counts: rebinned": Case(
        "counts", "timestamp_s,count\n0,5\n60,0\n120,7\n", 120, [5, 7], options=ReadOptions(bin_s=120)
    ),
    "requests": Case(
        "requests",
        "arrival_s,input_size,output_size\n0.25,10,2\n0.75,11,3\n2.5,9,1\n",
        1,
        [2, 0, 1],
        arrivals_s=[0.25, 0.75, 2.5],
    ),
    "requests: one column, asked-for bins": Case(
        "requests", "arrival_s\n1\n11\n29.5", 10, [1, 1, 1], arrivals_s=[1, 11, 29.5], options=ReadOptions(bin_s=10)
    ),
    "requests: from the epoch, second 0 is the first one's bin": Case(
        "requests", "arrival_s\n1700000000.5\n1700000002.25", 1, [1, 0, 1], 1.7e9, [0.5, 2.25]
    ),
    "requests: a clock of whole seconds is no crowd": Case("requests", "arrival_s\n0\n0\n0\n2\n", 1, [3, 0, 1]),
    "requests: nearly in order, if allowed": Case(
        "requests", "arrival_s\n1.5\n0.5\n", 1, [1, 1], arrivals_s=[0.5, 1.5], options=ReadOptions(max_disorder_s=1)
    ),
    "Azure LLM 2023": Case(
        "azure-llm",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.0319600,3180,8\n",
        1,
        [1, 0, 1],
        1700158623,
        [0.97996, 2.03196],
    ),
    "Azure LLM 2024, with zone": Case(
        "azure-llm",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 02:00:01+02:00,2399,6",
        1,
        [1, 1],
        1715299200,
        [0.00993, 1.0],
    ),
    "Azure multimodal 2025": Case(
        "azure-llm",
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n2024-10-15 00:00:00.5,1,2162,5\n",
        1,
        [1],
        1728950400,
        [0.5],
    ),
    "Azure Functions: sum": Case(
        "azure-functions",
        AZURE_HEADER + azure_row("f", m1=5, m1440=2) + azure_row("g", m1=1),
        60,
        [6] + [0] * 1438 + [2],
    ),
    "Azure Functions: one": Case(
        "azure-functions",
        AZURE_HEADER + azure_row("f", m1=5, m1440=2) + azure_row("g", m1=1),
        60,
        [5] + [0] * 1438 + [2],
        options=ReadOptions(function="f"),
    ),
    "Azure Functions 2021: when calls began": Case(
        "azure-function-calls",
        "app,func,end_timestamp,duration\na,f,10.25,9.5\na,g,5.5,0.25\na,f,3.0,5.0\n",
        1,
        [2, 0, 0, 0, 0, 1],
        arrivals_s=[0, 0.75, 5.25],
    ),
    "Azure Functions 2021: one": Case(
        "azure-function-calls",
        "app,func,end_timestamp,duration\na,f,10.25,9.5\na,g,5.5,0.25\n",
        1,
        [1],
        arrivals_s=[0.75],
        options=ReadOptions(function="f"),
    ),
    "Mooncake": Case(
        "mooncake",
        '{"timestamp": 500, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]}\n'
        '{"timestamp": 2250, "input_length": 6472, "output_length": 26}\n',
        1,
        [1, 0, 1],
        arrivals_s=[0.5, 2.25],
    ),
    "Mooncake: a clock of three seconds that trembles": Case(
        "mooncake",
        "".join(f'{{"timestamp": {3000 * i - i % 2}, "input_length": 1}}\n' * 2 for i in range(12)),
        3,
        [2] * 12,
    ),
    "BurstGPT": Case(
        "burstgpt",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "1,ChatGPT,472,18,490,Conversation log\n1,GPT-4,1,2,3,API log\n3,ChatGPT,1087,230,1317,Conversation log\n",
        1,
        [0, 2, 0, 1],
    ),
    "access log, common": Case(
        "access-log",
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326\n'
        'host.example - - [10/Oct/2000:13:55:38 -0700] "GET /b" 404 -\n',
        1,
        [1, 0, 1],
        971186136,  # 13:55:36 of the server's own clock, read as UTC
    ),
    "access log, combined and more": Case(
        "access-log",
        '::1 - Ann Lee [01/Feb/2024:00:00:00 +0000] "GET /?q=[x] HTTP/2" 200 12 "http://a/b" "Agent \\"1\\"" 0.004\n',
        1,
        [1],
        1706745600,
    ),
    "access log: zones of several servers": Case(
        "access-log",
        'a - - [01/Feb/2024:10:00:00 +0200] "GET / HTTP/1.1" 200 1\n'
        'b - - [01/Feb/2024:08:00:01 +0000] "GET / HTTP/1.1" 200 1\n',
        1,
        [1, 1],
        1706781600,  # 10:00:00, the clock of the first line
    ),
    "access log: written when answered": Case(
        "access-log",
        'a - - [01/Feb/2024:00:00:09 +0000] "GET / HTTP/1.1" 200 1\n'
        'a - - [01/Feb/2024:00:00:05 +0000] "GET /slow HTTP/1.1" 200 1\n',
        5,
        [2],
        1706745605,
        options=ReadOptions(bin_s=5),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["plain", "gzip"])
def test_format(put, name, suffix):
    case = CASES[name]
    path = put(f"recorded{suffix}", case.text)

    assert detect(path).name == case.format
    trace = read(path, options=case.options)

    assert (trace.name, trace.bin_s, trace.start_s) == ("recorded", case.bin_s, case.start_s)
    np.testing.assert_allclose(trace.counts, case.counts)
    assert trace.labels["format"] == case.format
    if case.arrivals_s is None:
        assert trace.arrivals_s is None
    else:
        np.testing.assert_allclose(trace.arrivals_s, case.arrivals_s, atol=1e-6)


def test_days_of_azure_functions_follow_one_another_by_name(put):
    second = put("day.d02.csv", AZURE_HEADER + azure_row("f", m1=7))
    first = put("day.d01.csv", AZURE_HEADER + azure_row("f", m2=3))
    trace = read([second, first])
    assert len(trace.counts) == 2880
    assert (trace.counts[1], trace.counts[1440], trace.counts.sum()) == (3, 7, 10)


def test_rotated_logs_are_read_as_one(put):
    line = 'a - - [01/Feb/2024:00:00:0{} +0000] "GET / HTTP/1.1" 200 1\n'
    old, new = put("log.1.gz", line.format(1)), put("log", line.format(3))
    assert read([old, new]).counts.tolist() == [1, 0, 1]


def test_a_format_may_be_named(put):
    path = put("odd", "count,timestamp_s\n5,0\n6,60\n")
    assert read(path, format="counts").counts.tolist() == [5, 6]


def test_an_unknown_file_shows_how_the_known_begin(put):
    with pytest.raises(InvalidInput) as refused:
        read(put("notes.txt", "dear diary\n"))
    assert refused.value.problems[0].endswith("'dear diary' begins no known format — known are")
    assert [problem.split(":")[0].strip() for problem in refused.value.problems[1:]] == [each.name for each in FORMATS]


def test_an_unknown_format_is_refused(put):
    with pytest.raises(InvalidInput, match="format 'xml' — allowed are counts, requests"):
        read(put("t", "timestamp_s,count\n0,1\n60,1\n"), format="xml")


def test_an_option_that_a_format_does_not_take_is_refused(put):
    with pytest.raises(InvalidInput, match="format counts does not take function — formats that do: azure-functions"):
        read(put("t", "timestamp_s,count\n0,1\n60,1\n"), options=ReadOptions(function="f"))

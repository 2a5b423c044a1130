"""Whatever a file holds, reading it gives a trace or a refusal that a person can act on, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.model import InvalidInput
from simulations.traffic.read import FORMATS, read

LINES = [
    b"timestamp_s,count",
    b"0,5",
    b"60,7",
    b"arrival_s,input_size,output_size",
    b"0.5,1,2",
    b"TIMESTAMP,ContextTokens,GeneratedTokens",
    b"2023-11-16 18:17:03.97,1,2",
    b"2023-11-16 18:17:03+00:00,1,2",
    b"app,func,end_timestamp,duration",
    b"a,f,10,1",
    b"HashOwner,HashApp,HashFunction,Trigger," + b",".join(b"%d" % minute for minute in range(1, 1441)),
    b"o,a,f,t," + b",".join([b"1"] * 1440),
    b"Timestamp,Model,Request tokens",
    b"5,ChatGPT,1",
    b'{"timestamp": 500, "input_length": 1}',
    b'a - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 1',
    b'{"data":{"resultType":"matrix","result":[{"metric":{"__name__":"x_total"},"values":[[0,"1"],[15,"2"]]}]}}',
    b"PAR1",
    b"\x1f\x8b\x08",
]
pieces = (
    st.sampled_from(LINES) | st.binary(max_size=40) | st.text(alphabet="0123456789.,-:eE\"'{}[]_ nai\n").map(str.encode)
)
files = st.lists(pieces, max_size=8).map(b"\n".join)


@pytest.mark.parametrize("format_name", [None, *(each.name for each in FORMATS)])
@given(data=files)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_trace_or_a_refusal(tmp_path: Path, format_name, data):
    path = tmp_path / "t"
    path.write_bytes(data)
    try:
        trace = read(path, format=format_name)
    except InvalidInput:
        return
    assert np.all(np.isfinite(trace.counts))
    assert np.all(trace.counts >= 0)
    assert trace.bin_s > 0
    assert len(trace.counts) > 0

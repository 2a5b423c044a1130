"""What is drawn keeps every spike, however much is left out."""

import base64
import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.report.timeline import EXTREMES, Budget, keep, largest, moves, packed, series
from simulations.result import Change


def unpacked(text: str) -> dict:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_rates_work_and_cost(tts, make_result):
    result = make_result(hours=1)
    drawn = series(result.timeline, None, tts)
    pods = sum(getattr(result.timeline, phase) for phase in ("serving", "starting", "standby", "draining"))
    assert drawn["requests_rps"].sum() * 5 == result.timeline.arrivals.sum()
    assert drawn["offered"] == pytest.approx(drawn["requests_rps"] * 0.18)
    assert drawn["cost_pod_h"][-1] == pytest.approx(pods.mean() * 1.0)
    assert np.all(np.diff(drawn["cost_pod_h"]) >= 0)


def test_the_reference_is_drawn_beside_the_replay(tts, make_result):
    result, reference = make_result(hours=1), make_result(hours=1, margin=1.0)
    drawn = series(result.timeline, reference.timeline, tts)
    assert drawn["reference"].sum() < drawn["held"].sum()
    assert np.all(np.isnan(series(result.timeline, None, tts)["reference"]))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), st.integers(20, 400), st.integers(0, 2**32 - 1))
def test_thinning_keeps_the_extremes_of_every_series_and_the_budget(steps, points, seed):
    random = np.random.default_rng(seed)
    drawn = {name: random.lognormal(0, 3, steps) for name in EXTREMES}
    drawn["latency_p99_s"][random.random(steps) < 0.3] = np.nan
    kept = keep(drawn, points)
    assert len(kept) <= max(points, 13)
    assert np.all(np.diff(kept) > 0)
    for name in EXTREMES:
        if not np.all(np.isnan(drawn[name])):
            assert np.nanmax(drawn[name][kept]) == np.nanmax(drawn[name])
            assert np.nanmin(drawn[name][kept]) == np.nanmin(drawn[name])


def test_a_short_replay_is_kept_whole(tts, make_result):
    assert unpacked(packed(make_result(hours=1), None, tts, Budget()))["kept"] is None


def test_packed_values_are_those_of_the_result(tts, make_result):
    result = make_result(hours=1, start_s=1_467_590_400.0)
    document = unpacked(packed(result, None, tts, Budget()))
    assert document["start_s"] == 1_467_590_400.0
    assert document["steps"] == len(result.timeline.arrivals)
    assert document["series"]["queued"] == pytest.approx(result.timeline.queued, rel=1e-3)
    assert document["series"]["latency_p99_s"] == pytest.approx(result.timeline.latency_p99_s, rel=1e-3, nan_ok=True)


def test_nothing_arrived_is_no_latency(tts, make_result):
    result = make_result(hours=1)
    result.timeline.latency_p99_s[3] = np.nan
    assert unpacked(packed(result, None, tts, Budget()))["series"]["latency_p99_s"][3] is None


def test_the_same_result_packs_to_the_same_bytes(tts, make_result):
    assert packed(make_result(), None, tts, Budget()) == packed(make_result(), None, tts, Budget())


def changes(*sizes: int) -> tuple[Change, ...]:
    return tuple(Change(float(at), size, 0, "metric", ()) for at, size in enumerate(sizes))


@pytest.mark.parametrize(
    ("sizes", "moved"),
    [
        pytest.param((2, 3, 9, 9, 4), [None, 1, 6, 0, -5], id="up, unchanged and down"),
        pytest.param((2,), [None], id="one decision"),
        pytest.param((), [], id="none"),
    ],
)
def test_moves(sizes, moved):
    assert moves(changes(*sizes)) == moved


def test_the_first_and_the_largest_moves_are_kept_in_order_of_time():
    assert largest([None, 1, 6, 0, -5, 2], 3) == [0, 2, 4]


def test_few_decisions_are_all_kept():
    assert largest([None, 0, 1], 3) == [0, 1, 2]

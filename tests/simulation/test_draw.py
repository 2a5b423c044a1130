"""What is drawn from a trace: by the protocol's streams, with the protocol's laws."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from simulation.cases import ASR, TTS, fixed, steady

from autoscaler.model import InvalidInput
from simulations.draw import START_DRAWS, cold_starts, draw
from simulations.run import Case, run
from simulations.traffic import Trace, find


def test_the_first_stream_rounds_every_bin_and_then_places_the_window():
    trace = Trace("kept", 2.0, np.array([3.2, 0.5, 7.9, 1.1]), scale=1.5, eval_start_s=4.0)
    traffic = draw(trace, TTS, 7)
    random = np.random.default_rng([7, zlib.crc32(b"kept"), 1])
    expected = [int(x) + (u < x % 1) for x, u in zip(trace.counts * 1.5, random.random(4), strict=True)]
    assert traffic.history.counts.tolist() == expected[:2]
    places = random.random(sum(expected[2:]))
    begins = [0.0] * expected[2] + [2.0] * expected[3]
    np.testing.assert_allclose(traffic.arrival_s, sorted(begins + 2.0 * places))
    assert traffic.duration_s == 4.0


@pytest.mark.parametrize("workload", [TTS, ASR], ids=lambda workload: workload.name)
def test_service_times_are_lognormal_in_order_of_arrival(workload):
    traffic = draw(steady(1000.0), workload, 1)
    mean, cv = workload.service_mean_s, workload.service_cv
    assert traffic.service_s.mean() == pytest.approx(mean, rel=0.005)
    assert traffic.service_s.std() / traffic.service_s.mean() == pytest.approx(cv, rel=0.01)
    normal = np.random.default_rng([1, zlib.crc32(b"steady"), 2]).standard_normal(len(traffic.service_s))
    sigma = np.sqrt(np.log(1 + cv**2))
    np.testing.assert_allclose(traffic.service_s, mean * np.exp(sigma * normal - sigma**2 / 2))


@pytest.mark.parametrize("workload", [TTS, ASR], ids=lambda workload: workload.name)
def test_cold_starts_are_lognormal_in_order_of_ordering(workload):
    normal = np.random.default_rng([3, zlib.crc32(b"steady"), 3]).standard_normal(65_536)
    found = cold_starts("steady", workload, 3)
    np.testing.assert_allclose(found, workload.cold_start.typical_s * np.exp(0.2 * normal))
    assert len(found) == START_DRAWS


def test_arrivals_keep_the_rate_and_are_uniform_within_bins():
    traffic = draw(Trace("bins", 60.0, np.full(100, 1000.3)), TTS, 1)
    assert len(traffic.arrival_s) == pytest.approx(100_030, abs=20)
    assert (np.diff(traffic.arrival_s) >= 0).all()
    within = traffic.arrival_s % 60.0 / 60.0
    assert np.histogram(within, 10, (0, 1))[0] == pytest.approx(np.full(10, 10_003), rel=0.05)


def test_another_seed_or_name_is_another_draw_and_the_same_is_the_same():
    trace = steady(5.0)
    same, again = draw(trace, TTS, 1), draw(trace, TTS, 1)
    np.testing.assert_array_equal(same.arrival_s, again.arrival_s)
    for other in (draw(trace, TTS, 2), draw(replace(trace, name="other"), TTS, 1)):
        assert other.arrival_s[:100].tolist() != same.arrival_s[:100].tolist()


def test_single_arrivals_are_replayed_as_recorded():
    arrival_s = np.array([0.5, 3.0, 4.25, 4.25, 9.0])
    trace = Trace(
        "single", 1.0, np.bincount(arrival_s.astype(int)).astype(float), eval_start_s=3.0, arrivals_s=arrival_s
    )
    assert draw(trace, TTS, 1).arrival_s.tolist() == [0.0, 1.25, 1.25, 6.0]


def test_scaled_single_arrivals_are_drawn_from_their_counts():
    trace = Trace("single", 1.0, np.full(600, 10.0), scale=3.0, arrivals_s=np.arange(0.0, 600.0, 0.1))
    assert len(draw(trace, TTS, 1).arrival_s) == 18_000


@pytest.mark.parametrize(
    ("start_s", "begins_s"), [(1_700_000_000.0, 1_700_000_060.0), (0.0, 0.0)], ids=["known", "unknown"]
)
def test_the_history_ends_at_the_clock_time_of_second_0(start_s, begins_s):
    trace = replace(steady(1.0, history_s=60), start_s=start_s)
    history = draw(trace, TTS, 1).history
    assert (history.end_s, history.bin_s, len(history.counts)) == (begins_s, 1.0, 60)


@pytest.mark.parametrize("count", [1e10, 1e308])
def test_more_requests_than_a_machine_holds_are_refused(count):
    with pytest.raises(InvalidInput, match="requests after eval_start_s, allowed are 1e\\+08"):
        draw(Trace("mistaken", 60.0, np.full(3, count)), TTS, 1)


def test_a_trace_without_a_window_is_refused():
    with pytest.raises(InvalidInput, match="trace steady: eval_start_s is 600"):
        draw(replace(steady(1.0), eval_start_s=600.0), TTS, 1)


def test_more_requests_than_memory_holds_are_refused():
    with pytest.raises(InvalidInput, match=r"trace steady: 6e\+08 requests after eval_start_s, allowed are 1e\+08"):
        draw(steady(1e6), TTS, 1)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "workload", "pods", "missed_ratio", "pod_hours"),
    [
        ("azure_llm_conv_2023", TTS, 19, 0.0071, 1.342 * 13.30),
        ("azure_llm_conv_2023", ASR, 19, 0.0049, 1.315 * 13.57),
        ("mooncake_conversation", TTS, 23, 0.0077, 1.369 * 15.97),
        ("azfn_bursty", ASR, 19, 0.0078, 9.114 * 99.99),
    ],
)
def test_constant_pods_miss_what_an_independent_program_published(
    shared, name, workload, pods, missed_ratio, pod_hours
):
    figures = run(Case(find(str(shared / "traces" / f"{name}.csv.gz")), workload, "fixed", fixed(pods))).figures
    assert round(figures.missed_ratio, 4) == missed_ratio
    assert figures.pod_hours == pytest.approx(pod_hours, rel=0.001)


@pytest.mark.parametrize(
    ("gaps_s", "known"),
    [
        pytest.param((), None, id="none"),
        pytest.param(((60.0, 120.0),), [True, False, True], id="a bin"),
        pytest.param(((70.0, 130.0),), [True, False, False], id="parts of bins"),
        pytest.param(((500.0, 600.0),), [True, True, True], id="after the history"),
    ],
)
def test_the_history_says_which_of_its_bins_were_recorded(gaps_s, known):
    trace = Trace("gaps", 60.0, np.full(6, 10.0), eval_start_s=180.0, gaps_s=gaps_s)
    found = draw(trace, TTS, 1).history.known
    assert (None if found is None else found.tolist()) == known

"""What recent scrapes say, and what they do not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.model import Cause, Histogram, InvalidInput, Missing, Scrape, Signals
from autoscaler.policies.windows import Signal, Window, Windowed, histogram_quantile, mean_rates

EDGES_S = (0.1, 0.2, 0.4, 0.8)
STALE = Missing(Cause.STALE, "old")


def window_of(*scrapes: Scrape, keep_s: float = 600.0, edges_s: tuple[float, ...] = EDGES_S) -> Window:
    return Window(keep_s).add(Signals(scrapes, edges_s=edges_s))


def counted(*received: float, every_s: float = 5.0) -> Window:
    return window_of(*(Scrape(i * every_s, value) for i, value in enumerate(received)))


@pytest.mark.parametrize(
    ("window_s", "per_second"),
    [
        pytest.param(0.0, 8.0, id="since the scrape before"),
        pytest.param(5.0, 8.0, id="one interval"),
        pytest.param(7.0, 8.0, id="the nearest scrape is one interval old"),
        pytest.param(7.5, 6.0, id="as near to one as to two: two"),
        pytest.param(8.0, 6.0, id="the nearest scrape is two intervals old"),
        pytest.param(10.0, 6.0, id="two intervals"),
        pytest.param(15.0, 14 / 3, id="three intervals"),
        pytest.param(60.0, 14 / 3, id="longer than the data: what there is"),
    ],
)
def test_a_rate_is_the_increase_over_the_time_between_scrapes(window_s: float, per_second: float) -> None:
    window = counted(0.0, 10.0, 30.0, 70.0)
    assert Windowed(Signal.RATE, window_s).read(window, 18.0) == pytest.approx(per_second)


@pytest.mark.parametrize("late_s", [-0.4, 0.0, 0.4])
def test_scrapes_that_jitter_stay_in_the_window(late_s: float) -> None:
    window = window_of(Scrape(late_s, 0.0), Scrape(5.0, 10.0), Scrape(10.0, 20.0), Scrape(15.0, 60.0))
    assert Windowed(Signal.RATE, 15.0).read(window, 16.0) == pytest.approx(60.0 / (15.0 - late_s))


def test_a_lost_scrape_lengthens_the_interval_and_keeps_the_rate() -> None:
    window = window_of(Scrape(0.0, 0.0), Scrape(10.0, 40.0))
    assert Windowed(Signal.RATE, 5.0).read(window, 12.0) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("signal", "field"),
    [
        (Signal.RATE, "received"),
        (Signal.COMPLETED_RATE, "completed"),
        (Signal.BUSY, "service_s"),
        (Signal.CONCURRENCY, "concurrency_s"),
    ],
)
def test_every_counter_has_its_signal(signal: Signal, field: str) -> None:
    before, after = {"received": 0.0} | {field: 100.0}, {"received": 0.0} | {field: 130.0}
    window = window_of(Scrape(0.0, **before), Scrape(5.0, **after))
    assert Windowed(signal, 5.0, factor=0.5).read(window, 6.0) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("signal", "field"),
    [(Signal.QUEUE, "queued"), (Signal.IN_FLIGHT, "in_flight"), (Signal.SLOTS, "busy"), (Signal.GPU, "gpu_use_ratio")],
)
@pytest.mark.parametrize(("window_s", "mean"), [(0.0, 9.0), (5.0, 6.0), (10.0, 5.0), (600.0, 4.0)])
def test_a_gauge_is_the_mean_of_its_samples(signal: Signal, field: str, window_s: float, mean: float) -> None:
    scrapes = (Scrape(5.0 * i, 0.0, **{field: value}) for i, value in enumerate((1.0, 3.0, 3.0, 9.0)))
    assert Windowed(signal, window_s).read(window_of(*scrapes), 16.0) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("window", "reading", "now_s", "cause"),
    [
        pytest.param(Window(60.0), Windowed(Signal.QUEUE), 0.0, Cause.ABSENT, id="nothing scraped"),
        pytest.param(counted(4.0), Windowed(Signal.RATE, 60.0), 1.0, Cause.ABSENT, id="one scrape has no increase"),
        pytest.param(counted(0.0, 5.0), Windowed(Signal.RATE, 60.0), 65.1, Cause.STALE, id="too old"),
        pytest.param(
            window_of(Scrape(0.0, 0.0), Scrape(300.0, 1.0)), Windowed(Signal.RATE, 60.0), 301.0, Cause.STALE, id="a gap"
        ),
        pytest.param(counted(0.0, 5.0), Windowed(Signal.BUSY, 60.0), 6.0, Cause.ABSENT, id="not exported"),
        pytest.param(counted(9.0, 5.0), Windowed(Signal.RATE, 60.0), 6.0, Cause.IMPLAUSIBLE, id="a counter fell"),
        pytest.param(counted(0.0, math.nan), Windowed(Signal.RATE, 60.0), 6.0, Cause.IMPLAUSIBLE, id="not a number"),
        pytest.param(
            window_of(Scrape(0.0, 1.0), Scrape(5.0, STALE)), Windowed(Signal.RATE, 60.0), 6.0, Cause.STALE, id="newest"
        ),
        pytest.param(
            window_of(Scrape(0.0, STALE), Scrape(5.0, 1.0)), Windowed(Signal.RATE, 60.0), 6.0, Cause.STALE, id="oldest"
        ),
        pytest.param(
            window_of(Scrape(0.0, 0.0, queued=2.0), Scrape(5.0, 0.0, queued=STALE), Scrape(10.0, 0.0, queued=2.0)),
            Windowed(Signal.QUEUE, 60.0),
            11.0,
            Cause.STALE,
            id="one sample of a mean",
        ),
        pytest.param(
            window_of(Scrape(0.0, 0.0, queued=math.nan)),
            Windowed(Signal.QUEUE),
            1.0,
            Cause.IMPLAUSIBLE,
            id="a gauge that is no number",
        ),
    ],
)
def test_what_cannot_be_read_is_missing_and_never_zero(
    window: Window, reading: Windowed, now_s: float, cause: Cause
) -> None:
    value = reading.read(window, now_s)
    assert isinstance(value, Missing)
    assert value.cause is cause


def test_silence_of_one_signal_does_not_touch_another() -> None:
    window = window_of(Scrape(0.0, 0.0, queued=STALE), Scrape(5.0, 20.0, queued=STALE))
    assert Windowed(Signal.RATE, 5.0).read(window, 6.0) == pytest.approx(4.0)


def test_a_window_keeps_what_it_must_and_no_more() -> None:
    window = Window(20.0)
    for tick in range(100):
        window = window.add(Signals((Scrape(5.0 * tick, float(tick)),)))
    assert [scrape.at_s for scrape in window.scrapes] == [470.0, 475.0, 480.0, 485.0, 490.0, 495.0]


def test_scrapes_seen_before_are_not_counted_twice() -> None:
    scrapes = tuple(Scrape(5.0 * i, float(i)) for i in range(4))
    window = Window(60.0).add(Signals(scrapes[:3], edges_s=EDGES_S)).add(Signals(scrapes[1:])).add(Signals(()))
    assert window == Window(60.0, scrapes, EDGES_S)


@pytest.mark.parametrize("window_s", [-1.0, math.nan, math.inf])
def test_a_window_has_a_length(window_s: float) -> None:
    with pytest.raises(InvalidInput, match="window of rate"):
        Windowed(Signal.RATE, window_s)


@pytest.mark.parametrize(
    ("quantile", "counts", "expected"),
    [
        pytest.param(0.5, (0, 10, 10, 10, 10), 0.15, id="half of one bucket"),
        pytest.param(0.5, (10, 10, 10, 10, 10), 0.05, id="the first bucket begins at 0"),
        pytest.param(0.99, (0, 0, 50, 100, 100), 0.792, id="within the bucket that holds it"),
        pytest.param(0.99, (90, 95, 98, 98, 100), 0.8, id="above the last edge: that edge"),
        pytest.param(1.0, (0, 0, 0, 5, 5), 0.8, id="the largest"),
    ],
)
def test_a_quantile_is_interpolated_as_promql_does(quantile: float, counts: tuple[float, ...], expected: float) -> None:
    assert histogram_quantile(quantile, EDGES_S, counts) == pytest.approx(expected)


def test_a_quantile_of_nothing_is_missing() -> None:
    assert isinstance(histogram_quantile(0.99, EDGES_S, (0, 0, 0, 0, 0)), Missing)
    assert isinstance(histogram_quantile(0.99, EDGES_S, (1, 1)), Missing)


def test_the_latency_quantile_looks_at_the_window_alone() -> None:
    early = Histogram((1000.0, 1000.0, 1000.0, 1000.0, 1000.0))
    late = Histogram((1000.0, 1000.0, 1050.0, 1100.0, 1100.0))
    window = window_of(Scrape(0.0, 0.0, latency=early), Scrape(5.0, 0.0, latency=late))
    assert Windowed(Signal.LATENCY_P99, 5.0).read(window, 6.0) == pytest.approx(0.792)


@pytest.mark.parametrize("other", [Histogram((1.0, 2.0)), Histogram((2000.0, 2000.0, 2000.0, 2000.0, 2000.0))])
def test_a_histogram_that_changed_its_shape_or_fell_is_implausible(other: Histogram) -> None:
    newest = Histogram((1000.0, 1000.0, 1050.0, 1100.0, 1100.0))
    window = window_of(Scrape(0.0, 0.0, latency=other), Scrape(5.0, 0.0, latency=newest))
    value = Windowed(Signal.LATENCY_P99, 5.0).read(window, 6.0)
    assert isinstance(value, Missing)
    assert value.cause is Cause.IMPLAUSIBLE


@given(st.lists(st.floats(0.0, 1e6), min_size=2, max_size=40), st.floats(0.0, 300.0))
def test_the_mean_rate_over_a_window_is_the_mean_of_its_intervals(steps: list[float], window_s: float) -> None:
    received = [sum(steps[: i + 1]) for i in range(len(steps))]
    window = counted(*received)
    now_s = window.scrapes[-1].at_s
    rates = mean_rates(Signal.RATE, window, 5.0 * len(steps))
    assert not isinstance(rates, Missing)
    intervals = min(max(1, math.floor(window_s / 5.0 + 0.5)), len(steps) - 1)
    inside = [rate for _, _, rate in rates[:intervals]]
    expected = sum(inside) / len(inside)
    assert Windowed(Signal.RATE, window_s).read(window, now_s) == pytest.approx(expected, rel=1e-6, abs=1e-6)

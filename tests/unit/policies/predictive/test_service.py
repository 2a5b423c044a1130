"""The service as it is measured."""

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.model import Batching, ColdStart, Histogram, Scrape, Workload
from autoscaler.policies.predictive.service import ServiceMeter, mean_batch, prior_law, variation

TTS = Workload("tts", 0.8, 0.99, 0.18, 0.6, ColdStart(15.0, 20.84))
EDGES_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


class Pods:
    """Serve requests whose times come from a law, and are scraped every 5 s."""

    def __init__(self):
        self.meter, self.law = ServiceMeter(0.01), prior_law(TTS)
        self.random, self.times = np.random.default_rng(1), np.zeros(0)
        self.at_s = 0.0

    def serve(self, seconds, rps, mean_s, cv):
        sigma = np.sqrt(np.log1p(cv**2))
        for _ in range(int(seconds / 5)):
            self.at_s += 5.0
            new = mean_s * np.exp(sigma * self.random.standard_normal(round(5 * rps)) - sigma**2 / 2)
            self.times = np.concatenate([self.times, new])
            within = [float(np.count_nonzero(self.times <= edge)) for edge in EDGES_S]
            done = float(len(self.times))
            scrape = Scrape(
                self.at_s, done, done, service_s=float(self.times.sum()), service=Histogram((*within, done))
            )
            self.law = self.meter.measured(self.law, scrape, EDGES_S)
        return self.law


@pytest.mark.parametrize("cv", [0.1, 0.3, 0.6, 0.8, 1.5])
@pytest.mark.parametrize("mean_s", [0.18, 0.5])
def test_the_variation_is_that_of_the_times(mean_s, cv):
    sigma = np.sqrt(np.log1p(cv**2))
    times = mean_s * np.exp(sigma * np.random.default_rng(2).standard_normal(20_000) - sigma**2 / 2)
    within = [float(np.count_nonzero(times <= edge)) for edge in EDGES_S]
    found = variation([*within, float(len(times))], EDGES_S)
    assert 1 + found == pytest.approx(1 + times.var() / times.mean() ** 2, rel=0.1)


def test_the_law_follows_what_is_measured():
    law = Pods().serve(300, 20.0, 0.3, 0.9)
    assert law.mean_s == pytest.approx(0.3, rel=0.05)
    assert 1 + law.cs2 == pytest.approx(1.81, rel=0.15)


def test_a_histogram_of_one_bucket_is_spread_over_it():
    assert variation([0.0, 0.0, 100.0, 100.0], (1.0, 2.0, 3.0)) == pytest.approx(1 / 12 / 2.5**2, rel=0.1)
    assert variation([0.0, 0.0, 0.0, 100.0], (1.0, 2.0, 3.0)) == 0.0


def test_a_steady_service_is_not_adopted_anew_at_every_scrape():
    pods = Pods()
    pods.serve(300, 20.0, 0.18, 0.6)
    laws = {pods.serve(5, 20.0, 0.18, 0.6) for _ in range(100)}
    assert len(laws) <= 3


@pytest.mark.parametrize("factor", [0.5, 1.4, 2.0, 5.0])
def test_a_jump_of_the_service_time_is_believed_within_a_minute(factor):
    pods = Pods()
    pods.serve(600, 20.0, 0.18, 0.6)
    assert pods.serve(75, 20.0, factor * 0.18, 0.6).mean_s == pytest.approx(factor * 0.18, rel=0.15)


def test_chance_is_no_jump():
    """A minute of 60 requests may be 20 % off by itself."""
    pods = Pods()
    pods.serve(600, 1.0, 0.18, 0.6)
    before = pods.law
    for _ in range(200):
        pods.serve(5, 1.0, 0.18, 0.6)
        assert pods.law.mean_s == pytest.approx(before.mean_s, rel=0.2)


@pytest.mark.parametrize(
    ("mean_s", "cv", "hopeless"),
    [
        pytest.param(0.18, 0.6, False, id="as the file says"),
        pytest.param(0.18, 1.5, True, id="one in fifty takes too long by itself"),
        pytest.param(0.9, 0.3, True, id="most take too long"),
    ],
)
def test_an_objective_that_no_number_of_pods_meets_is_seen(mean_s, cv, hopeless):
    pods = Pods()
    pods.serve(600, 20.0, mean_s, cv)
    assert pods.meter.out_of_reach == hopeless


def test_without_a_histogram_only_the_mean_is_measured():
    meter, law = ServiceMeter(0.01), prior_law(TTS)
    for n in range(60):
        scrape = Scrape(5.0 * n, 100.0 * n, 100.0 * n, service_s=30.0 * n)
        law = meter.measured(law, scrape, EDGES_S)
    assert law == replace(prior_law(TTS), mean_s=law.mean_s)
    assert law.mean_s == pytest.approx(0.3)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("mean", [1.0, 1.5, 4.0])
def test_how_many_share_a_batch_is_told_by_the_time_that_is_counted_more_than_once(share, mean):
    sizes = 1 + np.random.default_rng(3).poisson(mean - 1, 50_000)
    times = share + (1 - share) * sizes
    found = mean_batch((sizes * times).sum() / times.sum(), Batching(64, share))
    assert found == pytest.approx(sizes.mean(), rel=0.02)


def test_a_batch_is_never_less_than_one_request_nor_more_than_fit():
    assert mean_batch(0.9, Batching(8, 0.5)) == 1.0
    assert mean_batch(20.0, Batching(8, 0.5)) == 8.0


def batches(exported: bool) -> float:
    """The mean that is found for requests of 0.2 s which are served by fours at a base share of one half."""
    served = replace(TTS, batching=Batching(8, 0.5))
    meter, law = ServiceMeter(0.01, served.batching), prior_law(served)
    for scrape in range(60):
        done = 100.0 * scrape
        batch_s = 0.2 * served.batching.takes(4)
        busy = {"busy_s": done / 4 * batch_s} if exported else {}
        law = meter.measured(law, Scrape(5.0 * scrape, done, done, service_s=done * batch_s, **busy), EDGES_S)
    return law.mean_s


def test_of_batches_the_time_is_found_that_one_request_would_take_alone():
    assert batches(exported=True) == pytest.approx(0.2, rel=0.06)


def test_where_busy_time_is_not_exported_a_batch_counts_as_one_long_request():
    assert batches(exported=False) == pytest.approx(0.5)

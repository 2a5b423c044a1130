"""Pods that serve in batches: the laws that the table's shares keep, whatever is asked of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.capacity.batched import PATH, decode, encode, shipped
from autoscaler.capacity.missed import ServiceLaw, missed_share, table
from autoscaler.model import Batching, Routing

TTS = ServiceLaw(mean_s=0.18, cs2=0.36, objective_s=0.8, sure_miss_ratio=0.0015)
IN_BATCHES = replace(TTS, batching=Batching(8, 0.8))

laws = st.builds(
    ServiceLaw,
    mean_s=st.floats(0.01, 2.0),
    cs2=st.floats(0.0, 4.0),
    objective_s=st.floats(0.1, 5.0),
    sure_miss_ratio=st.floats(0.0, 0.2),
    slots=st.integers(1, 3),
    batching=st.builds(Batching, st.integers(2, 100), st.floats(0.0, 1.0)),
    routing=st.sampled_from(Routing),
)


@given(laws, st.sampled_from([1.0, 2.0, 9.0]))
def test_more_load_never_misses_less_and_more_pods_never_more(law, dispersion):
    share = table(law, dispersion, 5).share
    assert ((share >= law.sure_miss_ratio - 1e-12) & (share <= 1.0)).all()
    assert (np.diff(share, axis=1) >= 0).all()
    assert (np.diff(share, axis=0) <= 0).all()


@pytest.mark.parametrize("routing", Routing)
def test_batches_carry_what_single_requests_could_not(routing):
    alone, together = replace(TTS, routing=routing), replace(IN_BATCHES, routing=routing)
    load = np.array([1.2 * 8])
    of_eight = [missed_share(law, 1.0, np.arange(1, 9), load)[-1, 0] for law in (alone, together)]
    assert of_eight[0] > 0.2
    assert of_eight[1] < 0.01


def test_a_pod_carries_no_batch_that_would_take_most_of_the_objective():
    assert TTS.carried == 1.0
    assert IN_BATCHES.carried == pytest.approx(3.2, abs=0.05)  # of 7 requests in 0.4 s
    assert replace(IN_BATCHES, batching=Batching(4, 0.8)).carried == pytest.approx(2.5)
    assert replace(IN_BATCHES, objective_s=0.2).carried == 1.0


def test_pods_that_are_found_at_random_are_alone_with_their_part_of_the_load():
    law = replace(IN_BATCHES, routing=Routing.RANDOM)
    few, many = (missed_share(law, 1.0, np.arange(1, pods + 1), np.array([2.4 * pods]))[-1, 0] for pods in (1, 12))
    assert few == pytest.approx(many)


def test_bursts_miss_more():
    shares = [missed_share(IN_BATCHES, each, np.arange(1, 5), np.array([8.0]))[-1, 0] for each in (1.0, 4.0, 9.0)]
    assert shares == sorted(shares)
    assert shares[2] > 2 * shares[0]


def test_the_table_is_read_as_it_was_written():
    table = shipped()
    again = decode(encode(table))
    assert again.grid == table.grid
    np.testing.assert_array_equal(again.latency, table.latency)
    assert PATH.stat().st_size < 200_000

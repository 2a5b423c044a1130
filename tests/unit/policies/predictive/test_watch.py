"""What pods cannot mend is said."""

import pytest

from autoscaler.capacity.missed import ServiceLaw, table
from autoscaler.model import NOT_EXPORTED, Batching, Scrape
from autoscaler.policies.predictive.watch import Watch, limits

LAW = ServiceLaw(mean_s=0.18, cs2=0.36, objective_s=0.8, sure_miss_ratio=0.0015)


def minutes(gpu, done, late=0.0, ticks=13):
    return tuple(
        Scrape(5.0 * n, received=done * n, completed=done * n, late=late * n, gpu_use_ratio=gpu) for n in range(ticks)
    )


@pytest.mark.parametrize(
    ("scrapes", "said"),
    [
        pytest.param(minutes(0.99, 20.0), ["something else uses them"], id="busy GPUs, few requests"),
        pytest.param(minutes(0.99, 50.0), [], id="busy GPUs, enough requests"),
        pytest.param(minutes(0.99, 20.0, ticks=8), [], id="not yet a minute"),
        pytest.param(minutes(0.99, 20.0) + minutes(0.5, 20.0)[12:], ["else uses"], id="the same scrape again"),
        pytest.param(minutes(0.2, 20.0, late=3.0), ["pods will not help"], id="late with idle GPUs"),
        pytest.param(minutes(0.2, 20.0), [], id="idle GPUs"),
        pytest.param(minutes(NOT_EXPORTED, 20.0, late=3.0), [], id="GPUs that say nothing"),
    ],
)
def test_what_gpus_and_requests_say_together(scrapes, said):
    watch = Watch()
    watch.look(scrapes, slots=2, mean_s=0.18)
    found = list(watch.said(Batching()))
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def served(done, together, ticks=13):
    """Five seconds apart: requests that share batches, 0.1 s of a slot for each of them."""
    rows = [(5.0 * n, done * n) for n in range(ticks)]
    return tuple(Scrape(at, n, n, service_s=0.1 * n * together, busy_s=0.1 * n) for at, n in rows)


@pytest.mark.parametrize(
    ("scrapes", "batching", "said"),
    [
        pytest.param(served(50.0, 3.0), Batching(), ["3.0 at a time"], id="batches nobody told of"),
        pytest.param(served(50.0, 3.0), Batching(8, 0.5), [], id="batches that were told of"),
        pytest.param(served(50.0, 1.1), Batching(), [], id="hardly any"),
        pytest.param(served(10.0, 3.0), Batching(), [], id="too few requests to tell"),
        pytest.param(served(50.0, 3.0) + served(50.0, 1.0, 40)[26:], Batching(), [], id="batches of a while ago"),
    ],
)
def test_batches_that_the_workload_does_not_speak_of(scrapes, batching, said):
    watch = Watch()
    watch.look(scrapes, slots=2, mean_s=0.18)
    found = list(watch.said(batching))
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("load", "hopeless", "correction", "said"),
    [
        pytest.param(3.0, False, 1.0, [], id="in reach"),
        pytest.param(12.0, False, 1.0, ["10 pods are the maximum, and miss"], id="too much for the maximum"),
        pytest.param(3.0, True, 1.0, ["no number of pods meets the objective"], id="late by themselves"),
        pytest.param(12.0, True, 4.0, ["no number of pods meets the objective"], id="said once"),
        pytest.param(3.0, False, 4.0, ["routing, shared-queue: behind a plain Service"], id="not as it was told"),
        pytest.param(3.0, False, 3.9, [], id="worse than foreseen, within reason"),
    ],
)
def test_limits(load, hopeless, correction, said):
    found = list(limits(LAW, 0.01, out_of_reach=hopeless, tables=table(LAW, 1.5, 10), load=load, correction=correction))
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))

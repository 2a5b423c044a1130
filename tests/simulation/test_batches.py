"""The table of batches against simulations of other pods than it was made of."""

from dataclasses import replace

import numpy as np
import pytest
from simulation.cases import ASR, TTS

from autoscaler.capacity.batched import Service, shipped
from autoscaler.capacity.missed import missed_share
from autoscaler.model import Batching, Routing
from autoscaler.policies.predictive.service import prior_law
from simulations import batches, engine
from simulations.batches import GRID, latencies
from simulations.draw import service_times

ENGINES = dict(zip(Routing, engine.Routing, strict=True))


def missed_by(workload, batching, routing, pods, load):
    """The share of 30,000 requests that pods miss under a load in busy slots."""
    random = np.random.default_rng(5)
    arrival_s = np.cumsum(random.exponential(workload.service_mean_s / load, 30_000))
    base_s, share = batching.base_share * workload.service_mean_s, 1 - batching.base_share
    served = engine.Service(
        workload.objective_s, routing=ENGINES[routing], batching=engine.Batching(batching.size, base_s, share)
    )
    route = random.random(30_000) if routing is Routing.RANDOM else None
    requests = engine.Load(arrival_s, service_times(30_000, workload, random), np.ones(1), route=route)
    runs = engine.Engine(served, requests, engine.Watch(), pods)
    runs.advance(float(arrival_s[-1]))
    runs.finish()
    return float(np.mean((runs.finish_s - arrival_s)[3000:] > workload.objective_s))


def test_a_line_of_the_table_is_what_the_simulation_says_again():
    place = (1, 1, 2, 3, 2)  # least outstanding, 0.7, 60 %, 16, four pods
    service = Service(Routing.LEAST_OUTSTANDING, Batching(GRID.size[3], GRID.base_share[2]), GRID.variation[1])
    again = [latencies(service, GRID.pods[2], use) for use in GRID.use[:4]]
    np.testing.assert_allclose(shipped().latency[place][:4], again, rtol=1e-3)


@pytest.mark.parametrize("workload", [TTS, ASR], ids=["tts", "asr"])
@pytest.mark.parametrize("routing", Routing)
@pytest.mark.parametrize("batching", [Batching(6, 0.7), Batching(12, 0.5)], ids=["six", "twelve"])
def test_the_formula_is_near_simulations_of_pods_between_the_lines(workload, routing, batching):
    law = replace(prior_law(workload), batching=batching, routing=routing)
    compared = 0
    for use in (0.6, 0.7, 0.8, 0.88, 0.94):
        found = missed_by(workload, batching, routing, 6, 6 * use * law.carried)
        if 0.004 < found < 0.2:
            said = missed_share(law, 1.0, np.arange(1, 7), np.array([6 * use * law.carried]))[-1, 0]
            assert said == pytest.approx(found, rel=1.0)
            assert said > 0.5 * found
            compared += 1
    assert compared


def test_the_command_writes_what_is_read(monkeypatch, tmp_path):
    small = replace(GRID, variation=(0.4, 0.7), base_share=(0.4, 0.8), size=(2, 4), pods=(1, 2), use=(0.5, 0.7))
    monkeypatch.setattr(batches, "GRID", small)
    monkeypatch.setattr(batches, "REQUESTS", 2000)
    assert batches.main(["--out", str(tmp_path / "table.npz")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["table.npz"]
    table = batches.batched.decode((tmp_path / "table.npz").read_bytes())
    assert table.latency.shape == (3, 2, 2, 2, 2, 2, 5)
    assert (np.diff(table.latency, axis=-1) >= 0).all()

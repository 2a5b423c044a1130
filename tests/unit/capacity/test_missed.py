"""Share of missed requests: the published check against simulation, and the laws it must keep."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.capacity.missed import DISPERSIONS, ServiceLaw, level, missed_share, table
from autoscaler.model import Routing

TTS = ServiceLaw(mean_s=0.18, cs2=0.36, objective_s=0.8, sure_miss_ratio=0.0015)


@pytest.mark.parametrize(
    ("pods", "use", "share"),
    [
        # research note "algorithm", C.3: the formula's values for `tts` under Poisson arrivals
        pytest.param(1, 0.60, 0.075, id="one pod, 60 %"),
        pytest.param(1, 0.85, 0.33, id="one pod, 85 %"),
        pytest.param(4, 0.60, 0.0016, id="four pods, 60 %"),
        pytest.param(4, 0.75, 0.0043, id="four pods, 75 %"),
        pytest.param(4, 0.85, 0.027, id="four pods, 85 %"),
        pytest.param(8, 0.85, 0.0025, id="eight pods, 85 %"),
        pytest.param(8, 0.92, 0.020, id="eight pods, 92 %"),
        pytest.param(16, 0.92, 0.0021, id="sixteen pods, 92 %"),
    ],
)
def test_the_published_values(pods, use, share):
    found = missed_share(TTS, 1.0, np.arange(1, pods + 1), np.array([pods * use]))[-1, 0]
    assert found == pytest.approx(share, rel=0.05)


@pytest.mark.parametrize("objective_s", [2.0, 10.0, 60.0, 600.0], ids=lambda seconds: f"{seconds:g} s")
def test_too_few_pods_miss_however_long_a_request_may_wait(objective_s):
    """Work that the pods cannot do is late in the end; a window as short as for one second would not see it."""
    patient = replace(TTS, objective_s=objective_s, sure_miss_ratio=0.0)
    share = missed_share(patient, 1.0, np.arange(1, 13), np.array([10.0]))[:, 0]
    assert (share[:8] > 0.4).all()
    assert share[11] < 0.01


laws = st.builds(
    ServiceLaw,
    mean_s=st.floats(0.01, 2.0),
    cs2=st.floats(0.0, 4.0),
    objective_s=st.floats(0.1, 5.0),
    sure_miss_ratio=st.floats(0.0, 0.2),
    slots=st.integers(1, 4),
    routing=st.sampled_from(Routing),
)


@given(laws, st.sampled_from(DISPERSIONS))
def test_more_load_never_misses_less_and_more_pods_never_more(law, dispersion):
    share = table(law, dispersion, 6).share
    assert ((share >= law.sure_miss_ratio - 1e-12) & (share <= 1.0)).all()
    assert (np.diff(share, axis=1) >= 0).all()
    assert (np.diff(share, axis=0) <= 0).all()


@given(st.sampled_from(DISPERSIONS[:-1]))
def test_uneven_arrivals_miss_more_where_pods_suffice(dispersion):
    calm, wild = (missed_share(TTS, d, np.arange(1, 9), np.array([6.0]))[-1, 0] for d in (dispersion, 2 * dispersion))
    assert wild >= calm


def test_random_routing_is_a_queue_for_each_pod():
    shared = table(TTS, 1.0, 8).share[7]
    random = table(ServiceLaw(0.18, 0.36, 0.8, 0.0015, routing=Routing.RANDOM), 1.0, 8).share[7]
    column = table(TTS, 1.0, 8).columns(np.array([8 * 0.85]))[0]
    assert random[column] > 10 * shared[column]


@pytest.mark.parametrize(
    ("dispersion", "used"),
    [(0.2, 1.0), (1.0, 1.0), (1.01, 1.5), (7.0, 9.0), (70.0, 70.0), (500.0, 70.0)],
)
def test_the_next_higher_level_is_used(dispersion, used):
    assert level(dispersion) == used


def test_loads_beyond_the_table_take_its_last_column():
    made = table(TTS, 1.0, 4)
    assert made.columns(np.array([0.0, 0.1, 1e9])).tolist() == [0, 1, len(made.load) - 1]


@pytest.mark.parametrize(("slots", "pods"), [(1, 40), (4, 40), (64, 20)])
def test_many_slots_a_pod_lengthen_a_table_by_their_root_and_it_asks_for_the_same_pods(slots, pods):
    law = ServiceLaw(0.18, 0.36, 0.8, 0.0015, slots=slots)
    made, beyond = table(law, 2.0, pods), 1.5 * pods * slots
    assert len(made.load) == pytest.approx(10 * beyond / slots**0.5, abs=1)
    for use in np.linspace(0.1, 0.8, 8):
        loads = use * pods * slots * np.exp(np.linspace(-0.5, 0.5, 41))
        exact = missed_share(law, 2.0, np.arange(1, pods + 1), loads)
        for price_s in (0.5, 2.0, 25.0):
            sizes = [
                int(np.argmin(np.arange(1, pods + 1) + price_s * (share @ loads / 41 / law.mean_s)))
                for share in (made.of(loads), exact)
            ]
            assert abs(sizes[0] - sizes[1]) <= 1


@pytest.mark.parametrize(
    ("routing", "pods", "use", "simulated"),
    [
        pytest.param(Routing.LEAST_OUTSTANDING, 2, 0.6, 0.0214, id="least outstanding, two pods"),
        pytest.param(Routing.LEAST_OUTSTANDING, 4, 0.75, 0.0137, id="four"),
        pytest.param(Routing.LEAST_OUTSTANDING, 8, 0.85, 0.0130, id="eight"),
        pytest.param(Routing.LEAST_OUTSTANDING, 16, 0.92, 0.0116, id="sixteen"),
        pytest.param(Routing.ROUND_ROBIN, 2, 0.5, 0.0144, id="round robin, two pods"),
        pytest.param(Routing.ROUND_ROBIN, 4, 0.6, 0.0126, id="four in turn"),
        pytest.param(Routing.ROUND_ROBIN, 8, 0.75, 0.0323, id="eight in turn"),
        pytest.param(Routing.RANDOM, 8, 0.5, 0.0400, id="random"),
    ],
)
def test_each_routing_is_within_a_factor_of_what_requests_on_pods_miss(routing, pods, use, simulated):
    """Figures of `benchmarks/routing.py`."""
    law = ServiceLaw(0.18, 0.36, 0.8, 0.0015, routing=routing)
    found = missed_share(law, 1.0, np.arange(1, pods + 1), np.array([use * pods]))[-1, 0]
    assert simulated / 2.3 < found < simulated * 2.3

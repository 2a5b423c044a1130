"""Many targets under one controller: the short form of `make scale`."""

import pytest
from rig import programs
from rig.scale import stage

pytestmark = [pytest.mark.cluster, pytest.mark.prometheus, pytest.mark.slow]
TARGETS = 30


def test_targets_are_asked_for_together_and_nothing_is_listed_at_a_tick(tmp_path):
    try:
        with stage(tmp_path, TARGETS) as ready:
            found = ready.measure("hpa", TARGETS, warm_s=10.0, seconds=30.0)
    except programs.Absent as missing:
        pytest.skip(f"needs a Kubernetes control plane and Prometheus 3: {missing}")
    assert found.decided_ratio > 0.8
    assert found.queries_per_tick < 2.5  # one; a second where a machine is too slow for its ticks
    assert found.memory_bytes < 300e6
    # The cluster knows no ScaledObjects, and is asked every 25 s whether it does by now.
    assert {what for what in found.requests if what.startswith("list")} <= {"list scaledobjects"}
    assert found.requests.get("list scaledobjects", 0) <= 2

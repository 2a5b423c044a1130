"""The edges where wall-clock time comes in: frozen here, injected everywhere else."""

import pytest
from freezegun import freeze_time

from autoscaler.cluster.lease import wall_clock
from autoscaler.service.wiring import SystemClock

LAZY = ["kubernetes", "openai", "prometheus_api_client", "transformers"]
"""Packages that import their parts when they are looked at, which freezegun does to every module."""


@pytest.mark.parametrize(
    ("now", "written"),
    [
        pytest.param("2026-11-21T17:00:00.5Z", "2026-11-21T17:00:00.500000Z", id="microseconds are always written"),
        pytest.param("2026-03-29T03:30:00+02:00", "2026-03-29T01:30:00.000000Z", id="UTC on the day clocks jump"),
        pytest.param("2028-02-29T23:59:59.999999Z", "2028-02-29T23:59:59.999999Z", id="leap day"),
    ],
)
def test_a_lease_is_stamped_as_kubernetes_writes_micro_times(now, written):
    with freeze_time(now, ignore=LAZY):
        assert wall_clock() == written


def test_the_controllers_clock_is_seconds_since_the_epoch_and_moves_with_the_machines():
    with freeze_time("1970-01-02T00:00:00Z", ignore=LAZY) as frozen:
        assert SystemClock().now_s() == 86_400.0
        frozen.tick(2.5)
        assert SystemClock().now_s() == 86_402.5

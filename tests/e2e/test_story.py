"""The story on a real control plane, with pods as processes: 2 requests/s become 35 for a minute."""

import pytest
from rig import programs
from rig.prometheus import prometheus_server
from rig.story import SCRAPE_S, Play, stage

pytestmark = [pytest.mark.cluster, pytest.mark.prometheus, pytest.mark.slow]


@pytest.fixture
def prometheus(tmp_path):
    folder = tmp_path / "prometheus"
    folder.mkdir()
    try:
        with prometheus_server("3", folder, SCRAPE_S) as server:
            yield server
    except programs.Absent as missing:
        pytest.skip(f"needs Prometheus 3: {missing}")


def test_eight_pods_serve_within_ten_seconds_and_no_request_is_lost(
    tmp_path, cluster, namespace, kubeconfig, prometheus
):
    play = Play(push_s=60.0, calm_s=20.0)
    with stage(tmp_path, cluster, namespace, kubeconfig, prometheus, play) as ready:
        told = ready.tell(play)
        assert told.lost == 0, str(told)
        assert told.enough_serve_s <= 10.0, str(told)
        assert ready.deployment.read().spec.replicas <= 12

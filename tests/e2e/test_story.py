"""The story on a real control plane, with pods as processes: 2 requests/s become 35 for a minute."""

import pytest
from rig import programs
from rig.command import autoscaler
from rig.contenders import Ours, Site
from rig.prometheus import prometheus_server
from rig.story import SCRAPE_S, Play, stage

from autoscaler.journal.log import read

pytestmark = [pytest.mark.cluster, pytest.mark.prometheus, pytest.mark.slow]
PLAY = Play(push_s=60.0, calm_s=20.0)


@pytest.fixture
def site(tmp_path, cluster, namespace):
    folder = tmp_path / "prometheus"
    folder.mkdir()
    try:
        with prometheus_server("3", folder, SCRAPE_S) as server:
            yield Site(tmp_path, cluster, namespace, server)
    except programs.Absent as missing:
        pytest.skip(f"needs Prometheus 3: {missing}")


def test_eight_pods_serve_within_ten_seconds_no_request_is_lost_and_the_log_gives_the_same_decisions_again(site):
    with stage(site, Ours(6), PLAY) as ready:
        told = ready.tell(PLAY)
        assert told.lost == 0, str(told)
        assert told.enough_serve_s <= 10.0, str(told)
        assert ready.deployment.read().spec.replicas <= 12

    ticks = len(list(read(site.journal)))
    assert ticks > 0.75 * (PLAY.calm_s + PLAY.push_s)  # one a second, but for those that a busy machine skips
    ended = autoscaler("rerun", site.journal, "--policies", site.policies)
    assert (ended.code, ended.out) == (0, f"{ticks} ticks decided again: the same, byte for byte\n"), ended.err

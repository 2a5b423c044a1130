"""Events that cannot be written: counted, and nothing waits for them."""

import time

import pytest
import yaml
from kubernetes import client
from rig.processes import free_ports, wait_for
from structlog.testing import capture_logs

from autoscaler.cluster.api import connect
from autoscaler.cluster.events import Announcer
from autoscaler.cluster.kinds import Kind
from autoscaler.model import Cause, Decision, Fleet, Missing, Observation, Problem, Signals, Step, Tick


class Response:
    data = b"{}"


def blind(at_s, why="refused", target="voice/tts"):
    seen = Observation(at_s, Signals((), (Problem("received", Missing(Cause.UNREACHABLE, why)),)), Fleet(2, ()))
    return Tick(target, seen, Decision(at_s, 2, 0, (Step("hpa", 2, 0, "holds"),), "hpa"), ())


def test_an_api_server_that_takes_no_events_holds_nothing_up(tmp_path):
    path = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{free_ports(1)[0]}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    announcer = Announcer(connect(path), "pod-a", lambda: None, timeout_s=2.0)
    announcer.start()
    began_s = time.monotonic()
    announcer.append(blind(100.0))
    assert time.monotonic() - began_s < 0.5
    wait_for("the loss to be counted", lambda: announcer.lost == 1)


def test_whatever_an_event_raises_the_next_one_is_sent(monkeypatch):
    faults, sent = [RuntimeError("not of the client's")], []

    def create(_, namespace, body, **__):
        if faults:
            raise faults.pop()
        sent.append((namespace, body["reason"]))
        return Response()

    monkeypatch.setattr(Kind, "create", create)
    announcer = Announcer(client.ApiClient(), "pod-a", lambda: None)
    announcer.start()
    with capture_logs() as logs:
        announcer.append(blind(100.0))
        announcer.append(blind(105.0, target="voice/asr"))
        wait_for("the other one", lambda: sent)
    assert sent == [("voice", "SignalsMissing")]
    assert announcer.lost == 1
    assert [(line["event"], line["target"], line["reason"]) for line in logs] == [
        ("event not written", "voice/tts", "SignalsMissing")
    ]


@pytest.mark.cluster
def test_a_note_that_is_too_long_is_cut_and_not_lost(cluster, namespace, kubeconfig):
    """The API server counts bytes: a query that is cut short ends in a character of three."""
    announcer = Announcer(connect(kubeconfig), "pod-a", lambda: None)
    announcer.start()
    announcer.append(blind(100.0, "→ …" * 400, f"{namespace}/tts"))
    wait_for("the Event", lambda: announcer.lost or cluster.core.list_namespaced_event(namespace).items)
    assert announcer.lost == 0

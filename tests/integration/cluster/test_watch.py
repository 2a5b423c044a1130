"""Fleets by watch: against a real API server, and against one that breaks, forgets and falls silent."""

import json
import threading
from collections import Counter
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from kubernetes import client
from rig.cluster import keda_kinds, template
from rig.processes import wait_for
from rig.proxy import proxy
from rig.web import Reply, reply, website

from autoscaler.cluster.api import connect
from autoscaler.cluster.fleet import ClusterFleet
from autoscaler.cluster.kinds import APPS, Kind
from autoscaler.cluster.mirror import Mirror, Reflector
from autoscaler.cluster.objects import replica_set_view
from autoscaler.cluster.watched import WatchedFleet, WatchedNamespace
from autoscaler.model import Cause, Missing, Phase

LISTED = ("deployments", "replicasets", "pods", "horizontalpodautoscalers", "services")


@contextmanager
def watching(api, namespace, **options):
    watched = WatchedNamespace(api, namespace, **options)
    watched.start()
    try:
        yield watched
    finally:
        watched.stop()


@pytest.mark.cluster
class TestRealServer:
    @pytest.fixture
    def tts(self, cluster, namespace):
        return cluster.deploy(namespace, "tts", 2)

    @pytest.fixture
    def api(self, kubeconfig):
        """Under the controller's account."""
        return connect(kubeconfig)

    def test_the_watched_fleet_is_the_one_that_is_read(self, api, tts):
        with watching(api, tts.namespace, watch_s=2) as watched:
            fleet = WatchedFleet(watched, "tts")
            wait_for("the first lists", lambda: not isinstance(fleet.read(), Missing))
            assert fleet.read() == ClusterFleet(api, tts.namespace, "tts").read()

    def test_changes_arrive_without_listing_again(self, api, account, tts):
        """Growth, a pod that becomes Ready, a relabelled pod, deletion and a watch that ends: one list each.

        But of ScaledObjects, where the cluster has never heard of KEDA: it is asked each second whether it has now.
        """
        with watching(api, tts.namespace, watch_s=1) as watched:
            fleet = WatchedFleet(watched, "tts")

            def seen(condition):
                def holds():
                    now = fleet.read()
                    return not isinstance(now, Missing) and condition(now)

                wait_for("the change", holds)

            seen(lambda now: now.count(Phase.SERVING) == 2)
            tts.scale(3)
            seen(lambda now: (now.replicas, now.count(Phase.STARTING)) == (3, 1))
            tts.settle(3)
            seen(lambda now: now.count(Phase.SERVING) == 3)
            pod = tts.pods()[0].metadata.name
            label = {"metadata": {"labels": {"autoscaling.speech/role": "standby"}}}
            tts.cluster.core.patch_namespaced_pod(pod, tts.namespace, label)
            seen(lambda now: [each.name for each in now.of(Phase.STANDBY)] == [pod])
            tts.scale(1)
            seen(lambda now: len(now.pods) == 1)
            tts.delete()
            wait_for("its end", lambda: isinstance(gone := fleet.read(), Missing) and gone.cause is Cause.ABSENT)
            tts.cluster.deploy(tts.namespace, "tts", 1)
            seen(lambda now: now.count(Phase.SERVING) == 1)
        lists = Counter(event["objectRef"]["resource"] for event in tts.cluster.requests(account.user, "list"))
        assert lists.pop("scaledobjects") >= 1
        assert lists == dict.fromkeys(LISTED, 1)

    def test_a_half_open_watch_is_noticed_and_goes_on_where_it_stood(self, account, tts, tmp_path):
        """A connection to nobody: what changes meanwhile is not heard, and neither that the watch has ended."""

        def lists():
            asked = tts.cluster.requests(account.user, "list")
            return sum(event["objectRef"]["resource"] == "pods" for event in asked)

        with proxy(tts.cluster.plane) as between:
            api = connect(account.kubeconfig(tmp_path / "between", url=between.url))
            with watching(api, tts.namespace, watch_s=1, silence_s=1.5) as watched:
                fleet = WatchedFleet(watched, "tts")
                wait_for("the first lists", lambda: not isinstance(fleet.read(), Missing))
                between.mute = True
                tts.scale(1)
                silent = wait_for("it to be noticed", lambda: isinstance(seen := fleet.read(), Missing) and seen)
                assert silent.cause is Cause.STALE
                between.mute = False
                wait_for("the change", lambda: not isinstance(now := fleet.read(), Missing) and len(now.pods) == 1)
                assert lists() == 1

    def test_pods_of_others_are_told_from_those_of_a_deployment_whatever_they_are_called(self, api, tts):
        """A sibling's; one of what is no ReplicaSet; nobody's; those that a Deployment has which is made anew."""
        core = tts.cluster.core
        sibling = tts.cluster.deploy(tts.namespace, "tts-canary", 1)
        gateway = core.create_namespaced_config_map(tts.namespace, {"metadata": {"name": "tts-gw"}})
        by_it = {"apiVersion": "v1", "kind": "ConfigMap", "name": "tts-gw", "uid": gateway.metadata.uid}
        for name, owners in (("tts-gw-x2x4z", [by_it | {"controller": True}]), ("tts-x-x2x4z", [])):
            metadata = {"name": name, "ownerReferences": owners}
            core.create_namespaced_pod(tts.namespace, {"metadata": metadata, "spec": template(name)["spec"]})
        own, others = ({each.metadata.name for each in each.pods()} for each in (tts, sibling))
        everybody = own | others | {"tts-gw-x2x4z", "tts-x-x2x4z"}

        def elsewhere():
            return {pod for pod in everybody if watched.elsewhere("tts", pod)}

        with watching(api, tts.namespace, watch_s=1) as watched:
            wait_for("them to be told apart", lambda: elsewhere() == others | {"tts-gw-x2x4z"})
            core.delete_namespaced_pod("tts-gw-x2x4z", tts.namespace, grace_period_seconds=0)
            wait_for("one that is gone to be nobody's", lambda: elsewhere() == others)
            tts.cluster.apps.delete_namespaced_deployment("tts", tts.namespace, propagation_policy="Orphan")
            fleet = WatchedFleet(watched, "tts")
            wait_for("its end", lambda: isinstance(fleet.read(), Missing))
            tts.cluster.order(tts.namespace, "tts", 1)
            wait_for("the new one", lambda: not isinstance(fleet.read(), Missing))
            assert elsewhere() == others

    @pytest.mark.parametrize(("kind", "rival"), [("Deployment", True), ("StatefulSet", False)])
    def test_an_hpa_that_sizes_a_target_is_a_rival(self, api, tts, kind, rival):
        reference = {"apiVersion": "apps/v1", "kind": kind, "name": "tts"}
        hpa = {"metadata": {"name": "old"}, "spec": {"maxReplicas": 3, "scaleTargetRef": reference}}
        with watching(api, tts.namespace) as watched:
            wait_for("the first lists", lambda: watched.problem() is None)
            assert watched.rival("tts") is None
            scaling = client.AutoscalingV2Api(tts.cluster.api)
            scaling.create_namespaced_horizontal_pod_autoscaler(tts.namespace, hpa)
            if rival:
                wait_for("it to be seen", lambda: watched.rival("tts"))
                assert watched.rival("tts") == "HorizontalPodAutoscaler old sizes it too"
                scaling.delete_namespaced_horizontal_pod_autoscaler("old", tts.namespace)
                wait_for("it to be gone", lambda: watched.rival("tts") is None)
            assert watched.rival("tts") is None

    def test_a_scaled_object_is_a_rival_also_when_keda_comes_and_goes(self, api, tts):
        spec = {"scaleTargetRef": {"name": "tts"}, "triggers": [{"type": "cpu", "metadata": {"value": "70"}}]}
        scaled = {"metadata": {"name": "old"}, "spec": spec}
        where = ("keda.sh", "v1alpha1", tts.namespace, "scaledobjects")
        custom = client.CustomObjectsApi(tts.cluster.api)
        with watching(api, tts.namespace, watch_s=1) as watched, keda_kinds(tts.cluster):
            custom.create_namespaced_custom_object(
                *where, scaled | {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject"}
            )
            wait_for("it to be seen", lambda: watched.rival("tts") == "ScaledObject old sizes it too")
            assert watched.rival("asr") is None
            custom.delete_namespaced_custom_object(*where, "old")
            wait_for("it to be gone", lambda: watched.rival("tts") is None)
        assert watched.problem() is None


def thing(name, version):
    return {
        "metadata": {
            "uid": f"u-{name}",
            "name": name,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-21T10:00:00Z",
        },
        "status": {"replicas": version},
    }


def listed(*things, version=10):
    return reply({"metadata": {"resourceVersion": str(version)}, "items": list(things)})


def event(kind, changed):
    return json.dumps({"type": kind, "object": changed}).encode() + b"\n"


GONE = event("ERROR", {"code": 410, "message": "too old resource version"})


class Played:
    """An API server that plays one answer after the other, lists and watches apart; the last watch stays open."""

    def __init__(self, lists, watches):
        self.lists, self.watches = list(lists), list(watches)
        self.from_versions, self.ended = [], threading.Event()

    def __call__(self, asked):
        query = parse_qs(urlsplit(asked.path).query)
        if "watch" not in query:
            return self.lists.pop(0)
        self.from_versions.append(query["resourceVersion"][0])
        if self.watches:
            return self.watches.pop(0)
        return Reply(self._open())

    def _open(self):
        yield b""
        self.ended.wait(30)


@contextmanager
def reflected(tmp_path, played, **options):
    with website(played) as site:
        path = tmp_path / "kubeconfig"
        path.write_text(
            f"{{apiVersion: v1, kind: Config, current-context: c, users: [{{name: u, user: {{}}}}], "
            f"clusters: [{{name: c, cluster: {{server: {site.url}}}}}], "
            f"contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
        )
        mirror = Mirror(replica_set_view)
        call = Kind(connect(path), APPS, "replicasets").list
        reflector = Reflector(call, "voice", mirror, **{"watch_s": 1, "silence_s": 0.5} | options)
        reflector.start()
        try:
            yield mirror, reflector
        finally:
            reflector.stop()
            played.ended.set()


def wait_for_version(mirror, name, version):
    wait_for(f"{name} at {version}", lambda: (found := mirror.named(name)) and found.replicas == version, 10)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Reply(event("MODIFIED", thing("a", 11))), id="it ended"),
        pytest.param(Reply(event("MODIFIED", thing("a", 11)) + b'{"type": "MOD'), id="cut off in an event"),
        pytest.param(Reply(event("MODIFIED", thing("a", 11)) + b"<html>"), id="a page instead of an event"),
        pytest.param(Reply(event("MODIFIED", thing("a", 11)) + b"<html>\n"), id="a page's line instead of an event"),
        pytest.param(Reply(event("MODIFIED", thing("a", 11)) + b"\xff\xfe\n[]\n"), id="bytes"),
        pytest.param(Reply(event("MODIFIED", thing("a", 11)) + event("MODIFIED", {})), id="a malformed object"),
        pytest.param(
            Reply(event("MODIFIED", thing("a", 11)) + event("ERROR", {"code": 500, "message": "etcd"})), id="500"
        ),
    ],
)
def test_a_watch_that_breaks_goes_on_where_it_stood(tmp_path, broken):
    played = Played([listed(thing("a", 10))], [broken, Reply(event("MODIFIED", thing("a", 12)))])
    with reflected(tmp_path, played) as (mirror, reflector):
        wait_for_version(mirror, "a", 12)
        assert played.from_versions[:2] == ["10", "11"]
        assert reflector.lists == 1


@pytest.mark.parametrize("gone", [Reply(GONE), reply({"message": "too old"}, 410)], ids=["as an event", "as a status"])
def test_after_410_all_is_listed_once_and_what_was_deleted_meanwhile_is_gone(tmp_path, gone):
    played = Played([listed(thing("a", 10), thing("b", 10)), listed(thing("a", 20), version=20)], [gone])
    with reflected(tmp_path, played) as (mirror, reflector):
        wait_for_version(mirror, "a", 20)
        assert mirror.named("b") is None
        wait_for("the next watch", lambda: len(played.from_versions) == 2)
        assert played.from_versions == ["10", "20"]
        assert reflector.lists == 2


def test_a_half_open_watch_is_given_up_and_taken_up_again(tmp_path):
    played = Played([listed(thing("a", 10))], [])
    with reflected(tmp_path, played, silence_s=0.3) as (_, reflector):
        wait_for("a second watch", lambda: len(played.from_versions) >= 2)
        assert set(played.from_versions) == {"10"}
        assert reflector.lists == 1


def test_a_watch_that_can_be_opened_and_says_nothing_sensible_is_no_sign_of_life(tmp_path):
    """Else a fleet would be taken for fresh that nobody has heard of since."""
    played = Played([listed(thing("a", 10))], [Reply(event("MODIFIED", {})) for _ in range(30)])
    with reflected(tmp_path, played) as (_, reflector):
        wait_for("some attempts", lambda: len(played.from_versions) >= 4)
        before_s = reflector.silent_s()
        wait_for("one more", lambda: len(played.from_versions) >= 5)
        assert reflector.silent_s() > before_s
        assert "KeyError" in reflector.problem


def test_a_bookmark_moves_the_place_and_changes_nothing(tmp_path):
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "15"}})
    played = Played([listed(thing("a", 10))], [Reply(bookmark)])
    with reflected(tmp_path, played) as (mirror, _):
        wait_for("the next watch", lambda: len(played.from_versions) == 2)
        assert played.from_versions == ["10", "15"]
        assert mirror.named("a").replicas == 10


def test_a_long_list_is_read_in_pages(tmp_path):
    first = reply({"metadata": {"resourceVersion": "10", "continue": "more"}, "items": [thing("a", 10)]})
    played = Played([first, listed(thing("b", 10))], [])
    with reflected(tmp_path, played) as (mirror, _):
        wait_for_version(mirror, "b", 10)
        assert mirror.named("a").replicas == 10


@pytest.mark.parametrize("status", [403, 404], ids=["may not be read", "is not known"])
def test_a_kind_that_need_not_be_there_is_empty_and_asked_for_again(tmp_path, status):
    unknown = reply({"message": "the server could not find the requested resource"}, status)
    played = Played([unknown, listed(thing("a", 10)), unknown], [unknown])
    with reflected(tmp_path, played, watch_s=0.05, nothing=(status,)) as (mirror, reflector):
        wait_for("it to come, and to go", lambda: reflector.lists == 3)
        assert mirror.named("a") is None
        assert (reflector.problem, reflector.refused, played.from_versions) == ("", True, ["10"])


def test_a_list_that_fails_is_tried_again(tmp_path):
    played = Played([reply({"message": "starting"}, 503), listed(thing("a", 10))], [])
    with reflected(tmp_path, played) as (mirror, reflector):
        wait_for_version(mirror, "a", 10)
        assert reflector.problem == ""


def test_an_owner_that_changes_moves_an_object():
    mirror = Mirror(replica_set_view)
    old = thing("a", 1) | {
        "metadata": thing("a", 1)["metadata"] | {"ownerReferences": [{"uid": "x", "controller": True}]}
    }
    mirror.put(old)
    assert len(mirror.owned("x")) == 1
    mirror.put(thing("a", 2))
    assert mirror.owned("x") == ()
    mirror.remove(thing("a", 2))
    assert mirror.named("a") is None
    mirror.remove(thing("a", 2))

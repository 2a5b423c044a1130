"""The fleets of one namespace, known by watch: reading one asks nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from kubernetes import client

from autoscaler.cluster.api import FIELD_MANAGER
from autoscaler.cluster.kinds import APPS, CORE, Kind
from autoscaler.cluster.mirror import SILENCE_S, WATCH_S, Mirror, Reflector
from autoscaler.cluster.objects import (
    DeploymentView,
    ReplicaSetView,
    RivalView,
    ServiceView,
    deployment_view,
    fleet_of,
    followed,
    hpa_view,
    misdirected,
    replica_set_view,
    scaled_object_view,
    service_view,
)
from autoscaler.cluster.rivals import NO_SUCH_KIND, hpas, named, scaled_objects
from autoscaler.cluster.starts import StartingPod, Starts, Typical, starting_pod
from autoscaler.model import Cause, Fleet, Missing

_FORBIDDEN = (403,)
"""A right that an older installation does not give."""
REWRITES_S = 600.0
"""For so long it is remembered that somebody else changed a size."""


class WatchedNamespace:
    """Deployments, their ReplicaSets and pods in one namespace, who else sizes them, and what brings their traffic.

    Any number of targets share six watches. `manager` is the field manager of this controller's own writes, `node_type`
    gives the type of a node by its name, empty where it is not known.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        *,
        manager: str = FIELD_MANAGER,
        node_type: Callable[[str], str] = lambda _: "",
        watch_s: float = WATCH_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._namespace = namespace
        self._stale_s = 2 * silence_s
        self._deployments: Mirror[DeploymentView] = Mirror(
            deployment_view, lambda before, now: followed(before, now, manager, time.monotonic(), time.time())
        )
        self._sets: Mirror[ReplicaSetView] = Mirror(replica_set_view)
        self._starts = Starts(node_type)
        self._pods: Mirror[StartingPod] = Mirror(starting_pod, self._starts.followed)
        self._hpas: Mirror[RivalView] = Mirror(hpa_view)
        self._scaled: Mirror[RivalView] = Mirror(scaled_object_view)
        self._services: Mirror[ServiceView] = Mirror(service_view)
        watch = partial(Reflector, namespace=namespace, watch_s=watch_s, silence_s=silence_s)
        self._reflectors = [
            watch(Kind(api, APPS, "deployments").list, mirror=self._deployments),
            watch(Kind(api, APPS, "replicasets").list, mirror=self._sets),
            watch(Kind(api, CORE, "pods").list, mirror=self._pods),
            watch(hpas(api).list, mirror=self._hpas),
            watch(scaled_objects(api).list, mirror=self._scaled, nothing=NO_SUCH_KIND),
        ]
        self._traffic = watch(Kind(api, CORE, "services").list, mirror=self._services, nothing=_FORBIDDEN)

    def start(self) -> None:
        """Begin to list and watch; until all is listed, fleets are missing."""
        for reflector in (*self._reflectors, self._traffic):
            reflector.start()

    def stop(self) -> None:
        """End the watches."""
        for reflector in (*self._reflectors, self._traffic):
            reflector.stop()

    def problem(self) -> Missing | None:
        """Why what was heard says nothing about now."""
        for reflector in self._reflectors:
            silent_s = reflector.silent_s()
            if silent_s is None:
                return Missing(Cause.UNREACHABLE, f"API server: {reflector.problem}")
            if silent_s > self._stale_s:
                return Missing(Cause.STALE, f"API server silent for {silent_s:.0f} s: {reflector.problem}")
        return None

    def uid(self, deployment: str) -> str:
        """That of a Deployment; empty for one that is not known."""
        found = self._deployments.named(deployment)
        return found.uid if found is not None else ""

    def rival(self, deployment: str) -> str | None:
        """Who else sizes a Deployment."""
        return named(self._scaled.owned(deployment), self._hpas.owned(deployment))

    def starts(self, deployment: str) -> tuple[Typical, ...]:
        """How long a Deployment's pods take to start, by type of node, the last first; empty while none is known."""
        return self._starts.typical(deployment)

    def unheard(self, deployment: str) -> Mapping[str, StartingPod]:
        """A Deployment's pods by name that are Ready and of which it is not known how their servers loaded."""
        found = self._deployments.named(deployment)
        sets = self._sets.owned(found.uid) if found is not None else ()
        return self._starts.unheard(deployment, (pod for each in sets for pod in self._pods.owned(each.uid)))

    def loaded(self, deployment: str, told: Sequence[tuple[StartingPod, Mapping[str, float]]]) -> None:
        """Take what servers of a Deployment's pods told of their loading: seconds by phase."""
        self._starts.loaded(deployment, told)

    def misdirected(self, deployment: str, service: str, *, by_role: bool) -> str | None:
        """How a Service does not bring a Deployment's pods their traffic; None where it does, or that is not known."""
        sized = self._deployments.named(deployment)
        if sized is None or self._traffic.refused or self._traffic.silent_s() is None:
            return None
        found = self._services.named(service)
        if found is None:
            return f"no Service {self._namespace}/{service}: nothing brings {deployment} its traffic"
        return misdirected(sized, found, by_role=by_role)

    def elsewhere(self, deployment: str, pod: str) -> bool:
        """Whether a pod is known to be another's than a Deployment's, whatever its name looks like.

        One that is not known yet, or no longer, may be the Deployment's; so may one of a ReplicaSet that is not, or
        that belongs to nobody who is known: of a Deployment that was just made anew the old pods work on.
        """
        sized, found = self._deployments.named(deployment), self._pods.named(pod)
        if sized is None or found is None:
            return False
        if not found.replicated:
            return True
        made_by = self._sets.known(found.owner)
        other = self._deployments.known(made_by.owner) if made_by is not None else None
        return other is not None and other.uid != sized.uid

    def fleet(self, deployment: str) -> Fleet | Missing:
        """The fleet of one Deployment as last heard."""
        if (problem := self.problem()) is not None:
            return problem
        found = self._deployments.named(deployment)
        if found is None:
            return Missing(Cause.ABSENT, f"no Deployment {self._namespace}/{deployment}")
        sets = self._sets.owned(found.uid)
        pods = (pod for each in sets for pod in self._pods.owned(each.uid))
        fleet = fleet_of(found, sets, pods, time.time())
        oldest_s = time.monotonic() - REWRITES_S
        return replace(fleet, rewrites=tuple(each for heard_s, each in found.rewrites if heard_s > oldest_s))


class WatchedFleet:
    """FleetSource of one target."""

    def __init__(self, namespace: WatchedNamespace, deployment: str) -> None:
        self._namespace = namespace
        self._deployment = deployment

    def read(self) -> Fleet | Missing:
        """See `FleetSource`."""
        return self._namespace.fleet(self._deployment)

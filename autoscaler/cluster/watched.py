"""The fleets of one namespace, known by watch: reading one asks nobody."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

from kubernetes import client

from autoscaler.cluster.api import FIELD_MANAGER
from autoscaler.cluster.mirror import SILENCE_S, WATCH_S, Mirror, Reflector
from autoscaler.cluster.objects import (
    DeploymentView,
    PodView,
    ReplicaSetView,
    RivalView,
    deployment_view,
    fleet_of,
    followed,
    hpa_view,
    pod_view,
    replica_set_view,
    scaled_object_view,
)
from autoscaler.model import Cause, Fleet, Missing

REWRITES_S = 600.0
"""For so long it is remembered that somebody else changed a size."""


def _scaled_objects(api: client.CustomObjectsApi, namespace: str, **options: Any) -> Any:  # noqa: ANN401
    """List or watch; a cluster without KEDA answers 404."""
    return api.list_namespaced_custom_object("keda.sh", "v1alpha1", namespace, "scaledobjects", **options)


class WatchedNamespace:
    """Deployments, their ReplicaSets and pods in one namespace, and who else sizes them.

    Any number of targets share five watches. `manager` is the field manager of this controller's own writes.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        *,
        manager: str = FIELD_MANAGER,
        watch_s: float = WATCH_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._namespace = namespace
        self._stale_s = 2 * silence_s
        self._deployments: Mirror[DeploymentView] = Mirror(
            deployment_view, lambda before, now: followed(before, now, manager, time.monotonic(), time.time())
        )
        self._sets: Mirror[ReplicaSetView] = Mirror(replica_set_view)
        self._pods: Mirror[PodView] = Mirror(pod_view)
        self._hpas: Mirror[RivalView] = Mirror(hpa_view)
        self._scaled: Mirror[RivalView] = Mirror(scaled_object_view)
        apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
        scaling = client.AutoscalingV2Api(api)
        self._reflectors = [
            Reflector(call, namespace, mirror, watch_s=watch_s, silence_s=silence_s, optional=mirror is self._scaled)
            for call, mirror in (
                (apps.list_namespaced_deployment, self._deployments),
                (apps.list_namespaced_replica_set, self._sets),
                (core.list_namespaced_pod, self._pods),
                (scaling.list_namespaced_horizontal_pod_autoscaler, self._hpas),
                (partial(_scaled_objects, client.CustomObjectsApi(api)), self._scaled),
            )
        ]

    def start(self) -> None:
        """Begin to list and watch; until all is listed, fleets are missing."""
        for reflector in self._reflectors:
            reflector.start()

    def stop(self) -> None:
        """End the watches."""
        for reflector in self._reflectors:
            reflector.stop()

    @property
    def lists(self) -> int:
        """How often something was listed anew."""
        return sum(reflector.lists for reflector in self._reflectors)

    def problem(self) -> Missing | None:
        """Why what was heard says nothing about now."""
        for reflector in self._reflectors:
            silent_s = reflector.silent_s()
            if silent_s is None:
                return Missing(Cause.UNREACHABLE, f"API server: {reflector.problem}")
            if silent_s > self._stale_s:
                return Missing(Cause.STALE, f"API server silent for {silent_s:.0f} s: {reflector.problem}")
        return None

    def rival(self, deployment: str) -> str | None:
        """Who else sizes a Deployment. KEDA makes a HorizontalPodAutoscaler for a ScaledObject: the cause is named."""
        for kind, rivals in (("ScaledObject", self._scaled), ("HorizontalPodAutoscaler", self._hpas)):
            if names := sorted(rival.name for rival in rivals.owned(deployment)):
                return f"{kind} {names[0]} sizes it too"
        return None

    def fleet(self, deployment: str) -> Fleet | Missing:
        """The fleet of one Deployment as last heard."""
        if (problem := self.problem()) is not None:
            return problem
        found = self._deployments.named(deployment)
        if found is None:
            return Missing(Cause.ABSENT, f"no Deployment {self._namespace}/{deployment}")
        sets = self._sets.owned(found.uid)
        fleet = fleet_of(found, sets, (pod for each in sets for pod in self._pods.owned(each.uid)))
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

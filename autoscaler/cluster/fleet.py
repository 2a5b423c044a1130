"""The pods of one Deployment, read from the API server."""

from __future__ import annotations

import time

from kubernetes import client

from autoscaler.cluster.api import RefusedError, answer
from autoscaler.cluster.kinds import APPS, CORE, Kind
from autoscaler.cluster.objects import Object, deployment_view, fleet_of, pod_view, replica_set_view
from autoscaler.model import Cause, Fleet, Missing, Unreachable


class ClusterFleet:
    """FleetSource that asks at each read.

    The Deployment is read before what belongs to it: a decision is conditional on the oldest of the three.
    """

    def __init__(self, api: client.ApiClient, namespace: str, deployment: str, timeout_s: float = 3.0) -> None:
        self._deployments = Kind(api, APPS, "deployments")
        self._sets = Kind(api, APPS, "replicasets")
        self._pods = Kind(api, CORE, "pods")
        self._namespace = namespace
        self._deployment = deployment
        self._timeout_s = timeout_s

    def read(self) -> Fleet | Missing:
        """See `FleetSource`."""
        try:
            return self._read()
        except RefusedError as error:
            cause = Cause.ABSENT if error.status == 404 else Cause.UNREACHABLE
            return Missing(cause, f"API server: {error.message}")
        except Unreachable as error:
            return Missing(Cause.UNREACHABLE, str(error))

    def _read(self) -> Fleet:
        read = self._deployments.read
        deployment = deployment_view(answer(read, self._deployment, self._namespace, timeout_s=self._timeout_s))
        sets = self._list(self._sets, deployment.selector)
        pods = self._list(self._pods, deployment.selector)
        return fleet_of(deployment, map(replica_set_view, sets), map(pod_view, pods), time.time())

    def _list(self, kind: Kind, selector: str) -> list[Object]:
        listed = answer(kind.list, self._namespace, label_selector=selector, timeout_s=self._timeout_s)
        found: list[Object] = listed["items"]
        return found

"""The only place that writes to the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from kubernetes import client

from autoscaler.cluster.api import FIELD_MANAGER, RefusedError, answer, kind_of
from autoscaler.cluster.fleet import ClusterFleet
from autoscaler.cluster.kinds import APPS, CORE, Kind
from autoscaler.cluster.objects import COST_ANNOTATION, ROLE_LABEL
from autoscaler.model import Action, Missing, Outcome, Relabel, Scale, Unreachable

ATTEMPTS = 3
"""Writes of one decision: a pod that becomes Ready raises the Deployment's version, and that changes nothing."""
DELETION_COST: Mapping[str, str] = {"serving": "100", "standby": "0", "draining": "-100"}
"""What the ReplicaSet controller goes by when it chooses which pods end: the lowest first."""
_CONFLICT = 409


class ClusterActuator:
    """Actuator of one Deployment. Every write is conditional on what its decision was made on.

    Args:
        api: a connection.
        namespace: of the Deployment.
        deployment: its name.
        forbidden: asked right before every write: why nothing may be written (a dry run, a policy that only observes,
            a lease that is not held), None where writing is allowed.
        timeout_s: for one request.
        manager: field manager of the writes.
        failed: is told of each request that failed, also of those that are tried again: kind of the action and, as
            `kind_of` has it, of the error.
    """

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        deployment: str,
        forbidden: Callable[[], str | None] = lambda: None,
        timeout_s: float = 3.0,
        *,
        manager: str = FIELD_MANAGER,
        failed: Callable[[str, str], object] = lambda *_: None,
    ) -> None:
        self._deployments = Kind(api, APPS, "deployments")
        self._pods = Kind(api, CORE, "pods")
        self._fleet = ClusterFleet(api, namespace, deployment, timeout_s)
        self._namespace = namespace
        self._deployment = deployment
        self._forbidden = forbidden
        self._timeout_s = timeout_s
        self._manager = manager
        self._failed = failed

    def apply(self, actions: tuple[Action, ...]) -> tuple[Outcome, ...]:
        """See `Actuator`."""
        return tuple(self._scale(action) if isinstance(action, Scale) else self._relabel(action) for action in actions)

    def _scale(self, action: Scale) -> Outcome:
        """A conflict is tried again with the new version while nothing that was decided on has changed."""
        attempt = action
        for _ in range(ATTEMPTS):
            body = {"metadata": {"resourceVersion": attempt.version}, "spec": {"replicas": action.replicas}}
            outcome, conflict = self._write(
                action, partial(self._deployments.patch, part="scale"), self._deployment, body
            )
            if not conflict:
                return outcome
            now = self._fleet.read()
            if isinstance(now, Missing):
                return Outcome(action, done=False, detail=f"conflict, then {now}")
            if (now.uid, now.replicas, now.revision) != (action.uid, action.was, action.revision):
                return Outcome(action, done=False, detail="dropped: the Deployment was changed meanwhile")
            attempt = replace(action, version=now.version)
        return Outcome(action, done=False, detail=f"{ATTEMPTS} conflicts")

    def _relabel(self, action: Relabel) -> Outcome:
        """Role and deletion cost in one patch. A conflict is left to the next tick: the pod is another one now."""
        metadata = {
            "uid": action.uid,
            "resourceVersion": action.version,
            "labels": {ROLE_LABEL: action.role},
            "annotations": {COST_ANNOTATION: DELETION_COST[action.role]},
        }
        outcome, _ = self._write(action, self._pods.patch, action.pod, {"metadata": metadata})
        return outcome

    def _write(
        self, action: Action, patch: Callable[..., Any], name: str, body: Mapping[str, Any]
    ) -> tuple[Outcome, bool]:
        """The one function that writes. Gives what came of it, and whether the object had another version."""
        if (reason := self._forbidden()) is not None:
            return Outcome(action, done=False, detail=f"{reason}: would {_words(action)}", withheld=True), False
        try:
            answer(
                patch,
                name,
                self._namespace,
                body,
                field_manager=self._manager,
                timeout_s=self._timeout_s,
            )
        except (RefusedError, Unreachable) as error:
            self._failed(action.kind, kind_of(error))
            conflict = isinstance(error, RefusedError) and error.status == _CONFLICT
            return Outcome(action, done=False, detail=str(error)), conflict
        return Outcome(action, done=True), False


def _words(action: Action) -> str:
    if isinstance(action, Scale):
        return f"scale {action.was} → {action.replicas}"
    return f"label {action.pod} {action.role}"

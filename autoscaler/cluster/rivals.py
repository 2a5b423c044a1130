"""Other autoscalers that size a Deployment too: HorizontalPodAutoscalers, and KEDA's ScaledObjects."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from kubernetes import client

from autoscaler.cluster.api import RefusedError, answer
from autoscaler.cluster.objects import RivalView, hpa_view, scaled_object_view

NO_SUCH_KIND = (404,)
"""Of a kind of an extension that the cluster does not have."""


def scaled_objects(api: client.CustomObjectsApi, namespace: str, **options: Any) -> Any:  # noqa: ANN401
    """List or watch; a cluster without KEDA answers 404."""
    return api.list_namespaced_custom_object("keda.sh", "v1alpha1", namespace, "scaledobjects", **options)


def named(scaled: Collection[RivalView], hpas: Collection[RivalView]) -> str | None:
    """Who else sizes a Deployment. KEDA makes a HorizontalPodAutoscaler for a ScaledObject: the cause is named."""
    for kind, rivals in (("ScaledObject", scaled), ("HorizontalPodAutoscaler", hpas)):
        if rivals:
            return f"{kind} {min(rival.name for rival in rivals)} sizes it too"
    return None


def rival(api: client.ApiClient, namespace: str, deployment: str, timeout_s: float = 3.0) -> str | None:
    """Ask who else sizes a Deployment now.

    Raises:
        RefusedError: the server refused.
        Unreachable: no answer in time.
    """
    hpas = client.AutoscalingV2Api(api).list_namespaced_horizontal_pod_autoscaler
    listed = answer(hpas, namespace, timeout_s=timeout_s)["items"]
    try:
        call = partial(scaled_objects, client.CustomObjectsApi(api))
        scaled = answer(call, namespace, timeout_s=timeout_s)["items"]
    except RefusedError as error:
        if error.status not in NO_SUCH_KIND:
            raise
        scaled = []
    return named(_of(deployment, map(scaled_object_view, scaled)), _of(deployment, map(hpa_view, listed)))


def _of(deployment: str, rivals: Iterable[RivalView]) -> list[RivalView]:
    return [each for each in rivals if each.owner == deployment]

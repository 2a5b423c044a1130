"""Other autoscalers that size a Deployment too: HorizontalPodAutoscalers, and KEDA's ScaledObjects."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kubernetes import client

from autoscaler.cluster.api import RefusedError, answer
from autoscaler.cluster.kinds import AUTOSCALING, KEDA, Kind
from autoscaler.cluster.objects import RivalView, hpa_view, scaled_object_view

NO_SUCH_KIND = (404,)
"""Of a kind of an extension that the cluster does not have."""


def hpas(api: client.ApiClient) -> Kind:
    """HorizontalPodAutoscalers."""
    return Kind(api, AUTOSCALING, "horizontalpodautoscalers")


def scaled_objects(api: client.ApiClient) -> Kind:
    """KEDA's; a cluster without KEDA answers 404."""
    return Kind(api, KEDA, "scaledobjects")


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
    listed = answer(hpas(api).list, namespace, timeout_s=timeout_s)["items"]
    try:
        scaled = answer(scaled_objects(api).list, namespace, timeout_s=timeout_s)["items"]
    except RefusedError as error:
        if error.status not in NO_SUCH_KIND:
            raise
        scaled = []
    return named(_of(deployment, map(scaled_object_view, scaled)), _of(deployment, map(hpa_view, listed)))


def _of(deployment: str, rivals: Iterable[RivalView]) -> list[RivalView]:
    return [each for each in rivals if each.owner == deployment]

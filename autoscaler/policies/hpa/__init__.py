"""The rule of the HorizontalPodAutoscaler, Kubernetes v1.36.

`settings` says what a manifest says, `rule` is one sync of the controller over the HPA's own inputs,
`policy` reads those inputs from an observation.
"""

from autoscaler.policies.hpa.policy import HpaMemory, HpaPolicy
from autoscaler.policies.hpa.settings import Behavior, HpaSettings, MetricKind, MetricSpec, TargetKind

__all__ = ["Behavior", "HpaMemory", "HpaPolicy", "HpaSettings", "MetricKind", "MetricSpec", "TargetKind"]

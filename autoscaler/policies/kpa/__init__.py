"""The rule of Knative's pod autoscaler (KPA).

`settings` says what a ConfigMap and a revision's annotations say, `buckets` averages reports as Knative's
collector does, `decider` is one tick of the autoscaler, `scaler` one reconcile of the PodAutoscaler, `policy`
reads the inputs from an observation.
"""

from autoscaler.policies.kpa.policy import KpaMemory, KpaPolicy
from autoscaler.policies.kpa.settings import KpaSettings

__all__ = ["KpaMemory", "KpaPolicy", "KpaSettings"]

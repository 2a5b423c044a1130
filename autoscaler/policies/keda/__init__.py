"""The rule of KEDA's ScaledObject.

`settings` says what a manifest says, `scalers` and `fallback` what a trigger makes of its source's answer,
`rule` the operator's poll and the sync of the HPA that KEDA keeps, `policy` reads the inputs from an observation.
"""

from autoscaler.policies.keda.policy import KedaMemory, KedaPolicy
from autoscaler.policies.keda.settings import KedaSettings

__all__ = ["KedaMemory", "KedaPolicy", "KedaSettings"]

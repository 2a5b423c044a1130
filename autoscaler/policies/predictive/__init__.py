"""The predictive policy: as many pods as are worth their cost, given what the load may become.

Forecast the distribution of the load in the window in which a pod ordered now would serve; turn load and pods into
the expected share of missed requests; take the number of pods that minimises pods + price x expected misses; and find
the price by replaying, at 64 prices at once, what it would have brought on the real traffic so far.
"""

from autoscaler.policies.predictive.policy import PredictivePolicy
from autoscaler.policies.predictive.price import Backlog, Bounds
from autoscaler.policies.predictive.settings import Settings
from autoscaler.policies.predictive.standby import Reserve
from autoscaler.policies.predictive.steering import PriceRule

__all__ = ["Backlog", "Bounds", "PredictivePolicy", "PriceRule", "Reserve", "Settings"]

"""The figures that explain a decision; they go to the log, the metrics and the page."""

from __future__ import annotations

from autoscaler.forecast.calibration import PROBABILITIES, Quantiles
from autoscaler.policies.predictive.experience import slots_per_request
from autoscaler.policies.predictive.memory import Memory
from autoscaler.policies.predictive.steering import PriceRule

TOLD = tuple((f"load_p{100 * p:.0f}", PROBABILITIES.index(p)) for p in (0.5, 0.9, 0.99))
"""Quantiles of the load that are told: their names, and which of the judged ones they are."""


def insight(memory: Memory, rule: PriceRule, within: Quantiles) -> dict[str, float]:
    """Figures by name: loads in busy slots, prices in pod-seconds a miss.

    Args:
        memory: after the tick.
        rule: what the policy file says of the price.
        within: by the forecast, the quantiles of the load in the order window.
    """
    now = memory.traffic.level.value * slots_per_request(memory)
    typical_s, slow_s = memory.lead.quantiles_s(0.5, 0.95)
    steering = memory.steering
    return {
        "load_now": now,
        **{name: within[place] for name, place in TOLD},
        "lead_p50_s": typical_s,
        "lead_p95_s": slow_s,
        "price": steering.price,
        "correction": steering.correction(rule),
        "allowance": steering.allowance(rule),
        "dispersion": memory.demand.dispersion,
        "service_mean_s": memory.demand.law.mean_s,
        "borrowed": memory.borrowing.weight if memory.borrowing else 0.0,
        "out_of_reach": float(memory.demand.service.out_of_reach),
        "service_cs2": memory.demand.law.cs2,
        "announced": memory.announced.load * slots_per_request(memory),
        "forecast_replaced": float(memory.trust.left or bool(memory.trust.failure)),
        **memory.trust.calibration.figures(),
        **({"found_period_s": memory.model.rhythm_s} if memory.model and memory.model.rhythm_s else {}),
    }

"""Event-exact request engine; knows nothing of policies."""

from simulations.engine.engine import UNLIMITED, Away, Batching, Engine, Fate, Load, PodLog, Routing, Service, Watch

__all__ = ["UNLIMITED", "Away", "Batching", "Engine", "Fate", "Load", "PodLog", "Routing", "Service", "Watch"]

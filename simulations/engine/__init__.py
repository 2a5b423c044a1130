"""Event-exact request engine; knows nothing of policies."""

from simulations.engine.engine import UNLIMITED, Batching, Engine, Fate, Load, PodLog, Routing, Service, Watch

__all__ = ["UNLIMITED", "Batching", "Engine", "Fate", "Load", "PodLog", "Routing", "Service", "Watch"]

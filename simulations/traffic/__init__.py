"""Traffic: readers of recorded traces, and made ones."""

from simulations.traffic.find import expand, find
from simulations.traffic.read import read
from simulations.traffic.trace import Trace

__all__ = ["Trace", "expand", "find", "read"]

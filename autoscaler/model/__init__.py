"""The words of this project. No logic, no I/O."""

from autoscaler.model.calendar import Event, Moment
from autoscaler.model.decision import (
    Action,
    Decision,
    Fit,
    Fitted,
    Observation,
    Outcome,
    Proposal,
    Relabel,
    Scale,
    Step,
    Tick,
)
from autoscaler.model.errors import InvalidInput, MissingExtra, Unreachable
from autoscaler.model.fleet import Fleet, Hindered, Hindrance, Phase, Pod, Rewrite
from autoscaler.model.history import History
from autoscaler.model.rails import Drain, Mode, Rails
from autoscaler.model.signals import (
    NOT_EXPORTED,
    Cause,
    Histogram,
    Missing,
    Problem,
    Reading,
    Scrape,
    Signals,
)
from autoscaler.model.workload import Batching, ColdStart, Routing, Workload

__all__ = [
    "NOT_EXPORTED",
    "Action",
    "Batching",
    "Cause",
    "ColdStart",
    "Decision",
    "Drain",
    "Event",
    "Fit",
    "Fitted",
    "Fleet",
    "Hindered",
    "Hindrance",
    "Histogram",
    "History",
    "InvalidInput",
    "Missing",
    "MissingExtra",
    "Mode",
    "Moment",
    "Observation",
    "Outcome",
    "Phase",
    "Pod",
    "Problem",
    "Proposal",
    "Rails",
    "Reading",
    "Relabel",
    "Rewrite",
    "Routing",
    "Scale",
    "Scrape",
    "Signals",
    "Step",
    "Tick",
    "Unreachable",
    "Workload",
]

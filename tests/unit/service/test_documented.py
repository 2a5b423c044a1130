"""The operator's page names every metric and Event that there is, and none that is not."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from autoscaler.cluster import events
from autoscaler.service.recorder import Metrics

PAGE = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()


def first_column(heading):
    """The names in the first column of the table under a heading."""
    table = PAGE.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    return {
        name for line in re.findall(r"^\| (`[^|]+)\|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)
    }


def test_every_metric_is_documented():
    registry = CollectorRegistry()
    Metrics(registry)
    there = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    assert first_column("## Metrics") == there


def test_every_event_is_documented():
    there = {
        value for value in vars(events).values() if isinstance(value, str) and re.fullmatch(r"([A-Z][a-z]+)+", value)
    }
    assert first_column("### Events") == there

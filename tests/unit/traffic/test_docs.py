"""docs/traces.md tells what the code does."""

import math
from pathlib import Path

import pytest

from autoscaler.spec.values import format_duration
from simulations.traffic import catalogue
from simulations.traffic.read import FORMATS
from simulations.traffic.synth import SHAPES

PAGE = (Path(__file__).parents[3] / "docs" / "traces.md").read_text()


def default(name: str, value: float) -> str:
    if value == math.inf:
        return "never"
    if not name.endswith("_s"):
        return f"{value:g}"
    return {86_400: "1d", 0: "0s"}.get(value) or format_duration(value)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_stands_there_with_its_defaults(name):
    parameters = SHAPES[name].parameters().items()
    told = ", ".join(f"{key} ({default(each.name, each.default)})" for key, each in parameters)
    assert f"| `{name}` | {told} |" in PAGE


@pytest.mark.parametrize("name", [each.name for each in FORMATS])
def test_every_format_stands_there(name):
    assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("name", catalogue.entries(catalogue.bundled()))
def test_every_bundled_trace_stands_there(name):
    assert f"| `{name}` |" in PAGE

"""The JSON Schema that editors use, and the reference made from it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from autoscaler.spec import shipped_policies, shipped_workloads
from autoscaler.spec.reference import reference
from autoscaler.spec.schema import KINDS, json_schema

ROOT = Path(__file__).parents[3]


def faults(kind: str, text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema(kind))
    return [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_schema(kind):
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))


@pytest.mark.parametrize("path", shipped_policies().values(), ids=lambda path: path.stem)
def test_shipped_policies_are_valid(path):
    assert faults("ScalingPolicy", path.read_text()) == []


@pytest.mark.parametrize("path", shipped_workloads().values(), ids=lambda path: path.stem)
def test_shipped_workloads_are_valid(path):
    assert faults("Workload", path.read_text()) == []


@pytest.mark.parametrize(
    ("good", "bad", "path"),
    [
        ("replicas: {min: 1, max: 10}", "replicas: {min: 1, maxx: 10}", "$.spec.replicas"),
        ("replicas: {min: 1, max: 10}", "replicas: {min: -1, max: 10}", "$.spec.replicas.min"),
        ("latency: 800ms", "latency: 800", "$.spec.workload"),
        ("averageValue: 700m", "averageValue: [700m]", "$.spec.policy"),
        ("  clock:", "  standby: {mode: gated, min: 0, max: 1, price: 0}\n  clock:", "$.spec.standby"),
    ],
)
def test_an_editor_sees_what_the_check_refuses(problems, policy, good, bad, path):
    assert good in policy
    text = policy.replace(good, bad, 1)
    assert problems(text)
    assert any(fault.startswith(path) for fault in faults("ScalingPolicy", text))


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described(kind):
    parts = json_schema(kind)["$defs"]
    bare = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, prop in part["properties"].items()
        if "description" not in prop and "const" not in prop and "$ref" not in prop
    ]
    assert not bare
    assert all("description" in part for part in parts.values())


def test_the_reference_in_docs_is_current():
    shown = (ROOT / "docs" / "policy-reference.md").read_text(encoding="utf-8")
    assert shown == reference(), "python -m autoscaler.spec.reference > docs/policy-reference.md"


def test_the_reference_has_every_part():
    page = reference()
    for kind in KINDS:
        for part in json_schema(kind)["$defs"]:
            assert f"### {part}\n" in page

"""`autoscaler check`: what it prints and how it ends."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from autoscaler.cli import exits
from autoscaler.cli.app import app
from autoscaler.spec import shipped_policies
from autoscaler.spec.schema import json_schema


def check(*arguments: object):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_shipped_files_by_name_and_path_are_usable():
    path = shipped_policies()["hpa"]
    outcome = check("keda", path)
    assert outcome.exit_code == exits.OK
    assert outcome.stdout.splitlines() == [
        f"{shipped_policies()['keda']}: usable: ScalingPolicy, rule keda, bounds of the workload",
        f"{path}: usable: ScalingPolicy, rule hpa, bounds of the workload",
    ]


def test_what_cannot_be_replayed_is_a_finding(write, hpa):
    path = write(hpa)
    outcome = check(path)
    first, *rest = outcome.stdout.splitlines()
    assert outcome.exit_code == exits.FINDING
    assert first == f"{path}: usable: HorizontalPodAutoscaler, rule hpa, 2 to 20 pods"
    assert [line.partition(" ")[0] for line in rest] == [f"{path}:16:5", f"{path}:24:5", f"{path}:24:5"]


def test_what_does_not_change_decisions_is_said_and_no_finding(write, scaled_object):
    head, _, _ = scaled_object.partition("  - type: prometheus\n    metadata")
    text = head.replace('    scalingModifiers: {formula: "rate + queue", target: "5"}\n', "")
    outcome = check(write(text))
    assert outcome.exit_code == exits.OK
    assert len(outcome.stdout.splitlines()) == 3


def test_one_unusable_file_does_not_hide_the_others(write, policy):
    bad = write(policy.replace("min: 1", "min: 11"), "bad.yaml")
    outcome = check(bad, "hpa", "absent.yaml")
    assert outcome.exit_code == exits.USAGE
    assert outcome.stdout.splitlines() == [
        f"{bad}:11:19 spec.replicas.min: 11 — at most the maximum, 10",
        f"{shipped_policies()['hpa']}: usable: ScalingPolicy, rule hpa, bounds of the workload",
        "absent.yaml: cannot be read: No such file or directory",
    ]


def test_json_says_the_same(write, hpa):
    path = write(hpa)
    outcome = check("--json", path, "absent.yaml")
    usable, absent = json.loads(outcome.stdout)
    assert outcome.exit_code == exits.USAGE
    assert (usable["file"], usable["usable"], usable["kind"]) == (str(path), True, "HorizontalPodAutoscaler")
    assert [(f["line"], f["column"], f["field"], f["changes_decisions"]) for f in usable["findings"]] == [
        (16, 5, "spec.metrics[0]", True),
        (24, 5, "spec.metrics[2]", True),
        (24, 5, "spec.metrics[2]", False),
    ]
    assert absent == {
        "file": "absent.yaml",
        "usable": False,
        "problems": ["absent.yaml: cannot be read: No such file or directory"],
        "findings": [],
    }


@pytest.mark.parametrize("kind", ["ScalingPolicy", "Workload"])
def test_the_schema_is_printed(kind):
    assert json.loads(check("--schema", "--kind", kind).stdout) == json_schema(kind)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "check: no file — one or more files, or --schema"),
        (("--schema", "--kind", "Policy"), "--kind Policy: unknown — one of ScalingPolicy, Workload"),
    ],
)
def test_wrong_use(arguments, problem):
    outcome = check(*arguments)
    assert str(outcome.exception) == problem

"""The Kustomize base: what the controller relies on, and rights that its code uses."""

from pathlib import Path

import pytest
import yaml

from autoscaler.cluster.objects import ROLE_LABEL

BASE = Path(__file__).parents[3] / "manifests" / "base"


@pytest.fixture(scope="module")
def objects():
    """All objects that the kustomization names, by kind and name."""
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    parts = [part for name in names for part in yaml.safe_load_all((BASE / name).read_text())]
    return {(part["kind"], part["metadata"]["name"]): part for part in parts}


def test_every_file_is_named_by_the_kustomization():
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted([*named, "kustomization.yaml"]) == sorted(file.name for file in BASE.iterdir())


def test_a_new_pod_serves_by_itself_and_the_deployment_does_not_select_the_role(objects):
    template = objects["Deployment", "emotivoice"]["spec"]["template"]["metadata"]["labels"]
    service = objects["Service", "emotivoice"]["spec"]["selector"]
    selector = objects["Deployment", "emotivoice"]["spec"]["selector"]["matchLabels"]
    assert service[ROLE_LABEL] == template[ROLE_LABEL] == "serving"
    assert service.items() <= template.items()
    assert selector.items() <= template.items()
    assert ROLE_LABEL not in selector


def test_the_budget_counts_the_whole_deployment(objects):
    budget = objects["PodDisruptionBudget", "emotivoice"]["spec"]["selector"]["matchLabels"]
    assert budget == objects["Deployment", "emotivoice"]["spec"]["selector"]["matchLabels"]


def test_the_size_is_the_controllers_and_is_not_in_the_manifest(objects):
    assert "replicas" not in objects["Deployment", "emotivoice"]["spec"]


def test_the_controller_may_write_the_scale_and_never_the_deployment(objects):
    rules = objects["Role", "speech-autoscaler"]["rules"]
    verbs = {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert verbs["deployments/scale"] == {"patch"}
    assert verbs["deployments"] == {"get", "list", "watch"}
    assert not any("*" in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)
    assert "secrets" not in verbs

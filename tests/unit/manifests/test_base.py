"""The manifests: what the controller relies on, and rights that its code uses."""

import inspect
from pathlib import Path

import pytest
import yaml

from autoscaler.cli.run import run
from autoscaler.cluster.objects import ROLE_LABEL
from autoscaler.model import Mode
from autoscaler.service.process import STOP_S, Candidacy
from autoscaler.service.wiring import load_jobs
from inference_server.cli import serve

BASE = Path(__file__).parents[3] / "manifests" / "base"


@pytest.fixture(scope="module")
def objects():
    """All objects that the kustomization names, by kind and name."""
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    parts = [part for name in names for part in yaml.safe_load_all((BASE / name).read_text())]
    return {(part["kind"], part["metadata"]["name"]): part for part in parts}


def test_every_file_is_named_by_the_kustomization():
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    policies = [file for made in kustomization["configMapGenerator"] for file in made["files"]]
    there = {str(file.relative_to(BASE)) for file in BASE.rglob("*.yaml")}
    assert {*kustomization["resources"], *policies, "kustomization.yaml"} == there


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
    rules = objects["Role", "speech-autoscaler-targets"]["rules"]
    verbs = {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert verbs["deployments/scale"] == {"patch"}
    assert verbs["deployments"] == {"get", "list", "watch"}
    assert verbs["pods"] == {"list", "watch"}
    assert not any("*" in rule["verbs"] + rule["resources"] + rule["apiGroups"] for rule in rules)
    assert "secrets" not in verbs


def test_the_installed_policy_can_be_run_and_begins_by_watching():
    [job] = load_jobs(BASE / "policies", "voice-inference")
    assert (job.target.name, job.target.rails.mode) == ("voice-inference/emotivoice", Mode.OBSERVE)


def test_the_controller_is_restricted_and_what_it_writes_has_a_place(objects):
    pod = objects["Deployment", "speech-autoscaler"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    places = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    journal = Path(container["args"][container["args"].index("--journal") + 1])
    assert str(journal.parent) in places
    assert pod["terminationGracePeriodSeconds"] > STOP_S
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_flags_of_the_controller_are_known_and_it_stands_under_its_pods_name(objects):
    [container] = objects["Deployment", "speech-autoscaler"]["spec"]["template"]["spec"]["containers"]
    command, *flags = container["args"]
    known = inspect.signature(run).parameters
    assert command == "run"
    assert {flag.removeprefix("--") for flag in flags if flag.startswith("--")} <= set(known)
    assert [each["name"] for each in container["env"] if "valueFrom" in each] == ["POD_NAME"]


def test_the_inference_server_may_finish_before_it_is_killed(objects):
    pod = objects["Deployment", "emotivoice"]["spec"]["template"]["spec"]
    stated = inspect.signature(serve).parameters
    drain_s = stated["drain_delay_s"].default + stated["drain_timeout_s"].default
    assert pod["terminationGracePeriodSeconds"] > drain_s
    assert not {"--drain-delay-s", "--drain-timeout-s"} & set(pod["containers"][0]["args"])


def test_the_fence_names_the_lease_and_the_account_that_the_controller_uses(objects):
    fence, binding = yaml.safe_load_all((BASE.parent / "admission" / "fence.yaml").read_text())
    account = objects["ServiceAccount", "speech-autoscaler"]["metadata"]["name"]
    assert binding["spec"]["paramRef"]["name"] == Candidacy("pod").lease
    [condition] = fence["spec"]["matchConditions"]
    assert condition["expression"].endswith(f":voice-inference:{account}'")

"""The component with network policies, as the API server understands it."""

import json

import pytest
import yaml
from rig.installed import install

pytestmark = pytest.mark.cluster


def test_the_network_component_is_taken_and_selects_pods_that_are_there(cluster, tmp_path):
    installed = install(cluster, tmp_path)
    overlay = tmp_path / "manifests" / "overlays" / "closed"
    overlay.mkdir()
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": installed.namespace,
        "resources": ["../../base"],
        "components": ["../../components/network"],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    asked = ("apply", "--dry-run=server", "-k", overlay, "-o", "json")
    made = json.loads(cluster.kubectl(*asked))["items"]
    policies = {each["metadata"]["name"]: each["spec"] for each in made if each["kind"] == "NetworkPolicy"}
    pods = {each["metadata"]["name"]: each["spec"] for each in made if each["kind"] == "Deployment"}
    assert set(policies) == set(pods)
    for name, policy in policies.items():
        template = pods[name]["template"]
        assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        [inward] = policy["ingress"]
        [container] = template["spec"]["containers"]
        assert [each["port"] for each in inward["ports"]] == [each["containerPort"] for each in container["ports"]]
        assert policy["policyTypes"] == ["Ingress", "Egress"]

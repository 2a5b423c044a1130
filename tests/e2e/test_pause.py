"""`autoscaler pause` and `resume` of targets that no controller has told of."""

import pytest
from rig.command import autoscaler

from autoscaler.cli import exits
from autoscaler.cluster.api import connect
from autoscaler.cluster.reports import reported

pytestmark = pytest.mark.cluster


def paused(cluster, namespace):
    return {each.target: each.paused for each in reported(connect(cluster.plane.kubeconfig), namespace)}


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_name_that_means_nothing_is_neither_paused_nor_resumed(cluster, namespace, operators_kubeconfig, command):
    cluster.deploy(namespace, "tts", 1)
    ended = autoscaler(command, "tss", "--kubeconfig", operators_kubeconfig)
    assert (ended.code, ended.out) == (exits.USAGE, "")
    assert (
        f"{namespace}/tss: no such Deployment, and no controller in namespace {namespace} has told of it" in ended.err
    )
    assert f"nothing is {command}d" in ended.err
    assert paused(cluster, namespace) == {}


@pytest.mark.parametrize("command", ["pause", "resume", "release"])
@pytest.mark.parametrize("name", ["", "shop/", "/tts", "shop/tts/0"])
def test_a_name_that_cannot_be_one_is_refused(namespace, operators_kubeconfig, command, name):
    ended = autoscaler(command, name, "--kubeconfig", operators_kubeconfig)
    assert (ended.code, ended.out) == (exits.USAGE, "")
    assert f"target {name!r}: give `namespace/name`, or a name in namespace {namespace}" in ended.err


def test_of_names_of_which_one_means_nothing_none_is_released(cluster, namespace, operators_kubeconfig):
    cluster.deploy(namespace, "tts", 1)
    ended = autoscaler("release", "tts", "tss", "--kubeconfig", operators_kubeconfig)
    assert (ended.code, ended.out) == (exits.USAGE, "")
    assert f"{namespace}/tss: no such Deployment — nothing is released" in ended.err
    assert paused(cluster, namespace) == {}


def test_a_deployment_may_be_paused_before_any_controller_tells_of_it(cluster, namespace, operators_kubeconfig):
    cluster.deploy(namespace, "tts", 1)
    ended = autoscaler("pause", "tts", "--kubeconfig", operators_kubeconfig)
    assert (ended.code, ended.out) == (exits.OK, f"{namespace}/tts paused\n")
    assert "no controller" in ended.err
    assert paused(cluster, namespace) == {f"{namespace}/tts": True}


def test_a_target_that_is_gone_for_now_may_be_resumed(cluster, namespace, operators_kubeconfig):
    deployment = cluster.deploy(namespace, "tts", 1)
    autoscaler("pause", "tts", "--kubeconfig", operators_kubeconfig)
    deployment.delete()
    assert autoscaler("resume", "tts", "--kubeconfig", operators_kubeconfig).code == exits.OK
    assert paused(cluster, namespace) == {f"{namespace}/tts": False}

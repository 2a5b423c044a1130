"""Names and files as loaded policies and workloads."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.model import Batching, InvalidInput, Routing
from autoscaler.policies.build import build
from autoscaler.spec import find_policy, find_workload, load_file, shipped_policies, shipped_workloads
from autoscaler.spec.load import LoadedPolicy


@pytest.mark.parametrize("name", ["fixed", "hpa", "keda", "kpa"])
def test_shipped_policies_are_found_by_name_and_have_nothing_to_find_fault_with(name):
    policy = find_policy(name)
    assert (policy.name, policy.file.metadata.name, policy.findings) == (name, name, ())
    assert policy.workload == find_workload("tts")


def test_every_shipped_file_is_in_order():
    paths = [*shipped_policies().values(), *shipped_workloads().values()]
    assert {"fixed", "hpa", "keda", "kpa", "tts", "asr"} <= {load_file(path).name for path in paths}


@pytest.mark.parametrize(("name", "typical_s", "cv", "objective_s"), [("tts", 15.0, 0.6, 0.8), ("asr", 45.0, 0.8, 1.0)])
def test_shipped_workloads_are_the_protocols(name, typical_s, cv, objective_s):
    served = find_workload(name)
    assert (served.name, served.service_mean_s, served.service_cv, served.concurrency) == (name, 0.18, cv, 1)
    assert (served.objective_s, served.objective_share, served.patience_s) == (objective_s, 0.99, 30.0)
    assert (served.min_replicas, served.max_replicas, served.routing) == (1, 60, Routing.SHARED_QUEUE)
    assert served.cold_start.typical_s == typical_s
    assert served.cold_start.sigma == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(
    ("find", "name", "problem"),
    [
        (find_policy, "kedda", "policy kedda: unknown — {policies}, or a path such as ./my.yaml; did you mean keda?"),
        (find_workload, "tts2", "workload tts2: unknown — asr, tts, or a path such as ./my.yaml; did you mean tts?"),
        (find_policy, "absent.yaml", "absent.yaml: cannot be read: No such file or directory"),
    ],
)
def test_a_name_that_is_not_known(find, name, problem):
    with pytest.raises(InvalidInput) as caught:
        find(name)
    assert caught.value.problems == (problem.format(policies=", ".join(shipped_policies())),)


def test_a_workload_is_no_policy_and_a_policy_no_workload():
    with pytest.raises(InvalidInput, match="kind Workload — a policy"):
        find_policy(str(shipped_workloads()["tts"]))
    with pytest.raises(InvalidInput, match="kind ScalingPolicy — a Workload"):
        find_workload(str(shipped_policies()["hpa"]))


WORKLOAD = """\
apiVersion: autoscaling.speech/v1alpha1
kind: Workload
metadata: {name: mine}
spec:
  objective: {latency: 2s, share: 95%}
  service: {mean: 500ms}
  coldStart: {typical: 30s, slow: 40s}
  replicas: {min: 2, max: 5}
"""
REFERRING = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: mine}
spec:
  workload: {ref: REF}
  policy: {type: fixed, replicas: 3}
"""


class TestWorkloads:
    """Which workload and which bounds hold."""

    def test_a_reference_may_be_a_shipped_name(self, write):
        assert find_policy(str(write(REFERRING.replace("REF", "asr")))).workload == find_workload("asr")

    def test_a_reference_may_be_a_path_from_the_policys_folder(self, write):
        write(WORKLOAD, "load.yaml")
        policy = find_policy(str(write(REFERRING.replace("REF", "load.yaml"))))
        assert policy.serving().name == "mine"
        assert policy.serving().service_cv == 1.0

    def test_what_is_other_where_the_target_runs_stands_beside_the_reference(self, write):
        other = "tts, routing: random, batching: {size: 8, baseShare: 60%}"
        served = find_policy(str(write(REFERRING.replace("REF", other)))).serving()
        assert served == replace(find_workload("tts"), routing=Routing.RANDOM, batching=Batching(8, 0.6))

    def test_batches_are_part_of_a_workload(self, write):
        text = WORKLOAD.replace("mean: 500ms", "mean: 500ms, batching: {size: 4, baseShare: 25%}")
        assert find_workload(str(write(text))).batching == Batching(4, 0.25)

    @pytest.mark.parametrize(
        ("batching", "problem"),
        [
            ("{size: 0, baseShare: 60%}", "batching.size: 0 — "),
            ("{size: 8, baseShare: 60}", "batching.baseShare: 60 — "),
            ("{size: 8}", "batching.baseShare: missing — required"),
        ],
    )
    def test_batches_that_cannot_be(self, problems, batching, problem):
        (said,) = problems(WORKLOAD.replace("mean: 500ms", f"mean: 500ms, batching: {batching}"))
        assert f"spec.service.{problem}" in said

    def test_a_broken_reference_is_told_at_its_place(self, problems):
        (problem,) = problems(REFERRING.replace("REF", "nosuch"))
        assert problem.startswith("my.yaml:5:19 spec.workload.ref: nosuch — one of asr, tts, or the path of a usable")

    def test_a_broken_workload_behind_a_reference_is_told_whole(self, write):
        write(WORKLOAD.replace("500ms", "500").replace("95%", "95"), "load.yaml")
        with pytest.raises(InvalidInput) as caught:
            load_file(write(REFERRING.replace("REF", "load.yaml")))
        first, second = caught.value.problems
        assert "spec.workload.ref: load.yaml" in first
        assert "load.yaml:5:35 spec.objective.share: 95 —" in first
        assert "load.yaml:6:19 spec.service.mean: 500 —" in second

    def test_a_workload_file_has_bounds(self, problems):
        assert problems(WORKLOAD.replace("  replicas: {min: 2, max: 5}\n", "")) == [
            "my.yaml:4:1 spec.replicas: missing — required: {min, max}, the bounds for policies that state none"
        ]

    def test_bounds_of_the_policy_rule_over_those_of_any_workload(self, write):
        text = REFERRING.replace("REF", "tts") + "  replicas: {min: 3, max: 4}\n"
        policy = find_policy(str(write(text)))
        for served in (policy.serving(), policy.serving(find_workload("asr"))):
            assert (served.min_replicas, served.max_replicas) == (3, 4)

    def test_without_bounds_of_the_policy_those_of_the_workload_hold(self, write):
        other = find_workload(str(write(WORKLOAD, "load.yaml")))
        served = find_policy("hpa").serving(other)
        assert (served.min_replicas, served.max_replicas) == (2, 5)

    def test_a_policy_that_says_nothing_of_its_workload_needs_one_to_be_replayed(self, write, hpa):
        policy = find_policy(str(write(hpa)))
        with pytest.raises(InvalidInput, match="says nothing of the workload — name one, such as --workload tts"):
            policy.serving()


def dumped(policy: LoadedPolicy) -> str:
    return yaml.safe_dump(policy.file.model_dump(mode="json", by_alias=True, exclude_none=True), allow_unicode=True)


@pytest.mark.parametrize("name", [*shipped_policies()])
def test_a_policy_that_is_written_and_read_again_is_the_same(name, write):
    policy = find_policy(name)
    assert find_policy(str(write(dumped(policy)))).file == policy.file


def test_a_manifest_can_be_written_as_a_policy(write, hpa, scaled_object):
    for manifest in (hpa, scaled_object):
        policy = find_policy(str(write(manifest)))
        again = find_policy(str(write(dumped(policy), "again.yaml")))
        assert again.file == policy.file
        assert build(again, find_workload("tts")) == build(policy, find_workload("tts"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["15s", "99%", "700m", "tts", "sum(up)", "Value", "keda", "gated", "9" * 50]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "min"]), inner, max_size=2),
    max_leaves=6,
)  # fmt: skip


def routes(value, route=()):
    """All places of a file."""
    yield route
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from routes(inner, (*route, key))


@pytest.mark.parametrize("kind", ["policy", "hpa", "scaled_object", *shipped_policies()])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_with_anything_anywhere_is_used_or_refused(kind, data, request, tmp_path):
    text = shipped_policies()[kind].read_text() if kind in shipped_policies() else request.getfixturevalue(kind)
    content = copy.deepcopy(yaml.safe_load(text))
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from([route for route in routes(content) if route]))
        place = content
        for key in parents:
            place = place[key]
        new = data.draw(VALUES | st.just(...))
        if new is ...:
            del place[last]
        else:
            place[last] = new
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8", errors="replace")
    try:
        loaded = load_file(path)
        if isinstance(loaded, LoadedPolicy):
            build(loaded, find_workload("tts"))
            again = tmp_path / "again.yaml"
            again.write_text(dumped(loaded), encoding="utf-8")
            assert find_policy(str(again)).file == loaded.file
    except InvalidInput as error:
        assert all(problem.startswith(str(path)) for problem in error.problems)  # noqa: PT017 (either outcome is right)

"""Which policy is in force after the files have changed: the new one, or the last good one, loudly."""

import threading
from pathlib import Path

import pytest
from rig.processes import wait_for

from autoscaler.service.policies import InForce, PolicyFolder

POLICY = """\
apiVersion: autoscaling.speech/v1alpha1
kind: ScalingPolicy
metadata: {name: %(name)s, namespace: voice}
spec:
  target: {kind: Deployment, name: %(name)s}
  workload: {ref: tts}
  policy: {type: fixed, replicas: %(replicas)d}
"""


def text(name="tts", replicas=2):
    return POLICY % {"name": name, "replicas": replicas}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "policies"


def write(folder, **files):
    """The folder holds these files and no others."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.yaml"):
        path.unlink()
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)


def sizes(in_force: InForce):
    return {name: job.policy.spec.policy.replicas for name, job in in_force.jobs.items()}


BROKEN = "apiVersion: ["
TTS, ASR = "voice/tts", "voice/asr"


@pytest.mark.parametrize(
    ("before", "after", "in_force", "said"),
    [
        pytest.param({"a": text()}, {"a": text(replicas=3)}, {TTS: 3}, {}, id="a new version"),
        pytest.param({"a": text()}, {"a": BROKEN}, {TTS: 2}, {"a": "a.yaml:1"}, id="broken: the last good one"),
        pytest.param({"a": text()}, {"a": ""}, {TTS: 2}, {"a": "a.yaml"}, id="half-written: the last good one"),
        pytest.param({"a": text()}, {}, {TTS: 2}, {"a": "is gone"}, id="deleted: the last good one"),
        pytest.param({"a": text()}, {"a": text(), "b": text("asr")}, {TTS: 2, ASR: 2}, {}, id="another target joins"),
        pytest.param({"a": text()}, {"a": text("asr")}, {ASR: 2}, {}, id="the file names another target now"),
        pytest.param({"a": text()}, {"b": text(replicas=3)}, {TTS: 3}, {}, id="a file is renamed"),
        pytest.param(
            {"a": text()},
            {"a": text(), "b": text(replicas=3)},
            {TTS: 2},
            {"b": "sized by"},
            id="a newcomer for the same target is refused",
        ),
        pytest.param(
            {"a": text()},
            {"a": BROKEN, "b": text(replicas=3)},
            {TTS: 2},
            {"a": "a.yaml:1", "b": "sized by"},
            id="a newcomer does not follow a broken file",
        ),
        pytest.param(
            {}, {"a": text(), "b": text(replicas=3)}, {}, {"a": "neither", "b": "neither"}, id="two at once: neither"
        ),
        pytest.param({}, {"a": BROKEN, "b": text("asr")}, {ASR: 2}, {"a": "a.yaml:1"}, id="a bad one among others"),
    ],
)
def test_what_is_in_force(folder, before, after, in_force, said):
    write(folder, **before)
    policies = PolicyFolder(folder, "here")
    policies.read()
    write(folder, **after)
    now = policies.read()
    assert sizes(now) == in_force
    assert {Path(name).stem: what for name, what in now.problems.items()}.keys() == said.keys()
    for name, what in said.items():
        assert what in "; ".join(now.problems[str(folder / f"{name}.yaml")])


def test_a_file_that_is_mended_is_in_force_again(folder):
    write(folder, a=text())
    policies = PolicyFolder(folder, "here")
    policies.read()
    write(folder, a=BROKEN)
    assert policies.read().troubles.keys() == {TTS}
    write(folder, a=text(replicas=5))
    now = policies.read()
    assert (sizes(now), dict(now.problems), dict(now.troubles)) == ({TTS: 5}, {}, {})


def test_a_target_knows_of_the_newcomer_that_was_refused(folder):
    write(folder, a=text())
    policies = PolicyFolder(folder, "here")
    policies.read()
    write(folder, a=text(), b=text(replicas=3))
    [line] = policies.read().troubles[TTS]
    assert "b.yaml: voice/tts is sized by" in line
    assert line.endswith("in force: " + str(folder / "a.yaml"))


def test_a_target_that_two_files_name_at_the_start_is_known_though_neither_sizes_it(folder):
    write(folder, a=text(), b=text(replicas=3))
    policies = PolicyFolder(folder, "here")
    assert [line.partition(": ")[2].partition(" by")[0] for line in policies.read().troubles[TTS]] == [
        "voice/tts is sized"
    ] * 2
    write(folder, a=text())
    assert (sizes(policies.read()), policies.in_force.troubles) == ({TTS: 2}, {})


def test_unchanged_files_are_not_read_again(folder):
    write(folder, a=text())
    policies = PolicyFolder(folder, "here")
    assert policies.read() is policies.read()


WORKLOAD = """\
apiVersion: autoscaling.speech/v1alpha1
kind: Workload
metadata: {name: mine}
spec:
  objective: {latency: %s, share: 99%%}
  service: {concurrency: 1, mean: 180ms, cv: 0.6}
  coldStart: {typical: 15s, slow: 21s}
  replicas: {min: 1, max: 10}
"""


@pytest.mark.parametrize(
    ("policies", "workload"),
    [
        pytest.param(".", "mine.yaml", id="a folder"),
        pytest.param("a.yaml", "mine.yaml", id="a single file"),
        pytest.param(".", "../workloads/mine.yaml", id="beside the folder"),
    ],
)
def test_a_workload_that_policies_refer_to_counts_as_a_change(folder, policies, workload):
    write(folder, a=text().replace("ref: tts", f"ref: {workload}"))
    file = folder / workload
    file.parent.mkdir(exist_ok=True)
    file.write_text(WORKLOAD % "800ms")
    policies = PolicyFolder(folder / policies, "here")
    assert dict(policies.read().problems) == {}
    assert policies.read().jobs[TTS].objective_s == 0.8
    file.write_text(WORKLOAD % "900ms")
    assert policies.read().jobs[TTS].objective_s == 0.9
    file.write_text(BROKEN)
    assert (policies.read().jobs[TTS].objective_s, policies.read().troubles.keys()) == (0.9, {TTS})
    file.write_text(WORKLOAD % "700ms")
    assert policies.read().jobs[TTS].objective_s == 0.7


def mounted(folder, version, **files):
    """What the kubelet does with a ConfigMap: a new folder, then a swap of one symbolic link."""
    data = folder / f"..{version}"
    data.mkdir(parents=True)
    for name, content in files.items():
        (data / f"{name}.yaml").write_text(content)
    swap = folder / "..data_tmp"
    swap.symlink_to(data.name)
    swap.rename(folder / "..data")
    for name in files:
        link = folder / f"{name}.yaml"
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}.yaml")


def test_a_config_map_is_followed_over_the_swap_of_its_links(folder):
    mounted(folder, 1, a=text())
    policies, ended, seen = PolicyFolder(folder, "here"), threading.Event(), []
    assert sizes(policies.read()) == {TTS: 2}
    thread = threading.Thread(target=policies.follow, args=(lambda now: seen.append(sizes(now)), ended))
    thread.start()
    try:
        mounted(folder, 2, a=text(replicas=7))
        wait_for("the new version", lambda: seen == [{TTS: 7}])
        mounted(folder, 3, a=BROKEN)
        wait_for("the refusal", lambda: policies.in_force.problems)
        assert seen[-1] == {TTS: 7}
    finally:
        ended.set()
        thread.join(10)
    assert not thread.is_alive()


def test_an_error_in_taking_up_a_file_ends_nothing_and_it_is_taken_up_at_the_next_look(folder):
    write(folder, a=text())
    policies, ended, seen = PolicyFolder(folder, "here"), threading.Event(), []
    policies.read()

    def take_up(now):
        seen.append(sizes(now)[TTS])
        if seen.count(3) == 1:
            raise ValueError("an error of ours")

    thread = threading.Thread(target=policies.follow, args=(take_up, ended))
    thread.start()
    try:
        (folder / "a.yaml").write_text(text(replicas=3))
        wait_for("a second attempt", lambda: seen.count(3) == 2)
    finally:
        ended.set()
        thread.join(10)

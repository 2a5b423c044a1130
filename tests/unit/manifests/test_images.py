"""The images: built from what is there, for the user that the manifests run them as."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
IMAGES = {"controller": ("speech-autoscaler", "controller.yaml"), "inference": ("speech-inference", "emotivoice.yaml")}


@pytest.fixture(params=IMAGES)
def image(request):
    """Its instructions, its name in the manifests, and the pod that runs it."""
    name, file = IMAGES[request.param]
    text = (ROOT / "manifests" / "images" / f"{request.param}.Dockerfile").read_text().replace("\\\n", " ")
    steps = [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line and not line.startswith("#")]
    pod = next(
        part["spec"]["template"]["spec"]
        for part in yaml.safe_load_all((ROOT / "manifests" / "base" / file).read_text())
        if part["kind"] == "Deployment"
    )
    return steps, name, pod


def of(steps, kind):
    return [argument for step, argument in steps if step == kind]


def test_what_is_copied_is_there_and_is_sent_to_the_builder(image):
    steps, _, _ = image
    sources = [
        source
        for argument in of(steps, "COPY")
        if not argument.startswith("--from")
        for source in argument.split()[:-1]
    ]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / source).exists() for source in sources)
    assert {source.split("/")[0] for source in sources} == sent


def test_it_runs_without_root_as_the_user_of_the_manifests(image):
    steps, name, pod = image
    [container] = pod["containers"]
    assert container["image"].split(":")[0] == name
    assert of(steps, "USER") == [str(pod["securityContext"]["runAsUser"])]
    last_stage = max(place for place, (step, _) in enumerate(steps) if step == "FROM")
    assert [step for step, _ in steps[last_stage:]].count("USER") == 1


def test_it_starts_a_program_of_this_project_on_the_port_of_the_manifests(image):
    steps, _, pod = image
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    [entry], [port] = of(steps, "ENTRYPOINT"), of(steps, "EXPOSE")
    assert yaml.safe_load(entry)[0] in scripts
    assert [each["containerPort"] for each in pod["containers"][0]["ports"]] == [int(port)]


def test_libraries_are_pinned_by_their_hashes(image):
    steps, _, _ = image
    installs = [argument for argument in of(steps, "RUN") if "pip install" in argument]
    assert any("--require-hashes" in argument for argument in installs)
    for argument in installs:
        assert "--require-hashes" in argument or "--no-deps" in argument or "${TORCH}" in argument


def test_the_controller_brings_no_torch():
    lock = (ROOT / "locks" / "controller.lock").read_text()
    assert not re.search(r"^(torch|numba|funasr|fastapi)==", lock, re.MULTILINE)

"""Files and shipped names as loaded policies and workloads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from autoscaler import model
from autoscaler.model import InvalidInput
from autoscaler.spec.base import API_VERSION
from autoscaler.spec.document import Document, Problem, read, shown
from autoscaler.spec.manifests import Import, from_hpa, from_scaled_object
from autoscaler.spec.policy import PolicyFile, PolicySpec
from autoscaler.spec.predictive import PredictiveRule
from autoscaler.spec.replayable import gaps
from autoscaler.spec.rules import Plain, policy_clashes, workload_file_clashes
from autoscaler.spec.validate import ABSENT, validated
from autoscaler.spec.workload import Replicas, WorkloadFile, WorkloadRef, WorkloadSpec, batching_of, to_model


@dataclass(frozen=True, slots=True)
class Finding:
    """What a replay of a policy leaves out or assumes, at its place in the file."""

    problem: Problem
    changes_decisions: bool
    """False: a replay decides as the real one does."""

    def __str__(self) -> str:
        return str(self.problem)


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy that can be built, called after its file."""

    name: str
    source: str
    """Path of the file."""
    kind: str
    """What the file is: ScalingPolicy, HorizontalPodAutoscaler or ScaledObject."""
    file: PolicyFile
    workload: model.Workload | None
    """The workload that the file names or states, within the file's bounds."""
    findings: tuple[Finding, ...] = ()

    @property
    def spec(self) -> PolicySpec:
        """What the file says."""
        return self.file.spec

    @property
    def summary(self) -> str:
        """The file in a few words."""
        bounds = self.spec.replicas
        pods = f", {bounds.min} to {bounds.max} pods" if bounds else ", bounds of the workload"
        return f"{self.kind}, rule {self.spec.policy.type}{pods}"

    @property
    def prior(self) -> Path | None:
        """The file of what other services taught, where the rule asks for one."""
        rule = self.spec.policy
        if not isinstance(rule, PredictiveRule) or rule.prior == "none":
            return None
        return shipped_prior() if rule.prior == "shipped" else Path(self.source).parent / rule.prior

    @property
    def workload_file(self) -> Path | None:
        """The file of the workload, where the policy refers to one that does not come with this program."""
        stated = self.spec.workload
        if not isinstance(stated, WorkloadRef) or stated.ref in shipped_workloads():
            return None
        return Path(self.source).parent / stated.ref

    def serving(self, workload: model.Workload | None = None) -> model.Workload:
        """The workload to replay: the given one, else the policy's own; the policy's bounds rule over both.

        Raises:
            InvalidInput: neither is there.
        """
        served = workload or self.workload
        if served is None:
            raise InvalidInput(f"{self.source}: says nothing of the workload — name one, such as --workload tts")
        return _within(served, self.spec.replicas)


@dataclass(frozen=True, slots=True)
class LoadedWorkload:
    """A workload file."""

    name: str
    source: str
    file: WorkloadFile
    workload: model.Workload
    kind: str = "Workload"
    findings: tuple[Finding, ...] = ()

    @property
    def summary(self) -> str:
        """The file in a few words."""
        return f"Workload, {self.workload.min_replicas} to {self.workload.max_replicas} pods"


Loaded = LoadedPolicy | LoadedWorkload


def find_policy(name_or_path: str) -> LoadedPolicy:
    """A shipped policy by its name, or the policy or manifest at a path.

    Raises:
        InvalidInput: there is none, or it cannot be used; one line for each problem.
    """
    found = load_file(_found(name_or_path, "policy", shipped_policies()))
    if isinstance(found, LoadedWorkload):
        raise InvalidInput(
            f"{found.source}: kind Workload — a policy: ScalingPolicy, HorizontalPodAutoscaler or ScaledObject"
        )
    return found


def find_workload(name_or_path: str) -> model.Workload:
    """A shipped workload by its name, or the `kind: Workload` file at a path.

    Raises:
        InvalidInput: there is none, or it cannot be used; one line for each problem.
    """
    found = load_file(_found(name_or_path, "workload", shipped_workloads()))
    if isinstance(found, LoadedPolicy):
        raise InvalidInput(f"{found.source}: kind {found.kind} — a Workload")
    return found.workload


def load_file(path: Path) -> Loaded:
    """One file of any kind that is known here.

    Raises:
        InvalidInput: it cannot be used; one line for each problem.
    """
    document = read(path)
    api, kind = document.data.get("apiVersion"), document.data.get("kind")
    load = _KINDS.get((str(api), str(kind)))
    if load is None:
        raise InvalidInput(*_unknown_kind(document))
    return load(document, path)


def shipped_policies() -> Mapping[str, Path]:
    """The policies that come with this program, by name."""
    return _by_name(_shipped())


def shipped_workloads() -> Mapping[str, Path]:
    """The workloads that come with this program, by name."""
    return _by_name(_shipped() / "workloads")


def shipped_prior() -> Path:
    """The forecast learned over other services that comes with this program."""
    return _shipped() / "priors" / "services.npz"


def _shipped() -> Path:
    """In a wheel a folder of the package; in a checkout the one that the wheel is made of."""
    packaged = Path(str(resources.files("autoscaler"))) / "shipped"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "policies"


def _by_name(folder: Path) -> Mapping[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _found(name_or_path: str, what: str, shipped: Mapping[str, Path]) -> Path:
    """A word is a shipped name; what has a folder or an ending is a path."""
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if os.sep in name_or_path or path.suffix in (".yaml", ".yml", ".json") or path.is_file():
        return path
    near = get_close_matches(name_or_path, shipped, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    known = ", ".join(shipped)
    raise InvalidInput(f"{what} {shown(name_or_path)}: unknown — {known}, or a path such as ./my.yaml{hint}")


def _load_policy(document: Document, path: Path) -> LoadedPolicy:
    return _policy(Import(document, (), ()), path, "ScalingPolicy")


def _load_hpa(document: Document, path: Path) -> LoadedPolicy:
    return _policy(from_hpa(document), path, "HorizontalPodAutoscaler")


def _load_scaled_object(document: Document, path: Path) -> LoadedPolicy:
    return _policy(from_scaled_object(document), path, "ScaledObject")


def _policy(imported: Import, path: Path, kind: str) -> LoadedPolicy:
    document = imported.document
    clashes = (*imported.clashes, *policy_clashes(Plain(document.data)))
    file = validated(document, PolicyFile, clashes)
    found = [
        Finding(document.problem(gap.route, gap.text), gap.changes_decisions)
        for gap in (*imported.gaps, *gaps(file.spec))
    ]
    findings = tuple(sorted(found, key=lambda finding: finding.problem))
    return LoadedPolicy(path.stem, str(path), kind, file, _own_workload(document, file, path), findings)


def _own_workload(document: Document, file: PolicyFile, path: Path) -> model.Workload | None:
    stated = file.spec.workload
    if stated is None:
        return None
    if isinstance(stated, WorkloadSpec):
        return to_model(file.metadata.name, stated, file.spec.replicas)
    return _within(_referred(document, stated, path), file.spec.replicas)


def _referred(document: Document, stated: WorkloadRef, path: Path) -> model.Workload:
    """A shipped name, or a path from the policy's folder."""
    name = stated.ref
    reference = name if name in shipped_workloads() else str(path.parent / name)
    try:
        return _here(find_workload(reference), stated)
    except InvalidInput as error:
        known = ", ".join(shipped_workloads())
        text = f"{shown(name)} — one of {known}, or the path of a usable Workload file: {error.problems[0]}"
        raise InvalidInput(str(document.problem(("spec", "workload", "ref"), text)), *error.problems[1:]) from error


def _here(workload: model.Workload, stated: WorkloadRef) -> model.Workload:
    """The workload with what is other where this target runs."""
    if stated.routing is not None:
        workload = replace(workload, routing=model.Routing(stated.routing))
    return workload if stated.batching is None else replace(workload, batching=batching_of(stated.batching))


def _within(workload: model.Workload, bounds: Replicas | None) -> model.Workload:
    return workload if bounds is None else replace(workload, min_replicas=bounds.min, max_replicas=bounds.max)


def _load_workload(document: Document, path: Path) -> LoadedWorkload:
    file = validated(document, WorkloadFile, workload_file_clashes(Plain(document.data)))
    return LoadedWorkload(path.stem, str(path), file, to_model(file.metadata.name, file.spec))


_KINDS: Mapping[tuple[str, str], Callable[[Document, Path], Loaded]] = {
    (API_VERSION, "ScalingPolicy"): _load_policy,
    (API_VERSION, "Workload"): _load_workload,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): _load_hpa,
    ("keda.sh/v1alpha1", "ScaledObject"): _load_scaled_object,
}
_OTHER_KINDS: Mapping[str, str] = {
    "ScaledJob": "a ScaledObject: a ScaledJob starts jobs, it does not size a service",
    "List": "one object a file: split the list",
}


def _unknown_kind(document: Document) -> list[str]:
    """Why a file is none that is read here, and what else is wrong with it as far as that can be said."""
    api, kind = document.data.get("apiVersion", ABSENT), document.data.get("kind", ABSENT)
    known = {name: version for version, name in _KINDS}
    if str(kind) in _OTHER_KINDS:
        problem = document.problem(("kind",), f"{kind} — {_OTHER_KINDS[str(kind)]}")
    elif str(kind) not in known:
        near = get_close_matches(str(kind), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        problem = document.problem(("kind",), f"{shown(kind)} — one of {', '.join(known)}{hint}")
    else:
        hint = ": kubectl get hpa.v2.autoscaling NAME -o yaml prints it so" if kind == "HorizontalPodAutoscaler" else ""
        problem = document.problem(("apiVersion",), f"{shown(api)} — {known[str(kind)]}{hint}")
    return list(map(str, sorted([problem, *document.problems.values()])))

"""From policy files to targets: what to size, and by which rule."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autoscaler.loop import Target
from autoscaler.model import Drain, InvalidInput, Mode, Workload
from autoscaler.policies.build import build
from autoscaler.prometheus.client import Access
from autoscaler.spec import LoadedPolicy, LoadedWorkload, load_file
from autoscaler.spec.signals import Prometheus as PrometheusSpec

REQUEST_S = 3.0
"""Longest time of one request to the API server or to Prometheus."""


@dataclass(frozen=True, slots=True)
class Job:
    """One policy and what it sizes."""

    policy: LoadedPolicy
    target: Target
    namespace: str
    deployment: str
    objective_s: float
    service: str | None
    """What the policy says brings the traffic."""

    @property
    def forbidden(self) -> str | None:
        """Why the policy's own mode lets nothing be written."""
        return "observe" if self.target.rails.mode is Mode.OBSERVE else None


class SystemClock:
    """The time of this machine."""

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()


def load_jobs(path: Path, own_namespace: str, workload: Workload | None = None) -> list[Job]:
    """The policies of a file, or of all `.yaml` files of a folder.

    Args:
        path: file or folder; workload files in a folder are what policies refer to.
        own_namespace: of targets whose policy names none.
        workload: what is served, for policies that do not say.

    Raises:
        InvalidInput: a file cannot be used or not be carried out whole, names no target, or names one that another
            file names too.
    """
    jobs = [job for file in policy_files(path) if (job := load_job(file, own_namespace, workload))]
    if not jobs:
        raise InvalidInput(f"{path}: no policy — a ScalingPolicy file, or a folder with at least one")
    _check_distinct(jobs)
    return jobs


def policy_files(path: Path) -> list[Path]:
    """The file, or the `.yaml` files of a folder."""
    return sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]


def load_job(file: Path, own_namespace: str, workload: Workload | None = None) -> Job | None:
    """The policy of a file; None where it is a workload, which policies refer to.

    Raises:
        InvalidInput: it cannot be used or not be carried out whole, or names no target.
    """
    loaded = load_file(file)
    return None if isinstance(loaded, LoadedWorkload) else _job(loaded, own_namespace, workload)


def access_of(spec: PrometheusSpec) -> Access:
    """How a policy file says to reach Prometheus."""
    auth = spec.auth
    basic = auth.basic if auth else None
    tls = auth.tls if auth else None
    return Access(
        url=spec.url,
        timeout_s=REQUEST_S,
        token_file=_path(auth.bearer_token_file if auth else None),
        username=basic.username if basic else None,
        password_file=_path(basic.password_file if basic else None),
        client_cert_file=_path(tls.cert_file if tls else None),
        client_key_file=_path(tls.key_file if tls else None),
        ca_file=_path(tls.ca_file if tls else None),
        headers=tuple(sorted(spec.headers.items())),
    )


def _job(policy: LoadedPolicy, own_namespace: str, workload: Workload | None) -> Job:
    target = policy.spec.target
    if target is None:
        raise InvalidInput(f"{policy.source}: spec.target: missing — the Deployment to size is needed to run")
    left_out = [str(finding) for finding in policy.findings if finding.changes_decisions]
    if left_out:
        raise InvalidInput(*left_out, f"{policy.source}: a policy that cannot be carried out whole is not run")
    namespace = policy.file.metadata.namespace or own_namespace
    served = policy.serving(None if policy.workload else workload)
    rule, rails = build(policy, served)
    sized = Target(f"{namespace}/{target.name}", rule, rails, _drain(policy))
    return Job(policy, sized, namespace, target.name, served.objective_s, target.service)


def _drain(policy: LoadedPolicy) -> Drain:
    """As the file says; where pods are relabelled anyway, by label."""
    stated = policy.spec.drain
    if stated is not None:
        return Drain(stated)
    return Drain.LABEL if policy.spec.standby.mode == "gated" else Drain.SIGTERM


def _check_distinct(jobs: Iterable[Job]) -> None:
    sources: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        sources[job.target.name].append(job.policy.source)
    doubled = [
        f"{', '.join(files[:-1])} and {files[-1]}: each sizes {name} — one policy for a target"
        for name, files in sources.items()
        if len(files) > 1
    ]
    if doubled:
        raise InvalidInput(*doubled)


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)

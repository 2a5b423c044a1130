"""The policies in force: what stands in the files, and where a file cannot be used, what stood there last.

A mounted ConfigMap changes by a swap of symbolic links; an editor writes half a file first. So files are compared by
their content, a moment after something has changed and every few seconds besides.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from watchfiles import watch

from autoscaler.model import InvalidInput, Workload
from autoscaler.service.wiring import Job, load_job, policy_files

LOOK_EVERY_S = 5.0
SETTLED_S = 0.2
"""Several changes within this time are one."""
GONE = "is gone: what stood there last stays in force until the controller is started again"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """What is sized by which policy, and what is wrong with the files.

    Attributes:
        jobs: by target.
        problems: one line each, by file.
        troubles: the same by target: of the file that its policy is from, and of others that want it too. Of two that
            want it at once neither is in force.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    problems: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    troubles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


Found = Mapping[str, Job | tuple[str, ...] | None]
"""By file: a policy, None for a file that is none (a workload), or what is wrong with it."""


def settle(before: InForce, found: Found) -> InForce:
    """What is in force after the files were read anew.

    A file that cannot be used, or is gone, leaves its policy in force. A newcomer for a target that another file
    sizes is refused; of two that come at once, neither acts.
    """
    problems = {name: what for name, what in found.items() if isinstance(what, tuple)}
    wanted: dict[str, list[Job]] = defaultdict(list)
    for each in found.values():
        if isinstance(each, Job):
            wanted[each.target.name].append(each)
    jobs: dict[str, Job] = {}
    refused: dict[str, list[str]] = defaultdict(list)
    for target in sorted({*before.jobs, *wanted}):
        holder, candidates = before.jobs.get(target), wanted[target]
        job = _chosen(holder, candidates, found)
        if job is not None:
            jobs[target] = job
            if job.policy.source not in found:
                problems[job.policy.source] = (f"{job.policy.source}: {GONE}",)
        for other in candidates:
            if other is not job:
                others = {each.policy.source for each in (*candidates, holder) if each} - {other.policy.source}
                line = _doubled(other, sorted(others), job)
                problems[other.policy.source] = (line,)
                refused[target].append(line)
    troubles = {name: (*_own(jobs.get(name), problems), *refused[name]) for name in {*jobs, *refused}}
    return InForce(jobs, problems, {name: lines for name, lines in troubles.items() if lines})


def _chosen(holder: Job | None, candidates: Sequence[Job], found: Found) -> Job | None:
    """The policy of one target."""
    if holder is None:
        return candidates[0] if len(candidates) == 1 else None
    source = holder.policy.source
    own = next((each for each in candidates if each.policy.source == source), None)
    gone = source not in found
    given_up = not gone and not isinstance(found[source], tuple)
    if own is not None or given_up:
        return own or (candidates[0] if len(candidates) == 1 else None)
    return candidates[0] if gone and len(candidates) == 1 else holder


def _own(job: Job | None, problems: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What is wrong with the file that a policy is from."""
    return () if job is None else problems.get(job.policy.source, ())


def _doubled(newcomer: Job, others: Sequence[str], in_force: Job | None) -> str:
    names, ruling = " and ".join(others), in_force.policy.source if in_force else "neither"
    return f"{newcomer.policy.source}: {newcomer.target.name} is sized by {names} too; in force: {ruling}"


class PolicyFolder:
    """The policy files of one process.

    Args:
        path: a file or a folder.
        own_namespace: of targets whose policy names none.
        workload: what is served, for policies that do not say.
    """

    def __init__(self, path: Path, own_namespace: str, workload: Workload | None = None) -> None:
        self._path = path
        self._own_namespace = own_namespace
        self._workload = workload
        self._digest = b""
        self._referred: set[Path] = set()
        """Workload files that policies have named: they need not lie below the path."""
        self.in_force = InForce()

    def read(self) -> InForce:
        """Read the files if they have changed, and settle what is in force."""
        digest = content_digest(self._path, self._referred)
        if digest != self._digest:
            self._digest = digest
            found = {str(file): self._found(file) for file in policy_files(self._path)}
            self._referred |= {
                file for each in found.values() if isinstance(each, Job) and (file := each.policy.workload_file)
            }
            self.in_force = settle(self.in_force, found)
        return self.in_force

    def _found(self, file: Path) -> Job | tuple[str, ...] | None:
        try:
            return load_job(file, self._own_namespace, self._workload)
        except InvalidInput as error:
            return error.problems

    def follow(self, changed: Callable[[InForce], None], ended: threading.Event) -> None:
        """Read again whenever the files may have changed, until an event is set."""
        folder = self._path if self._path.is_dir() else self._path.parent
        taken_up = self.in_force
        while not ended.is_set():
            try:
                for _ in _moments(folder, ended):
                    if self.read() is not taken_up:
                        changed(self.in_force)
                        taken_up = self.in_force
            except OSError as error:
                _log.error("policy files cannot be watched", folder=str(folder), error=str(error))
                ended.wait(LOOK_EVERY_S)
            except Exception:  # noqa: BLE001 — whatever it is: who ends here never takes up a file any more
                _log.exception("policy files cannot be taken up", folder=str(folder))
                ended.wait(LOOK_EVERY_S)


def _moments(folder: Path, ended: threading.Event) -> Iterable[object]:
    """Comes when something has changed in a folder, and every few seconds."""
    return watch(
        folder,
        stop_event=ended,
        yield_on_timeout=True,
        rust_timeout=round(LOOK_EVERY_S * 1000),
        debounce=round(SETTLED_S * 1000),
        raise_interrupt=False,
    )


def _yaml_below(folder: Path) -> list[Path]:
    """All YAML files of a folder and those below; pathlib's own search takes as long as reading a thousand of them."""
    names = (os.path.join(where, name) for where, _, names in os.walk(folder) for name in names)  # noqa: PTH118
    return [Path(name) for name in sorted(names) if name.endswith((".yaml", ".yml"))]


def content_digest(path: Path, referred: Collection[Path] = ()) -> bytes:
    """Changes with any policy or workload file, below a path or referred to; what cannot be read counts as empty."""
    digest = hashlib.sha256()
    for file in sorted({*(_yaml_below(path) if path.is_dir() else [path]), *referred}):
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        digest.update(b"%s\0%d\0" % (str(file).encode(), len(content)) + content)
    return digest.digest()

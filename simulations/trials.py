"""Replays of peers' settings for a search: figures alone, kept one by one so that an interrupted search goes on.

The replay is `run.play`: the loop, the world and the score of every other replay. Only the timeline is left out, and
the traffic of a trace is drawn once for many settings.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import orjson

from autoscaler.loop import Target
from autoscaler.model import InvalidInput, Rails, Workload
from simulations.draw import Traffic, draw
from simulations.peers import Setting, replayed_as, to_json
from simulations.replay import trace_digest
from simulations.run import Record, play
from simulations.score import Run, score
from simulations.traffic.trace import Trace
from simulations.world import Conditions, World

CODE = (
    "autoscaler/loop.py",
    "autoscaler/decide.py",
    "autoscaler/plan.py",
    "autoscaler/model",
    "autoscaler/policies/fixed.py",
    "autoscaler/policies/windows.py",
    "autoscaler/policies/hpa",
    "autoscaler/policies/keda",
    "autoscaler/policies/kpa",
    "simulations/draw.py",
    "simulations/engine",
    "simulations/peers.py",
    "simulations/run.py",
    "simulations/score.py",
    "simulations/world.py",
)
"""What a peer's figures depend on."""
_LIBRARIES = ("numpy", "numba")


@dataclass(frozen=True, slots=True)
class Case:
    """Traffic and service: what a setting is tried on."""

    trace: Trace
    workload: Workload

    def __str__(self) -> str:
        return f"{self.trace.name} {self.workload.name}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What one replay of one setting found."""

    missed_ratio: float
    pod_hours: float
    starts_per_hour: float


def replay(case: Case, traffic: Traffic, setting: Setting, seed: int) -> Trial:
    """Replay one setting under the conditions of the protocol.

    Raises:
        InvalidInput: the trace is not longer than the warm-up.
    """
    workload, conditions = case.workload, Conditions()
    scored_s = traffic.duration_s - conditions.warm_up_s
    if scored_s <= 0:
        raise InvalidInput(f"{case}: {traffic.duration_s:g} s are left to replay, not more than the warm-up")
    world = World(case.trace.name, traffic, workload, seed, conditions)
    rails = Rails(workload.min_replicas, workload.max_replicas)
    target = Target(setting.family.value, setting.policy(workload), rails)
    play(world, target, Record(world.origin_s + conditions.warm_up_s), traffic.duration_s)
    runs = world.engine
    happened = Run(traffic, runs.finish_s, runs.pod_log(), runs.queued_at_step, world.step_s)
    found = score(happened, workload, conditions.warm_up_s)
    missed = (found.late + found.left) / found.requests if found.requests else 0.0
    return Trial(missed, found.pod_s / 3600, found.pod_starts / (scored_s / 3600))


class Trials:
    """All finished replays of one case: a file with a line for each, and the traffic that was drawn for them.

    A line that an interruption has cut off is replayed again; so is whatever other code or other traffic has found.
    """

    def __init__(self, case: Case, folder: Path, keep: int = 3) -> None:
        """Read what is there.

        Args:
            case: what settings are tried on.
            folder: where trials are, and go.
            keep: for how many seeds the drawn traffic stays in memory, up to 160 MB each.

        Raises:
            InvalidInput: trials cannot be kept in that folder.
        """
        self.case = case
        self.replayed = 0
        """Replays that this object has run."""
        self._path = folder / f"{case.trace.name}-{case.workload.name}.jsonl"
        self._basis = _basis(case)
        self._keep = keep
        self._traffic: dict[int, Traffic] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"{folder}: trials cannot be kept here: {error.strerror or error}") from error
        self._found = dict(self._read())

    def __call__(self, setting: Setting, seed: int) -> Trial:
        """The figures of one replay; replayed now if they are not there yet."""
        played = replayed_as(setting)
        key = _key(played, seed)
        if key not in self._found:
            self._found[key] = trial = replay(self.case, self._drawn(seed), played, seed)
            self.replayed += 1
            line = orjson.dumps({"basis": self._basis, "key": key, **asdict(trial)}) + b"\n"
            with self._path.open("ab") as file:
                file.write(line)
        return self._found[key]

    def _drawn(self, seed: int) -> Traffic:
        known = self._traffic.get(seed)
        if known is None:
            known = draw(self.case.trace, self.case.workload, seed)
            if len(self._traffic) < self._keep:
                self._traffic[seed] = known
        return known

    def _read(self) -> Iterator[tuple[str, Trial]]:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if record.pop("basis") == self._basis:
                yield record.pop("key"), Trial(**record)


def _key(setting: Setting, seed: int) -> str:
    return orjson.dumps([seed, to_json(setting)], option=orjson.OPT_SORT_KEYS).decode()


def _basis(case: Case) -> str:
    content = [code_digest(), trace_digest(case.trace), asdict(case.workload), asdict(Conditions())]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@cache
def code_digest(names: tuple[str, ...] = CODE) -> str:
    """Hash of the code that figures come out of, and of the libraries that compute in it.

    Of what the code does, not of how it is written: comments, docstrings and line breaks do not count.
    """
    digest = hashlib.sha256()
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    for name in names:
        package, _, inside = name.partition("/")
        path = Path(str(files(package))) / inside
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{name}/{file.name}\n".encode())
            digest.update(meaning(file.read_text()).encode())
    return digest.hexdigest()[:16]


def meaning(source: str) -> str:
    """The syntax tree without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

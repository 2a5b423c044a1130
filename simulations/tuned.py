"""What was measured, as files that are kept with the documentation: settings and figures, no traffic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from autoscaler.files import atomic
from autoscaler.model import InvalidInput
from simulations.hindsight import Score
from simulations.peers import Family, Setting, from_json, to_json
from simulations.trials import Trial


@dataclass(frozen=True, slots=True)
class Baseline:
    """One trace under one workload."""

    trace: str
    workload: str
    counted: bool
    allowed: float
    """Share of requests that may miss."""
    reference_pod_hours: float
    """Of the clairvoyant plan of the first seed."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The cheapest setting of a family for one trace; None: none keeps it, not even a constant at the maximum."""

    trace: str
    workload: str
    family: Family
    score: Score | None


@dataclass(frozen=True, slots=True)
class Common:
    """One setting of a family for all traces of a workload."""

    workload: str
    family: Family
    scores: Mapping[str, Score]
    """By trace."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A policy as it ships on one trace: means over the seeds."""

    policy: str
    """The family: predictive stands for the file of each workload."""
    trace: str
    workload: str
    seeds: tuple[int, ...]
    missed_ratio: float
    pod_hours: float
    starts_per_hour: float | None
    """None where it was not kept."""
    code: str
    """Digest of all code that a replay depends on, or the commit."""

    @property
    def place(self) -> tuple[str, str, str]:
        """What stands once in a table."""
        return self.workload, self.trace, self.policy


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured so far."""

    code: str = ""
    """Digest of the code that the figures come out of."""
    seeds: tuple[int, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    tuned: tuple[Tuned, ...] = ()
    common: tuple[Common, ...] = ()
    """For each workload and family the one that keeps most traces first, then cheaper ones that keep fewer."""
    shipped: tuple[Shipped, ...] = ()

    def with_tuned(self, baseline: Baseline, found: Sequence[Tuned]) -> Found:
        """With what was found for one trace, in place of what was known for those families."""
        families = {each.family for each in found}
        place = (baseline.trace, baseline.workload)
        others = [each for each in self.tuned if (each.trace, each.workload) != place or each.family not in families]
        tuned = sorted([*others, *found], key=lambda each: (each.workload, each.trace, each.family))
        return replace(self, baselines=_merged(self.baselines, [baseline]), tuned=tuple(tuned))

    def with_common(self, baselines: Iterable[Baseline], found: Sequence[Common]) -> Found:
        """With common settings in place of those of the same workload and family."""
        places = {(each.workload, each.family) for each in found}
        others = [each for each in self.common if (each.workload, each.family) not in places]
        common = sorted([*others, *found], key=lambda each: (each.workload, each.family))  # stable: the front's order
        return replace(self, baselines=_merged(self.baselines, baselines), common=tuple(common))

    def with_shipped(self, baselines: Iterable[Baseline], found: Iterable[Shipped]) -> Found:
        """With policies as they ship in place of what was known of them."""
        shipped = {each.place: each for each in self.shipped} | {each.place: each for each in found}
        ordered = tuple(shipped[place] for place in sorted(shipped))
        return replace(self, baselines=_merged(self.baselines, baselines), shipped=ordered)

    def starts(self, trace: str, workload: str, family: Family) -> list[Setting]:
        """What won last time."""
        place = (trace, workload, family)
        return [t.score.setting for t in self.tuned if (t.trace, t.workload, t.family) == place and t.score]


def _merged(known: Iterable[Baseline], new: Iterable[Baseline]) -> tuple[Baseline, ...]:
    merged = {(each.workload, each.trace): each for each in known}
    merged |= {(each.workload, each.trace): each for each in new}
    return tuple(merged[place] for place in sorted(merged))


def load(path: Path) -> Found:
    """What a search has written; nothing where there is no such file.

    Raises:
        InvalidInput: the file is not as `save` writes it.
    """
    if not path.exists():
        return Found()
    try:
        record = orjson.loads(path.read_bytes())
        return Found(
            code=record["code"],
            seeds=tuple(record["seeds"]),
            baselines=tuple(Baseline(**each) for each in record["baselines"]),
            tuned=tuple(_tuned(each) for each in record["tuned"]),
            common=tuple(_common(each) for each in record["common"]),
            shipped=tuple(_shipped(each) for each in record.get("shipped", ())),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: is not what a search writes: {error}") from error


def save(path: Path, found: Found) -> None:
    """Write the file, a line for each entry, so that a diff shows what changed.

    Raises:
        InvalidInput: it cannot be written.
    """
    parts = {
        "baselines": map(asdict, found.baselines),
        "tuned": map(_of_tuned, found.tuned),
        "common": map(_of_common, found.common),
        "shipped": map(_of_shipped, found.shipped),
    }
    lines = [f'{{"code": "{found.code}", "seeds": {list(found.seeds)}']
    for name, entries in parts.items():
        lines += [f'"{name}": [' + "".join(_separated(entries)) + "]"]
    with atomic(path) as file:
        file.write((",\n".join(lines) + "}\n").encode())


def _separated(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for number, entry in enumerate(entries):
        yield (",\n" if number else "\n") + orjson.dumps(entry).decode()


def _of_tuned(tuned: Tuned) -> dict[str, Any]:
    entry = {"trace": tuned.trace, "workload": tuned.workload, "family": tuned.family.value}
    return entry | {"score": _of_score(tuned.score) if tuned.score else None}


def _of_common(common: Common) -> dict[str, Any]:
    scores = {trace: _of_score(score) for trace, score in common.scores.items()}
    return {"workload": common.workload, "family": common.family.value, "scores": scores}


def _of_shipped(shipped: Shipped) -> dict[str, Any]:
    starts = shipped.starts_per_hour
    rounded = {"missed_ratio": round(shipped.missed_ratio, 7), "pod_hours": round(shipped.pod_hours, 4)}
    return asdict(shipped) | rounded | {"starts_per_hour": None if starts is None else round(starts, 3)}


def _of_score(score: Score) -> dict[str, Any]:
    trials = [[round(t.missed_ratio, 7), round(t.pod_hours, 4), round(t.starts_per_hour, 3)] for t in score.trials]
    return {"setting": to_json(score.setting), "trials": trials}


def _tuned(entry: Mapping[str, Any]) -> Tuned:
    score = _score(entry["score"]) if entry["score"] else None
    return Tuned(entry["trace"], entry["workload"], Family(entry["family"]), score)


def _common(entry: Mapping[str, Any]) -> Common:
    scores = {trace: _score(score) for trace, score in entry["scores"].items()}
    return Common(entry["workload"], Family(entry["family"]), scores)


def _shipped(entry: Mapping[str, Any]) -> Shipped:
    return Shipped(**{**entry, "seeds": tuple(entry["seeds"])})


def _score(entry: Mapping[str, Any]) -> Score:
    return Score(from_json(entry["setting"]), tuple(Trial(*trial) for trial in entry["trials"]))

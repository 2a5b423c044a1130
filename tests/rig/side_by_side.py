"""The story under several autoscalers, each on a real control plane of its own, beside what the simulator says.

`python -m rig.side_by_side --runs out/story.jsonl` plays those that are not among the runs yet, and prints the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median

from rig.contenders import MOST, SERVING, Contender, Ours, Peer
from rig.story import CALM_RPS, PUSH_RPS, Play, Told, perform, requests, size_at

from autoscaler.loop import Target
from autoscaler.model import Rails, Routing
from autoscaler.policies.build import build
from autoscaler.spec import find_policy
from simulations.draw import Traffic
from simulations.peers import Family, Hpa
from simulations.story import LOOKED_AT_S, NO_PAST, PHASES, SCRAPE_S, SETTLED_S, Jump, replayed, variants
from simulations.story import Told as Replayed
from simulations.story_peers import TICKS_AFTER_S

_SAME = {"stabilization_s": 300, "least": SERVING, "mode": "external"}
CONTENDERS: tuple[Contender, ...] = (
    Ours(0),
    Ours(4),
    Ours(6),
    Ours(4, "serving"),
    Ours(6, "serving"),
    Peer("HPA, busy 60 s", Hpa(0.7, "busy", 60.0, growth="default", family=Family.HPA, **_SAME)),
    Peer("KEDA, rate 2 min", Hpa(0.7, "rate", 120.0, growth="default", family=Family.KEDA, **_SAME)),
    Peer("HPA, best", Hpa(0.7, "concurrency", 30.0, growth="unlimited", family=Family.HPA, **_SAME)),
    Peer("KEDA, best", Hpa(0.7, "concurrency", 30.0, growth="unlimited", family=Family.KEDA, **_SAME)),
)
"""Ours; both peers as their documentation has it (policies/hpa.yaml, policies/keda.yaml); both with what
`simulations.story_peers` found."""


@dataclass(frozen=True)
class Played:
    """One run on a real control plane."""

    contender: str
    play: Play
    told: Told

    def line(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def of(cls, line: str) -> Played:
        """As it was kept."""
        values = json.loads(line)
        return cls(values["contender"], Play(**values["play"]), Told(**values["told"]))


def simulated(contender: Contender, play: Play) -> list[Replayed]:
    """The same requests in the simulator, at ten phases of the scrape; a peer's own clock at three."""
    at_s, service_s = requests(play)
    jump = Jump(Traffic(at_s, service_s, play.calm_s + play.push_s, NO_PAST), play.calm_s, play.push_s)
    shipped = find_policy("holiday-push")
    said = shipped.serving(None)
    served = replace(said, routing=Routing(play.routing))
    found = []
    phases_s = [phase * SCRAPE_S for phase in PHASES]
    if isinstance(contender, Peer):
        served = replace(served, min_replicas=SERVING, max_replicas=MOST)
        target = Target(contender.name, contender.setting.policy(served), Rails(SERVING, MOST))
        for phase_s, after_s in product(phases_s, TICKS_AFTER_S):
            found.append(replayed(jump, target, served, seed=play.seed, phase_s=phase_s, tick_after_s=after_s))
        return found
    [policy] = [variant.policy for variant in variants(shipped) if variant.name == contender.name]
    for phase_s in phases_s:
        target = Target(contender.name, *build(policy, said, NO_PAST))  # the real one is told what its file says, too
        found.append(replayed(jump, target, served, seed=play.seed, phase_s=phase_s))
    return found


def table(runs: Sequence[Played]) -> str:
    """Two lines for each contender: what the real one did, and what the simulator says (median, and range)."""
    heads = [
        "first more serves",
        "8 serve",
        "late",
        f"late after {SETTLED_S:.0f} s",
        "lost",
        "pod-seconds",
        "well again",
    ]
    became, over_time = _begun(heads), _begun([str(each_s) for each_s in LOOKED_AT_S])
    for contender in CONTENDERS:
        for played in (each for each in runs if each.contender == contender.name):
            said = simulated(contender, played.play)
            became += [f"| {contender.name} | real | {_real(played.told)} |", f"| | simulated | {_replayed(said)} |"]
            real = [size_at(played.told.serving, each_s) for each_s in LOOKED_AT_S]
            medians = [median(sizes) for sizes in zip(*(each.serving for each in said), strict=True)]
            over_time += [
                f"| {contender.name} | real | {' | '.join(map(str, real))} |",
                f"| | simulated | {' | '.join(f'{size:g}' for size in medians)} |",
            ]
    return "\n".join([*became, "", "Serving pods, so many seconds after the jump:", "", *over_time])


def _begun(heads: Sequence[str]) -> list[str]:
    return [f"| contender | | {' | '.join(heads)} |", "| --- " * (len(heads) + 2) + "|"]


def _real(told: Told) -> str:
    first, enough, well = map(_seconds, (told.first_serves_s, told.enough_serve_s, told.well_again_s))
    late = f"{told.late_ratio:.1%} | {told.settled_late_ratio:.1%}"
    return f"{first} | {enough} | {late} | {told.lost} | {told.pod_s:.0f} | {well}"


def _replayed(told: Sequence[Replayed]) -> str:
    return " | ".join(
        [
            _range([each.first_serves_s for each in told], " s"),
            _range([each.enough_serve_s for each in told], " s"),
            _range([100 * each.late_ratio for each in told], " %"),
            _range([100 * each.settled_late_ratio for each in told], " %"),
            _range([float(each.lost) for each in told], "", 0),
            _range([each.pushed_pod_s for each in told], "", 0),
            _range([each.well_again_s for each in told], " s", 0),
        ]
    )


def _seconds(value: float) -> str:
    return "never" if value == float("inf") else f"{value:.1f} s"


def _number(value: float, digits: int) -> str:
    return "never" if value == float("inf") else f"{value:.{digits}f}"


def _range(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """Median, least and greatest."""
    middle, least, most = (_number(value, digits) for value in (median(values), min(values), max(values)))
    return f"{middle}{unit}" if least == most else f"{middle}{unit} ({least}–{most})"


def main(arguments: Sequence[str]) -> int:
    """Play what has not been played, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m rig.side_by_side", description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept; our logs go beside it")
    parser.add_argument("--only", action="append", help=f"of {', '.join(each.name for each in CONTENDERS)}")
    parser.add_argument("--calm", type=float, default=120.0, help=f"seconds of {CALM_RPS:g} requests/s before")
    parser.add_argument("--push", type=float, default=300.0, help=f"seconds of {PUSH_RPS:g} requests/s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="the balancer picks pods at random, as a Service does")
    asked = parser.parse_args(arguments)
    routing = Routing.RANDOM if asked.random else Routing.LEAST_OUTSTANDING
    play = Play(calm_s=asked.calm, push_s=asked.push, seed=asked.seed, routing=routing)
    runs = [Played.of(line) for line in asked.runs.read_text().splitlines()] if asked.runs.exists() else []
    asked.runs.parent.mkdir(parents=True, exist_ok=True)
    for contender in CONTENDERS:
        played = any((each.contender, each.play) == (contender.name, play) for each in runs)
        if played or (asked.only and contender.name not in asked.only):
            continue
        runs.append(
            Played(contender.name, play, perform(contender, play, asked.runs.with_name(f"{contender.name}.log")))
        )
        with asked.runs.open("a") as kept:
            kept.write(runs[-1].line())
        print(f"{contender.name}: {runs[-1].told}", file=sys.stderr, flush=True)
    print(table(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The jump of the story at several phases of the scrape: `python -m rig.jumps`.

Each is played on a site of its own, with six gated pods in reserve. Prometheus scrapes every pod at a moment of its
own within the interval, so the phase is the age of the newest sample when the jump comes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from statistics import median

from rig.contenders import Ours
from rig.story import SCRAPE_S, Play, Told, perform

from simulations.story import SETTLED_S


def main(arguments: Sequence[str]) -> int:
    """Print a row for each jump, and the medians."""
    parser = argparse.ArgumentParser(prog="python -m rig.jumps", description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--push", type=float, default=60.0, help="seconds of 35 requests/s")
    parser.add_argument("--calm", type=float, default=30.0, help="seconds before; each jump a fifth of a scrape later")
    parser.add_argument("--scrape", type=float, default=SCRAPE_S, help="seconds between two scrapes of a pod")
    asked = parser.parse_args(arguments)
    print(f"| newest sample | first more serves | 8 serve | late | lost | well again | late after {SETTLED_S:.0f} s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    found = []
    for number in range(asked.times):
        calm_s = asked.calm + number * asked.scrape / asked.times
        play = Play(calm_s=calm_s, push_s=asked.push, seed=1 + number, scrape_s=asked.scrape)
        found.append(perform(Ours(6), play))
        print(_row(f"{found[-1].phase_s:.1f} s before", found[-1:]), flush=True)
    print(_row("median", found))
    return 0


def _row(what: str, told: Sequence[Told]) -> str:
    first, enough, well = (
        median(getattr(each, name) for each in told) for name in ("first_serves_s", "enough_serve_s", "well_again_s")
    )
    late, lost = median(each.late_ratio for each in told), max(each.lost for each in told)
    settled = median(each.settled_late_ratio for each in told)
    return f"| {what} | {first:.1f} s | {enough:.1f} s | {late:.1%} | {lost} | {well:.0f} s | {settled:.1%} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

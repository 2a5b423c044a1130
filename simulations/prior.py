"""Make the forecast that is shipped for services without history: `python -m simulations.prior --out FOLDER`.

It is learned over the catalogue's traces that are marked `train` and over made traffic. Written are a forest for each
length of lead (thresholds, and how often each outcome came; no traffic) and a card that says what it was taught.
Rows, features and settings: research note "algorithm", C.10.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoscaler.files import atomic
from autoscaler.forecast import prior, priorfile
from autoscaler.forecast.bins import log_ratio
from autoscaler.forecast.dispersion import Dispersion
from autoscaler.forecast.features import past
from autoscaler.forecast.leadtime import LeadTime, Windows, windows
from autoscaler.forecast.sample import draw
from autoscaler.forecast.scalefree import scale_free
from autoscaler.forecast.series import LoadSeries, spread
from autoscaler.forecast.trees import Settings
from autoscaler.model import InvalidInput, Workload
from autoscaler.policies.predictive.learn import measured, outcomes
from autoscaler.policies.predictive.policy import DATA_AGE_S
from autoscaler.spec import find_workload
from simulations.draw import round_up_at_random
from simulations.traffic import catalogue, synth

Floats = npt.NDArray[np.floating]

INTERVAL_S = 5.0
HISTORY_S, DAY_S = 6 * 86400.0, 86400.0
"""Taught are six days before a trace's evaluation and its first day, and once more that day alone, as of a new one."""
ROWS = 4_000
"""From each of the two."""
MADE_ROWS = 2_000
FIRST_ROW = 12
"""A minute: before, a policy leaves the pods as they are."""
MADE = 40
"""Services with made traffic."""
GROWN = Settings(trees=20, min_rows_a_leaf=300, features_a_split=0.5)
WORKLOADS = ("tts", "asr")
MADE_HERE = "Apache-2.0, made here"
SEED = 1


@dataclass(frozen=True, slots=True)
class Service:
    """Traffic of one service, from which rows are drawn."""

    name: str
    licence: str
    source: str
    series: LoadSeries
    rows: int
    """Most rows to draw."""


def services(folder: Path, leave_out: Sequence[str], seed: int) -> Iterator[Service]:
    """Traces that may be learned from, then made ones.

    Args:
        folder: of the catalogue.
        leave_out: traces whose name begins so are left out, to judge a forest on others than it was taught.
        seed: of rounding, noise and made shapes.
    """
    for entry in catalogue.entries(folder).values():
        if entry.train and not entry.name.startswith(tuple(leave_out)):
            yield from _recorded(folder, entry, seed)
    random = np.random.default_rng([seed, 2])
    for number, expression in enumerate(shapes(random)):
        counts = synth.make(expression, bin_s=INTERVAL_S, poisson_seed=1000 * seed + number).counts
        yield Service(expression, MADE_HERE, "`simulations.traffic.synth`", _series(counts), MADE_ROWS)


def _recorded(folder: Path, entry: catalogue.Entry, seed: int) -> Iterator[Service]:
    """The history with the first day after it, and that day alone."""
    trace = catalogue.load(folder, entry)
    first = max(0, int((entry.eval_start_s - HISTORY_S) / trace.bin_s))
    end = int((entry.eval_start_s + DAY_S) / trace.bin_s)
    random = np.random.default_rng([seed, 1])
    whole = round_up_at_random(trace.counts[first:end] * trace.scale, random)
    counts = spread(whole, trace.bin_s, INTERVAL_S, random)
    starts_s = (np.arange(len(counts)) + first * trace.bin_s / INTERVAL_S) * INTERVAL_S
    known = np.ones(len(counts), dtype=bool)
    for gap in entry.known_gaps:
        known &= (starts_s + INTERVAL_S <= gap.start_s) | (starts_s >= gap.end_s)
    day = starts_s >= entry.eval_start_s
    if not day.all():
        yield Service(entry.name, entry.licence, entry.source, _series(counts, known), ROWS)
    yield Service(entry.name, entry.licence, entry.source, _series(counts[day], known[day]), ROWS)


def _series(counts: Floats, known: npt.NDArray[np.bool_] | None = None) -> LoadSeries:
    series = LoadSeries(INTERVAL_S, 0.0)
    series.append(counts, known=True if known is None else known)
    return series


def shapes(random: np.random.Generator) -> Iterator[str]:
    """Made services of many sizes: days, blocks, pulses and steps, each under noise that breathes at its own pace."""
    for number in range(MADE):
        peak = float(np.exp(random.uniform(np.log(3), np.log(150))))
        noise = f"noise:sd={peak * random.uniform(0.03, 0.3):.2f},every={random.choice([5, 10, 20, 60, 300])}s"
        low = peak * random.uniform(0.02, 0.6)
        at_m, spell_m, pause_m = random.integers(5, 300), random.integers(1, 90), random.integers(5, 200)
        pulses = f"spike:peak={peak:.2f},at={at_m}m,decay={spell_m}m,every={pause_m + 60}m"
        form = (
            f"constant:rate={peak * 0.7:.2f},for=6h",
            f"diurnal:low={low:.2f},high={peak:.2f},sharpness={random.uniform(1, 4):.1f},for=24h",
            f"on-off:low={low / 4:.2f},high={peak:.2f},on={spell_m}m,off={pause_m}m,for=12h",
            f"constant:rate={low:.2f},for=12h + {pulses}",
            f"ramp:from={low:.2f},to={peak:.2f},at={at_m}m,over={spell_m}m,for=6h",
        )[number % 5]
        yield f"{form} + {noise}"


def lesson(service: Service, spans: Windows, workload: Workload, random: np.random.Generator) -> prior.Lesson:
    """Rows of one service for one pair of windows, half of them drawn by the load; their mean weight is 1."""
    series, scale = service.series, workload.service_mean_s / INTERVAL_S
    rows = np.arange(FIRST_ROW, len(series) - spans.horizon + 1)
    rows = rows[measured(series, rows, spans.horizon)]
    order, hold = outcomes(series.short() * scale, rows, spans)
    drawn, weights = draw(hold, service.rows, random)
    rows = rows[drawn]
    seen = past(series, rows, scale)
    features = scale_free(seen, rows, _dispersions(series)[rows])
    ratios = np.column_stack([log_ratio(order[drawn], seen.level), log_ratio(hold[drawn], seen.level)])
    return prior.Lesson(features, ratios, weights / weights.mean())


def _dispersions(series: LoadSeries) -> Floats:
    """Before each interval and after the last; shape (intervals + 1,)."""
    dispersion = Dispersion.over(series.interval_s)
    values = [dispersion.value]
    for count in series.counts.tolist():
        dispersion.add(count)
        values.append(dispersion.value)
    return np.array(values)


def learn(taught: Sequence[Service], workload: Workload, seed: int) -> tuple[prior.Prior, list[int]]:
    """The forest for the lead time of a workload, and how many rows each service gave."""
    spans = windows(LeadTime(workload.cold_start), INTERVAL_S, DATA_AGE_S)
    parts = [lesson(service, spans, workload, np.random.default_rng([seed, i])) for i, service in enumerate(taught)]
    rows = prior.Lesson(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.outcomes for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )
    lead_s = workload.cold_start.typical_s
    model = prior.fit(rows, lead_s=lead_s, interval_s=INTERVAL_S, seed=seed, settings=GROWN)
    return model, [len(part.weights) for part in parts]


def card(taught: Sequence[Service], rows: Mapping[str, Sequence[int]], digest: str, seed: int) -> str:
    """What the file was taught, as Markdown.

    Args:
        taught: the services.
        rows: of each workload, how many rows each service gave.
        digest: of the file.
        seed: of everything random.
    """
    of_service: dict[tuple[str, str, str], Counter[str]] = {}
    made = sum(service.licence == MADE_HERE for service in taught)
    for i, service in enumerate(taught):
        name = f"{made} made services" if service.licence == MADE_HERE else service.name
        counts = of_service.setdefault((name, service.licence, service.source), Counter())
        counts.update({workload: numbers[i] for workload, numbers in rows.items()})
    lines = [
        "| taught | " + " | ".join(f"rows, {workload}" for workload in rows) + " | licence | source |",
        "| --- | " + "--- | " * len(rows) + "--- | --- |",
    ]
    for (name, licence, source), counts in of_service.items():
        numbers = " | ".join(str(counts[workload]) for workload in rows)
        lines.append(f"| {name} | {numbers} | {licence} | {source.replace('|', '/')} |")
    return CARD.format(digest=digest, seed=seed, grown=GROWN, table="\n".join(lines))


CARD = """# services.npz: what other services taught

A forecast for services that have little history of their own. Digest `{digest}` (the decision log names it). Made by

    python -m simulations.prior --out policies/priors --seed {seed}

from the traces below, which are not shipped. For each length of lead (15 s and 45 s) the file holds {grown.trees} trees
over 18 features that are free of scale and of clock, and in each leaf how often each of 230 bins of growth followed
in at least {grown.min_rows_a_leaf} moments of traffic: thresholds and frequencies, no rate, no time, no single moment.
A split looks at {grown.features_a_split:.0%} of the features. Each recorded trace was taught twice, with six days of
history and as a new service. Made services are drawn shapes under noise (`simulations/prior.py`).

It knows what its services did, and nothing else: it is mixed in by how well it forecasts, and not at all from an own
history of four days on (`autoscaler/forecast/mixture.py`).

{table}
"""


def main(arguments: Sequence[str]) -> int:
    """Learn and write; bad input ends with 2."""
    parser = argparse.ArgumentParser(prog="python -m simulations.prior", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for services.npz and its card, services.md")
    parser.add_argument(
        "--leave-out", action="append", default=[], metavar="BEGIN", help="traces whose name begins so; repeatable"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args(arguments)
    try:
        print(make(asked.out, asked.leave_out, asked.seed))
    except InvalidInput as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    return 0


def make(out: Path, leave_out: Sequence[str], seed: int) -> str:
    """Learn and write the file and its card; returns the file's digest.

    Raises:
        InvalidInput: there is no catalogue, or a file cannot be read or written.
    """
    folder = catalogue.shared()
    if folder is None:
        raise InvalidInput("no catalogue — $SPEECH_SHARED must name a folder with traces/catalogue.json")
    taught = list(services(folder, leave_out, seed))
    learned = {name: learn(taught, find_workload(name), seed) for name in WORKLOADS}
    data = priorfile.encode(tuple(model for model, _ in learned.values()))
    digest = priorfile.digest(data)
    out.mkdir(parents=True, exist_ok=True)
    with atomic(out / "services.npz") as file:
        file.write(data)
    with atomic(out / "services.md") as file:
        file.write(card(taught, {name: rows for name, (_, rows) in learned.items()}, digest, seed).encode())
    return digest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A trace's figures as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

from rich.table import Table
from rich.text import Text

from autoscaler.spec.values import format_duration
from simulations.traffic.facts import Facts, character, sparkline
from simulations.traffic.trace import Trace

WIDTH = 60
"""Characters of the picture."""
TOLD = {"sha256", "malformed", "malformed_first", "absent_bins", "missing_samples", "first_row", "eval_start"}
"""Labels that are shown elsewhere."""


def sha256s(trace: Trace, inputs: Sequence[str]) -> dict[str, str]:
    """Hash of each file that a trace was read from; empty for a made one."""
    files = [trace.labels["file"]] if "file" in trace.labels else inputs
    found = {}
    for path in map(Path, files):
        if path.is_file():
            with path.open("rb") as file:
                found[str(path)] = file_digest(file, "sha256").hexdigest()
    return found


def table(trace: Trace, known: Facts, hashes: Mapping[str, str]) -> Table:
    """Everything worth knowing before a replay; rates and pods are those of the evaluation window, scaled."""
    shown = Table(title=known.name, title_justify="left", show_header=False, box=None, pad_edge=False)
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    start = (
        datetime.fromtimestamp(known.start_s, UTC).strftime("%A %Y-%m-%d %H:%M:%S")
        if known.start_s
        else "an unknown time"
    )
    shown.add_row("length", f"{_length(known.duration_s)}, bins of {known.bin_s:g} s, second 0 at {start}")
    shown.add_row(
        "recorded", f"{known.requests:,.0f} requests{', each with its time' if known.single_arrivals else ''}"
    )
    if known.eval_start_s or known.scale != 1:
        shown.add_row(
            "evaluated",
            f"from {_length(known.eval_start_s)} on, {known.eval_requests:,.0f} requests at scale {known.scale:g}",
        )
    shown.add_row(
        "requests/s",
        f"mean {known.mean_rps:.2f}, busiest minute {known.peak_minute_rps:.1f}, busiest bin {known.peak_rps:.1f}",
    )
    shown.add_row(
        "busy pods",
        f"mean {known.mean_busy_pods:.1f}, busiest minute {known.peak_busy_pods:.1f}, "
        f"largest rise {known.largest_rise_busy_pods:+.1f} in a minute or bin",
    )
    shown.add_row("character", character(known))
    shown.add_row("", sparkline(trace, WIDTH))
    for key, text in trace.labels.items():
        if key not in TOLD:
            shown.add_row("described as" if key == "character" else key.replace("_", " "), Text(text))
    for path, digest in hashes.items():
        stated = trace.labels.get("sha256")
        verdict = "" if stated is None else " as catalogued" if stated == digest else f" — the catalogue says {stated}"
        shown.add_row("sha256", Text(f"{digest}{verdict}" if len(hashes) == 1 else f"{digest} {path}"))
    return shown


def _length(seconds: float) -> str:
    return format_duration(seconds) if seconds else "the start"

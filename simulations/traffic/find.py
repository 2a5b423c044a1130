"""From a name to a trace."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from autoscaler.model import InvalidInput
from simulations.traffic import catalogue, synth
from simulations.traffic.bins import rebin
from simulations.traffic.formats.format import SUFFIXES, ReadOptions
from simulations.traffic.read import read
from simulations.traffic.trace import Trace

GROUPS = ("demo", "all", "counted")


def find(name: str, *, format: str | None = None, options: ReadOptions | None = None) -> Trace:  # noqa: A002
    """The trace that a name means.

    In this order: a file (one that stands beside a `catalogue.json` naming it is used as that says), a bundled trace,
    one of the catalogue in `$SPEECH_SHARED/traces` (default `../shared/traces`), an expression of shapes.

    Args:
        name: what is looked for.
        format: how a file is read; None finds it out.
        options: how a file is read; the width of bins may be asked for with any name.

    Raises:
        InvalidInput: it means nothing (the message lists what is known and what is nearest), the file is not as it
            must be, or what is no file was given options for files.
    """
    options = options or ReadOptions()
    path = Path(name)
    entry = None if format else _beside(path)
    if entry is not None:
        return _width(catalogue.load(path.parent, entry, options), options)
    if path.is_file():
        return read(path, format=format, options=options)
    needless = sorted(options.given() - {"bin_s"}) + (["format"] if format else [])
    found = _named(name, options.bin_s)
    if needless:
        raise InvalidInput(f"trace {name!r}: {', '.join(needless)} — allowed for files alone")
    return _width(found, options)


def _named(name: str, bin_s: float | None) -> Trace:
    for folder in _folders():
        entry = catalogue.entries(folder).get(name)
        if entry:
            return catalogue.load(folder, entry)
    if synth.is_expression(name):
        return synth.make(name, bin_s=bin_s or 1.0)
    raise InvalidInput(*_unknown(name))


def _width(trace: Trace, options: ReadOptions) -> Trace:
    return rebin(trace, options.bin_s) if options.bin_s else trace


def expand(name: str) -> list[str]:
    """The names that a word stands for: `demo` the bundled traces, `all` the catalogue's, `counted` those that count.

    A folder stands for every trace of its `catalogue.json`, or, without one, for every file in it that ends as files
    of traces do; any other name stands for itself.

    Raises:
        InvalidInput: `all` or `counted` without a catalogue, or a folder without a trace.
    """
    if name == "demo":
        return list(catalogue.entries(catalogue.bundled()))
    if name not in GROUPS:
        return _in_folder(Path(name)) if Path(name).is_dir() and not synth.is_expression(name) else [name]
    folder = catalogue.shared()
    if folder is None:
        raise InvalidInput(
            f"traces {name!r}: no catalogue — $SPEECH_SHARED must name a folder with traces/catalogue.json"
        )
    return [entry.name for entry in catalogue.entries(folder).values() if entry.counted or name == "all"]


def _in_folder(folder: Path) -> list[str]:
    catalogued = (folder / catalogue.FILE).is_file()
    names = (
        [entry.file for entry in catalogue.entries(folder).values()]
        if catalogued
        else sorted(each.name for each in folder.iterdir() if each.is_file() and each.name.endswith(SUFFIXES))
    )
    if not names:
        allowed = "an entry for each trace" if catalogued else f"files that end in {', '.join(SUFFIXES)}"
        raise InvalidInput(f"{folder / catalogue.FILE if catalogued else folder}: no traces — allowed: {allowed}")
    return [str(folder / name) for name in names]


def _folders() -> list[Path]:
    shared = catalogue.shared()
    return [catalogue.bundled(), *([shared] if shared else [])]


def _beside(path: Path) -> catalogue.Entry | None:
    """What the catalogue in a file's folder says of it, be the file there or not; of a bare name only if it is."""
    if not (path.parent / catalogue.FILE).is_file() or (path == Path(path.name) and not path.is_file()):
        return None
    known = catalogue.entries(path.parent).values()
    return next((entry for entry in known if entry.file == path.name), None)


def _unknown(name: str) -> list[str]:
    if name and Path(name).is_dir():
        return [f"{name}: a folder — allowed is one trace; `autoscaler compare --traces` takes folders"]
    known = [*GROUPS, *synth.SHAPES]
    lines = []
    for title, folder in (("bundled", catalogue.bundled()), ("catalogue", catalogue.shared())):
        names = list(catalogue.entries(folder)) if folder else []
        known += names
        lines.append(f"  {title}: {', '.join(names) or 'none; set $SPEECH_SHARED to the folder that holds traces/'}")
    close = get_close_matches(name, known, n=1)
    nearest = f", did you mean {close[0]!r}?" if close else ""
    return [
        f"trace {name!r}: no such file or name{nearest} — known are",
        *lines,
        f"  shapes and their sums: {', '.join(synth.SHAPES)}",
    ]

"""Results as JSON. The same results give the same bytes: sorted keys, no time of writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from simulations.report.summary import Cell, Standing
from simulations.result import Figures

_STABLE = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def replay_json(figures: Figures) -> bytes:
    """One replay as one object; what is not a number is null."""
    return orjson.dumps(asdict(figures), option=_STABLE)


def comparison_json(figures: Sequence[Figures], table: Sequence[Cell], standings: Sequence[Standing]) -> bytes:
    """`replays`: every single one; `cells`: means over seeds; `standings`: means over counted traces."""
    record = {
        "replays": [asdict(each) for each in figures],
        "cells": [asdict(cell) for cell in table],
        "standings": [asdict(standing) for standing in standings],
    }
    return orjson.dumps(record, option=_STABLE)

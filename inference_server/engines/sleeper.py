"""An engine that sleeps: rigs, demos and load tests see a speech server's behaviour without a model."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Annotated

from pydantic import Field

from inference_server.engines.engine import BatchLimits, Kind, Phases, Rehearsal

CRASH_EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""


@dataclass(frozen=True, slots=True)
class Nap:
    """One request to sleep."""

    service_s: float

    @property
    def cost(self) -> float:
        """Seconds of sleep."""
        return self.service_s

    @property
    def group(self) -> None:
        """Naps have no options."""


@dataclass(frozen=True, slots=True)
class SleeperSettings:
    """How the sleeper behaves.

    Attributes:
        service_s: service time of a request that names none.
        load_s: time from start to ready.
        slots: naps at the same time.
        crash_at_load: exit the process instead of becoming ready.
        hang_at_load: never become ready.
        crash_at: ordinal (from 1) of the nap that ends the process; 0: none.
        hang_at: ordinal (from 1) of the nap that never ends; 0: none.
    """

    service_s: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 0.18
    load_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.0
    slots: Annotated[int, Field(ge=1, le=1024)] = 1
    crash_at_load: bool = False
    hang_at_load: bool = False
    crash_at: Annotated[int, Field(ge=0)] = 0
    hang_at: Annotated[int, Field(ge=0)] = 0


class Sleeper:
    """Sleeps exactly as long as it is told."""

    kind: Kind = "sleep"
    model = "sleeper"
    device = "none"
    batching = BatchLimits()

    def __init__(self, settings: SleeperSettings) -> None:
        self._settings = settings
        self._ordinals = count(1)

    @property
    def slots(self) -> int:
        """Naps at the same time."""
        return self._settings.slots

    @property
    def default_service_s(self) -> float:
        """Service time of a request that names none."""
        return self._settings.service_s

    def load(self, phase: Phases) -> Rehearsal:
        """Take as long as configured; crash or hang where configured."""
        with phase("weights"):
            time.sleep(self._settings.load_s)
            if self._settings.crash_at_load:
                os._exit(CRASH_EXIT_CODE)
            if self._settings.hang_at_load:
                _sleep_for_ever()
        return Rehearsal(cost=1.0, service_s=1.0)

    def run(self, batch: Sequence[Nap]) -> Sequence[float]:
        """Sleep through the batch one by one; the results are the service times."""
        for nap in batch:
            ordinal = next(self._ordinals)
            if ordinal == self._settings.crash_at:
                os._exit(CRASH_EXIT_CODE)
            if ordinal == self._settings.hang_at:
                _sleep_for_ever()
            time.sleep(nap.service_s)
        return [nap.service_s for nap in batch]


def _sleep_for_ever() -> None:
    while True:
        time.sleep(3600)

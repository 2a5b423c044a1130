"""Traffic from before the first tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class History:
    """What a policy may know of the time before it began."""

    bin_s: float
    counts: npt.NDArray[np.int64]
    """Requests in each bin, oldest first; shape (bins,)."""
    end_s: float
    """Clock time at which the last bin ended."""
    known: npt.NDArray[np.bool_] | None = None
    """Whether each bin was measured, or filled by a guess; shape (bins,). None: all were."""

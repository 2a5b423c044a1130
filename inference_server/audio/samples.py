"""The two forms of sound in memory, one dimension each."""

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
"""In -1..1: what models hear."""

Pcm = npt.NDArray[np.int16]
"""16 bit: what models say."""

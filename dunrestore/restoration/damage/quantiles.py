"""Quantiles of values that are seen band by band."""

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_DROPPED = 11
"""Lowest bits of a float32 that are ignored; 12 bits of its mantissa count (0.02 %)."""


class Quantiles:
    """Counts of float32 values of at least 0; their bits, read as whole numbers, sort as they do.

    However the values are cut into bands, the quantiles are the same. Several threads may add.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(1 << 31 - _DROPPED, np.int64)
        self._adding = threading.Lock()

    def add(self, values: NDArray[Any]) -> None:
        """Count values of any shape."""
        bits = np.ascontiguousarray(values, np.float32).view(np.int32).ravel() >> _DROPPED
        # Twice as fast as numpy's, which keeps other threads from running meanwhile.
        counts = torch.bincount(torch.from_numpy(bits)).numpy()
        with self._adding:
            self._counts[: len(counts)] += counts

    def at(self, share: float) -> float:
        """The value that this share of all values lies below, rounded down; 0 without values."""
        sums = np.cumsum(self._counts)
        if not sums[-1]:
            return 0.0
        rank = int(share * (sums[-1] - 1))
        bits = np.searchsorted(sums, rank, side="right") << _DROPPED
        return float(np.uint32(bits).view(np.float32))

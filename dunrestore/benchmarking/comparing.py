"""Metrics between pictures that exist already, whatever tool made them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dunrestore.benchmarking.pairing import Pair
from dunrestore.benchmarking.quantities import Measurement, measure
from dunrestore.benchmarking.reading import read_mask, read_rgb
from dunrestore.errors import DunrestoreError, InputError
from dunrestore.metrics.lpips import LPIPS


@dataclass(frozen=True)
class Compared:
    """One pair's figures, or why there are none."""

    name: str
    values: Measurement
    error: DunrestoreError | None = None


def compare_pairs(pairs: Sequence[Pair], lpips: LPIPS | None) -> Iterator[Compared]:
    """Measure every pair; one that cannot be read costs itself alone."""
    for pair in pairs:
        try:
            yield Compared(pair.name, _measure(pair, lpips))
        except DunrestoreError as error:
            yield Compared(pair.name, {}, error)


def _measure(pair: Pair, lpips: LPIPS | None) -> Measurement:
    picture, truth = read_rgb(pair.picture), read_rgb(pair.truth)
    if picture.shape != truth.shape:
        raise InputError(
            f"{_size(picture)} pixels, but {pair.truth.name} has {_size(truth)}",
            path=pair.picture,
            next_step="compare pictures of one size",
        )
    mask = None if pair.mask is None else read_mask(pair.mask, truth.shape[:2])
    return measure(picture, truth, mask, lpips=lpips)


def _size(picture: NDArray[np.uint8]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"

"""Change maps: pictures that show which pixels were changed, and how much."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging import files, pixels
from dunrestore.imaging.picture import Document, Encoding, Picture, Samples
from dunrestore.imaging.pixels import as_samples, upright_rows
from dunrestore.imaging.rows import DerivedRows, Rows
from dunrestore.provenance.beside import beside

SUFFIXES = (".changes.png", ".changes.tif")
"""Appended to an output's whole name; TIFF for several pages, and for very large pictures."""


Change = Rows
"""(H, W) uint8 or uint16, upright: how much each pixel was changed."""


def change_of(before: Picture, after: Picture) -> Change:
    """How much each pixel was changed.

    Of pictures that stay on the disk it is computed when it is asked for.

    Args:
        before: the original.
        after: the same picture restored, of the same kind and depth.

    Returns:
        (H, W), upright, in the samples' own depth: the largest difference of any colour channel, 0
        exactly where no sample changed. In palette pictures it is the colours that count.
    """
    if before.stays_on_disk:
        return _ChangeRows(before, after)
    return _change(before, after)


def _change(before: Picture, after: Picture) -> NDArray[np.uint8 | np.uint16]:
    maximum = np.iinfo(before.samples.dtype).max
    if before.encoding.palette is None:
        n = before.encoding.channels
        old, new = before.samples[..., :n], after.samples[..., :n]
        difference = np.maximum(old, new) - np.minimum(old, new)
        # Several times as fast as a maximum over the last axis.
        change = reduce(np.maximum, (difference[..., channel] for channel in range(n)))
        return np.ascontiguousarray(pixels.upright(change, before.metadata.orientation))
    difference = np.abs(pixels.to_rgb(after) - pixels.to_rgb(before)).max(axis=2)
    steps = np.ceil(difference * maximum - 1e-3)
    return steps.clip(0, maximum).astype(before.samples.dtype)


class _ChangeRows:
    def __init__(self, before: Picture, after: Picture) -> None:
        self._before, self._after = upright_rows(before), upright_rows(after)
        self._encoding = before.encoding
        self.shape, self.dtype = self._before.shape[:2], self._before.dtype

    def __getitem__(self, rows: slice) -> NDArray[np.uint8 | np.uint16]:
        old, new = (Picture(p[rows], self._encoding) for p in (self._before, self._after))
        return _change(old, new)


def path_of(output: Path, pages: int) -> Path:
    """Where the change map of an output lies."""
    return beside(output, SUFFIXES[pages > 1])


def write(output: Path, changes: Sequence[Change]) -> Path:
    """Write a change map beside an output, a page for each of its pages.

    Args:
        output: the restored picture's path.
        changes: from ``change_of``.

    Raises:
        FileAccessError: if it cannot be written.
        OutputCheckError: if it is not what was to be written.
    """
    pages = tuple(
        Picture(_as_samples(change), Encoding("grey", int(np.iinfo(change.dtype).max)))
        for change in changes
    )
    # A TIFF's parts can be written one after another, a PNG only as a whole.
    as_tiff = len(pages) > 1 or any(page.stays_on_disk for page in pages)
    path = beside(output, SUFFIXES[as_tiff])
    files.write(Document(pages, "tiff" if as_tiff else "png"), path, overwrite=True)
    return path


def _as_samples(change: Change) -> Samples:
    if isinstance(change, np.ndarray):
        return change[..., None]
    rows = DerivedRows(change, lambda band: band[..., None], (*change.shape, 1), change.dtype)
    return as_samples(rows)

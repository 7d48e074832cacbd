"""Change maps: pictures that show which pixels were changed, and how much."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging import files, pixels
from dunrestore.imaging.picture import Document, Encoding, Picture
from dunrestore.provenance.beside import beside

SUFFIXES = (".changes.png", ".changes.tif")
"""Appended to an output's whole name; TIFF for several pages."""


Change = NDArray[np.uint8 | np.uint16]
"""(H, W), upright: how much each pixel was changed."""


def change_of(before: Picture, after: Picture) -> Change:
    """How much each pixel was changed.

    Args:
        before: the original.
        after: the same picture restored, of the same kind and depth.

    Returns:
        (H, W), upright, in the samples' own depth: the largest difference of any colour channel, 0
        exactly where no sample changed. In palette pictures it is the colours that count.
    """
    maximum = np.iinfo(before.samples.dtype).max
    if before.encoding.palette is None:
        n = before.encoding.channels
        old, new = before.samples[..., :n].astype(np.int32), after.samples[..., :n].astype(np.int32)
        change = np.abs(new - old).max(axis=2).astype(before.samples.dtype)
        return np.ascontiguousarray(pixels.upright(change, before.metadata.orientation))
    difference = np.abs(pixels.to_rgb(after) - pixels.to_rgb(before)).max(axis=2)
    steps = np.ceil(difference * maximum - 1e-3)
    return steps.clip(0, maximum).astype(before.samples.dtype)


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
        Picture(change[..., None], Encoding("grey", int(np.iinfo(change.dtype).max)))
        for change in changes
    )
    path = path_of(output, len(pages))
    files.write(Document(pages, "tiff" if len(pages) > 1 else "png"), path, overwrite=True)
    return path

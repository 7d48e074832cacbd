"""Small pictures for the page: input, result, truth, and where and how much a result is off."""

from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from dunrestore.benchmarking.cases import Case
from dunrestore.benchmarking.contestants import Contestant
from dunrestore.benchmarking.journal import row_key
from dunrestore.benchmarking.results import Kind
from dunrestore.storage.atomic import make_folder, write_atomically

SIDE = 300
"""Longest side of a preview in pixels."""

WORST_SHOWN = 20.0
"""Colour difference (CIEDE2000) at the bright end of the error map."""

_COLOURS = np.array(
    [(0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)], np.float64
)


class Previews:
    """JPEG files in a folder, named by what they show."""

    def __init__(self, folder: Path, kinds: frozenset[Kind]) -> None:
        """Keep previews of the methods of some kinds in ``folder``, which is made."""
        self.folder = folder
        self.kinds = kinds
        make_folder(folder)

    def path(self, block: str, image: str, what: str, method: str = "") -> Path:
        """Where a preview lies; ``what`` is input, truth, result or error."""
        return self.folder / f"{row_key(block=block, image=image, what=what, method=method)}.jpg"

    def keep(
        self,
        block: str,
        case: Case,
        contestant: Contestant,
        pictures: tuple[NDArray[np.uint8], ...],
    ) -> None:
        """Write what the page shows of one contestant's work on one picture."""
        if contestant.methods[0].kind not in self.kinds:
            return
        small_truth = _shrunk(case.truth)
        _save(small_truth, self.path(block, case.image, "truth"))
        _save(_shrunk(case.damaged), self.path(block, case.image, "input"))
        for method, picture in zip(contestant.methods, pictures, strict=True):
            _save(_shrunk(picture), self.path(block, case.image, "result", method.name))
            errors = error_map(picture, case.truth, (small_truth.shape[0], small_truth.shape[1]))
            _save(errors, self.path(block, case.image, "error", method.name))


def error_map(
    picture: NDArray[np.uint8], truth: NDArray[np.uint8], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Colour difference as a colour, black for none; of each cell the largest: thin losses show.

    Args:
        picture: (H, W, 3) RGB.
        truth: (H, W, 3) RGB.
        size: (h, w) of the map, at most H and W.
    """
    height, width = truth.shape[:2]
    rows = np.arange(size[0] + 1) * height // size[0]
    columns = np.arange(size[1]) * width // size[1]
    largest = np.array(
        [  # at full size only a row of cells at a time
            np.maximum.reduceat(_difference(picture[a:b], truth[a:b]).max(axis=0), columns)
            for a, b in pairwise(rows)
        ]
    )
    place = np.clip(largest / WORST_SHOWN, 0, 1) * (len(_COLOURS) - 1)
    steps = np.arange(len(_COLOURS))
    channels = [np.interp(place, steps, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _difference(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    found = np.zeros(truth.shape[:2])
    unequal = (picture != truth).any(axis=2)  # few, of what was preserved
    found[unequal] = deltaE_ciede2000(rgb2lab(truth[unequal]), rgb2lab(picture[unequal]))
    return found


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=None)
    return np.asarray(image)


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    def write(file: BinaryIO) -> None:
        Image.fromarray(picture).save(file, "JPEG", quality=85, subsampling=0)

    write_atomically(path, write, overwrite=True)

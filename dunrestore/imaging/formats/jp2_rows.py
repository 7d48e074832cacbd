"""Rows of a tiled JPEG 2000, decoded from its tiles when they are needed.

The decoder at hand takes a codestream as a whole, so each tile is given to it as one of its own.
"""

from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from dunrestore.imaging.formats.jp2_tiles import Tiles
from dunrestore.imaging.formats.segments import COARSE, SegmentRows


class Jp2Rows(SegmentRows):
    """The samples of a tiled JPEG 2000 (H, W, C).

    Args:
        path: the file.
        shape: (H, W, C).
        dtype: of the samples.
        tiles: where they are.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: type[np.uint8 | np.uint16],
        tiles: Tiles,
    ) -> None:
        (left, top, _, _), (x, y) = tiles.grid.image, tiles.grid.origin
        wide, deep = tiles.grid.tile
        coarse = deep * shape[1] * shape[2] * np.dtype(dtype).itemsize > COARSE
        super().__init__(
            path, shape, dtype, (deep, wide), (top - y, left - x), coarse=coarse, slow=True
        )
        self._tiles = tiles

    def _read(self, file: BinaryIO, index: int) -> bytes:
        try:
            return self._tiles.codestream(file, index)
        except (EOFError, RuntimeError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def _decoded(self, index: int, data: bytes) -> NDArray[np.uint8 | np.uint16]:
        left, top, right, bottom = self._tiles.grid.place(index)
        segment = np.empty((bottom - top, right - left, self.shape[2]), self.dtype)
        try:
            imagecodecs.jpeg2k_decode(data, out=segment)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(str(error)) from error
        return segment

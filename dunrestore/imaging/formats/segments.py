"""Rows of a picture that are decoded from its file's strips or tiles when they are needed."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging.in_order import in_threads
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED

COARSE = 1 << 28
"""Bytes of a row of strips or tiles beyond which a page is not read in part."""


class SegmentRows(ABC):
    """The samples of one page (H, W, C), in stored order; fetched by one thread at a time.

    Args:
        path: the file.
        shape: (H, W, C).
        dtype: of the samples.
        segment: (rows, columns) of a strip or tile.
        lead: rows and columns by which the first strips or tiles begin before the picture.
        coarse: whether taking some rows may decode far more than these.
        slow: whether decoding takes long.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: type[np.uint8 | np.uint16],
        segment: tuple[int, int],
        lead: tuple[int, int] = (0, 0),
        *,
        coarse: bool,
        slow: bool = False,
    ) -> None:
        self.path = path
        self.shape: tuple[int, ...] = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._coarse, self._slow = coarse, slow
        self._deep, self._wide = segment
        self._above, self._left = lead
        self._kept: dict[int, NDArray[Any]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all samples, decoded."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def once(self) -> bool:
        """Whether the rows had better be decoded once for all, a row of strips or tiles at a
        time."""
        return self._coarse or self._slow

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """The rows, decoded.

        Raises:
            InputError: if a strip or tile is damaged.
        """
        start, stop, _ = rows.indices(self.shape[0])
        out = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        self.decode(start, out)
        return out

    def segment_rows(self) -> Iterator[slice]:
        """The rows of each row of strips or tiles."""
        for top in range(-self._above, self.shape[0], self._deep):
            yield slice(max(top, 0), min(top + self._deep, self.shape[0]))

    def decode(self, start: int, out: NDArray[Any]) -> None:
        """Decode the rows from ``start`` on into ``out`` (h, W, C)."""
        kept: dict[int, NDArray[Any]] = {}
        # The row of segments in which the next rows begin, if these end within it.
        last, ended = divmod(start + len(out) + self._above, self._deep)
        keep = ended > 0 and not self._coarse
        todo = list(self._segments(start, start + len(out)))
        with self.path.open("rb") as file, closing(self._new(file, todo)) as new:
            for index, plane, i, j in todo:
                segment = self._kept.get(index)
                if segment is None:
                    segment = next(new)
                if keep and i == last:
                    kept[index] = segment
                top = max(i * self._deep - self._above, 0)
                left = max(j * self._wide - self._left, 0)
                _place(segment, out[..., plane], top - start, left)
        self._kept = kept

    def _new(
        self, file: BinaryIO, todo: list[tuple[int, slice, int, int]]
    ) -> Generator[NDArray[Any], None, None]:
        """Those of some segments that are not kept, read one after the other and decoded."""
        encoded = (
            (index, self._read(file, index)) for index, *_ in todo if index not in self._kept
        )
        return in_threads(lambda one: self._decoded(*one), encoded, self._deep * self._wide)

    def _planes(self) -> list[slice]:
        """The channels of each set of segments that makes up the picture."""
        return [slice(None)]

    def _segments(self, start: int, stop: int) -> Iterator[tuple[int, slice, int, int]]:
        """(number, channels, row of segments, column) of the segments that hold rows."""
        height, width = self.shape[:2]
        across = -(-(width + self._left) // self._wide)
        down = -(-(height + self._above) // self._deep)
        first = (start + self._above) // self._deep
        for number, plane in enumerate(self._planes()):
            for i in range(first, min(-(-(stop + self._above) // self._deep), down)):
                for j in range(across):
                    yield (number * down + i) * across + j, plane, i, j

    @abstractmethod
    def _read(self, file: BinaryIO, index: int) -> bytes:
        """A segment as it stands in the file."""

    @abstractmethod
    def _decoded(self, index: int, data: bytes) -> NDArray[Any]:
        """What a segment shows of the picture (h, w, channels), perhaps with padding below and
        on the right."""

    def _damaged(self, shown: str) -> InputError:
        shown = " ".join(shown.split())[:200]
        return InputError(
            f"it cannot be decoded ({shown})", path=self.path, next_step=ASK_FOR_UNDAMAGED
        )


def _place(segment: NDArray[Any], out: NDArray[Any], top: int, left: int) -> None:
    """Copy what a segment and an array (h, w, C) share; the segment begins at (top, left)."""
    first, last = max(top, 0), min(top + segment.shape[0], out.shape[0])
    right = min(left + segment.shape[1], out.shape[1])
    out[first:last, left:right] = segment[first - top : last - top, : right - left]

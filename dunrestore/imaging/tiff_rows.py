"""Rows of a TIFF's page, decoded from its strips or tiles when they are needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging import tiff
from dunrestore.imaging.ifd import Ifd
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED

COARSE = 1 << 28
"""Bytes of a row of strips or tiles beyond which a page is not read in part."""


class TiffRows:
    """The samples of one page (H, W, C), in stored order.

    Args:
        path: the file.
        page: the page as tifffile sees it; its file is needed no longer than for this call.
        tags: the page as we see it.

    Attributes:
        coarse: whether taking some rows may decode far more than these.
    """

    def __init__(self, path: Path, page: tifffile.TiffPage, tags: Ifd) -> None:
        self.path = path
        self._decode, self._tables = page.decode, page.jpegtables
        self._offsets, self._sizes = page.dataoffsets, page.databytecounts
        self._tags = tags
        height, width = tags.number(tiff.HEIGHT, 0), tags.number(tiff.WIDTH, 0)
        self.shape = (height, width, tags.number(tiff.SAMPLES, 1))
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if page.bitspersample == 8 else np.uint16)
        self._deep, self._wide = tiff.segment_shape(tags)
        self._separate = tags.number(tiff.PLANAR, 1) == 2 and self.shape[2] > 1
        self._raw = is_raw(tags)
        self.coarse = is_coarse(tags)
        self._kept: dict[int, NDArray[Any]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all samples, decoded."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

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
        for top in range(0, self.shape[0], self._deep):
            yield slice(top, min(top + self._deep, self.shape[0]))

    def decode(self, start: int, out: NDArray[Any]) -> None:
        """Decode the rows from ``start`` on into ``out`` (h, W, C)."""
        with self.path.open("rb") as file:
            if self._raw:
                self._read_raw(file, start, out)
                return
            kept: dict[int, NDArray[Any]] = {}
            last = (start + len(out) - 1) // self._deep
            for index, plane, top, left in self._segments(start, start + len(out)):
                segment = self._kept.get(index)
                if segment is None:
                    segment = self._decoded(file, index)
                # The next rows begin in this row of segments; were it large, it would be coarse.
                if top // self._deep == last and not self.coarse:
                    kept[index] = segment
                _place(segment, out[..., plane], top - start, left)
            self._kept = kept

    def _segments(self, start: int, stop: int) -> Iterator[tuple[int, slice, int, int]]:
        """(number, channels, first row, first column) of the segments that hold rows."""
        height, width, channels = self.shape
        across, down = -(-width // self._wide), -(-height // self._deep)
        planes = [slice(c, c + 1) for c in range(channels)] if self._separate else [slice(None)]
        for number, plane in enumerate(planes):
            for i in range(start // self._deep, min(-(-stop // self._deep), down)):
                for j in range(across):
                    index = (number * down + i) * across + j
                    yield index, plane, i * self._deep, j * self._wide

    def _decoded(self, file: BinaryIO, index: int) -> NDArray[Any]:
        file.seek(self._offsets[index])
        data = file.read(self._sizes[index])
        try:
            segment, _, shape = self._decode(data, index, jpegtables=self._tables)
        except Exception as error:  # decoders fail in every way on damaged files
            raise self._damaged(str(error)) from error
        if segment is None:
            raise self._damaged("a part is empty")
        rows, columns = shape[1:3]
        return np.asarray(segment)[0, :rows, :columns].astype(self.dtype, copy=False)

    def _read_raw(self, file: BinaryIO, start: int, out: NDArray[Any]) -> None:
        """Uncompressed strips can be read from the middle."""
        row_bytes = self.shape[1] * self.shape[2] * self.dtype.itemsize
        stored = self.dtype.newbyteorder(self._tags.byteorder)
        at = start
        while at < start + len(out):
            strip, inside = divmod(at, self._deep)
            count = min(self._deep - inside, start + len(out) - at)
            file.seek(self._offsets[strip] + inside * row_bytes)
            data = file.read(count * row_bytes)
            if len(data) < count * row_bytes:
                raise self._damaged("it is cut short")
            part = np.frombuffer(data, stored).reshape(count, *self.shape[1:])
            out[at - start : at - start + count] = part
            at += count

    def _damaged(self, shown: str) -> InputError:
        shown = " ".join(shown.split())[:200]
        return InputError(
            f"it cannot be decoded ({shown})", path=self.path, next_step=ASK_FOR_UNDAMAGED
        )


def is_raw(tags: Ifd) -> bool:
    """Whether a page's strips hold the rows as they are: any of them can be read and written."""
    return (
        tags.number(tiff.COMPRESSION, 1) == 1
        and tags.number(tiff.PREDICTOR, 1) == 1
        and tags.number(tiff.FILL_ORDER, 1) == 1
        and tags.get(tiff.TILE_OFFSETS) is None
        and (tags.number(tiff.PLANAR, 1) == 1 or tags.number(tiff.SAMPLES, 1) == 1)
    )


def is_coarse(tags: Ifd) -> bool:
    """Whether to take a row of a page means to decode more than ``COARSE`` bytes."""
    rows = min(tiff.segment_shape(tags)[0], tags.number(tiff.HEIGHT, 0))
    samples = rows * tags.number(tiff.WIDTH, 0) * tags.number(tiff.SAMPLES, 1)
    return not is_raw(tags) and samples * tags.number(tiff.BITS, 8) // 8 > COARSE


def _place(segment: NDArray[Any], out: NDArray[Any], top: int, left: int) -> None:
    """Copy what a segment and an array (h, w, C) share; the segment begins at (top, left)."""
    first, last = max(top, 0), min(top + segment.shape[0], out.shape[0])
    right = min(left + segment.shape[1], out.shape[1])
    out[first:last, left:right] = segment[first - top : last - top, : right - left]

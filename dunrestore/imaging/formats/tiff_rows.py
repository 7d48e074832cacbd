"""Rows of a TIFF's page, decoded from its strips or tiles when they are needed."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from dunrestore.imaging.formats import tiff
from dunrestore.imaging.formats.segments import COARSE, SegmentRows
from dunrestore.imaging.metadata import ifd
from dunrestore.imaging.metadata.ifd import Ifd


class TiffRows(SegmentRows):
    """The samples of one page (H, W, C), in stored order.

    Args:
        path: the file.
        page: the page as tifffile sees it; its file is needed no longer than for this call.
        tags: the page as we see it.
    """

    def __init__(self, path: Path, page: tifffile.TiffPage, tags: Ifd) -> None:
        height, width = tags.number(ifd.HEIGHT, 0), tags.number(ifd.WIDTH, 0)
        super().__init__(
            path,
            (height, width, tags.number(ifd.SAMPLES, 1)),
            np.uint8 if page.bitspersample == 8 else np.uint16,
            tiff.segment_shape(tags),
            coarse=is_coarse(tags),
        )
        self._decode, self._tables = page.decode, page.jpegtables
        self._offsets, self._sizes = page.dataoffsets, page.databytecounts
        self._tags = tags
        self._separate = tags.number(ifd.PLANAR, 1) == 2 and self.shape[2] > 1
        self._raw = is_raw(tags)

    def decode(self, start: int, out: NDArray[Any]) -> None:
        """Decode the rows from ``start`` on into ``out`` (h, W, C)."""
        if not self._raw:
            super().decode(start, out)
            return
        with self.path.open("rb") as file:
            self._read_raw(file, start, out)

    def _planes(self) -> list[slice]:
        if not self._separate:
            return super()._planes()
        return [slice(c, c + 1) for c in range(self.shape[2])]

    def _read(self, file: BinaryIO, index: int) -> bytes:
        file.seek(self._offsets[index])
        return file.read(self._sizes[index])

    def _decoded(self, index: int, data: bytes) -> NDArray[Any]:
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


def is_raw(tags: Ifd) -> bool:
    """Whether a page's strips hold the rows as they are: any of them can be read and written."""
    return (
        tags.number(ifd.COMPRESSION, 1) == 1
        and tags.number(ifd.PREDICTOR, 1) == 1
        and tags.number(ifd.FILL_ORDER, 1) == 1
        and tags.get(ifd.TILE_OFFSETS) is None
        and (tags.number(ifd.PLANAR, 1) == 1 or tags.number(ifd.SAMPLES, 1) == 1)
    )


def is_coarse(tags: Ifd) -> bool:
    """Whether to take a row of a page means to decode more than ``COARSE`` bytes."""
    rows = min(tiff.segment_shape(tags)[0], tags.number(ifd.HEIGHT, 0))
    samples = rows * tags.number(ifd.WIDTH, 0) * tags.number(ifd.SAMPLES, 1)
    return not is_raw(tags) and samples * tags.number(ifd.BITS, 8) // 8 > COARSE

"""Where the tiles of a JPEG 2000 codestream are, and each of them as a codestream of its own.

After ISO/IEC 15444-1, annexes A and B.
"""

import math
import struct
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from dunrestore.errors import InputError
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED

SOC, SIZ, SOT, EOC = b"\xff\x4f", b"\xff\x51", b"\xff\x90", b"\xff\xd9"
_PACKED_HEADERS = b"\xff\x60"
_LEFT_OUT = {b"\xff\x55", b"\xff\x57", b"\xff\x63", b"\xff\x64"}
"""Lengths of tile-parts and packets (TLM, PLM), registration (CRG) and comments (COM): of no use
for decoding, or of the whole picture only."""
_LARGEST_HEADER = 1 << 20
_MOST_SEGMENTS, _MOST_TILES, _MOST_PARTS = 1 << 16, 65535, 1 << 20
"""More than any encoder makes; without limits a damaged file could claim hours and gigabytes."""
_SOT = struct.Struct(">2sHHIBB")


class Bytes(Protocol):
    """Bytes in memory or mapped."""

    def __getitem__(self, at: slice, /) -> bytes: ...


@dataclass(frozen=True)
class Grid:
    """The image and its tiles on the reference grid (annex B.2, B.3).

    Attributes:
        image: (left, top, right, bottom) of the image.
        tile: (width, height) of a tile.
        origin: (left, top) of the first tile.
    """

    image: tuple[int, int, int, int]
    tile: tuple[int, int]
    origin: tuple[int, int]

    @property
    def counts(self) -> tuple[int, int]:
        """Tiles (across, down)."""
        (_, _, right, bottom), (wide, deep), (left, top) = self.image, self.tile, self.origin
        return -(-(right - left) // wide), -(-(bottom - top) // deep)

    def place(self, index: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of what a tile shows of the image."""
        down, across = divmod(index, self.counts[0])
        left = self.origin[0] + across * self.tile[0]
        top = self.origin[1] + down * self.tile[1]
        return (
            max(left, self.image[0]),
            max(top, self.image[1]),
            min(left + self.tile[0], self.image[2]),
            min(top + self.tile[1], self.image[3]),
        )


@dataclass(frozen=True)
class Tiles:
    """Where the tiles of a codestream are.

    Attributes:
        grid: of the tiles.
        siz: data of the marker segment SIZ.
        header: what else of the main header decoding needs.
        parts: (offset, bytes) in the file of each tile's parts, in order.
    """

    grid: Grid
    siz: bytes
    header: bytes
    parts: tuple[tuple[tuple[int, int], ...], ...]

    def codestream(self, file: BinaryIO, index: int) -> bytes:
        """A tile as a picture of its own, at the same place of the grid as in the whole.

        Precincts and code-blocks are counted from the grid's origin, so nothing in the tile's
        data depends on what is around it but the tile's number.

        Args:
            file: the file.
            index: the tile's number.

        Raises:
            EOFError: if the file is cut short.
        """
        left, top, right, bottom = self.grid.place(index)
        siz = self.siz[:2] + struct.pack(
            ">8I", right, bottom, left, top, right - left, bottom - top, left, top
        )
        siz += self.siz[34:]
        pieces = [SOC, SIZ, struct.pack(">H", len(siz) + 2), siz, self.header]
        for at, size in self.parts[index]:
            file.seek(at)
            part = file.read(size)
            if len(part) < size:
                raise EOFError("it is cut short")
            *_, number, count = _SOT.unpack(part[:12])
            pieces += [_SOT.pack(SOT, 10, 0, size, number, count), part[12:]]
        return b"".join([*pieces, EOC])


def find_tiles(data: Bytes, start: int, end: int, pixel_bytes: int) -> Tiles | None:
    """Find the tiles of a codestream by going from tile-part to tile-part.

    Args:
        data: the file.
        start: where the codestream begins in it.
        end: where it ends.
        pixel_bytes: of a decoded pixel.

    Returns:
        None if there is a single tile, or if the tiles cannot be decoded one by one.

    Raises:
        InputError: if the codestream is damaged or cut short.
    """
    segments, at = _main_header(data, start, end)
    grid = _grid(segments[0][1])
    names = [name for name, _ in segments]
    if _PACKED_HEADERS in names or math.prod(grid.counts) == 1:
        return None
    header = b"".join(name + struct.pack(">H", len(body) + 2) + body for name, body in segments[1:])
    parts = _parts(data, at, end - 2, math.prod(grid.counts))
    for index, found in enumerate(parts):
        left, top, right, bottom = grid.place(index)
        decoded = (right - left) * (bottom - top) * pixel_bytes
        # No encoder makes so much of a tile; without a limit it might be all of a huge file.
        if not found or sum(size for _, size in found) > 4 * decoded + _LARGEST_HEADER:
            raise _damaged()
    return Tiles(grid, segments[0][1], header, tuple(map(tuple, parts)))


def _main_header(data: Bytes, start: int, end: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """(marker, data) of what decoding needs, SIZ first; where the first tile-part begins."""
    segments: list[tuple[bytes, bytes]] = []
    at, kept = start + 2, 0
    for _ in range(_MOST_SEGMENTS):
        marker, size = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == SOT and segments and segments[0][0] == SIZ:
            return segments, at
        if marker[:1] != b"\xff" or size < 2 or at + 2 + size > end or kept > _LARGEST_HEADER:
            break
        if marker == _PACKED_HEADERS:
            segments.append((marker, b""))
        elif marker not in _LEFT_OUT:
            segments.append((marker, data[at + 4 : at + 2 + size]))
            kept += size
        at += 2 + size
    raise _damaged()


def _grid(siz: bytes) -> Grid:
    if len(siz) < 34:
        raise _damaged()
    right, bottom, left, top, wide, deep, x, y = struct.unpack(">8I", siz[2:34])
    grid = Grid((left, top, right, bottom), (wide, deep), (x, y))
    inside = x <= left < min(right, x + wide) and y <= top < min(bottom, y + deep)
    if not inside or math.prod(grid.counts) > _MOST_TILES:
        raise _damaged()
    return grid


def _parts(data: Bytes, at: int, end: int, count: int) -> list[list[tuple[int, int]]]:
    """(offset, bytes) of each tile's parts, which fill the codestream up to ``end``."""
    parts: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    most = _MOST_PARTS
    while at < end:
        marker, length, tile, size, number, _ = _SOT.unpack(data[at : at + 12].ljust(12, b"\0"))
        size = size or end - at  # only the last may leave its length open
        right = marker == SOT and length == 10 and tile < count and number == len(parts[tile])
        if not right or size < 14 or at + size > end:
            raise _damaged()
        parts[tile].append((at, size))
        at += size
        most -= 1
        if not most:
            raise InputError("it has too many tile-parts", next_step="convert it to TIFF")
    return parts


def _damaged() -> InputError:
    return InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)

"""TIFF directories with their raw values: the frame of TIFF files and of EXIF blocks.

Reads strictly: a value that lies outside the file is an error, never a missing tag. What is read
is kept as bytes, so that a tag we know nothing about survives. After the TIFF 6.0 and BigTIFF
specifications.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from dunrestore.errors import InputError
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED

ByteOrder = Literal["<", ">"]
ReadAt = Callable[[int, int], bytes]
"""Reads (offset, size); fewer bytes at the end of the file."""

_SIZES_BY_TYPE = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
SIZES = {type_: size for type_, size in enumerate(_SIZES_BY_TYPE) if size}
"""Bytes of one value of each TIFF type."""
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 1, 2, 3, 4, 5, 7, 16
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}

EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965
POINTERS = frozenset({EXIF, GPS, INTEROPERABILITY})
"""Tags that point to a directory of further tags."""
DEEPEST = 4

NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC) = (256, 257, 258, 259, 262)
(STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES) = (273, 274, 277, 278, 279)
(X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT, PREDICTOR) = (282, 283, 284, 296, 317)
(COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES) = (320, 322, 323, 324, 325)
(SUB_IFDS, EXTRA_SAMPLES, SAMPLE_FORMAT, FILL_ORDER) = (330, 338, 339, 266)
(XMP, IPTC, PHOTOSHOP, ICC, LAYERS) = (700, 33723, 34377, 34675, 37724)
YCBCR_TAGS = frozenset({347, 529, 530, 531, 532})
"""JPEG tables and how colour differences are coded; void once the samples are stored as RGB."""

STRUCTURE = frozenset(
    {NEW_SUBFILE_TYPE, SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC}
    | {263, 264, 265, FILL_ORDER}
    | {STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, 280, 281, PLANAR, 288, 289, 290, 291}
    | {292, 293, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES}
    | {SUB_IFDS, EXTRA_SAMPLES, SAMPLE_FORMAT, 340, 341, *YCBCR_TAGS, *range(512, 522)}
    | {XMP, IPTC, PHOTOSHOP, ICC, LAYERS}
)
"""Tags about how samples are stored, or with a field of their own in ``Metadata``."""


@dataclass(frozen=True)
class Entry:
    """One tag.

    Attributes:
        tag: number.
        type: TIFF type, a key of ``SIZES``.
        count: number of values.
        data: the values' raw bytes in the directory's byte order.
        below: the directory that a tag of ``POINTERS`` points to.
    """

    tag: int
    type: int
    count: int
    data: bytes
    below: "Ifd | None" = None


@dataclass(frozen=True)
class Ifd:
    """One directory: its tags in file order, and the byte order of their values."""

    entries: tuple[Entry, ...]
    byteorder: ByteOrder

    def get(self, tag: int) -> Entry | None:
        """The entry of ``tag``, if there is one."""
        return next((entry for entry in self.entries if entry.tag == tag), None)

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The whole numbers of ``tag``; empty without the tag or if it holds none."""
        entry = self.get(tag)
        code = _CODES.get(entry.type) if entry else None
        if entry is None or code is None:
            return ()
        return struct.unpack(f"{self.byteorder}{entry.count}{code}", entry.data)

    def number(self, tag: int, default: int) -> int:
        """The first number of ``tag``."""
        return (self.numbers(tag) or (default,))[0]

    def fraction(self, tag: int) -> Fraction | None:
        """The first value of a RATIONAL tag."""
        entry = self.get(tag)
        if entry is None or entry.type != RATIONAL or entry.count < 1:
            return None
        numerator, denominator = struct.unpack(f"{self.byteorder}II", entry.data[:8])
        return Fraction(numerator, denominator) if denominator else None

    def without(self, tags: Iterable[int]) -> "Ifd":
        """This directory less some tags."""
        dropped = frozenset(tags)
        return Ifd(tuple(e for e in self.entries if e.tag not in dropped), self.byteorder)

    def having(self, *entries: Entry) -> "Ifd":
        """This directory with ``entries`` in place of any of the same tags."""
        kept = self.without(entry.tag for entry in entries).entries
        return Ifd((*kept, *entries), self.byteorder)


def entry(tag: int, type_: int, values: Sequence[int] | bytes, byteorder: ByteOrder) -> Entry:
    """An entry from whole numbers, or from raw bytes for one-byte types."""
    if isinstance(values, bytes):
        return Entry(tag, type_, len(values) // SIZES[type_], values)
    data = struct.pack(f"{byteorder}{len(values)}{_CODES[type_]}", *values)
    return Entry(tag, type_, len(values), data)


def rational(tag: int, value: Fraction, byteorder: ByteOrder) -> Entry:
    """A RATIONAL entry of one value, rounded only where 32 bits do not hold it."""
    limited = value.limit_denominator(2**16) if max(value.as_integer_ratio()) >= 2**32 else value
    return Entry(tag, RATIONAL, 1, struct.pack(f"{byteorder}II", *limited.as_integer_ratio()))


def parse(
    read_at: ReadAt, offset: int, byteorder: ByteOrder, *, big: bool = False, depth: int = 0
) -> tuple[Ifd, int]:
    """Read the directory at ``offset`` and those below it.

    Returns:
        The directory and the offset of the next one (0: the last).

    Raises:
        InputError: if it is cut short or no directory.
    """
    count_size, entry_size, code = (8, 20, "Q") if big else (2, 12, "I")
    count = int.from_bytes(_exactly(read_at, offset, count_size), _ENDIAN[byteorder])
    if count > 4096 or depth > DEEPEST:
        raise InputError("the TIFF directory is damaged", next_step=ASK_FOR_UNDAMAGED)
    size = count * entry_size + struct.calcsize(code)
    table = _exactly(read_at, offset + count_size, size)
    entries: list[Entry] = []
    for i in range(count):
        row = table[i * entry_size : (i + 1) * entry_size]
        read_entry = _parse_entry(read_at, row, byteorder, big, depth)
        if read_entry is not None:
            entries.append(read_entry)
    (following,) = struct.unpack(byteorder + code, table[count * entry_size :])
    return Ifd(tuple(entries), byteorder), following


_ENDIAN: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}


def _exactly(read_at: ReadAt, offset: int, size: int) -> bytes:
    data = read_at(offset, size)
    if len(data) != size:
        raise InputError("the file is cut short or damaged", next_step=ASK_FOR_UNDAMAGED)
    return data


def _parse_entry(
    read_at: ReadAt, row: bytes, byteorder: ByteOrder, big: bool, depth: int
) -> Entry | None:
    tag, type_, count = struct.unpack(
        byteorder + ("HHQ" if big else "HHI"), row[: 12 if big else 8]
    )
    value = row[12:] if big else row[8:]
    if type_ not in SIZES:
        return None  # readers are to skip types they do not know
    size = count * SIZES[type_]
    if size > len(value):
        (offset,) = struct.unpack(byteorder + ("Q" if big else "I"), value)
        value = _exactly(read_at, offset, size)
    found = Entry(tag, type_, count, value[:size])
    if tag not in POINTERS:
        return found
    (offset, *_) = Ifd((found,), byteorder).numbers(tag) or (0,)
    below, _ = parse(read_at, offset, byteorder, big=big, depth=depth + 1)
    return Entry(tag, type_, count, value[:size], below)


def serialise(ifd: Ifd, offset: int, *, big: bool = False) -> bytes:
    """The bytes of a directory that stands at ``offset`` (even), with all that it points to."""
    order, code, inline = ifd.byteorder, "Q" if big else "I", 8 if big else 4
    entries = sorted(ifd.entries, key=lambda e: e.tag)
    head = (8 if big else 2) + len(entries) * (20 if big else 12) + inline
    table = bytearray(struct.pack(order + ("Q" if big else "H"), len(entries)))
    tail = bytearray()
    for item in entries:
        tail += b"\0" * ((offset + head + len(tail)) % 2)
        position = offset + head + len(tail)
        type_, data = item.type, item.data
        if item.below is not None:
            type_, data = LONG8 if big else LONG, struct.pack(order + code, position)
            tail += serialise(item.below, position, big=big)
        elif len(data) > inline:
            tail += data
            data = struct.pack(order + code, position)
        count = 1 if item.below is not None else item.count
        table += struct.pack(order + "HH" + code, item.tag, type_, count) + data.ljust(
            inline, b"\0"
        )
    return bytes(table + struct.pack(order + code, 0) + tail)  # no directory follows


def parse_block(block: bytes) -> Ifd:
    """The first directory of an EXIF block ("II*..." or "MM*...").

    Raises:
        InputError: if the block is damaged.
    """
    order = byte_order(block[:2])
    if order is None or len(block) < 8:
        raise InputError("the EXIF block is damaged", next_step=ASK_FOR_UNDAMAGED)
    (offset,) = struct.unpack(order + "I", block[4:8])
    return parse(lambda at, size: block[at : at + size], offset, order)[0]


def block(ifd: Ifd) -> bytes:
    """An EXIF block with one directory and those below it."""
    mark = b"II" if ifd.byteorder == "<" else b"MM"
    return mark + struct.pack(ifd.byteorder + "HI", 42, 8) + serialise(ifd, 8)


def byte_order(mark: bytes) -> ByteOrder | None:
    """The byte order that a TIFF's first two bytes stand for."""
    if mark == b"II":
        return "<"
    return ">" if mark == b"MM" else None

"""What a directory of tags, a TIFF's or an EXIF block's, says of a picture as a whole."""

import struct
from contextlib import suppress
from typing import Literal

from dunrestore.errors import InputError
from dunrestore.imaging.metadata import ifd
from dunrestore.imaging.metadata.ifd import ByteOrder, Ifd
from dunrestore.imaging.picture import Metadata, Resolution


def directory(block: bytes | None) -> Ifd | None:
    """The first directory of an EXIF block, None if it is missing or damaged."""
    if not block:
        return None
    try:
        return ifd.parse_block(block)
    except InputError:
        return None


def orientation_of(block: bytes | None) -> int:
    """EXIF orientation, 1 to 8; 1 if none is stated, or the block is damaged."""
    tags = directory(block)
    return _orientation(tags) if tags else 1


def resolution_of(block: bytes | None) -> Resolution | None:
    """Resolution, if the block states one."""
    tags = directory(block)
    return _resolution(tags) if tags else None


def has_thumbnail(block: bytes | None) -> bool:
    """Whether a second directory, which is of a thumbnail, follows a block's first."""
    return block is not None and _link(block) is not None


def without_thumbnail(block: bytes) -> bytes:
    """The block with nothing to follow its first directory; all other bytes stay, for what a
    camera's maker wrote may be told by its place."""
    at = _link(block)
    return block if at is None else block[:at] + bytes(4) + block[at + 4 :]


def _link(block: bytes) -> int | None:
    """Where an undamaged block says where its second directory is; None if there is none."""
    tags = directory(block)
    if tags is None:
        return None
    (first,) = struct.unpack(tags.byteorder + "I", block[4:8])
    (count,) = struct.unpack(tags.byteorder + "H", block[first : first + 2])
    at = first + 2 + 12 * count
    (second,) = struct.unpack(tags.byteorder + "I", block[at : at + 4])
    return at if 8 <= second < len(block) else None


def block_of(metadata: Metadata) -> bytes | None:
    """The EXIF block for a format that has no other place for resolution and orientation."""
    if metadata.exif is not None or metadata.resolution is None:
        return metadata.exif
    resolved = Metadata(resolution=metadata.resolution, orientation=metadata.orientation)
    return ifd.block(from_metadata(resolved))


def to_metadata(tags: Ifd) -> Metadata:
    """What the tags of a TIFF's page say of its picture."""
    return Metadata(
        icc=_bytes(tags, ifd.ICC),
        exif=_exif_block(tags),
        xmp=_bytes(tags, ifd.XMP),
        iptc=_bytes(tags, ifd.IPTC),
        photoshop=_bytes(tags, ifd.PHOTOSHOP),
        resolution=_resolution(tags),
        orientation=_orientation(tags),
    )


def from_metadata(metadata: Metadata, byteorder: ByteOrder = "<") -> Ifd:
    """The descriptive tags of a page whose picture comes from another format."""
    tags = Ifd((), byteorder)
    if metadata.exif:
        with suppress(InputError):  # a damaged block is missed, and named, after writing
            tags = ifd.parse_block(metadata.exif).without(ifd.STRUCTURE)
    order = tags.byteorder
    entries = [ifd.entry(ifd.ORIENTATION, ifd.SHORT, [metadata.orientation], order)]
    given = metadata.resolution
    if given is not None and _resolution(tags) != given:
        unit = {"none": 1, "inch": 2, "cm": 3}[given.unit]
        entries += [
            ifd.rational(ifd.X_RESOLUTION, given.x, order),
            ifd.rational(ifd.Y_RESOLUTION, given.y, order),
            ifd.entry(ifd.RESOLUTION_UNIT, ifd.SHORT, [unit], order),
        ]
    for tag, type_, data in (
        (ifd.XMP, ifd.BYTE, metadata.xmp),
        (ifd.IPTC, ifd.UNDEFINED, metadata.iptc),
        (ifd.PHOTOSHOP, ifd.BYTE, metadata.photoshop),
        (ifd.ICC, ifd.UNDEFINED, metadata.icc),
    ):
        if data is not None:
            entries.append(ifd.entry(tag, type_, data, order))
    return tags.having(*entries)


def _bytes(tags: Ifd, tag: int) -> bytes | None:
    found = tags.get(tag)
    return found.data if found else None


def _exif_block(tags: Ifd) -> bytes | None:
    """What an EXIF block of another format should hold of a page's tags."""
    described = tags.without(ifd.STRUCTURE)
    return ifd.block(described) if described.entries else None


def _resolution(tags: Ifd) -> Resolution | None:
    x, y = tags.fraction(ifd.X_RESOLUTION), tags.fraction(ifd.Y_RESOLUTION)
    if not x or not y:
        return None
    units: dict[int, Literal["inch", "cm", "none"]] = {1: "none", 3: "cm"}
    return Resolution(x, y, units.get(tags.number(ifd.RESOLUTION_UNIT, 2), "inch"))


def _orientation(tags: Ifd) -> int:
    found = tags.number(ifd.ORIENTATION, 1)
    return found if 1 <= found <= 8 else 1

"""Photoshop's image resource blocks ("8BIM"), after Adobe's file format specification."""

import struct
from collections.abc import Iterator

IPTC = 0x0404
_THUMBNAILS = {1033, 1036}


def resources(blocks: bytes) -> list[tuple[int, bytes, bytes]]:
    """(number, name, data) of each resource; what follows a damaged one is left out."""
    return [(number, name, data) for number, name, data, _ in _resources(blocks)]


def without_thumbnails(blocks: bytes) -> bytes:
    """The resources less Photoshop's thumbnails of the picture; every other byte as it stood."""
    kept, at = b"", 0
    for number, _, _, end in _resources(blocks):
        kept += b"" if number in _THUMBNAILS else blocks[at:end]
        at = end
    return kept + blocks[at:]


def _resources(blocks: bytes) -> Iterator[tuple[int, bytes, bytes, int]]:
    """(number, name, data, where it ends) of each resource."""
    at = 0
    while blocks[at : at + 4] == b"8BIM" and len(blocks) >= at + 12:
        (number,) = struct.unpack(">H", blocks[at + 4 : at + 6])
        name = blocks[at + 7 : at + 7 + blocks[at + 6]]
        at += 6 + (1 + len(name) + 1) // 2 * 2
        size = int.from_bytes(blocks[at : at + 4], "big")
        data = blocks[at + 4 : at + 4 + size]
        if len(data) != size:
            break
        at += 4 + (size + 1) // 2 * 2
        yield number, name, data, at


def resource(number: int, data: bytes) -> bytes:
    """One resource without a name."""
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + b"\0" * (len(data) % 2)


def iptc(blocks: bytes) -> bytes | None:
    """The IPTC-IIM records among the resources."""
    return next((data for number, _, data in resources(blocks) if number == IPTC), None)

"""Whether a picture, written and read back, is still the same: pixels and metadata."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import OutputCheckError
from dunrestore.imaging.in_order import each_part
from dunrestore.imaging.metadata import exif, photoshop
from dunrestore.imaging.metadata.ifd import Entry, Ifd
from dunrestore.imaging.palettes import expanded
from dunrestore.imaging.picture import Document, Metadata, Picture, Resolution, Samples
from dunrestore.imaging.pixels import to_eight_bits

_ROUNDING = 0.51
"""Pixels per metre, or 0.51 per inch in JFIF: what rounding to whole numbers may change."""
_LOSSY_LIMIT = 48.0
"""Difference of coarse brightness (0..255) beyond which a JPEG shows another picture."""


def unnamed(
    document: Document, back: Document, path: Path, named: Sequence[str]
) -> tuple[str, ...]:
    """Compare a file read back with what it was written from.

    Args:
        document: what was to be written.
        back: what was read back.
        path: the file's name to be.
        named: what is known to be lost.

    Returns:
        What the file lacks besides.

    Raises:
        OutputCheckError: if it is not what was to be written.
    """
    if back.format == "tiff" and len(back.pages) != len(document.pages):
        raise OutputCheckError("the file just written, read back, lacks pages", path=path)
    lost: list[str] = []
    for page, again in zip(document.pages, back.pages, strict=False):
        if not _same_pixels(page, again, exact=back.format != "jpeg"):
            raise OutputCheckError(
                "the file just written, read back, shows other pixels",
                path=path,
                next_step="check the disk, then run the command again",
            )
        lacking = _missing(page.metadata, again.metadata)
        lacking = [one for one in lacking if not any(name.startswith(one) for name in named)]
        if lacking and document.format == back.format:
            raise OutputCheckError(
                f"the file just written, read back, lacks {', '.join(lacking)}", path=path
            )
        lost += [name for name in lacking if name not in lost]
    return tuple(lost)


def _same_pixels(page: Picture, again: Picture, *, exact: bool) -> bool:
    if page.samples.shape[:2] != again.samples.shape[:2]:
        return False

    def alike(_: slice, ours: Samples, theirs: Samples) -> bool:
        return _alike(replace(page, samples=ours), replace(again, samples=theirs), exact=exact)

    # The blocks of ``_coarse`` are whole in each band.
    return all(each_part(alike, page.samples, again.samples, multiple=16))


def _alike(picture: Picture, back: Picture, *, exact: bool) -> bool:
    """Whether two of one size show the same colours, whatever their way of storing them; of lossy
    formats (not ``exact``) whether they are alike."""
    (ours, extra), (theirs, extra_back) = _planes(picture), _planes(back)
    shared = min(extra.shape[2], extra_back.shape[2])
    if exact:
        return _equal(ours, theirs) and _equal(extra[..., :shared], extra_back[..., :shared])
    difference = _coarse(to_eight_bits(ours)) - _coarse(to_eight_bits(theirs))
    return float(np.abs(difference).max()) < _LOSSY_LIMIT


def _coarse(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean brightness of each block of 16 x 16, which survives any JPEG quality."""
    grey = colours.mean(axis=2)
    for axis in (0, 1):
        starts = np.arange(0, grey.shape[axis], 16)
        counts = np.diff(np.append(starts, grey.shape[axis]))
        sums = np.add.reduceat(grey, starts, axis)
        grey = sums / (counts[:, None] if axis == 0 else counts)
    return grey


def _equal(ours: Samples, theirs: Samples) -> bool:
    if ours.dtype != theirs.dtype:
        ours = to_eight_bits(ours) if theirs.dtype == np.uint8 else ours * np.uint16(257)
    return bool((ours == theirs).all())  # grey may have become RGB


def _planes(picture: Picture) -> tuple[Samples, Samples]:
    """(H, W, 1 or 3) colours as they look, and (H, W, n) further channels."""
    if picture.encoding.palette is not None:
        picture = expanded(picture)
    encoding = picture.encoding
    n = encoding.channels
    colours, extra = picture.samples[..., :n], picture.samples[..., n:]
    return (encoding.maximum - colours if encoding.white_is_zero else colours), extra


def _missing(wanted: Metadata, found: Metadata) -> list[str]:
    """Names of what ``wanted`` holds and ``found`` lacks or holds otherwise."""
    names: list[str] = []
    for name, mine, theirs in (
        ("ICC profile", wanted.icc, found.icc),
        ("XMP", wanted.xmp, found.xmp),
        ("IPTC", wanted.iptc, found.iptc),
    ):
        if mine is not None and mine != theirs:
            names.append(name)
    if wanted.photoshop is not None and not _same_resources(wanted.photoshop, found.photoshop):
        names.append("8BIM")
    if wanted.exif is not None and wanted.exif != found.exif:
        names += _missing_tags(exif.directory(wanted.exif), exif.directory(found.exif))
        if exif.has_thumbnail(wanted.exif) and not exif.has_thumbnail(found.exif):
            names.append("EXIF thumbnail")
    if not _same_resolution(wanted.resolution, found.resolution):
        names.append("resolution")
    if wanted.orientation != found.orientation:
        names.append("orientation")
    kept = {text for _, text in found.texts}
    names += [f"text {keyword!r}" for keyword, text in wanted.texts if text not in kept]
    return names


def _same_resources(wanted: bytes, found: bytes | None) -> bool:
    if found is None:
        return False
    kept = photoshop.resources(found)
    return wanted == found or all(one in kept for one in photoshop.resources(wanted))


_KNOWN = {
    270: "description",
    271: "make",
    272: "model",
    305: "software",
    306: "date",
    315: "artist",
    33432: "copyright",
    34665: "EXIF",
    34853: "GPS",
}
_ELSEWHERE = {274, 282, 283, 296}
"""Orientation and resolution, which are compared by themselves."""


def _missing_tags(wanted: Ifd | None, found: Ifd | None) -> list[str]:
    if wanted is None:
        return ["EXIF"]
    lacking = [
        entry.tag
        for entry in wanted.entries
        if entry.tag not in _ELSEWHERE and not _has(found, entry)
    ]
    return [_KNOWN.get(tag, f"tag {tag}") for tag in lacking]


def _has(directory: Ifd | None, wanted: Entry) -> bool:
    found = directory.get(wanted.tag) if directory else None
    if found is None:
        return False
    if wanted.below is not None:
        return found.below is not None and not _missing_tags(wanted.below, found.below)
    return (found.type, found.data) == (wanted.type, wanted.data)


def _same_resolution(wanted: Resolution | None, found: Resolution | None) -> bool:
    if wanted is None or wanted == found:
        return True
    mine, theirs = wanted.per_metre(), found.per_metre() if found else None
    if mine is None:
        return wanted.x == wanted.y  # square pixels without a unit say nothing
    if theirs is None:
        return False
    return all(abs(a - b) <= _ROUNDING for a, b in zip(mine, theirs, strict=True))

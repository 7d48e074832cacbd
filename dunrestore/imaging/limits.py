"""Sizes that are refused: before anything is decoded, and before anything is written."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dunrestore.errors import InputError

if TYPE_CHECKING:  # the commands import this module for their help, which is not to wait for numpy
    from dunrestore.imaging.picture import Format

DEFAULT_MAX_MPIXELS = 2000.0
"""A page of more megapixels is refused unless asked for: a few bytes can claim any size."""

LEAST_TILE = 64
"""Pixels. What networks make of a smaller tile is no restoration."""

ASK_FOR_UNDAMAGED = "get an undamaged copy of the file"

NAMES: "dict[Format, str]" = {
    "tiff": "TIFF",
    "png": "PNG",
    "jpeg": "JPEG",
    "jp2": "JPEG 2000",
    "webp": "WebP",
}
LARGEST_SIDES: "dict[Format, int]" = {"jpeg": 65500, "webp": 16383}
"""In pixels; the JPEG format would allow a few more than its encoders."""


def check_size(width: int, height: int, max_mpixels: float | None) -> None:
    """Refuse a picture that claims an absurd size.

    Args:
        width: in pixels.
        height: in pixels.
        max_mpixels: what is allowed, as ``--max-image-mpixels`` says; None for the default where
            there is no such option.

    Raises:
        InputError: naming the option, if there is one.
    """
    if width < 1 or height < 1:
        raise InputError("the picture's size is damaged", next_step=ASK_FOR_UNDAMAGED)
    most = DEFAULT_MAX_MPIXELS if max_mpixels is None else max_mpixels
    if width * height > most * 1e6:
        remedy = "cut it into parts" if max_mpixels is None else "allow it with --max-image-mpixels"
        raise InputError(
            f"the file claims {width} x {height} pixels, more than the {most:g} megapixels that"
            " are allowed",
            next_step=f"if it is what it claims, {remedy}",
        )


def check_sides(kind: "Format", height: int, width: int) -> None:
    """Refuse a picture that is larger than a file of that kind can be.

    Raises:
        InputError: naming the format.
    """
    largest = LARGEST_SIDES.get(kind)
    if largest is not None and max(height, width) > largest:
        raise InputError(
            f"a {NAMES[kind]} holds at most {largest} pixels a side",
            next_step="use another --format",
        )


@dataclass(frozen=True)
class RoomToWrite:
    """What writing a page that stays on the disk, and reading it back, takes for a while.

    Attributes:
        memory: bytes.
        disk: bytes beside the file itself.
    """

    memory: int
    disk: int


def room_to_write(kind: "Format", shape: tuple[int, ...], itemsize: int) -> RoomToWrite:
    """About what is needed to write such a page, measured with texture and noise (upper bounds).

    Args:
        kind: of the file.
        shape: (H, W, C) of the samples.
        itemsize: bytes of a sample.
    """
    if kind == "tiff":
        return RoomToWrite(0, 0)
    height, width, channels = shape
    jp2 = (12 if itemsize == 1 else 15) * channels
    pixel_bytes = {"png": 0, "jpeg": 3 * channels, "jp2": jp2, "webp": 42}[kind]
    pixels = height * width
    return RoomToWrite(pixels * pixel_bytes, 2 * pixels * channels * itemsize)

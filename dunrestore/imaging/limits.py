"""Sizes that are refused before anything is decoded."""

from dunrestore.errors import InputError

DEFAULT_MAX_MPIXELS = 500.0
"""A page of more megapixels is refused unless asked for: a few bytes can claim any size."""

ASK_FOR_UNDAMAGED = "get an undamaged copy of the file"


def check_size(width: int, height: int, max_mpixels: float) -> None:
    """Refuse a picture that claims an absurd size.

    Raises:
        InputError: naming the option that allows more.
    """
    if width < 1 or height < 1:
        raise InputError("the picture's size is damaged", next_step=ASK_FOR_UNDAMAGED)
    if width * height > max_mpixels * 1e6:
        raise InputError(
            f"the file claims {width} x {height} pixels, more than the {max_mpixels:g}"
            " megapixels that are allowed",
            next_step="if it is what it claims, allow it with --max-image-mpixels",
        )

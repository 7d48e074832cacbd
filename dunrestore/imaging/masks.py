"""What a mask picture marks: the same rule wherever a mask is given."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging import pixels
from dunrestore.imaging.picture import Encoding, Picture, Samples
from dunrestore.imaging.rows import bands


def marks(page: Picture, path: Path) -> NDArray[np.bool_]:
    """Where a mask (H, W), upright, is marked.

    Raises:
        InputError: if a pixel can be seen through, or the mask is of zeros and ones: all of it is
            black then, and what is measured or learned by it would be wrong without a word.
    """
    height, width = page.samples.shape[:2]
    stored = np.empty((height, width), np.bool_)
    for band in bands(height, width):  # in floating point only a band at a time
        stored[band] = marked(page.samples[band], page.encoding, path)
    encoding = page.encoding
    plain = encoding.palette is None and not encoding.white_is_zero
    if plain and page.samples[..., : encoding.channels].max() == 1:
        raise InputError(
            f"the mask marks nothing: its brightest value is 1 of {encoding.maximum}",
            path=path,
            next_step=f"write its ones as {encoding.maximum}",
        )
    return np.ascontiguousarray(pixels.upright(stored, page.metadata.orientation))


def marked(samples: Samples, encoding: Encoding, path: Path) -> NDArray[np.bool_]:
    """Where any region of a mask (h, w, C) is nearer to white than to black, in stored order.

    Args:
        samples: of the mask; a colour counts by its brightest channel.
        encoding: what they mean.
        path: the mask's file.

    Raises:
        InputError: if a pixel can be seen through: nobody chose the colour beneath.
    """
    if encoding.palette is not None:
        clear = ~encoding.palette.opaque[samples[..., 0]]
    elif encoding.extra and encoding.alpha:
        clear = samples[..., encoding.channels] < encoding.maximum
    else:
        clear = pixels.hidden_samples(samples, encoding)
    if clear.any():
        raise InputError(
            "the mask has transparent pixels, which are neither white nor black",
            path=path,
            next_step="flatten it onto black, so that nothing but the losses is white",
        )
    return pixels.samples_to_rgb(samples, encoding).max(axis=2) >= 0.5

"""What a mask picture marks: the same rule wherever a mask is given."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.errors import InputError
from dunrestore.imaging import pixels
from dunrestore.imaging.picture import Encoding, Samples


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
    return pixels.marked(pixels.samples_to_rgb(samples, encoding))

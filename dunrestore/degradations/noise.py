"""What a camera and a file format add: Gaussian noise and JPEG."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dunrestore.errors import InputError
from dunrestore.imaging.limits import LARGEST_SIDES


def add_gaussian(
    picture: NDArray[np.float32], sigma: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Independent Gaussian noise on every sample, clipped to [0, 1].

    Args:
        picture: (H, W, C) in [0, 1].
        sigma: standard deviation on the scale 0 to 255.
        rng: source of randomness.
    """
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    return (picture + np.float32(sigma / 255) * noise).clip(0, 1)


def through_jpeg(picture: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """What is left of a picture after a JPEG of 8 bits with 4:2:0 chroma.

    Args:
        picture: (H, W, C) in [0, 1], C 1 or 3.
        quality: 1 to 100, on libjpeg's scale.

    Raises:
        InputError: if a side is longer than a JPEG can be.
    """
    largest = LARGEST_SIDES["jpeg"]
    if max(picture.shape[:2]) > largest:
        raise InputError(f"a JPEG holds at most {largest} pixels a side")
    samples = np.rint(picture * 255).clip(0, 255).astype(np.uint8)
    grey = samples.shape[2] == 1
    memory = io.BytesIO()
    image = Image.fromarray(samples[..., 0] if grey else samples)
    image.save(memory, "JPEG", quality=quality, subsampling=2)
    memory.seek(0)
    with Image.open(memory) as decoded:
        result = np.asarray(decoded, dtype=np.float32) / np.float32(255)
    return result[..., None] if grey else result

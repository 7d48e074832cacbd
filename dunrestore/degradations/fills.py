"""What shows in a loss: the challenge's white, one colour, or grounds with a texture."""

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from dunrestore.degradations.fields import Field, fractal_noise
from dunrestore.degradations.names import Fill

FILLS: tuple[Fill, ...] = get_args(Fill)

_COLOURS: dict[str, tuple[float, float, float]] = {
    "plaster": (0.78, 0.68, 0.55),
    "grey": (0.50, 0.49, 0.47),
    "dark": (0.13, 0.11, 0.10),
}
_VARIATION = {"plaster": 0.06, "grey": 0.09, "dark": 0.035, "coloured": 0.06}
"""Standard deviation of the tone from one loss to another picture's."""


def fill_losses(
    picture: NDArray[np.float32], amount: Field, fill: Fill, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cover a picture where it is lost.

    Args:
        picture: (H, W, C) in [0, 1], C 1 or 3.
        amount: (H, W) in [0, 1]: 1 covers, 0 leaves the pixel exactly as it is.
        fill: white is pure white; the others have a tone of their own, texture and grain;
            coloured may be any colour. flat is any one colour, like white without either.
        rng: source of randomness.
    """
    cover = amount[..., None]
    if fill == "white":
        return (picture * (1 - cover) + cover).astype(np.float32)
    if fill == "flat":
        colour = rng.random(picture.shape[2], np.float32)
        return (picture * (1 - cover) + colour * cover).astype(np.float32)
    ground = _ground(picture.shape, fill, rng)
    return (picture * (1 - cover) + ground * cover).astype(np.float32)


def _ground(shape: tuple[int, ...], fill: str, rng: np.random.Generator) -> NDArray[np.float32]:
    height, width, channels = shape
    spread = _VARIATION[fill]
    base = rng.random(3) if fill == "coloured" else np.array(_COLOURS[fill])
    tone = base + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    if channels == 1:
        tone = tone.mean(keepdims=True)
    strength = 0.55 * spread
    texture = strength * fractal_noise(height, width, 16, rng, roughness=0.7)
    grain = rng.normal(0, 0.2 * spread, (height, width, 1)).astype(np.float32)
    return (tone + texture[..., None] + grain).clip(0, 1).astype(np.float32)

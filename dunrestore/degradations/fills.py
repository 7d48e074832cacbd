"""What shows in a loss: the challenge's white, one colour, or grounds with a texture."""

from typing import Any, get_args

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
"""Standard deviation of the tone from one picture's losses to another's; texture and grain are
parts of it."""


def fill_losses(
    picture: NDArray[np.float32], amount: Field, fill: Fill, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cover a picture where it is lost.

    Args:
        picture: (H, W, C) in [0, 1], C 1 or 3.
        amount: (H, W) in [0, 1]: 1 covers, 0 leaves the pixel exactly as it is.
        fill: white is pure white; the others have a tone of their own, texture and grain;
            coloured may be any colour, half of them such as grounds and infills have, in a light
            that may fall unevenly. flat is any one of these colours, like white without texture.
        rng: source of randomness.
    """
    cover = amount[..., None]
    if fill == "white":
        return (picture * (1 - cover) + cover).astype(np.float32)
    if fill == "flat":
        colour = _any_colour(picture.shape[2], rng)
        return (picture * (1 - cover) + colour * cover).astype(np.float32)
    ground = _ground(picture.shape, fill, rng)
    return (picture * (1 - cover) + ground * cover).astype(np.float32)


def _ground(shape: tuple[int, ...], fill: str, rng: np.random.Generator) -> NDArray[np.float32]:
    height, width, channels = shape
    spread = _VARIATION[fill]
    base = _any_colour(channels, rng) if fill == "coloured" else np.array(_COLOURS[fill])
    tone = base + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    if channels == 1:
        tone = tone.mean(keepdims=True)
    ground: NDArray[np.floating[Any]] = tone
    if fill == "coloured":
        ground = tone.astype(np.float32) * _uneven_light(height, width, rng)
        spread *= rng.uniform(0.1, 1.2)  # from smooth infills to rough grounds
    strength = 0.55 * spread
    texture = strength * fractal_noise(height, width, 16, rng, roughness=0.7)
    grain = rng.normal(0, 0.2 * spread, (height, width, 1)).astype(np.float32)
    return (ground + texture[..., None] + grain).clip(0, 1).astype(np.float32)


def _any_colour(channels: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(C,) in [0, 1]: half of them any, half the greys and warm, pale tones of grounds and infills:
    from white over cream to beige and grey."""
    if rng.random() < 0.5:
        return rng.random(channels, np.float32)
    warmth = rng.uniform(0, 0.35)
    tone = np.sqrt(rng.uniform(0.02, 1)) * np.array([1, 1 - 0.4 * warmth, 1 - warmth], np.float32)
    return tone[:channels].astype(np.float32)


def _uneven_light(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A factor (H, W, 1), 1 in the middle, that rises in some direction by up to 15 % over the
    longer side."""
    strength, heading = rng.uniform(0, 0.15), rng.uniform(0, 2 * np.pi)
    step = np.float32(strength / max(height, width))
    ys = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
    xs = np.arange(width, dtype=np.float32)[None, :] - np.float32((width - 1) / 2)
    light = 1 + step * (np.float32(np.sin(heading)) * ys + np.float32(np.cos(heading)) * xs)
    return np.asarray(light[..., None], dtype=np.float32)

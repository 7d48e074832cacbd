"""Pictures as books and drawings show them: in lines, screen dots or few flat colours, in pairs.

Their paper is as white and as even as some losses are, and sound all the same.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from dunrestore.datasets.charts import PAPERS, Colour

Picture = NDArray[np.float32]

WHITE = np.ones(3, dtype=np.float32)
"""Every second paper; a scan in black and white has no other."""
INKS: tuple[Colour, ...] = (
    (0, 0, 0), (20, 20, 20), (60, 45, 35), (30, 40, 80), (150, 40, 30),
)  # fmt: skip
ANGLES = (15.0, 75.0, 0.0)
"""Degrees that cyan's, magenta's and yellow's screens are turned from the first."""


def print_of(picture: Picture, rng: np.random.Generator) -> Picture:
    """Draw, screen or print a picture in few colours, or show two halves of it apart.

    Args:
        picture: (H, W, 3) in [0, 1].
        rng: source of randomness.

    Returns:
        (H, W, 3) in [0, 1].
    """
    kinds: tuple[Process, ...] = (_drawn, _drawn, _black, _screened, _screened, _flat, _parted)
    return kinds[rng.integers(len(kinds))](picture, rng)


Process = Callable[[Picture, np.random.Generator], Picture]


def _drawn(picture: Picture, rng: np.random.Generator) -> Picture:
    """Outlines: where it is darker than what surrounds it."""
    grey = picture.mean(axis=2)
    size, least = np.exp(rng.uniform(np.log(1), np.log(5))), rng.uniform(0.01, 0.06)
    return _inked(gaussian_filter(grey, size) - gaussian_filter(grey, 0.3 * size) > least, rng)


def _black(picture: Picture, rng: np.random.Generator) -> Picture:
    """Black and white by a threshold, as of a woodcut or a scan with one bit."""
    grey = gaussian_filter(picture.mean(axis=2), rng.uniform(0, 1.5))
    return _inked(grey < np.quantile(grey, rng.uniform(0.1, 0.6)), rng)


def _screened(picture: Picture, rng: np.random.Generator) -> Picture:
    """Dots as large as the picture is dark, in one ink or in cyan, magenta and yellow."""
    cell, turn = np.exp(rng.uniform(np.log(3), np.log(12))), rng.uniform(0, 90)
    if rng.random() < 0.6:
        return _inked(picture.mean(axis=2) < _screen(picture.shape[:2], cell, turn), rng)
    plates = [
        picture[..., ink] >= _screen(picture.shape[:2], cell, turn + ANGLES[ink])
        for ink in range(3)
    ]
    return _paper(rng) * _softened(np.stack(plates, axis=-1).astype(np.float32), rng)


def _screen(shape: tuple[int, int], cell: float, turn: float) -> Picture:
    """The darkness (H, W) below which ink is set, of a screen turned by so many degrees."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) * np.float32(2 * np.pi / cell)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    dots = np.cos(cos * x + sin * y) * np.cos(cos * y - sin * x)
    return (0.5 + 0.48 * dots).astype(np.float32)


def _flat(picture: Picture, rng: np.random.Generator) -> Picture:
    """Four to twelve colours, side by side or dithered."""
    smooth = gaussian_filter(picture, (*[rng.uniform(0, 2)] * 2, 0))
    image = Image.fromarray(np.rint(smooth * 255).astype(np.uint8))
    dither = Image.Dither.FLOYDSTEINBERG if rng.random() < 0.3 else Image.Dither.NONE
    palette = image.quantize(int(rng.integers(4, 13)))
    flat = image.quantize(palette=palette, dither=dither).convert("RGB")
    return np.asarray(flat, dtype=np.float32) / np.float32(255)


def _parted(picture: Picture, rng: np.random.Generator) -> Picture:
    """Two pictures or four on paper: what lies between them goes from edge to edge."""
    shown, paper = picture.copy(), _paper(rng)
    crossed, across = rng.random() < 0.3, rng.random() < 0.5
    for axis in (0, 1):
        if crossed or across == (axis == 0):
            length = picture.shape[axis]
            wide = max(round(length * rng.uniform(0.02, 0.12)), 1)
            begin = int(rng.integers(length - wide + 1))
            np.moveaxis(shown, axis, 0)[begin : begin + wide] = paper
    return shown


def _inked(ink: NDArray[np.bool_], rng: np.random.Generator) -> Picture:
    """One ink on paper; (H, W) to (H, W, 3)."""
    paper, colour = _paper(rng), _light(INKS[rng.integers(len(INKS))])
    share = _softened(ink[..., None].astype(np.float32), rng)
    return np.asarray(paper + share * (colour - paper), dtype=np.float32)


def _softened(plates: Picture, rng: np.random.Generator) -> Picture:
    """Edges as a scan has them, or hard ones."""
    if rng.random() >= 0.6:
        return plates
    size = rng.uniform(0.3, 1.2)
    return np.asarray(gaussian_filter(plates, (size, size, 0)), dtype=np.float32)


def _paper(rng: np.random.Generator) -> Picture:
    if rng.random() < 0.5:
        return WHITE
    return _light(PAPERS[rng.integers(len(PAPERS))])


def _light(colour: Colour) -> Picture:
    return np.array(colour, dtype=np.float32) / np.float32(255)

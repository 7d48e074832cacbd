"""Paints imaginary mural fragments: training pictures, test pictures and examples without owners.

Flat pigments within dark outlines, haloes, ribbons, clouds, figures and bands of repeated
ornament on a ground with soft gradients, all of it on old plaster. Seeded and pure.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dunrestore.datasets import ornament
from dunrestore.datasets.pigments import Palette, draw_palette, on_plaster
from dunrestore.degradations.fields import smooth_noise

OVERSAMPLING = 2
"""Drawn so many times larger and scaled down, so that contours are smooth."""

_MOTIFS: tuple[tuple[ornament.Motif, float], ...] = (
    (ornament.ribbon, 0.32),
    (ornament.scroll, 0.34),
    (ornament.flower, 0.18),
    (ornament.halo, 0.08),
    (ornament.figure, 0.08),
)


def paint_mural(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """An imaginary fragment of a mural.

    Args:
        height: rows.
        width: columns.
        rng: source of randomness; the same generator state paints the same picture.

    Returns:
        (height, width, 3) RGB in [0, 1].
    """
    palette = draw_palette(rng)
    size = (width * OVERSAMPLING, height * OVERSAMPLING)
    canvas = Image.fromarray(_ground(size[1], size[0], palette, rng))
    _compose(ImageDraw.Draw(canvas), size, palette, rng)
    paint = np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float32) / np.float32(255)
    return on_plaster(paint, palette.ground, rng)


def _ground(
    height: int, width: int, palette: Palette, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The ground in one colour, on some walls shading into a second one."""
    base = np.asarray(palette.ground, dtype=np.float32)
    if rng.random() < 0.5:
        return np.broadcast_to(base.astype(np.uint8), (height, width, 3)).copy()
    second = np.asarray(palette.pick(rng), dtype=np.float32)
    blend = np.clip(0.35 + 0.3 * smooth_noise(height, width, max(height, width) / 2, rng), 0, 1)
    mixed = base + (second - base) * 0.6 * blend[..., None]
    return mixed.astype(np.uint8)


def _compose(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], palette: Palette, rng: np.random.Generator
) -> None:
    width, height = size
    # Motifs keep their size on the wall: a larger picture shows more of them, not larger ones.
    unit = rng.uniform(110, 260) * OVERSAMPLING
    count = int(rng.uniform(2.5, 6) * (width / unit + 1) * (height / unit + 1))
    motifs, weights = zip(*_MOTIFS, strict=True)
    for chosen in rng.choice(len(motifs), count, p=weights):
        x, y = rng.uniform(-0.1, 1.1, 2) * size
        motifs[chosen](draw, x, y, unit * rng.uniform(0.45, 1.0), palette, rng)
    figures = int(rng.poisson(width * height / (unit * 2.4) ** 2))
    for _ in range(figures):
        x, y = rng.uniform(0.1, 0.9, 2) * size
        ornament.figure(draw, x, y, unit * rng.uniform(0.8, 1.2), palette, rng)
    for _ in range(int(rng.integers(0, 3))):
        _border(draw, size, unit * rng.uniform(0.12, 0.3), palette, rng)


def _border(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    thickness: float,
    palette: Palette,
    rng: np.random.Generator,
) -> None:
    width, height = size
    slope, offset = rng.normal(0, 0.04), rng.choice([0.04, 0.93]) + rng.uniform(-0.02, 0.05)
    if rng.random() < 0.65:
        y = offset * height
        ends = (-thickness, y), (width + thickness, y + slope * width)
    else:
        x = offset * width
        ends = (x, -thickness), (x + slope * height, height + thickness)
    ornament.band(draw, np.array(ends[0]), np.array(ends[1]), thickness, palette, rng)

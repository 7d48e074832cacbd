"""The colours of the cave murals, and the surface they lie on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dunrestore.degradations.fields import fractal_noise, smooth_noise

Colour = tuple[int, int, int]
"""RGB, 0 to 255, as the drawing library takes it."""

GROUNDS: tuple[Colour, ...] = (
    (226, 208, 180),  # pale plaster
    (214, 184, 140),  # ochre plaster
    (232, 222, 206),  # white ground
    (158, 62, 38),  # earth red
    (190, 148, 104),  # clay
    (62, 70, 98),  # azurite, darkened
)
PIGMENTS: tuple[Colour, ...] = (
    (152, 54, 34),  # earth red
    (190, 80, 44),  # cinnabar, faded
    (92, 34, 28),  # haematite
    (56, 128, 98),  # malachite
    (118, 172, 146),  # malachite, thin
    (46, 86, 138),  # azurite
    (120, 152, 182),  # azurite, thin
    (200, 152, 62),  # ochre
    (222, 190, 120),  # yellow ochre, thin
    (236, 226, 206),  # lead white
    (110, 84, 74),  # oxidised flesh
    (206, 158, 124),  # flesh
)
INKS: tuple[Colour, ...] = ((38, 28, 26), (70, 32, 24), (30, 34, 48))


@dataclass(frozen=True)
class Palette:
    """The few colours one wall is painted with."""

    ground: Colour
    pigments: tuple[Colour, ...]
    ink: Colour
    white: Colour

    def pick(self, rng: np.random.Generator) -> Colour:
        """One of the pigments."""
        return self.pigments[rng.integers(len(self.pigments))]

    def pair(self, rng: np.random.Generator) -> tuple[Colour, Colour]:
        """Two different pigments."""
        first, second = rng.choice(len(self.pigments), 2, replace=False)
        return self.pigments[first], self.pigments[second]


def draw_palette(rng: np.random.Generator) -> Palette:
    """A ground, five to eight pigments and an ink, each a little off its usual tone."""
    count = int(rng.integers(5, 9))
    chosen = rng.choice(len(PIGMENTS), count, replace=False)
    weights = np.array([0.27, 0.24, 0.16, 0.14, 0.12, 0.07])
    return Palette(
        ground=_varied(GROUNDS[rng.choice(len(GROUNDS), p=weights)], rng),
        pigments=tuple(_varied(PIGMENTS[i], rng) for i in chosen),
        ink=_varied(INKS[rng.integers(len(INKS))], rng),
        white=_varied((238, 230, 214), rng),
    )


def _varied(colour: Colour, rng: np.random.Generator, amount: float = 9.0) -> Colour:
    varied = np.asarray(colour) + rng.normal(0, amount) + rng.normal(0, amount / 2, 3)
    r, g, b = (int(v) for v in varied.round().clip(0, 255))
    return r, g, b


def on_plaster(
    paint: NDArray[np.float32], ground: Colour, rng: np.random.Generator
) -> NDArray[np.float32]:
    """What flat paint looks like on an old wall: uneven, grainy, rubbed off here and there.

    Args:
        paint: (H, W, 3) RGB in [0, 1].
        ground: the plaster's colour, which shows where the paint is gone.
        rng: source of randomness.

    Returns:
        (H, W, 3) RGB in [0, 1].
    """
    height, width = paint.shape[:2]
    plaster = np.asarray(ground, dtype=np.float32) / 255
    plaster = plaster + 0.035 * fractal_noise(height, width, 40, rng)[..., None]
    thickness = fractal_noise(height, width, rng.uniform(10, 30), rng, roughness=0.75)
    gone = _step(thickness, rng.uniform(1.35, 2.4), 0.25) * rng.uniform(0.5, 0.95)
    thin = 0.10 * _step(-thickness, 0.0, 1.5)
    cover = np.clip(1 - gone - thin, 0, 1)[..., None]
    wall = paint * cover + plaster * (1 - cover)
    soot = 1 + 0.07 * fractal_noise(height, width, max(height, width) / 2, rng, roughness=0.4)
    relief = 0.030 * fractal_noise(height, width, 5, rng, roughness=0.8)
    tint = np.stack([smooth_noise(height, width, 60, rng) for _ in range(3)], axis=-1)
    grain = rng.uniform(0.006, 0.018) * smooth_noise(height, width, 1, rng)
    wall = wall * soot[..., None] + (relief + grain)[..., None] + 0.008 * tint
    wall = wall + rng.uniform(0.1, 0.35) * (wall.mean(axis=2, keepdims=True) - wall)  # faded
    return wall.clip(0, 1).astype(np.float32)


def _step(field: NDArray[np.float32], edge: float, softness: float) -> NDArray[np.float32]:
    """0 below the edge, 1 above ``edge + softness``, a smooth ramp between."""
    t = ((field - np.float32(edge)) / np.float32(softness)).clip(0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)

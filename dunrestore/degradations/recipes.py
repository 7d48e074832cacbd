"""Recipes: which damage and noise a picture gets, how much of it and in which order.

The order is that of a mural's life: damage first, one kind after another as the recipe lists
them; then the camera's Gaussian noise; then the file's JPEG.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dunrestore.degradations import ageing, losses
from dunrestore.degradations.fields import Field
from dunrestore.degradations.fills import FILLS, fill_losses
from dunrestore.degradations.names import SOFTEST, Fill
from dunrestore.degradations.noise import add_gaussian, through_jpeg

Shape = Callable[[int, int, float, np.random.Generator], Field]
Effect = Callable[[NDArray[np.float32], Field, np.random.Generator], NDArray[np.float32]]
Range = tuple[float, float]
"""Lowest and highest; both the same for a fixed value."""


@dataclass(frozen=True)
class Kind:
    """A kind of damage: the shape of what it covers, and what shows there."""

    shape: Shape
    fill: Fill | None = None
    """Its usual fill; None where the kind changes the paint instead of covering it."""
    effect: Effect | None = None
    """How it changes the paint, if it has no fill."""


KINDS: dict[str, Kind] = {
    "random-walk": Kind(losses.random_walks, fill="white"),
    "flakes": Kind(losses.flakes, fill="plaster"),
    "cracks": Kind(losses.cracks, fill="dark"),
    "scratches": Kind(losses.scratches, fill="plaster"),
    "stains": Kind(ageing.soft_patches, effect=ageing.stain),
    "fading": Kind(ageing.soft_patches, effect=ageing.fade),
    "dust": Kind(losses.dust, fill="grey"),
    "areas": Kind(losses.areas, fill="white"),
}


@dataclass(frozen=True)
class Damage:
    """One kind of damage in a recipe."""

    kind: str
    """Key of ``KINDS``."""
    coverage: Range = (0.03, 0.33)
    """Share of the pixels, 0 to 1; drawn evenly on a logarithmic scale."""
    fills: tuple[Fill, ...] = ()
    """One of these is drawn; empty for the kind's usual one."""
    probability: float = 1.0
    """How often pictures have it."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown damage {self.kind!r}; known: {', '.join(KINDS)}")
        if self.fills and KINDS[self.kind].fill is None:
            raise ValueError(f"{self.kind} changes the paint and takes no fill")
        if unknown := set(self.fills) - set(FILLS):
            raise ValueError(f"unknown fill {min(unknown)!r}; known: {', '.join(FILLS)}")
        low, high = self.coverage
        if not 0 <= low <= high <= 1:
            raise ValueError(  # in percent, as every option takes it
                "coverage must lie between 0 and 100 %, the least not above the most:"
                f" here {100 * low:g} and {100 * high:g}"
            )


@dataclass(frozen=True)
class Recipe:
    """Damage and noise, in the order in which they are applied."""

    damages: tuple[Damage, ...] = ()
    """Applied one after another."""
    soft_edges: Range = (0.0, 0.0)
    """How far a lens spreads what covers the paint: a standard deviation in pixels, drawn evenly on
    a logarithmic scale; 0 for edges as they were drawn."""
    soft_edges_probability: float = 1.0
    """How often pictures have such edges."""
    gaussian: Range = (0.0, 0.0)
    """Standard deviation on the scale 0 to 255, drawn evenly."""
    gaussian_probability: float = 1.0
    """How often pictures have Gaussian noise."""
    jpeg: tuple[int, int] | None = None
    """Quality, drawn evenly; None for no JPEG."""
    jpeg_probability: float = 1.0
    """How often pictures go through JPEG."""

    def __post_init__(self) -> None:
        low, high = self.gaussian
        if not 0 <= low <= high <= 255:
            raise ValueError(f"gaussian must lie between 0 and 255, not {low:g} to {high:g}")
        if not 0 <= self.soft_edges[0] <= self.soft_edges[1] <= SOFTEST:
            raise ValueError(
                f"soft edges must lie between 0 and {SOFTEST:g} pixels,"
                f" not {self.soft_edges[0]:g} to {self.soft_edges[1]:g}"
            )
        if self.jpeg is not None and not 1 <= self.jpeg[0] <= self.jpeg[1] <= 100:
            raise ValueError(f"jpeg quality must lie between 1 and 100, not {self.jpeg}")


@dataclass(frozen=True)
class Degraded:
    """A degraded picture and where it is damaged."""

    picture: NDArray[np.float32]
    """(H, W, C) in [0, 1]."""
    mask: NDArray[np.bool_]
    """(H, W), True where a damage touched the picture; noise and JPEG do not count."""


_WHITE_AND_OTHERS: tuple[Fill, ...] = (
    "white", "white", "plaster", "grey", "dark", "coloured", "coloured",
)  # fmt: skip

RECIPES: dict[str, Recipe] = {
    "challenge": Recipe((Damage("random-walk"),)),
    "paper-low": Recipe(gaussian=(8, 8)),
    "paper-extreme": Recipe(gaussian=(16, 16)),
    "mural": Recipe(
        (
            Damage("fading", (0.10, 0.40), probability=0.6),
            Damage("stains", (0.05, 0.25), probability=0.6),
            Damage("flakes", (0.02, 0.10), ("plaster", "plaster", "grey")),
            Damage("cracks", (0.003, 0.02), probability=0.9),
            Damage("scratches", (0.002, 0.01), probability=0.7),
            Damage("dust", (0.0005, 0.004), probability=0.8),
        ),
        gaussian=(0.5, 4),
        jpeg=(75, 95),
        jpeg_probability=0.5,
    ),
    "losses": Recipe(
        (
            Damage("random-walk", (0.02, 0.35), _WHITE_AND_OTHERS, probability=0.65),
            Damage("flakes", (0.02, 0.20), FILLS, probability=0.2),
            Damage("cracks", (0.005, 0.04), ("dark", "plaster", "white"), probability=0.1),
            Damage(
                "areas",
                (0.004, 0.25),
                (*_WHITE_AND_OTHERS, "white", "coloured", "flat", "flat"),
                probability=0.5,
            ),
            Damage("scratches", (0.002, 0.02), _WHITE_AND_OTHERS, probability=0.4),
        ),
        soft_edges=losses.SOFT_EDGES,
        soft_edges_probability=0.5,
        gaussian=(0, 20),
        gaussian_probability=0.2,
        jpeg=(25, 95),
        jpeg_probability=0.2,
    ),
    "scanned": Recipe((Damage("areas"),), soft_edges=(0.5, 1.5)),
    "robust": Recipe(
        (
            Damage("stains", (0.05, 0.30), probability=0.10),
            Damage("random-walk", (0.05, 0.35), _WHITE_AND_OTHERS, probability=0.75),
            Damage("flakes", (0.02, 0.20), FILLS, probability=0.25),
            Damage("cracks", (0.005, 0.04), ("dark", "plaster", "white"), probability=0.2),
        ),
        gaussian=(0, 20),
        gaussian_probability=0.3,
        jpeg=(25, 95),
        jpeg_probability=0.3,
    ),
}
"""``challenge``: the challenge's losses. ``paper-low``, ``paper-extreme``: the noise of the paper's
Table III. ``mural``: what murals suffer. ``losses``: what training needs to learn to find losses of
any colour, but nothing that still shows the paint. ``scanned``: places with clean outlines, their
edges as soft as in scans. ``robust``: what training needs to learn all of it."""


def override(
    recipe: Recipe,
    *,
    coverage: tuple[float | None, float | None] = (None, None),
    fill: Fill | None = None,
    gaussian: Range | None = None,
    gaussian_probability: float = 1.0,
    jpeg: tuple[int, int] | None = None,
    jpeg_probability: float = 1.0,
    soft_edges: Range | None = None,
    soft_edges_probability: float = 1.0,
) -> Recipe:
    """The recipe with what is given instead of its own; None stands for its own.

    Args:
        recipe: what to begin with.
        coverage: least and most of every damage.
        fill: of every damage that takes one.
        gaussian: as in ``Recipe``.
        gaussian_probability: of this noise.
        jpeg: as in ``Recipe``.
        jpeg_probability: of this JPEG.
        soft_edges: as in ``Recipe``.
        soft_edges_probability: of these edges.

    Raises:
        ValueError: if values contradict each other.
    """

    def overridden(damage: Damage) -> Damage:
        low, high = damage.coverage
        least, most = coverage
        covered = (low if least is None else least, high if most is None else most)
        filled = fill is not None and KINDS[damage.kind].fill is not None
        return replace(damage, coverage=covered, fills=(fill,) if filled else damage.fills)

    made = replace(recipe, damages=tuple(map(overridden, recipe.damages)))
    if gaussian is not None:
        made = replace(made, gaussian=gaussian, gaussian_probability=gaussian_probability)
    if jpeg is not None:
        made = replace(made, jpeg=jpeg, jpeg_probability=jpeg_probability)
    if soft_edges is not None:
        probability = soft_edges_probability
        made = replace(made, soft_edges=soft_edges, soft_edges_probability=probability)
    return made


def degrade(picture: NDArray[np.float32], recipe: Recipe, rng: np.random.Generator) -> Degraded:
    """Apply a recipe.

    A damage's shape does not depend on its fill, nor on the noise that comes after it: with the
    same generator, pictures of one size lose the same pixels in any colour.

    Args:
        picture: (H, W, C) in [0, 1], C 1 or 3; not changed.
        recipe: what to do.
        rng: source of randomness.
    """
    *damage_rngs, noise_rng, jpeg_rng, edge_rng = rng.spawn(len(recipe.damages) + 3)
    softness = losses.draw_softness(edge_rng, recipe.soft_edges, recipe.soft_edges_probability)
    mask = np.zeros(picture.shape[:2], dtype=bool)
    for damage, own in zip(recipe.damages, damage_rngs, strict=True):
        if own.random() < damage.probability:
            picture, touched = _damaged(picture, damage, softness, own)
            mask |= touched
    if recipe.gaussian[1] > 0 and noise_rng.random() < recipe.gaussian_probability:
        picture = add_gaussian(picture, noise_rng.uniform(*recipe.gaussian), noise_rng)
    if recipe.jpeg is not None and jpeg_rng.random() < recipe.jpeg_probability:
        low, high = recipe.jpeg
        picture = through_jpeg(picture, int(jpeg_rng.integers(low, high + 1)))
    return Degraded(picture, mask)


def _damaged(
    picture: NDArray[np.float32], damage: Damage, softness: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    kind = KINDS[damage.kind]
    shape_rng, paint_rng = rng.spawn(2)
    low, high = damage.coverage
    coverage = low * (high / low) ** rng.random() if low > 0 else rng.uniform(low, high)
    amount = kind.shape(picture.shape[0], picture.shape[1], coverage, shape_rng)
    if kind.effect is not None:
        return kind.effect(picture, amount, paint_rng), amount > 0
    fill = damage.fills[rng.integers(len(damage.fills))] if damage.fills else kind.fill
    assert fill is not None
    amount = losses.soften(amount, softness)
    return fill_losses(picture, amount, fill, paint_rng), amount > 0


def degrade_samples(
    samples: NDArray[Any], recipe: Recipe, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Apply a recipe to (H, W, C) samples of 8 or 16 bits; the result keeps the depth.

    Where neither damage nor noise touched a sample it stays exactly as it was.
    """
    maximum = np.float32(np.iinfo(samples.dtype).max)
    degraded = degrade(samples.astype(np.float32) / maximum, recipe, rng)
    return np.rint(degraded.picture * maximum).astype(samples.dtype), degraded.mask

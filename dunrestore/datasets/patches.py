"""An endless, seeded stream of training patches: sample number i is always the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from dunrestore.datasets.charts import lay_charts
from dunrestore.datasets.colour import clip_tones, vary_colours
from dunrestore.datasets.painter import paint_mural
from dunrestore.datasets.pictures import Checked, PictureStore, Sample, cut, flipped
from dunrestore.datasets.prints import print_of
from dunrestore.degradations.losses import SOFT_EDGES, draw_softness
from dunrestore.degradations.pretraining import motion_blur, rain
from dunrestore.degradations.recipes import RECIPES, Recipe, degrade
from dunrestore.degradations.seeds import generator_for
from dunrestore.errors import InputError

Task = Literal["inpaint", "deblur", "derain", "rescale"]

PAINT_SIDE = 384
PAINTED_AT_ONCE = 6
PAINTED_FOR = 1024
"""Painting costs more than cutting: a few murals serve so many samples before new ones are due.
Each process that makes samples paints them for itself."""
TRIES = 8
"""Windows that are looked at before one without detail is taken."""
LARGEST = 4
"""What patches are enlarged by at most."""
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class PatchOptions:
    """What patches are cut, how they vary, and what is done to them."""

    side: int = 128
    """Pixels; patches are square."""
    overlap: int | None = None
    """Pixels that neighbours share when patches are cut on a grid; None cuts anywhere."""
    min_detail: float = 8.0
    """Windows with a smaller standard deviation, on the scale 0 to 255, are passed over."""
    flips: bool = True
    """Mirror half of the patches."""
    turns: bool = True
    """Turn patches by quarters."""
    enlarged: float = 0.0
    """How often clean patches are enlarged, up to ``LARGEST`` times: finer scans are smoother."""
    colours: float = 0.0
    """How often clean patches change their colours, 0 to 1."""
    inversion: float = 0.0
    """How often those become negatives."""
    clipped: float = 0.0
    """How often the lightest or darkest paint of clean patches is clipped by the exposure."""
    charts: float = 0.0
    """How often colour charts, rulers or labels lie on clean patches."""
    prints: float = 0.0
    """How often clean patches become drawings, screened or flat prints; these stay undamaged."""
    painted: float = 0.0
    """Share of patches from murals that are painted for the purpose."""
    painted_for: int = PAINTED_FOR
    """Samples that a few painted murals serve."""
    sound: float = 0.0
    """Share of patches that are left undamaged."""
    recipe: Recipe = field(default_factory=lambda: RECIPES["challenge"])
    """Damage and noise; files that are damaged already get only the noise."""
    task: Task = "inpaint"
    """Anything but ``inpaint`` is a pretraining task and takes no recipe."""
    seed: int = 0


class PatchStream:
    """Patches out of a set of pictures.

    Raises:
        InputError: if every picture is smaller than a patch.
    """

    def __init__(
        self, pictures: Sequence[Checked], store: PictureStore, options: PatchOptions
    ) -> None:
        self.options = options
        self._store = store
        side = options.side
        self.pictures = [p for p in pictures if min(p.height, p.width) >= side]
        self.too_small = [p for p in pictures if min(p.height, p.width) < side]
        if not self.pictures:
            smallest = pictures[0]
            raise InputError(
                f"{smallest.width} x {smallest.height} pixels are smaller than a patch of {side},"
                f" and so are all {len(pictures)} pictures",
                path=smallest.pair.target,
                next_step="give larger pictures or a smaller --patch",
            )
        # By the square root of the area: large pictures give more, small ones are not forgotten.
        areas = np.array([p.height * p.width for p in self.pictures], dtype=np.float64) ** 0.5
        self._weights = areas / areas.sum()
        self._painted = lru_cache(maxsize=2 * PAINTED_AT_ONCE)(self._paint)

    def batch(
        self, indices: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Inputs (B, 3, S, S), targets (B, 3, S, S), masks (B, 1, S, S) of 0 and 1."""
        samples = [self.sample(i) for i in indices]
        return (
            np.stack([s.input.transpose(2, 0, 1) for s in samples]),
            np.stack([s.target.transpose(2, 0, 1) for s in samples]),
            np.stack([s.mask[None].astype(np.float32) for s in samples]),
        )

    def sample(self, index: int) -> Sample:
        """Patch number ``index``; depends on the seed, the options and the set, nothing else."""
        options, rng = self.options, generator_for(self.options.seed, "patch", index)
        if rng.random() < options.painted:
            sample, damaged = self._painted_patch(index, rng), False
        else:
            sample, damaged = self._cut_patch(rng)
        turns = int(rng.integers(4)) if options.turns else 0
        sample = flipped(sample, turns, options.flips and bool(rng.random() < 0.5))
        if damaged:
            noise = replace(options.recipe, damages=())
            return replace(sample, input=degrade(sample.input, noise, rng).picture)
        target = sample.target
        if options.enlarged and rng.random() < options.enlarged:
            target = enlarged(target, rng)
        if rng.random() < options.colours:
            target = vary_colours(target, rng, inversion=options.inversion)
        if options.charts and rng.random() < options.charts:
            target = softened(lay_charts(target, rng), rng)
        if options.clipped and rng.random() < options.clipped:
            target = clip_tones(target, rng)
        sound = options.sound
        if options.prints and rng.random() < options.prints:
            target, sound = softened(print_of(target, rng), rng), 1.0
        return damaged_by(np.ascontiguousarray(target), options, rng, sound=sound)

    def _cut_patch(self, rng: np.random.Generator) -> tuple[Sample, bool]:
        """A window with detail, and whether its file is damaged already."""
        sample = picture = None
        for _ in range(TRIES):
            picture = self.pictures[rng.choice(len(self.pictures), p=self._weights)]
            sample = cut(picture, self._store, self._window(picture, rng))
            if _detail(sample.target) >= self.options.min_detail:
                break
        assert sample is not None
        assert picture is not None
        return sample, picture.pair.input is not None

    def _window(self, picture: Checked, rng: np.random.Generator) -> tuple[slice, slice]:
        side = self.options.side
        top = _position(picture.height, side, self.options.overlap, rng)
        left = _position(picture.width, side, self.options.overlap, rng)
        return slice(top, top + side), slice(left, left + side)

    def _painted_patch(self, index: int, rng: np.random.Generator) -> Sample:
        side, era = self.options.side, index // self.options.painted_for
        mural = self._painted(era * PAINTED_AT_ONCE + int(rng.integers(PAINTED_AT_ONCE)))
        top, left = rng.integers(0, mural.shape[0] - side + 1, 2)
        target = mural[top : top + side, left : left + side].astype(np.float32) / np.float32(255)
        return Sample(target, target, np.zeros((side, side), dtype=bool))

    def _paint(self, number: int) -> NDArray[np.uint8]:
        side = max(PAINT_SIDE, 2 * self.options.side)
        mural = paint_mural(side, side, generator_for(self.options.seed, "mural", number))
        return np.rint(mural * 255).astype(np.uint8)


def enlarged(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A part (h, w, 3) of a picture (H, W, 3), as large as that was; factor, place and filter are
    drawn, the factor evenly on a logarithmic scale up to ``LARGEST``."""
    height, width = picture.shape[:2]
    factor = LARGEST ** rng.random()
    rows, columns = round(height / factor), round(width / factor)
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    chosen = FILTERS[rng.integers(len(FILTERS))]
    part = np.ascontiguousarray(picture[top : top + rows, left : left + columns].transpose(2, 0, 1))
    channels = [Image.fromarray(one).resize((width, height), chosen) for one in part]
    return np.stack([np.asarray(one) for one in channels], axis=-1).clip(0, 1)


def softened(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Half of the pictures (H, W, 3) as a lens shows them: soft edges are no sign of a loss."""
    softness = draw_softness(rng, SOFT_EDGES, 0.5)
    if softness == 0:
        return picture
    return np.asarray(gaussian_filter(picture, (softness, softness, 0)), dtype=np.float32)


def damaged_by(
    target: NDArray[np.float32],
    options: PatchOptions,
    rng: np.random.Generator,
    *,
    sound: float = 0.0,
) -> Sample:
    """A clean picture (H, W, 3) and what the task or the recipe makes of it.

    Args:
        target: the clean picture.
        options: task and recipe.
        rng: source of randomness.
        sound: how often it gets no damage, only noise.
    """
    nothing = np.zeros(target.shape[:2], dtype=bool)
    match options.task:
        case "deblur":
            return Sample(motion_blur(target, rng), target, nothing)
        case "derain":
            return Sample(rain(target, rng), target, nothing)
        case "rescale":
            return Sample(target, target, nothing)
        case "inpaint":
            recipe = options.recipe
            if rng.random() < sound:
                recipe = replace(recipe, damages=())
            result = degrade(target, recipe, rng)
            return Sample(result.picture, target, result.mask)


def _position(length: int, side: int, overlap: int | None, rng: np.random.Generator) -> int:
    if overlap is None:
        return int(rng.integers(length - side + 1))
    return int(rng.choice(grid(length, side, overlap)))


def grid(length: int, side: int, overlap: int) -> list[int]:
    """Where patches begin so that they cover a length; the last one ends at its end."""
    if not 0 <= overlap < side:
        raise ValueError(f"overlap must be at least 0 and below {side}, not {overlap}")
    last = length - side
    return [*range(0, last, side - overlap), last]


def _detail(picture: NDArray[np.float32]) -> float:
    """Standard deviation on the scale 0 to 255, the mean of the channels'."""
    return float(picture.std(axis=(0, 1)).mean()) * 255

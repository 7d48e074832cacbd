"""The pictures of a set, and what a block makes of each."""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dunrestore.benchmarking.protocol import Block, Protocol, Treatment, amounts_of
from dunrestore.benchmarking.reading import read_mask, read_rgb
from dunrestore.datasets.charts import lay_charts
from dunrestore.datasets.prints import Process, print_of
from dunrestore.degradations.recipes import (
    KINDS,
    RECIPES,
    Damage,
    Recipe,
    degrade_samples,
    override,
)
from dunrestore.degradations.seeds import generator_for
from dunrestore.errors import InputError, UsageError
from dunrestore.imaging.files import format_of

Pixels = NDArray[np.uint8]

TREATMENTS: dict[Treatment, Process] = {"charts": lay_charts, "prints": print_of}


@dataclass(frozen=True)
class Source:
    """One picture of the set: clean, or a pair.

    Attributes:
        name: path in its folder without extension.
        truth: the clean picture.
        input: the damaged one of a pair; None where damage is to be added.
        mask: of the pair, if it has one.
        sha256: of these files, by what they are.
    """

    name: str
    truth: Path
    input: Path | None
    mask: Path | None
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """One picture to restore, and what it should become.

    Attributes:
        image: the picture's name.
        truth: (H, W, 3) RGB.
        damaged: (H, W, 3) RGB.
        mask: (H, W), True where the picture is damaged; None if that is not known.
        noisy: whether noise or JPEG went over the damage, so that losses have no single colour.
        to_be_filled: whether pictures of this kind have losses, this one or another.
        grey: whether the damaged picture is all of greys, and stays so when it is restored.
    """

    image: str
    truth: Pixels
    damaged: Pixels
    mask: NDArray[np.bool_] | None
    noisy: bool = False
    to_be_filled: bool = True
    grey: bool = False

    @cached_property
    def digest(self) -> str:
        """Changes with any pixel of the three, and with their kind."""
        parts = (self.truth, self.damaged, self.mask)
        hashed = hashlib.sha256(b"grey" if self.grey else b"")
        for part in parts:
            hashed.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
        return hashed.hexdigest()


def make_case(source: Source, block: Block, protocol: Protocol) -> Case:
    """Read a picture and damage it as a block says.

    The losses depend on the protocol's seed and the picture's name alone, so that they are the
    same in every block, whatever other pictures there are.

    Raises:
        InputError: if a file cannot be read, or the sizes of a pair differ.
    """
    name = unicodedata.normalize("NFC", source.name)
    truth = read_rgb(source.truth)
    if block.treatment is not None:
        clean = truth.astype(np.float32) / np.float32(255)
        rng = generator_for(protocol.seed, name, block.treatment)
        truth = np.rint(TREATMENTS[block.treatment](clean, rng) * 255).astype(np.uint8)
    given = truth if source.input is None else read_rgb(source.input)
    if given.shape != truth.shape:
        raise InputError(
            f"{given.shape[1]}x{given.shape[0]} pixels, but its truth has"
            f" {truth.shape[1]}x{truth.shape[0]}",
            path=source.input,
        )
    mask = None if source.mask is None else read_mask(source.mask, truth.shape[:2])
    recipe = recipe_of(block, protocol)
    rng = generator_for(protocol.seed, name)
    damaged, added = degrade_samples(given, recipe, rng)
    to_be_filled = bool(recipe.damages) or source.input is not None
    if recipe.damages or source.input is None:
        mask = added if mask is None else mask | added
    from_jpeg = source.input is not None and format_of(source.input) == "jpeg"
    noisy = from_jpeg or recipe.gaussian[1] > 0 or recipe.jpeg is not None
    damaged = np.asarray(damaged, dtype=np.uint8)
    grey = bool((damaged == damaged[..., :1]).all())
    return Case(source.name, truth, damaged, mask, noisy, to_be_filled, grey)


def recipe_of(block: Block, protocol: Protocol) -> Recipe:
    """What a block does to a picture, in the words of ``degradations``.

    Raises:
        UsageError: unknown damage or noise, or a fill for damage that takes none.
    """
    recipe = _damage(block.damage)
    if block.fill and not any(KINDS[damage.kind].fill for damage in recipe.damages):
        raise UsageError(f"{block.damage} takes no fill", next_step="leave out --fill")
    gaussian, jpeg = amounts_of(block.noise)
    try:
        return override(
            recipe,
            coverage=protocol.coverage or (None, None),
            fill=block.fill,
            gaussian=None if gaussian is None else (gaussian, gaussian),
            jpeg=None if jpeg is None else (jpeg, jpeg),
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def _damage(name: str | None) -> Recipe:
    if name is None:
        return Recipe()
    if name in RECIPES:
        return RECIPES[name]
    if name in KINDS:
        return Recipe((Damage(name),))
    raise UsageError(
        f"unknown damage {name!r}", next_step=f"choose from {', '.join([*RECIPES, *KINDS])}"
    )

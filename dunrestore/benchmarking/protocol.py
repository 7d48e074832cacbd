"""What is done to the pictures before they are restored: blocks of one damage and one noise."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from dunrestore.degradations.names import Fill
from dunrestore.errors import UsageError

NOISE_TITLES = {
    "none": "no noise",
    "gaussian-8": "Gaussian 8",
    "gaussian-16": "Gaussian 16",
    "jpeg-60": "JPEG 60",
    "jpeg-30": "JPEG 30",
}
"""The paper's Table III, in its order."""


Treatment = Literal["charts", "prints"]


@dataclass(frozen=True)
class Block:
    """One damage and one noise, applied to every picture of the set."""

    name: str
    """Short name, unique in a run."""
    title: str
    """As the tables call it."""
    damage: str | None = None
    """Recipe or kind of ``degradations``; None leaves the pictures as they are."""
    fill: Fill | None = None
    """What losses are filled with; None for what the recipe says."""
    noise: str = "none"
    """none, gaussian-SIGMA or jpeg-QUALITY, on top of the damage."""
    treatment: Treatment | None = None
    """What is done to the clean pictures first: ``charts`` lays colour charts, rulers and labels on
    them, ``prints`` makes drawings, halftones and prints of them; all of that is sound."""


@dataclass(frozen=True)
class Protocol:
    """Everything that two people need to get the same numbers from the same pictures."""

    name: str
    blocks: tuple[Block, ...]
    seed: int = 0
    """Together with a picture's name it fixes that picture's losses and noise, whatever other
    pictures there are; all blocks share a picture's losses."""
    coverage: tuple[float, float] | None = (0.05, 0.15)
    """Each picture's share of lost pixels is drawn between these, evenly on a logarithmic scale;
    None for what the recipe says."""
    damaged_pairs: bool = False
    """Whether the set's own damaged pictures are restored; else its clean ones are damaged."""


def challenge(name: str, fill: Fill = "white", noise: str = "none") -> Block:
    """The challenge's losses, filled and with noise on top."""
    parts = [f"{fill} losses"] + ([NOISE_TITLES[noise]] if noise != "none" else [])
    return Block(name, ", ".join(parts), "challenge", fill, noise)


MURALS = Protocol(
    name="murals",
    blocks=(
        challenge("white"),
        challenge("gaussian-8", noise="gaussian-8"),
        challenge("gaussian-16", noise="gaussian-16"),
        challenge("jpeg-60", noise="jpeg-60"),
        challenge("jpeg-30", noise="jpeg-30"),
        challenge("plaster", fill="plaster"),
        challenge("grey", fill="grey"),
        challenge("dark", fill="dark"),
        Block("areas", "white areas", "areas", "white"),
        Block("soft", "white areas, soft edges", "scanned", "white"),
        Block("undamaged", "undamaged"),
        Block("charts", "undamaged, with charts", treatment="charts"),
        Block("prints", "undamaged prints", treatment="prints"),
    ),
    seed=240216188,
)
"""The project's own benchmark: the challenge's white losses, the paper's Table III on top of them,
the same losses in colours that no threshold finds, losses with clean outlines, sharp ones and such
as a scanner shows, and pictures without any damage: as they are, with a digitisation desk's charts
on them, and as prints and drawings."""

PROTOCOLS = {MURALS.name: MURALS}


def with_noises(blocks: Sequence[Block], noises: Sequence[str]) -> tuple[Block, ...]:
    """Every block with every noise."""
    return tuple(
        block
        if noise == "none"
        else replace(
            block,
            name=f"{block.name}, {noise}",
            title=f"{block.title}, {noise_title(noise)}",
            noise=noise,
        )
        for block in blocks
        for noise in noises
    )


def noise_title(noise: str) -> str:
    """``gaussian-8`` as the tables call it.

    Raises:
        UsageError: unless it is none, gaussian-SIGMA or jpeg-QUALITY.
    """
    gaussian, jpeg = amounts_of(noise)
    if gaussian is not None:
        return f"Gaussian {gaussian:g}"
    return NOISE_TITLES["none"] if jpeg is None else f"JPEG {jpeg}"


def amounts_of(noise: str) -> tuple[float | None, int | None]:
    """The standard deviation of Gaussian noise, or the quality of a JPEG.

    Raises:
        UsageError: unless it is none, gaussian-SIGMA or jpeg-QUALITY.
    """
    kind, _, amount = noise.partition("-")
    if noise == "none":
        return None, None
    if kind == "gaussian":
        with suppress(ValueError):
            if 0 < (sigma := float(amount)) <= 255:
                return sigma, None
    if kind == "jpeg" and amount.isdecimal() and 1 <= int(amount) <= 100:
        return None, int(amount)
    raise UsageError(
        f"unknown noise {noise!r}", next_step="use none, gaussian-SIGMA or jpeg-QUALITY"
    )


def select_blocks(protocol: Protocol, names: Sequence[str]) -> Protocol:
    """The protocol with only the named blocks, in its own order; all of them if none is named.

    Raises:
        UsageError: if it has no block of that name.
    """
    known = [block.name for block in protocol.blocks]
    for name in names:
        if name not in known:
            raise UsageError(
                f"no block {name!r} in this run", next_step=f"choose from {', '.join(known)}"
            )
    kept = tuple(block for block in protocol.blocks if not names or block.name in names)
    return replace(protocol, blocks=kept)

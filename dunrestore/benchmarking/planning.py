"""From the options of ``bench`` to the protocol of a run."""

from dataclasses import dataclass

from dunrestore.benchmarking.cases import recipe_of
from dunrestore.benchmarking.protocol import (
    NOISE_TITLES,
    PROTOCOLS,
    Block,
    Protocol,
    select_blocks,
    with_noises,
)
from dunrestore.degradations.names import Fill
from dunrestore.errors import UsageError


@dataclass(frozen=True)
class Wishes:
    """What is to be done to the pictures, as a user says it.

    Attributes:
        protocol: name of a fixed protocol; it stands for all of the others but ``blocks``.
        damage: recipe or kind for clean pictures; None takes the set's own damaged pictures.
        fill: what losses are filled with.
        coverage: percent, as ``10`` or ``5-15``.
        noises: each as in ``protocol.Block``.
        noise_suite: the noises of the paper's Table III.
        seed: of damage and noise.
        blocks: only these.
    """

    protocol: str | None = None
    damage: str | None = None
    fill: Fill | None = None
    coverage: str | None = None
    noises: tuple[str, ...] = ()
    noise_suite: bool = False
    seed: int | None = None
    blocks: tuple[str, ...] = ()


def plan(wishes: Wishes) -> Protocol:
    """The protocol that is asked for.

    Raises:
        UsageError: if the wishes contradict each other, or name something unknown.
    """
    made = _ready_made(wishes) if wishes.protocol is not None else _own(wishes)
    made = select_blocks(made, wishes.blocks)
    for block in made.blocks:
        recipe = recipe_of(block, made)  # says now, not after an hour, what is wrong
        if wishes.coverage and not recipe.damages:
            raise UsageError(f"{block.damage} loses no pixels", next_step="leave out --coverage")
    return made


def _ready_made(wishes: Wishes) -> Protocol:
    if wishes.protocol not in PROTOCOLS:
        raise UsageError(
            f"unknown protocol {wishes.protocol!r}", next_step=f"known: {', '.join(PROTOCOLS)}"
        )
    fixed = Wishes(protocol=wishes.protocol, blocks=wishes.blocks)
    if wishes != fixed:
        raise UsageError(
            f"the protocol {wishes.protocol} fixes damage, fill, coverage, noise and seed",
            next_step="leave out these options, or the protocol; --block selects a part of it",
        )
    return PROTOCOLS[wishes.protocol]


def _own(wishes: Wishes) -> Protocol:
    if wishes.damage is None and (wishes.fill or wishes.coverage):
        raise UsageError("--fill and --coverage need --damage", next_step="name a --damage")
    if wishes.noise_suite and wishes.noises:
        raise UsageError("--noise-suite already says which noises", next_step="leave out --noise")
    title = wishes.damage or "as given"
    if wishes.fill:
        title += f", {wishes.fill}"
    block = Block(wishes.damage or "pairs", title, wishes.damage, wishes.fill)
    noises = tuple(NOISE_TITLES) if wishes.noise_suite else wishes.noises or ("none",)
    return Protocol(
        name="own",
        blocks=with_noises([block], tuple(dict.fromkeys(noises))),
        seed=wishes.seed or 0,
        coverage=None if wishes.coverage is None else _coverage(wishes.coverage),
        damaged_pairs=wishes.damage is None,
    )


def _coverage(text: str) -> tuple[float, float]:
    low, _, high = text.removesuffix("%").partition("-")
    try:
        share = float(low) / 100, float(high or low) / 100
    except ValueError:
        share = (-1.0, -1.0)
    if not 0 < share[0] <= share[1] < 1:
        raise UsageError(
            f"a coverage of {text!r} makes no sense", next_step="give percent: 10, or 5-15"
        )
    return share

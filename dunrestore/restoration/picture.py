"""Restore one picture in memory: propose a change, find the damage, preserve the rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dunrestore.checkpoints.load import Model
from dunrestore.errors import InputError, ModelError, UsageError
from dunrestore.imaging.rows import Rows
from dunrestore.models.architectures import ARCHITECTURES
from dunrestore.models.facts import facts
from dunrestore.restoration.change import Progress, Proposal, propose
from dunrestore.restoration.damage.margins import Margins, OutsideMargins, margins_of
from dunrestore.restoration.damage.noise import is_noisy
from dunrestore.restoration.damage.preserve import damage_weight, found_weight
from dunrestore.restoration.damage.spoiling import spoiling_of
from dunrestore.restoration.options import RestoreOptions


@dataclass(frozen=True)
class Restoration:
    """What was found and proposed for one picture.

    Attributes:
        proposal: the network's raw change and how it was computed.
        weight: (H, W) float32 in [0, 1], how much of the change applies; 0 where the picture's
            samples stay as they are.
        losses: (H, W), what is taken as lost, or was said to be.
        preserved: False where the whole picture was cleaned.
        margins: what was found in them does not count; None without any.
    """

    proposal: Proposal
    weight: NDArray[np.float32]
    losses: NDArray[np.bool_]
    preserved: bool
    margins: Margins | None = None


def restore_picture(
    picture: NDArray[np.float32],
    network: nn.Module,
    options: RestoreOptions,
    progress: Progress | None = None,
    lost: NDArray[np.bool_] | None = None,
    hidden: NDArray[np.bool_] | None = None,
    *,
    complete: bool = False,
) -> Restoration:
    """Decide what to change in ``picture``; nothing is changed yet.

    Args:
        picture: (H, W, 3), RGB in [0, 1].
        network: a restoring network.
        options: tiles, device, precision, and whether to preserve.
        progress: told of each finished batch of tiles.
        lost: (H, W), True where the picture is known to be lost; None to find the losses.
        hidden: (H, W), True where nobody sees the picture: nothing is found or changed there.
        complete: propose changes also where nothing of them will apply.

    Raises:
        UsageError: if the network cannot be told where the losses are.
        InputError: a mask of another shape, or not of bool.
    """
    check_mask(network, lost, (picture.shape[0], picture.shape[1]))
    given = picture if lost is None else np.dstack([picture, lost]).astype(np.float32)
    proposal = propose(given, network, options, progress, complete=complete)
    if hidden is not None:
        proposal.change[hidden] = 0
        if proposal.damage is not None:
            proposal.damage[hidden] = 0
    if lost is not None and options.preserve != "never":
        return Restoration(proposal, lost.astype(np.float32), lost, preserved=True)
    if proposal.damage is not None:
        weight = found_weight(proposal.damage, proposal.change, spoiling_of(picture))
    else:
        weight = damage_weight(proposal.change)
    everywhere = np.ones(picture.shape[:2], np.float32)
    if options.preserve == "never":
        return Restoration(proposal, everywhere, weight > 0, preserved=False)
    may_be = options.preserve == "auto" and not proposal.computed.tiles_left
    noisy = may_be and is_noisy(picture, proposal.change, weight)
    margins = margins_of(picture, weight)
    if margins is not None:
        everywhere = OutsideMargins(everywhere, margins)[:]
        weight = OutsideMargins(weight, margins)[:]
    applied = everywhere if noisy else weight
    return Restoration(proposal, applied, weight > 0, preserved=not noisy, margins=margins)


def check_takes_masks(network: nn.Module) -> None:
    """Refuse a network that cannot be told where the losses are.

    Raises:
        UsageError: saying so.
    """
    if not facts(network).has_finder:
        raise UsageError(
            "this model finds the losses itself and takes no mask", next_step="use -m arin-guided"
        )


def check_mask(network: nn.Module, lost: Rows | None, size: tuple[int, int]) -> None:
    """Refuse a mask that a network cannot use, or that does not fit a picture.

    Raises:
        UsageError: if the network cannot be told where the losses are.
        InputError: a mask of another shape, or not of bool.
    """
    if lost is not None:
        check_takes_masks(network)
    if lost is not None and lost.shape != size:
        raise InputError(f"a mask of shape {lost.shape} for a picture of {size}")
    if lost is not None and lost.dtype != np.bool_:  # 255 would count as 255 times lost
        raise InputError(
            f"a mask of {lost.dtype} does not say what is lost",
            next_step="give it as bool, such as mask > 127",
        )


def restoring_network(model: Model) -> nn.Module:
    """The network of a model that restores pictures.

    Raises:
        ModelError: if the model is made for something else.
    """
    architecture = ARCHITECTURES[model.architecture]
    if not architecture.restores:
        raise ModelError(
            f"{architecture.title} does not restore pictures",
            path=model.name,
            next_step="`dunrestore models list` shows the models that do",
        )
    return model.network

"""Restore the pages of a file in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dunrestore.checkpoints.load import Model
from dunrestore.imaging import pixels
from dunrestore.imaging.picture import Document, Picture
from dunrestore.imaging.rows import Rows
from dunrestore.restoration.change import Computed, Progress
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import Restoration, restore_picture, restoring_network


@dataclass(frozen=True)
class RestoredPage:
    """A page after restoration, and how it came about."""

    picture: Picture
    losses: Rows
    """(H, W) bool, upright: what was taken as damaged."""
    preserved: bool
    """False if the whole page was cleaned."""
    computed: Computed
    margins: tuple[str, ...] = ()
    """The sides with a margin that was found, and stays as it is."""


def restored_picture(
    picture: Picture,
    model: Model,
    options: RestoreOptions,
    progress: Progress | None = None,
    lost: NDArray[np.bool_] | None = None,
) -> tuple[Picture, Restoration]:
    """The restored picture, of the same kind as ``picture``, and what was decided.

    Args:
        picture: the damaged scan.
        model: a restoring model.
        options: tiles, device, precision, preserve.
        progress: told of each finished batch of tiles.
        lost: (H, W), upright, True where the picture is known to be lost; None to find out.
    """
    rgb = pixels.to_rgb(picture)
    network, hidden = restoring_network(model), pixels.hidden(picture)
    restoration = restore_picture(rgb, network, options, progress, lost, hidden)
    change = restoration.proposal.change
    if pixels.is_colourless(picture):
        change = pixels.without_colour(change)
    return pixels.add_residual(picture, change, restoration.weight), restoration


def restore_pages(
    document: Document,
    model: Model,
    options: RestoreOptions,
    *,
    first_page: bool = False,
    progress: Progress | None = None,
    masks: Sequence[Rows] | None = None,
) -> tuple[RestoredPage | None, ...]:
    """Restore the pages of a file; None stands for a page that stays as it is.

    Args:
        document: the file's pages.
        model: a restoring model.
        options: tiles, device, precision, preserve.
        first_page: leave the other pages as they are.
        progress: told of each finished batch of tiles.
        masks: of each page that is restored, where it is known to be lost; None to find out.
    """
    count = 1 if first_page else len(document.pages)
    pages = document.pages[:count]
    known = [None] * count if masks is None else [mask[:] for mask in masks]
    restored: list[RestoredPage] = []
    for page, lost in zip(pages, known, strict=True):
        picture, found = restored_picture(page, model, options, progress, lost)
        computed, sides = found.proposal.computed, found.margins.sides if found.margins else ()
        restored.append(RestoredPage(picture, found.losses, found.preserved, computed, sides))
    return (*restored, *[None] * (len(document.pages) - count))

"""A run's pictures: checked, split, cut into patches, described."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dunrestore.datasets.description import describe
from dunrestore.datasets.layouts import list_pairs
from dunrestore.datasets.patches import PAINTED_FOR, PatchOptions, PatchStream
from dunrestore.datasets.pictures import Checked, PictureStore, check, split
from dunrestore.errors import UsageError
from dunrestore.training.config import TrainConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """What a run trains and validates on."""

    training: PatchStream
    validation: list[Checked]
    store: PictureStore
    options: PatchOptions
    description: dict[str, Any]
    """Plain JSON values: names, hashes, licences."""


def load_data(config: TrainConfig) -> RunData:
    """Read the pictures that a configuration names.

    Raises:
        UsageError: if it names none.
        InputError: if there are none, too many are unusable, or all are smaller than a patch.
    """
    if not config.data:
        raise UsageError("no training pictures", next_step="give a folder with --data")
    folder = Path(config.data)
    store = PictureStore(config.cache_mb * 2**20)
    pictures = check(list_pairs(folder), store, at_most=config.max_left_out)
    if config.validation_data:
        listing = list_pairs(Path(config.validation_data), "test")
        validation = check(listing, store, at_most=config.max_left_out)
        if shared := len({p.sha256 for p in validation} & {p.sha256 for p in pictures}):
            log.warning("%d validation pictures are trained on, too: figures flatter", shared)
    else:
        pictures, validation = split(pictures, config.validation_share, config.seed)
    options = PatchOptions(
        side=config.patch,
        overlap=config.overlap,
        min_detail=config.min_detail,
        flips=config.flips,
        turns=config.turns,
        enlarged=config.enlarged,
        clipped=config.clipped,
        charts=config.charts,
        prints=config.prints,
        colours=config.colours,
        inversion=config.inversion,
        painted=config.painted,
        painted_for=PAINTED_FOR * max(1, config.workers),
        sound=config.sound,
        recipe=config.damage(),
        task=config.task,
        seed=config.seed,
    )
    stream = PatchStream(pictures, store, options)
    for picture in stream.too_small:
        log.warning("%s: smaller than a patch, left out", picture.pair.target)
    description = describe(folder, stream.pictures) | {
        "painted": config.painted,
        "validation": [p.pair.name for p in validation],
    }
    return RunData(stream, validation, store, options, description)

"""Degrading a picture file into another file: bit depth and metadata stay."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dunrestore.degradations.pages import degrade_page
from dunrestore.degradations.recipes import Recipe
from dunrestore.degradations.seeds import generator_for
from dunrestore.imaging.files import Written, fitting, format_of, losses_in_words, read, write
from dunrestore.imaging.mask_files import write_masks
from dunrestore.imaging.picture import Format
from dunrestore.storage.atomic import make_folder
from dunrestore.storage.hashing import sha256_of


@dataclass(frozen=True)
class DegradedFile:
    """What was written."""

    written: Written
    """The output, and what its format could not hold."""
    left_out: frozenset[str]
    """What no format is given."""
    mask: Path | None
    damaged: float
    """Share of the pixels, 0 to 1; noise and JPEG do not count."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should look at."""
        return losses_in_words(self.written.format, self.written.lost, self.left_out)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "output": str(self.written.path),
            "mask": None if self.mask is None else str(self.mask),
            "damaged_percent": round(100 * self.damaged, 3),
            "lost_metadata": list(self.written.lost),
            "warnings": list(self.warnings),
        }


def degrade_file(
    source: Path,
    target: Path,
    recipe: Recipe,
    seed: int,
    *,
    mask: Path | None = None,
    image_format: Format | None = None,
    overwrite: bool = False,
    max_mpixels: float | None = None,
) -> DegradedFile:
    """Read a picture file, apply a recipe to every page that is written.

    What a file gets depends on the seed and on its content: not on its name, nor on other files.

    Args:
        source: the picture.
        target: where to; folders are made.
        recipe: what to do.
        seed: of the randomness.
        mask: where to write the mask, white where the picture is damaged and as it is looked at;
            of several pages a TIFF of as many.
        image_format: the output's; by default what its name says, or else the input's.
        overwrite: whether files that exist may be replaced.
        max_mpixels: larger pages are refused, as in ``imaging.files.read``.

    Raises:
        InputError: if the source cannot be read.
        FileAccessError: if the outputs cannot be written.
        OutputCheckError: if they, read back, are not what was to be written.
    """
    document = read(source, max_mpixels=max_mpixels)
    kind = image_format or format_of(target) or document.format
    document = fitting(document, kind)
    content = bytes.fromhex(sha256_of(source))
    done = [
        degrade_page(page, recipe, generator_for(seed, content, number))
        for number, page in enumerate(document.pages)
    ]
    make_folder(target.parent)
    pages = tuple(page for page, _ in done)
    written = write(replace(document, pages=pages), target, format=kind, overwrite=overwrite)
    if mask is not None:
        mask = write_masks([m for _, m in done], mask, overwrite=overwrite)
    left_out = frozenset(name for page in document.pages for name in page.left_out)
    return DegradedFile(written, left_out, mask, float(np.mean([m.mean() for _, m in done])))

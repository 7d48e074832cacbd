"""Which pictures of a folder belong together: by name, never by order.

Three layouts are known:

- the challenge's: ``train/NAME_masked.jpg``, ``train/NAME_mask.jpg``, ``train_gt/NAME.jpg``, and
  the same for ``test``;
- folders ``input/``, ``target/`` and optionally ``mask/``, also under their other usual names;
- a plain folder of clean pictures, to be damaged on the fly.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from dunrestore.errors import InputError, NothingToDoError, file_access_error
from dunrestore.imaging.folders import by_name, name_of, shown_pictures_in

log = logging.getLogger(__name__)

INPUTS = ("input", "inputs", "lq", "damaged", "masked")
TARGETS = ("target", "targets", "gt", "clean", "ground_truth", "hq")
MASKS = ("mask", "masks")


@dataclass(frozen=True)
class Pair:
    """A clean picture, and its damaged counterpart if there is one."""

    name: str
    """Unique in its set; the clean file's path inside the set without its suffix."""
    target: Path
    """The clean picture."""
    input: Path | None = None
    """The damaged picture; None where damage is made on the fly."""
    mask: Path | None = None
    """Where it is damaged, if there is a file that says so: white on black."""


@dataclass(frozen=True)
class LeftOut:
    """A file that takes no part, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds."""

    layout: str
    """challenge, paired or clean."""
    pairs: tuple[Pair, ...]
    """In the order of their names."""
    left_out: tuple[LeftOut, ...] = field(default=())


def list_pairs(folder: Path, part: str = "train") -> Listing:
    """Recognise a folder's layout and match its pictures.

    Args:
        folder: the data set.
        part: ``train`` or ``test``, of the challenge's two.

    Raises:
        InputError: if there is no such folder, or a part of it is missing.
        NothingToDoError: if there is no picture in it.
        FileAccessError: if it cannot be read.
    """
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "there is no such folder"
        raise InputError(problem, path=folder)
    try:
        listing = _recognise(folder, part)
    except OSError as error:
        raise file_access_error(error, folder) from error
    if not listing.pairs:
        reasons = f" ({len(listing.left_out)} files match nothing)" if listing.left_out else ""
        raise NothingToDoError(
            f"no pictures found{reasons}",
            path=folder,
            next_step="give a folder of pictures, or one with input/ and target/",
        )
    return listing


def _recognise(folder: Path, part: str) -> Listing:
    if (folder / f"{part}_gt").is_dir() and (folder / part).is_dir():
        return _challenge(folder / part, folder / f"{part}_gt")
    targets, inputs, masks = (_first(folder, names) for names in (TARGETS, INPUTS, MASKS))
    if targets is not None and inputs is not None:
        return _paired(inputs, targets, masks)
    _refuse_parts(folder, part, inputs or masks, targets)
    clean, left_out = _first_by_name(targets or folder)
    _refuse_masked(folder, clean)
    if targets is not None and len(shown_pictures_in(folder)) > len(shown_pictures_in(targets)):
        log.warning("%s: of its pictures only those in %s/ are taken", folder, targets.name)
    pairs = tuple(Pair(name, path) for name, path in sorted(clean.items()))
    return Listing("clean", pairs, tuple(left_out))


def _refuse_parts(folder: Path, part: str, found: Path | None, targets: Path | None) -> None:
    """A set of pairs that lacks a part is no folder of clean pictures."""
    for other in ("train", "test"):
        if (folder / f"{other}_gt").is_dir():
            raise InputError(
                f"holds {other}_gt/, but not both of {part}/ and {part}_gt/",
                path=folder,
                next_step="add them, or name a folder of clean pictures",
            )
    if found is not None:
        lacking = "clean" if targets is None else "damaged"
        raise InputError(
            f"holds {found.name}/, but no folder of {lacking} pictures such as"
            f" {(TARGETS if targets is None else INPUTS)[0]}/",
            path=folder,
            next_step="add it, or name a folder of clean pictures",
        )


def _refuse_masked(folder: Path, pictures: dict[str, Path]) -> None:
    """The challenge's damaged pictures and masks alone are no clean pictures."""
    for name in pictures:
        mask = name.removesuffix("ed")
        if name.endswith("_masked") and mask in pictures:
            raise InputError(
                f"holds damaged pictures and masks ({name}, {mask}) instead of clean pictures",
                path=folder,
                next_step="name the folder that holds theirs and that of the clean ones",
            )


def _challenge(damaged: Path, clean: Path) -> Listing:
    inputs: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for path in shown_pictures_in(damaged):
        stem = name_of(PurePath(path.name))
        if stem.endswith("_masked"):
            inputs[stem.removesuffix("_masked")] = path
        elif stem.endswith("_mask"):
            masks[stem.removesuffix("_mask")] = path
        else:
            left_out.append(LeftOut(path, "is neither NAME_masked nor NAME_mask"))
    return _match("challenge", inputs, _first_by_name(clean)[0], masks, left_out)


def _paired(inputs: Path, targets: Path, masks: Path | None) -> Listing:
    found, left_out = _first_by_name(inputs)
    clean, more = _first_by_name(targets)
    left_out += more
    masked: dict[str, Path] = {}
    if masks is not None:
        masked, more = _first_by_name(masks)
        left_out += more
    return _match("paired", found, clean, masked, left_out)


def _match(
    layout: str,
    inputs: dict[str, Path],
    targets: dict[str, Path],
    masks: dict[str, Path],
    left_out: list[LeftOut],
) -> Listing:
    left_out += [
        LeftOut(path, "has no clean picture of that name")
        for name, path in (masks | inputs).items()
        if name not in targets
    ]
    left_out += [
        LeftOut(path, "has no damaged picture of that name")
        for name, path in targets.items()
        if name not in inputs
    ]
    if masks:
        unmasked = [name for name in inputs if name in targets and name not in masks]
        left_out += [LeftOut(inputs[name], "has no mask of that name") for name in unmasked]
    names = sorted(inputs.keys() & targets.keys())
    pairs = [Pair(n, targets[n], inputs[n], masks.get(n)) for n in names if not masks or n in masks]
    return Listing(layout, tuple(pairs), tuple(left_out))


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    present = {p.name.lower(): p for p in folder.iterdir() if p.is_dir()}
    return next((present[name] for name in names if name in present), None)


def _first_by_name(folder: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """Pictures by name; of two with one name the first, and the other is left out."""
    named = by_name(shown_pictures_in(folder), folder)
    left_out = [
        LeftOut(path, f"has the same name as {first.name}")
        for first, *others in named.values()
        for path in others
    ]
    return {name: paths[0] for name, paths in named.items()}, left_out

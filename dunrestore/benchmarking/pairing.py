"""Pictures of two folders that belong together, by name and never by order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dunrestore.errors import InputError, NothingToDoError, UsageError
from dunrestore.imaging.folders import by_name, shown_pictures_in
from dunrestore.provenance import change_map


@dataclass(frozen=True)
class Pair:
    """Two pictures of one name, and the mask of what was damaged if there is one."""

    name: str
    picture: Path
    truth: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Pairing:
    """The pairs, in the order of their names, and what is without its other half."""

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]


def pair_up(pictures: Path, truths: Path, masks: Path | None = None, suffix: str = "") -> Pairing:
    """Match two files, or the files of two folders, by relative path without extension.

    Args:
        pictures: a picture, or a folder of them.
        truths: of the same kind.
        masks: of the same kind, white where a picture was damaged; pictures without
            one are left out. Their names are those of the truths.
        suffix: what the pictures' names carry after the truth's name, such as ``-restored``.

    Raises:
        UsageError: one mask for folders, or a folder of masks for two files.
        InputError: a path that does not exist, or a file against a folder.
        NothingToDoError: no name occurs on both sides, or none of those that do among the masks.
    """
    _refuse_mixtures(pictures, truths, masks)
    if not pictures.is_dir():
        return Pairing((Pair(truths.stem, pictures, truths, masks),), ())
    left_out: list[str] = []
    ours = _unique(pictures, left_out, suffix)
    theirs = _unique(truths, left_out)
    left_out += [
        f"{ours[name]}: no picture of that name in {truths}" for name in ours.keys() - theirs.keys()
    ]
    left_out += [
        f"{theirs[name]}: no picture of that name in {pictures}"
        for name in theirs.keys() - ours.keys()
    ]
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise NothingToDoError(
            f"no name occurs in both {pictures} and {truths}",
            next_step="pictures are matched by name; --suffix names what is appended to it",
        )
    pairs = [Pair(name, ours[name], theirs[name]) for name in shared]
    if masks is not None:
        pairs = _with_masks(pairs, masks, left_out)
    return Pairing(tuple(pairs), tuple(sorted(left_out)))


def _refuse_mixtures(pictures: Path, truths: Path, masks: Path | None) -> None:
    for path in (pictures, truths, *([masks] if masks else [])):
        if not path.exists():
            raise InputError("no such file or folder", path=path, next_step="check the name")
    if pictures.is_dir() != truths.is_dir():
        raise InputError(
            "a file cannot be compared with a folder",
            path=pictures,
            next_step="give two files or two folders",
        )
    if masks is not None and masks.is_dir() != pictures.is_dir():
        raise UsageError(
            "a folder of masks does not do for one picture"
            if masks.is_dir()
            else "one mask does not do for a folder of pictures",
            path=masks,
            next_step="give one mask for two files, a folder of masks for two folders",
        )


def _with_masks(pairs: Sequence[Pair], masks: Path, left_out: list[str]) -> list[Pair]:
    marks = _unique(masks, left_out)
    left_out += [
        f"{pair.truth}: no mask of that name in {masks}" for pair in pairs if pair.name not in marks
    ]
    masked = [replace(pair, mask=marks[pair.name]) for pair in pairs if pair.name in marks]
    if not masked:
        raise NothingToDoError(
            f"no mask in {masks} is called like a picture",
            next_step="masks are matched by name: that of the picture it should be",
        )
    return masked


def _unique(folder: Path, left_out: list[str], suffix: str = "") -> dict[str, Path]:
    """Pictures by relative path without extension; two of one name are both left out."""
    shown = shown_pictures_in(folder)
    pictures = [path for path in shown if not path.name.endswith(change_map.SUFFIXES)]
    found = by_name(pictures, folder, suffix)
    for first, *others in found.values():
        left_out += [f"{path}: {first.name} has the same name" for path in others]
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}

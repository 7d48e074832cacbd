"""Pictures of two folders that belong together, by name and never by order."""

from dataclasses import dataclass
from pathlib import Path

from dunrestore.errors import InputError, NothingToDoError
from dunrestore.imaging.folders import by_name, pictures_in


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
        masks: of the same kind, white or non-zero where a picture was damaged.
        suffix: what the pictures' names carry after the truth's name, such as ``-restored``.

    Raises:
        InputError: a path that does not exist, or a file against a folder.
        NothingToDoError: no name occurs on both sides.
    """
    for path in (pictures, truths, *([masks] if masks else [])):
        if not path.exists():
            raise InputError("no such file or folder", path=path, next_step="check the name")
    if pictures.is_dir() != truths.is_dir():
        raise InputError(
            "a file cannot be compared with a folder",
            path=pictures,
            next_step="give two files or two folders",
        )
    if not pictures.is_dir():
        return Pairing((Pair(truths.stem, pictures, truths, masks),), ())
    left_out: list[str] = []
    ours = _unique(pictures, left_out, suffix)
    theirs = _unique(truths, left_out)
    marks = _unique(masks, left_out) if masks is not None else {}
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
    pairs = tuple(Pair(name, ours[name], theirs[name], marks.get(name)) for name in shared)
    return Pairing(pairs, tuple(sorted(left_out)))


def _unique(folder: Path, left_out: list[str], suffix: str = "") -> dict[str, Path]:
    """Pictures by relative path without extension; two of one name are both left out."""
    found = by_name(pictures_in(folder), folder, suffix)
    for first, *others in found.values():
        left_out += [f"{path}: {first.name} has the same name" for path in others]
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}

"""The pictures of a folder and what they are called: what belongs together has the same name."""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from dunrestore.errors import file_access_error
from dunrestore.imaging.files import IMAGE_SUFFIXES

_LITTER = frozenset({"@eaDir", "lost+found", "System Volume Information"})
"""Folders that file servers and operating systems make; often nobody else may read them."""


def files_below(folder: Path) -> Iterator[Path]:
    """What is no folder in ``folder`` and below it; links to folders are not followed.

    Raises:
        FileAccessError: if one of the folders cannot be read; ``rglob`` would pass it over.
    """

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # one that vanished meanwhile holds nothing
            raise file_access_error(error, error.filename or folder) from error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name not in _LITTER]
        yield from (Path(parent, name) for name in names)


def pictures_in(folder: Path) -> list[Path]:
    """Files in ``folder`` and below it that are called like pictures, sorted.

    Raises:
        FileAccessError: if a folder cannot be read.
    """
    return sorted(
        path
        for path in files_below(folder)
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not is_litter(path)
    )


def shown_pictures_in(folder: Path) -> list[Path]:
    """The same without those that are hidden, or in a hidden folder below ``folder``.

    Raises:
        FileAccessError: if a folder cannot be read.
    """
    return [
        path
        for path in pictures_in(folder)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def is_litter(path: Path) -> bool:
    """Whether a file is only called like a picture: what macOS and some file servers leave."""
    return path.name.startswith("._") or not _LITTER.isdisjoint(path.parts)


def by_name(paths: Iterable[Path], folder: Path, suffix: str = "") -> dict[str, list[Path]]:
    """Files by their path below ``folder`` without extension; in the order of ``paths``.

    Args:
        paths: files below ``folder``.
        folder: where names begin.
        suffix: what names may end in that does not count, such as ``-restored``.

    Returns:
        For each name all that have it: what more than one means is for the caller to say.
    """
    named: dict[str, list[Path]] = {}
    for path in paths:
        name = name_of(path.relative_to(folder)).removesuffix(composed(suffix))
        named.setdefault(name, []).append(path)
    return named


def name_of(path: PurePath) -> str:
    """A picture's name: its path with slashes, without extension, accents composed."""
    return composed(path.with_suffix("").as_posix())


def composed(text: str) -> str:
    """Text in Unicode's NFC: disks disagree about how accents are composed."""
    return unicodedata.normalize("NFC", text)

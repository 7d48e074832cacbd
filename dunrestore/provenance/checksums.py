"""``manifest-sha256.txt``: hashes of outputs and records, as bagit and sha256sum read them."""

import re
from collections.abc import Iterable
from pathlib import Path

from dunrestore.errors import InputError, file_access_error
from dunrestore.storage.atomic import write_text
from dunrestore.storage.hashing import sha256_of

NAME = "manifest-sha256.txt"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_ESCAPES = {"%": "%25", "\n": "%0A", "\r": "%0D"}


def update(folder: Path, made: Iterable[Path], there: Iterable[Path] = ()) -> Path:
    """Write or bring up to date the list of a folder's hashes; other lines stay as they are.

    Args:
        folder: where the list lies.
        made: files in it or below it whose hashes are taken, or whose lines go if they are gone.
        there: files that were not made now: only those are hashed that have no line yet, so that
            what has changed since does not pass for what was made.

    Raises:
        InputError: if there is something else of that name.
        FileAccessError: if a file cannot be read, or the list not written.
    """
    listed = read(folder)
    for file in made:
        name = file.relative_to(folder).as_posix()
        listed.pop(name, None)
        if file.exists():
            listed[name] = sha256_of(file)
    for file in there:
        name = file.relative_to(folder).as_posix()
        if name not in listed and file.exists():
            listed[name] = sha256_of(file)
    path = folder / NAME
    write_text(path, "".join(f"{listed[name]}  {_escaped(name)}\n" for name in sorted(listed)))
    return path


def refresh(folder: Path, made: Iterable[Path]) -> None:
    """Take anew the hashes of files that were made again and are on the folder's list, if any.

    Args:
        folder: where the list lies; something else of its name is left alone.
        made: files in it or below it.

    Raises:
        FileAccessError: if a file cannot be read, or the list not written.
    """
    try:
        listed = read(folder)
    except InputError:
        return
    again = [file for file in made if file.relative_to(folder).as_posix() in listed]
    if again:
        update(folder, again)


def read(folder: Path) -> dict[str, str]:
    """Hash by name (its path inside the folder); empty if there is no list.

    Raises:
        InputError: if it is not such a list.
        FileAccessError: if it cannot be opened.
    """
    path = folder / NAME
    try:
        # Not splitlines: names may hold separators that only Unicode knows.
        lines = path.read_text("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise file_access_error(error, path) from error
    found: dict[str, str] = {}
    for line in filter(None, lines):
        match = _LINE.fullmatch(line)
        if match is None:
            raise InputError("this is no list of hashes", path=path)
        found[_unescaped(match[2])] = match[1].lower()
    return found


def _escaped(name: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in name)


def _unescaped(name: str) -> str:
    return name.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")

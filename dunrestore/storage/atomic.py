"""Files that appear under their name whole and checked, or not at all."""

import logging
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dunrestore.errors import FileAccessError, file_access_error

log = logging.getLogger(__name__)

UNFINISHED_PREFIX = ".dunrestore-"
UNFINISHED_SUFFIX = ".part"
"""What is left of a killed run is called so; such files can be deleted at any time."""


def write_atomically(
    path: Path,
    write: Callable[[BinaryIO], object],
    *,
    check: Callable[[Path], object] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a file beside ``path``, flush it to disk, check it, and give it its name.

    Args:
        path: the final name.
        write: writes the content to the open file.
        check: reads the finished file and raises if it is not what it should be.
        overwrite: whether a file that has the name may be replaced.

    Raises:
        FileAccessError: if the disk or the folder does not allow it, or the name is taken.
    """
    # Not made of the target's name, which may already be as long as names can be, nor by tempfile,
    # whose files nobody else may read.
    unfinished = path.parent / f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}{UNFINISHED_SUFFIX}"
    try:
        if not overwrite and os.path.lexists(path):
            raise _exists(path)
        with unfinished.open("xb+") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check(unfinished)
        _rename(unfinished, path, overwrite=overwrite)
        flush_folder(path.parent)
    except OSError as error:
        raise file_access_error(error, path) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in place of one of the same name; make its folder.

    Raises:
        FileAccessError: if it cannot be written.
    """
    make_folder(path.parent)
    write_atomically(path, lambda file: file.write(content), overwrite=True)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, where there is none.

    Raises:
        FileAccessError: if that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_access_error(error, folder) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in place of one of the same name.

    Its folder must be there: one that vanished is not made anew.

    Raises:
        FileAccessError: if it cannot be written.
    """
    content = text.encode("utf-8", "surrogateescape")  # as file names that are no Unicode
    write_atomically(path, lambda file: file.write(content), overwrite=True)


def remove(path: Path) -> None:
    """Remove a file, if there is one.

    Raises:
        FileAccessError: if it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise file_access_error(error, path) from error


def _rename(unfinished: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        unfinished.replace(path)
        return
    try:
        os.link(unfinished, path)  # unlike a rename, this never replaces what is there
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise _exists(path) from None
        unfinished.replace(path)


def _exists(path: Path) -> FileAccessError:
    return FileAccessError(
        "there is a file of this name already",
        path=path,
        next_step="choose another output, or replace it with --overwrite",
    )


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk: a rename is once its folder is.

    Raises:
        OSError: if that fails.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

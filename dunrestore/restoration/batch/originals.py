"""What a run reads stays: nothing that is written may take its place."""

from collections.abc import Iterable
from pathlib import Path

from dunrestore.errors import UsageError


def refuse_replacing(
    originals: Iterable[Path],
    written: Iterable[Path],
    what: str,
    next_step: str = "choose another folder, or a --suffix",
) -> None:
    """Refuse, before any work, a file that would take an original's place.

    Links, ``..`` and, for files that exist, other names of the same file hide nothing.

    Args:
        originals: files that must stay.
        written: files that will be written, or replaced.
        what: what the latter are, and would replace.
        next_step: what to do about it.

    Raises:
        UsageError: naming the first of them.
    """
    kept = {_identity(path) for path in originals}
    for path in written:
        if _identity(path) in kept:
            raise UsageError(what, path=path, next_step=next_step)


def _identity(path: Path) -> object:
    path = path.resolve()  # also where ``..`` leads out of a folder that is yet to be made
    try:
        found = path.stat()
    except OSError:  # not there yet
        return path
    return found.st_dev, found.st_ino

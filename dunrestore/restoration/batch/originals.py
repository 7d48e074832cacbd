"""What a run reads stays: nothing that is written may take its place."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from dunrestore.errors import UsageError


def refuse_replacing(originals: Iterable[Path], written: Iterable[Path], what: str) -> None:
    """Refuse, before any work, a file that would take an original's place.

    Links, ``..`` and, for files that exist, other names of the same file hide nothing.

    Args:
        originals: files that must stay.
        written: files that will be written, or replaced.
        what: what the latter are, and would replace.

    Raises:
        UsageError: naming the first of them.
    """
    kept = {identity for path in originals for identity in _identities(path)}
    for path in written:
        if not kept.isdisjoint(_identities(path)):
            raise UsageError(what, path=path, next_step="choose another folder or name")


def _identities(path: Path) -> Iterator[object]:
    yield path.resolve()
    try:
        found = path.stat()
    except OSError:  # not there yet
        return
    yield found.st_dev, found.st_ino

"""An output folder while a run writes into it: claimed by one run, freed of others' remains."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dunrestore.errors import FileAccessError, file_access_error
from dunrestore.storage.atomic import UNFINISHED_PREFIX, UNFINISHED_SUFFIX

LOCK = ".dunrestore.lock"


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Hold an output folder, which is made if there is none, against other runs.

    The system releases it when a run dies.

    Raises:
        FileAccessError: if another run holds it, or it cannot be written to.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise FileAccessError(
            "another run is writing into this folder",
            path=folder,
            next_step="wait for it, or choose another folder",
        ) from error
    except OSError as error:
        raise file_access_error(error, folder) from error
    try:
        yield
    finally:
        with suppress(OSError):
            lock.release()


def clear_unfinished(folders: Iterable[Path]) -> int:
    """Delete what killed runs left unfinished in these folders; return how many files."""
    removed = 0
    for folder in set(folders):
        for path in folder.glob(f"{UNFINISHED_PREFIX}*{UNFINISHED_SUFFIX}"):
            with suppress(OSError):
                path.unlink()
                removed += 1
    return removed

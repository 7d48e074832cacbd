"""Files' hashes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dunrestore.errors import InputError, file_access_error


@dataclass(frozen=True)
class Hashed:
    """What a file held when it was hashed."""

    path: Path
    sha256: str
    bytes: int
    modified: int
    """When it was last written to, in nanoseconds."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """A file as it is now.

        Raises:
            FileAccessError: if it cannot be read.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise file_access_error(error, path) from error
        return cls(path, sha256_of(path), status.st_size, status.st_mtime_ns)

    def refuse_changed(self) -> None:
        """Refuse a file that holds something else by now; one that is gone was not written to.

        Raises:
            InputError: if it does.
            FileAccessError: if it cannot be read.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            raise file_access_error(error, self.path) from error
        same = (status.st_size, status.st_mtime_ns) == (self.bytes, self.modified)
        if not same and sha256_of(self.path) != self.sha256:
            raise InputError(
                "this file was changed while it was restored",
                path=self.path,
                next_step="run the command again when nothing writes to it",
            )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        FileAccessError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise file_access_error(error, path) from error

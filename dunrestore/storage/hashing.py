"""Files' hashes."""

import hashlib
from pathlib import Path

from dunrestore.errors import file_access_error


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

"""The run manifest: one line of JSON for each thing that happened, never rewritten.

A line is on the disk when ``append`` returns, so that after any accident the file says what was in
hand and what was done.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dunrestore.errors import FileAccessError, file_access_error
from dunrestore.provenance import record
from dunrestore.stamps import now

NAME = "manifest.jsonl"
_BEGINNING = b'{"event": '


class Manifest:
    """An open manifest; several processes may append to one file.

    Args:
        path: the file; it is made if there is none.

    Raises:
        FileAccessError: if it cannot be opened, or is something else that has this name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with ExitStack() as stack:
                self._file = stack.enter_context(path.open("ab", buffering=0))
                beginning, end = _ends(path)
                if not _BEGINNING.startswith(beginning):
                    raise FileAccessError(
                        "this file is no manifest of dunrestore's and stays as it is",
                        path=path,
                        next_step="move it, or choose another output folder",
                    )
                # The machine died while a line was written, or the disk was full.
                self._torn = end not in (b"", b"\n")
                stack.pop_all()
        except OSError as error:
            raise file_access_error(error, path) from error

    def append(self, event: str, **values: Any) -> None:
        """Add one line and wait until it is on the disk.

        Raises:
            FileAccessError: if it cannot be written.
        """
        line = record.to_json({"event": event, "time": now(), **values}) + "\n"
        left = b"\n" * self._torn + line.encode("utf-8")
        self._torn = True
        try:
            while left:  # a disk that fills up takes a part, and refuses the rest
                left = left[self._file.write(left) :]
            self._torn = False
            os.fsync(self._file.fileno())
        except OSError as error:
            raise file_access_error(error, self.path) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def events(path: Path) -> Iterator[Mapping[str, Any]]:
    """The lines of a manifest, oldest first; a line that was cut short is left out.

    Raises:
        FileAccessError: if there is one that cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise file_access_error(error, path) from error
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            yield values


def _ends(path: Path) -> tuple[bytes, bytes]:
    """How a file begins, and its last byte."""
    with path.open("rb") as file:
        beginning = file.read(len(_BEGINNING))
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        return beginning, file.read(1)

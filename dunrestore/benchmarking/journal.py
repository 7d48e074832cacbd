"""What a run has measured so far, kept line by line so that an interrupted run goes on."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dunrestore.benchmarking.results import Row
from dunrestore.errors import FileAccessError, file_access_error
from dunrestore.provenance.record import to_json

NAME = "rows.jsonl"
_BEGINNING = b'{"key": '


def row_key(**parts: Any) -> str:
    """A name for one measurement: it changes with anything that its outcome depends on."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def refuse_foreign(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse a folder that is none of a benchmark's, nor could become one; nothing is made.

    Args:
        folder: need not exist.
        overwrite: accept any folder.

    Raises:
        FileAccessError: if it is a file, or holds something else; if it cannot be read.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise file_access_error(error, folder) from error
    if names - {".lock"} and NAME not in names and not overwrite:
        raise FileAccessError(
            "the folder holds other files",
            path=folder,
            next_step="choose an empty folder, or use --overwrite",
        )


class Journal:
    """The finished rows of a folder; a row is kept once it is on disk."""

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        """Open the journal in ``folder``, which is made if it does not exist.

        Args:
            folder: an empty folder, one that a benchmark wrote, or one that does not exist.
            overwrite: forget what was measured, and accept any folder.

        Raises:
            FileAccessError: if the folder, or its file of rows, holds something else; if the folder
                is in use, or cannot be written.
        """
        self.path = folder / NAME
        self.rows: dict[str, Row] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / ".lock")
            self._lock.acquire(timeout=0)
            refuse_foreign(folder, overwrite=overwrite)
            if overwrite:
                self.path.unlink(missing_ok=True)
            self._read()
            self.path.touch()  # the folder is a benchmark's from now on, before the first row
        except Timeout as error:
            raise FileAccessError(
                "another benchmark is writing here", path=folder, next_step="choose another folder"
            ) from error
        except OSError as error:
            raise file_access_error(error, folder) from error

    def _read(self) -> None:
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        rest = content[len(whole) :]
        try:
            # Not splitlines: names may hold separators that only Unicode knows.
            for line in whole.decode("utf-8").split("\n")[:-1]:
                entry = json.loads(line)
                key = entry.pop("key")
                self.rows[key] = Row(**entry)
            if not _BEGINNING.startswith(rest[: len(_BEGINNING)]):
                raise ValueError("the beginning of another line")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise FileAccessError(
                "this file holds no rows of a benchmark and stays as it is",
                path=self.path,
                next_step="choose another folder, or use --overwrite to replace it",
            ) from error
        if rest:  # a crash cut the last line off
            os.truncate(self.path, len(whole))

    def add(self, key: str, row: Row) -> None:
        """Keep a row; failed ones are not kept, so that the next run tries them again."""
        if row.error is not None:
            return
        self.rows[key] = row
        line = to_json({"key": key, **asdict(row)}) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise file_access_error(error, self.path) from error

    def close(self) -> None:
        """Let others write here."""
        self._lock.release()


def plain(values: Mapping[str, Any]) -> str:
    """JSON as the files of a benchmark hold it: indented, sorted nowhere, no NaN."""
    return to_json(values, indent=1, allow_nan=False) + "\n"

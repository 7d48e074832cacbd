"""What a large picture's restoration keeps on the disk, so that another run can go on with it.

Beside the output lies ``.dunrestore-NAME.work``, where NAME is made of the output's name: one
folder for each output, deleted once the output is written.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import DTypeLike, NDArray

from dunrestore.errors import FileAccessError, file_access_error
from dunrestore.imaging.rows import StoredRows

SUFFIX = ".work"
_PREFIX = ".dunrestore-"
_JOURNAL = "journal.jsonl"
_LOCK = "lock"


def path_of(target: Path) -> Path:
    """The folder in which the work for an output is kept."""
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f"{_PREFIX}{name}{SUFFIX}")


class WorkFolder:
    """The folder, held by one run at a time.

    Args:
        target: the output that the work is for.
        wanted: what decides the outcome; what is found in the folder and was made for something
            else is deleted.

    Raises:
        FileAccessError: if another run holds it, or it cannot be made.
    """

    def __init__(self, target: Path, wanted: Mapping[str, Any]) -> None:
        self.path = path_of(target)
        self._lock = FileLock(self.path / _LOCK, thread_local=False)  # let go by the writing thread
        head = {"output": target.name, **wanted}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._lines = self._read()
            if not self._lines or self._lines[0] != head:
                self._clear()
                self.note(head)
        except Timeout as error:
            raise FileAccessError(
                "another run is restoring into this file", path=target, next_step="wait for it"
            ) from error
        except OSError as error:
            raise file_access_error(error, self.path) from error

    def note(self, line: Mapping[str, Any]) -> None:
        """Write a line of the journal to the disk."""
        line = dict(line)
        with (self.path / _JOURNAL).open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines.append(line)

    def notes(self, **values: Any) -> Iterator[dict[str, Any]]:
        """The journal's lines that hold all of these values."""
        for line in self._lines:
            if line.items() >= values.items():
                yield line

    def forget(self, **values: Any) -> None:
        """Delete the journal's lines that hold all of these values."""
        self._lines = [line for line in self._lines if not line.items() >= values.items()]
        unfinished = self.path / f"{_JOURNAL}.part"
        unfinished.write_text("".join(f"{json.dumps(line)}\n" for line in self._lines))
        unfinished.replace(self.path / _JOURNAL)

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> StoredRows:
        """An array of the folder: as it was left, or zero."""
        return StoredRows(self.path / name, shape, dtype)

    def save(self, name: str, values: NDArray[Any]) -> None:
        """Keep a small array as a whole or not at all."""
        unfinished = self.path / f"{name}.part"
        with unfinished.open("wb") as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path / name)

    def load(self, name: str) -> NDArray[Any]:
        """An array that was kept by ``save``, mapped from its file."""
        return np.load(self.path / name, mmap_mode="r")

    def delete(self, name: str) -> None:
        """Delete an array."""
        (self.path / name).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Bytes that are free on the folder's disk, with those that the folder takes already."""
        used = sum(path.stat().st_size for path in self.path.iterdir())
        return shutil.disk_usage(self.path).free + used

    def release(self) -> None:
        """Let other runs have the folder; what is in it stays."""
        self._lock.release()

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)

    def _read(self) -> list[dict[str, Any]]:
        try:
            content = (self.path / _JOURNAL).read_bytes()
        except FileNotFoundError:
            return []
        lines: list[dict[str, Any]] = []
        whole = 0
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            lines.append(json.loads(line))
            whole += len(line)
        os.truncate(self.path / _JOURNAL, whole)  # a kill left the last line unfinished
        return lines

    def _clear(self) -> None:
        for path in self.path.iterdir():
            if path.name != _LOCK:
                path.unlink()
        self._lines = []

"""Arrays that are too large for memory, as rows that are fetched when they are needed.

Everything that works on whole pictures goes through them in bands of rows, so that an array in
memory and one on the disk are treated alike.
"""

import os
import secrets
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dunrestore.errors import file_access_error
from dunrestore.storage.atomic import UNFINISHED_PREFIX, UNFINISHED_SUFFIX

AT_ONCE = 1 << 20
"""Pixels of a band, unless its rows are very long."""
FEWEST = 32
"""Rows of a band at least, so that what overlaps from band to band costs little."""


class Rows(Protocol):
    """What can be asked for some of its rows; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns, ...)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        ...

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Some rows (h, columns, ...); ``slice(None)`` for all."""
        ...


class WritableRows(Rows, Protocol):
    """Rows that can be set as well; an array is one."""

    def __setitem__(self, rows: slice, values: Any, /) -> None:
        """Set some rows."""
        ...


Make = Callable[[tuple[int, ...], DTypeLike], WritableRows]
"""Makes room for an array: ``np.empty`` in memory, or a file's."""


def bands(height: int, width: int, multiple: int = 1) -> Iterator[slice]:
    """The rows of a picture from top to bottom, about ``AT_ONCE`` pixels at a time.

    Args:
        height: rows of the picture.
        width: its columns.
        multiple: each band begins at a multiple of this.
    """
    step = max(AT_ONCE // width, FEWEST, multiple) // multiple * multiple
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def any_of(rows: Rows) -> bool:
    """Whether anything is not zero."""
    height, width = rows.shape[:2]
    return any(rows[band].any() for band in bands(height, width))


class StoredRows:
    """An array in a file of its own, zero at first; only the rows in use are in memory.

    Rows are a view of the file as long as somebody holds them: writing to them writes the file.

    Args:
        path: the file; one of the right size is taken as it is.
        shape: (rows, columns, ...).
        dtype: of the values.

    Raises:
        OSError: if there is no room for it on the disk.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.path = path
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._row_bytes = int(np.prod(shape[1:])) * self.dtype.itemsize
        if not path.exists() or path.stat().st_size != self.nbytes:
            self.clear()

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self.shape[0] * self._row_bytes

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """The rows, mapped from the file."""
        start, stop, _ = rows.indices(self.shape[0])
        shape = (max(stop - start, 0), *self.shape[1:])
        if 0 in shape:
            return np.empty(shape, self.dtype)
        # Mapped for this call alone: what is let go does not count as the program's memory.
        offset = start * self._row_bytes
        return np.asarray(np.memmap(self.path, self.dtype, "r+", offset=offset, shape=shape))

    def __setitem__(self, rows: slice, values: Any) -> None:
        """Write rows to the file."""
        self[rows][...] = values

    def clear(self) -> None:
        """Make the file anew, all zero."""
        self.path.unlink(missing_ok=True)
        with self.path.open("wb") as file:
            reserve(file.fileno(), self.nbytes)

    def flush(self) -> None:
        """Wait until the file is on the disk."""
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def delete(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def temporary_rows(folder: Path, shape: tuple[int, ...], dtype: DTypeLike) -> StoredRows:
    """Room for an array in a file that goes when nobody needs it any more.

    Raises:
        FileAccessError: if there is no room in the folder, or it cannot be made.
    """
    path = folder / f"{UNFINISHED_PREFIX}{secrets.token_hex(8)}{UNFINISHED_SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stored = StoredRows(path, shape, dtype)
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise file_access_error(error, folder) from error
    weakref.finalize(stored, path.unlink, missing_ok=True)
    return stored


@contextmanager
def temporary_room(folder: Path) -> Generator[Make]:
    """Makes ``temporary_rows`` that are deleted in the end, whoever still holds them."""
    made: list[StoredRows] = []

    def make(shape: tuple[int, ...], dtype: DTypeLike) -> StoredRows:
        made.append(temporary_rows(folder, shape, dtype))
        return made[-1]

    try:
        yield make
    finally:
        for stored in made:
            with suppress(OSError):
                stored.delete()


def reserve(descriptor: int, size: int) -> None:
    """Make a file at least so many bytes long, with room for them on the disk.

    A full disk must show here: writing to a mapped file without room kills the program.

    Raises:
        OSError: if there is no room.
    """
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros = bytes(1 << 20)
    start = os.lseek(descriptor, 0, os.SEEK_END)
    while start < size:
        start += os.write(descriptor, zeros[: size - start])


class DerivedRows:
    """Rows computed from those of another array each time they are asked for.

    Args:
        base: where from.
        compute: from some rows of ``base`` to the same rows of this.
        shape: of this; as many rows as ``base``.
        dtype: of what ``compute`` returns.
    """

    def __init__(
        self,
        base: Rows,
        compute: Callable[[NDArray[Any]], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: DTypeLike,
    ) -> None:
        self._base = base
        self._compute = compute
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """The rows, computed."""
        return self._compute(self._base[rows])

    def fetching(self, rows: slice) -> Callable[[], NDArray[Any]]:
        """See the function of this name."""
        base = fetching(self._base, rows)
        return lambda: self._compute(base())


def fetching(picture: Rows, rows: slice) -> Callable[[], NDArray[Any]]:
    """What returns some rows of a picture, and may be called in another thread.

    Rows that must be decoded, or copied together, are fetched at once.
    """
    if isinstance(picture, DerivedRows):
        return picture.fetching(rows)
    if isinstance(picture, StoredRows) or hasattr(picture, "__array_interface__"):
        return partial(picture.__getitem__, rows)
    fetched: NDArray[Any] = picture[rows]
    return lambda: fetched


class TurnedRows:
    """The rows of a picture that is turned upright, to be read and written.

    Args:
        base: (H, W, ...) as stored, on the disk or in memory: a band may need all of its rows.
        orientation: EXIF orientation, 1 to 8.
    """

    def __init__(self, base: Rows, orientation: int) -> None:
        self._base = base
        self._swapped = orientation >= 5
        self._orientation = orientation
        height, width = base.shape[:2]
        size = (width, height) if self._swapped else (height, width)
        self.shape: tuple[int, ...] = (*size, *base.shape[2:])
        self.dtype: np.dtype[Any] = base.dtype

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """The rows, copied together from the base."""
        start, stop, _ = rows.indices(self.shape[0])
        turned_over, mirrored, first, last = self._places(start, max(start, stop))
        part = self._columns(first, last) if self._swapped else self._base[first:last]
        part = part[::-1] if turned_over else part
        return part[:, ::-1] if mirrored else part

    def __setitem__(self, rows: slice, values: NDArray[Any]) -> None:
        """Set the rows in the base, which must be writable."""
        start, stop, _ = rows.indices(self.shape[0])
        turned_over, mirrored, first, last = self._places(start, max(start, stop))
        part = values[::-1] if turned_over else values
        part = part[:, ::-1] if mirrored else part
        if not self._swapped:
            self._base[first:last][...] = part
            return
        for band in bands(*self._base.shape[:2]):
            self._base[band][:, first:last] = part[:, band].swapaxes(0, 1)

    def _places(self, start: int, stop: int) -> tuple[bool, bool, int, int]:
        """Whether rows and columns run backwards; which rows (columns) of the base these are."""
        turned_over = self._orientation in (3, 4, 7, 8)
        mirrored = self._orientation in (2, 3, 6, 7)
        height = self.shape[0]
        first, last = (height - stop, height - start) if turned_over else (start, stop)
        return turned_over, mirrored, first, last

    def _columns(self, first: int, last: int) -> NDArray[Any]:
        """Columns of the base, as rows."""
        height, width = self._base.shape[:2]
        found = np.empty((last - first, height, *self.shape[2:]), self.dtype)
        for band in bands(height, width):
            found[:, band] = self._base[band][:, first:last].swapaxes(0, 1)
        return found

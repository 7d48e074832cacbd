"""The bytes of a picture file as decoders take them, and room for the samples they make."""

import mmap
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dunrestore.errors import InputError
from dunrestore.imaging.limits import ASK_FOR_UNDAMAGED
from dunrestore.imaging.rows import Make, WritableRows

READ_AT_ONCE = 1 << 24
"""Bytes of a file beyond which it is mapped, so that it does not count as the program's memory."""


BEHIND = "data after the picture's end"
"""Name of what somebody put behind a picture; it is never written again."""


@dataclass(frozen=True)
class Encoded:
    """A picture file that a decoder takes as a whole."""

    path: Path
    data: mmap.mmap
    """All bytes. Decoders may write to it, for they want their input in one piece: what is written
    is seen by nobody else and never reaches the file."""
    in_part: float
    """Pictures of more pixels are large: their samples should not be in memory."""
    make: Make
    """Makes room for the samples of a large picture."""
    any_depth: bool = False
    """Read grey of fewer than 8 bits as 8: for what is looked at, and not written again."""

    def is_large(self, height: int, width: int) -> bool:
        """Whether a picture of this size is large."""
        return height * width > self.in_part

    def room(
        self, height: int, width: int, channels: int, dtype: type[np.uint8 | np.uint16]
    ) -> WritableRows:
        """Room for samples (H, W, C), of any value at first; decoders fill ``room[:]``.

        Raises:
            FileAccessError: if there is no room for them on the disk.
        """
        make = self.make if self.is_large(height, width) else np.empty
        return make((height, width, channels), dtype)


def read_encoded(file: BinaryIO) -> mmap.mmap:
    """All bytes of a file that is not empty: read, or of a large file mapped.

    Raises:
        InputError: if the file becomes shorter meanwhile.
        OSError: if it cannot be read.
    """
    size = file.seek(0, 2)
    if size > READ_AT_ONCE:
        with suppress(OSError):  # some network disks cannot
            return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
    data = mmap.mmap(-1, size)
    file.seek(0)
    shutil.copyfileobj(file, data)
    if data.tell() < size:
        raise InputError("the file is cut short", next_step=ASK_FOR_UNDAMAGED)
    return data

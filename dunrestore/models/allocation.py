"""Memory: which errors say that there is too little, and what is kept of what was freed.

The C library hands large blocks back to the system as soon as they are freed. A network frees and
asks for such blocks at every layer, and the system fills each with zeros again: a third of the
time with tiles of 1008 pixels (docs/decisions.md). Only glibc can be told to keep them; elsewhere
nothing is done.
"""

import ctypes
import logging
from functools import cache

import torch

log = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""What ``mallopt`` calls them (malloc.h)."""
_LARGEST_BLOCK = 200 << 20
"""Bytes: with larger blocks kept as well, a tile took a tenth more memory for 4 % more speed."""
_KEPT = 2**31 - 1
"""Bytes that are kept at most, and the most that ``mallopt`` takes."""

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, Triton
    "not enough memory",  # PyTorch on the CPU
    "can't allocate memory",
    "alloc_failed",  # cuBLAS, cuDNN
    "unable to find an engine to execute",  # no plan of cuDNN for a convolution fits
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device's or the host's memory did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _OUT_OF_MEMORY)


@cache
def keep_freed_memory() -> bool:
    """From now on keep freed blocks for the next tensors; False where that cannot be had."""
    library = _library()
    if library is None:
        return False
    kept = (
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        and library.mallopt(_TRIM_THRESHOLD, _KEPT)
        # Of arenas of their own, which threads get, only parts can be handed back.
        and library.mallopt(_ARENA_MAX, 1)
    )
    log.debug("freed memory is %s", "kept" if kept else "handed back at once")
    return bool(kept)


def hand_back_memory() -> None:
    """Give the system what was freed and kept."""
    library = _library()
    if library is not None:
        library.malloc_trim(0)


@cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows has no such handle
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None

"""Work on the bands of a picture in several threads, with results in the bands' order."""

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dunrestore.imaging.rows import AT_ONCE, bands

T = TypeVar("T")

MOST = 8
"""Bands of ``AT_ONCE`` pixels that are worked on together; each may take some 60 MB."""


def on_each_band(
    work: Callable[[slice], object], height: int, width: int, multiple: int = 1
) -> None:
    """Do some work on each of ``rows.bands``; see ``each_band``."""
    for _ in each_band(work, height, width, multiple):
        pass


def each_band(
    work: Callable[[slice], T], height: int, width: int, multiple: int = 1
) -> Generator[T, None, None]:
    """What some work returns for each of ``rows.bands``, from top to bottom.

    Several bands are worked on at once, so no work may need what another did. On leaving, also by
    an exception or ``close``, what waits is dropped and what is worked on is waited for.

    Args:
        work: called with the rows of a band, in any thread.
        height: rows of the picture.
        width: its columns.
        multiple: each band begins at a multiple of this.

    Raises:
        BaseException: what the work raised, when the band's turn comes.
    """
    todo = list(bands(height, width, multiple))
    pixels = (todo[0].stop - todo[0].start) * width if todo else 1
    at_once = min(processors(), len(todo), MOST * AT_ONCE // max(pixels, 1))
    if at_once <= 1:
        yield from map(work, todo)
        return
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(at_once)
    try:
        for rows in todo:
            waiting.append(pool.submit(work, rows))
            if len(waiting) == 2 * at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def processors() -> int:
    """Processors that this process may use; ``OMP_NUM_THREADS`` limits them."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(here, int(allowed)) if allowed.isdecimal() and int(allowed) else here

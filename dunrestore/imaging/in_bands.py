"""Work on the bands of a picture in several threads, with results in the bands' order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

from dunrestore.imaging.rows import AT_ONCE, bands

S = TypeVar("S")
T = TypeVar("T")

MOST = 8
"""Bands of ``AT_ONCE`` pixels that are worked on together; each may take some 60 MB."""


def processors() -> int:
    """Processors that this process may use; ``OMP_NUM_THREADS`` limits them."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(here, int(allowed)) if allowed.isdecimal() and int(allowed) else here


@cache
def _threads() -> ThreadPoolExecutor:
    # The same for all pictures: together they take no more than there are processors.
    return ThreadPoolExecutor(processors(), thread_name_prefix="bands")


if hasattr(os, "register_at_fork"):  # threads do not come along
    os.register_at_fork(after_in_child=_threads.cache_clear)


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
        work: called with the rows of a band, in any thread; does not call this function itself.
        height: rows of the picture.
        width: its columns.
        multiple: each band begins at a multiple of this.

    Raises:
        BaseException: what the work raised, when the band's turn comes.
    """
    todo = list(bands(height, width, multiple))
    pixels = (todo[0].stop - todo[0].start) * width if todo else 1
    return each(work, todo, MOST * AT_ONCE // max(pixels, 1))


def each(work: Callable[[S], T], items: Iterable[S], most: int = MOST) -> Generator[T, None, None]:
    """The same for each of some items, of which so many are worked on at once at most."""
    todo = list(items)
    at_once = min(processors(), len(todo), most)
    if at_once <= 1:
        yield from map(work, todo)
        return
    waiting: deque[Future[T]] = deque()
    try:
        for item in todo:
            waiting.append(_threads().submit(work, item))
            if len(waiting) == at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        wait(waiting)

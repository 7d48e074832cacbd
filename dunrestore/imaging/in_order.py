"""Work in several threads, with results in the order of what is worked on."""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dunrestore.imaging.rows import AT_ONCE, bands

S = TypeVar("S")
T = TypeVar("T")

MOST = 8
"""Parts of ``AT_ONCE`` pixels that are worked on together; each may take some 60 MB."""


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
    if len(todo) <= 1:
        return (work(rows) for rows in todo)
    return in_threads(work, todo, (todo[0].stop - todo[0].start) * width)


def in_threads(work: Callable[[S], T], items: Iterable[S], pixels: int) -> Generator[T, None, None]:
    """Work on items as ``in_order``, in as many threads as there are processors and memory.

    Args:
        work: called with an item, in any thread.
        items: iterated over in the calling thread.
        pixels: of an item; of large ones fewer are worked on at once.
    """
    threads = min(processors(), MOST * AT_ONCE // pixels)
    if threads > 1:
        return in_order([work] * threads, items)
    return (work(item) for item in items)


def in_order(workers: Sequence[Callable[[S], T]], items: Iterable[S]) -> Generator[T, None, None]:
    """Work on items in a thread for each worker; the results come in the order of the items.

    Of each worker at most two items are in flight: one that it works on and one that waits, so that
    it goes on at once while the caller uses a result and prepares the next item. On leaving,
    also by an exception or ``close``, what waits is dropped and what is worked on is waited for.

    Args:
        workers: each is called by one thread only; the first items go to the first of them.
        items: iterated over in the calling thread.

    Raises:
        BaseException: what a worker raised, when its item's turn comes.
    """
    free, own = deque(workers), threading.local()

    def begin() -> None:
        own.work = free.popleft()

    def work(item: S) -> T:
        return own.work(item)

    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(len(workers), initializer=begin)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == 2 * len(workers):
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

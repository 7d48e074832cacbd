"""Work in several threads, with results in the order of what is worked on."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import chain, islice
from queue import SimpleQueue
from typing import Any, TypeVar

from numpy.typing import NDArray

from dunrestore.imaging.rows import AT_ONCE, Rows, bands, fetching
from dunrestore.resources import processors

S = TypeVar("S")
T = TypeVar("T")

MOST = 8
"""Parts of ``AT_ONCE`` pixels that are worked on together; each may take some 60 MB."""
_TURN = 1 << 18
"""Pixels that a thread takes at a time, of small items several: handing one over costs 50 us."""


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

    Several bands are worked on at once, so no work may need what another did, nor fetch rows that
    are decoded (see ``each_part``). On leaving, also by an exception or ``close``, what waits is
    dropped and what is worked on is waited for.

    Args:
        work: called with the rows of a band, in any thread.
        height: rows of the picture.
        width: its columns.
        multiple: each band begins at a multiple of this.

    Raises:
        BaseException: what the work raised, when the band's turn comes.
    """
    todo = list(bands(height, width, multiple))
    return in_threads(work, todo, (todo[0].stop - todo[0].start) * width if todo else 1)


def each_part(
    work: Callable[..., T], *pictures: Rows, multiple: int = 1, below: int = 0
) -> Generator[T, None, None]:
    """The same with the bands' parts of pictures.

    What must be decoded is fetched in the calling thread, one band after the other: bands share
    strips and tiles of a file.

    Args:
        work: called with the rows of a band and its part of each picture, in any thread.
        pictures: of the same height and width.
        multiple: each band begins at a multiple of this.
        below: so many rows below a band, as far as there are, belong to its parts.
    """
    height, width = pictures[0].shape[:2]

    def parts() -> Generator[tuple[slice, list[Callable[[], NDArray[Any]]]], None, None]:
        for rows in bands(height, width, multiple):
            wanted = slice(rows.start, min(rows.stop + below, height))
            yield rows, [fetching(picture, wanted) for picture in pictures]

    def work_on(part: tuple[slice, list[Callable[[], NDArray[Any]]]]) -> T:
        rows, fetches = part
        return work(rows, *(fetch() for fetch in fetches))

    first = next(bands(height, width, multiple), slice(0, 0))
    return in_threads(work_on, parts(), (first.stop - first.start) * width)


def in_threads(work: Callable[[S], T], items: Iterable[S], pixels: int) -> Generator[T, None, None]:
    """Work on items as ``in_order``, in as many threads as there are processors and memory.

    Args:
        work: called with an item, in any thread.
        items: iterated over in the calling thread.
        pixels: of an item; of large ones fewer are worked on at once.
    """
    left = iter(items)
    several = max(_TURN // max(pixels, 1), 1)
    threads = min(processors(), MOST * AT_ONCE // max(pixels, 1))
    first = list(islice(left, several + 1))
    is_all = len(first) <= several
    waiting = chain(first, left)
    del first  # or it would hold them to the end
    if threads <= 1 or is_all:
        yield from map(work, waiting)
        return

    def work_on(some: list[S]) -> list[T]:
        return [work(item) for item in some]

    turns = iter(lambda: list(islice(waiting, several)), [])
    with closing(in_order([work_on] * threads, turns)) as results:
        for some in results:
            yield from some


def in_order(workers: Sequence[Callable[[S], T]], items: Iterable[S]) -> Generator[T, None, None]:
    """Work on items in a thread for each worker; the results come in the order of the items.

    Of each worker at most two items are in flight: one that it works on and one that waits, so that
    it goes on at once while the caller uses a result and prepares the next item. On leaving,
    also by an exception or ``close``, what waits is dropped and what is worked on is waited for.
    The threads do not keep the program from ending.

    Args:
        workers: each is called by one thread only; the first item goes to the first of them.
        items: iterated over in the calling thread.

    Raises:
        BaseException: what a worker raised, when its item's turn comes.
    """
    todo: SimpleQueue[tuple[S, Future[T]] | None] = SimpleQueue()
    threads: list[threading.Thread] = []
    waiting: deque[Future[T]] = deque()
    try:
        for item in items:
            waiting.append(Future())
            todo.put((item, waiting[-1]))
            if len(threads) < len(workers):
                worker = workers[len(threads)]
                threads.append(threading.Thread(target=_work, args=(worker, todo), daemon=True))
                threads[-1].start()
            if len(waiting) == 2 * len(workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # None may be left in this frame: an error that one holds refers to the frame, too, and with
        # it to all that the failed call held.
        while waiting:
            waiting.popleft().cancel()
        for _ in threads:
            todo.put(None)
        for thread in threads:
            thread.join()


def _work(worker: Callable[[S], T], todo: SimpleQueue[tuple[S, Future[T]] | None]) -> None:
    while (task := todo.get()) is not None:
        item, future = task
        if not future.set_running_or_notify_cancel():
            continue
        try:
            result = worker(item)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
            del result
        del task, item, future  # nothing is held while the next one is waited for

"""Make the next items in a thread while the present one is in use."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def prefetched(
    make: Callable[[int], T], start: int, stop: int, *, depth: int = 2
) -> Generator[Iterator[T]]:
    """``make(start)``, ``make(start + 1)``, ... up to ``stop``, in order, made ahead in a thread.

    Threads suffice, as drawing and array work release the interpreter's lock, and they cost
    nothing where there are few cores. An error in ``make`` is raised where its item is taken.

    Args:
        make: makes item number i; called from one thread only.
        start: the first number.
        stop: one past the last.
        depth: how many items are made ahead.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        waiting: deque[Future[T]] = deque()

        def items() -> Iterator[T]:
            for number in range(start, stop):
                while len(waiting) < min(depth, stop - number) + 1 and number + len(waiting) < stop:
                    waiting.append(pool.submit(make, number + len(waiting)))
                yield waiting.popleft().result()

        try:
            yield items()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

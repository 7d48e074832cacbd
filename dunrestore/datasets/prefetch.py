"""Make the next items in a thread, or in processes, while the present one is in use."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TypeVar

from torch.utils.data import DataLoader, Dataset

from dunrestore.errors import MemoryExhaustedError

T = TypeVar("T")


@contextmanager
def prefetched(
    make: Callable[[int], T], start: int, stop: int, *, depth: int = 2, workers: int = 0
) -> Generator[Iterator[T]]:
    """``make(start)``, ``make(start + 1)``, ... up to ``stop``, in order, made ahead.

    Without workers in a thread: array work releases the interpreter's lock, and where there are few
    cores processes gain nothing. An error in ``make`` is raised where its item is taken.

    Args:
        make: makes item number i, of tensors if there are workers; called from one thread of
            each process only.
        start: the first number.
        stop: one past the last.
        depth: how many items are made ahead, by each worker if there are any.
        workers: processes that make items; 0 for the thread. They begin as forks of this one:
            where processes cannot fork, the thread makes the items.

    Raises:
        MemoryExhaustedError: when a worker died, which too little memory is the usual reason for.
    """
    if workers and "fork" in multiprocessing.get_all_start_methods():
        loader = DataLoader(
            _Items(make, start, stop),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=depth,
            multiprocessing_context="fork",
            worker_init_fn=_leave_signals,
        )
        with closing(_made(loader)) as items:
            yield items
    else:
        with _in_a_thread(make, start, stop, depth) as items:
            yield items


class _Items(Dataset[T | Exception]):
    """``make(start)`` to ``make(stop - 1)``; what it raises comes as an item, to arrive whole."""

    def __init__(self, make: Callable[[int], T], start: int, stop: int) -> None:
        self._make, self._start, self._length = make, start, stop - start

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> T | Exception:
        if index >= self._length:
            raise IndexError(index)
        try:
            return self._make(self._start + index)
        except Exception as error:  # raised where the item is taken
            return error


def _leave_signals(worker: int) -> None:
    """Ctrl-C is the parent's to answer; SIGTERM ends a worker, whatever it did in the parent."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _made(items: DataLoader[T | Exception]) -> Generator[T]:
    try:
        for item in items:
            if isinstance(item, Exception):
                raise item
            yield item
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise MemoryExhaustedError(
            "a process that makes patches was killed",
            next_step="go on with --resume and fewer --workers",
        ) from error


@contextmanager
def _in_a_thread(
    make: Callable[[int], T], start: int, stop: int, depth: int
) -> Generator[Iterator[T]]:
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

import os
import signal
import threading
import time

import psutil
import pytest

from dunrestore.datasets.prefetch import prefetched
from dunrestore.errors import InputError, MemoryExhaustedError


def test_items_come_in_order_and_ahead_of_time():
    made = []

    def make(i):
        made.append((i, threading.current_thread().name))
        return i * i

    with prefetched(make, 3, 9, depth=2) as items:
        assert next(items) == 9
        time.sleep(0.05)
        assert [i for i, _ in made] == [3, 4, 5]
        assert list(items) == [16, 25, 36, 49, 64]
    assert all(name.startswith("prefetch") for _, name in made)


def test_an_error_is_raised_where_its_item_is_taken():
    def make(i):
        if i == 2:
            raise ValueError("third")
        return i

    with prefetched(make, 0, 5) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="third"):
            next(items)


def test_leaving_early_does_not_wait_for_the_rest():
    made = []
    with prefetched(made.append, 0, 1000, depth=2) as items:
        next(items)
    assert len(made) < 10


def test_workers_make_the_same_items_in_order_in_processes_of_their_own():
    def make(i):
        return i * i, os.getpid()

    with prefetched(make, 3, 30, workers=2) as items:
        made = list(items)
    assert [value for value, _ in made] == [i * i for i in range(3, 30)]
    makers = {maker for _, maker in made}
    assert len(makers) == 2
    assert os.getpid() not in makers


def test_a_workers_error_arrives_as_it_was_raised():
    def make(i):
        if i == 2:
            raise InputError("cannot be read", path="third.png", next_step="leave it out")
        return i

    with prefetched(make, 0, 5, workers=2) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(InputError, match=r"third.png: cannot be read; leave it out"):
            next(items)


def test_a_killed_worker_is_one_line():
    def make(i):
        if i == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return i

    with (
        prefetched(make, 0, 50, workers=2) as items,
        pytest.raises(MemoryExhaustedError, match="fewer --workers"),
    ):
        list(items)


def test_leaving_early_ends_the_workers():
    with prefetched(lambda i: (i, os.getpid()), 0, 1000, workers=2) as items:
        workers = {next(items)[1] for _ in range(2)}
    for _ in range(100):
        if not any(psutil.pid_exists(worker) for worker in workers):
            break
        time.sleep(0.1)
    else:
        pytest.fail("a worker is still there")

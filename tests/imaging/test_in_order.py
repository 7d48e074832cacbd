import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import closing
from itertools import count, islice

import pytest

from dunrestore.imaging import in_order as in_order_module
from dunrestore.imaging.in_order import each_band, in_order, on_each_band
from dunrestore.imaging.rows import AT_ONCE, bands

PATIENCE = 20
"""Seconds that a thread waits for another before the test fails."""
WIDTH = 1 << 15  # bands of 32 rows


@pytest.fixture(autouse=True)
def four_processors(monkeypatch):
    monkeypatch.setattr(in_order_module, "processors", lambda: 4)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def slow_square(delays):
    def work(item):
        time.sleep(delays.random() / 100)
        return item * item

    return work


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(workers):
    works = [slow_square(random.Random(seed)) for seed in range(workers)]
    assert list(in_order(works, range(40))) == [n * n for n in range(40)]


def test_no_items_give_no_results():
    assert list(in_order([abs, abs], [])) == []


def test_all_workers_work_at_the_same_time_and_each_in_one_thread():
    meeting = threading.Barrier(3)
    threads = [set(), set(), set()]

    def worker(number):
        def work(item):
            threads[number].add(threading.current_thread().name)
            meeting.wait(PATIENCE)
            return item

        return work

    assert list(in_order([worker(n) for n in range(3)], range(12))) == list(range(12))
    assert [len(names) for names in threads] == [1, 1, 1]
    assert len(set.union(*threads)) == 3


def test_the_next_item_is_prepared_while_the_last_one_is_worked_on():
    prepared = [threading.Event() for _ in range(5)]

    def items():
        for number, event in enumerate(prepared):
            event.set()
            yield number

    def work(item):
        assert prepared[min(item + 1, 4)].wait(PATIENCE)
        return item

    assert list(in_order([work], items())) == list(range(5))


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_than_two_items_a_worker_are_ahead_of_their_use(workers):
    taken = []

    def items():
        for number in count():
            taken.append(number)
            yield number

    ahead = []
    with closing(in_order([int] * workers, items())) as results:
        for result in islice(results, 20):
            ahead.append(len(taken) - result)
            time.sleep(0.002)  # a worker that is not held back would have run away
    assert set(ahead) == {2 * workers}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("failing", [0, 1, 5])
def test_a_failure_comes_when_its_turn_comes_and_what_waits_is_dropped(workers, failing):
    begun = []

    def work(item):
        begun.append(item)
        if item == failing:
            raise MemoryError("too little")
        time.sleep(0.01)
        return item

    results = []
    with (
        pytest.raises(MemoryError),
        closing(in_order([work] * workers, count())) as all_,
    ):
        results.extend(all_)
    assert results == list(range(failing))
    assert max(begun) < failing + 2 * workers
    after = len(begun)
    time.sleep(0.03)
    assert len(begun) == after


def test_what_waits_when_another_fails_is_not_begun():
    begun = []

    def work(item):
        begun.append(item)
        if item == 0:
            raise ValueError
        time.sleep(0.5)

    with pytest.raises(ValueError), closing(in_order([work, work], count())) as results:  # noqa: PT011
        next(results)
    assert set(begun) <= {0, 1, 2}


def test_an_item_that_cannot_be_prepared_is_the_callers_error():
    def items():
        yield 1
        raise MemoryError

    with pytest.raises(MemoryError):
        list(in_order([abs, abs], items()))


class Held:
    """Something large that a worker holds."""


@pytest.mark.parametrize("items", [1, 6])
def test_nothing_holds_what_a_failed_worker_held(items):
    held = []

    def work(_):
        large = Held()
        held.append(weakref.ref(large))
        raise MemoryError

    gc.disable()  # it frees cycles only now and then
    try:
        with pytest.raises(MemoryError), closing(in_order([work, work], range(items))) as results:
            next(results)
        assert held
        assert not any(large() for large in held)
    finally:
        gc.enable()


def test_whoever_stops_waits_for_what_is_worked_on():
    working, worked = threading.Event(), []

    def work(item):
        if item == 1:
            working.set()
            time.sleep(0.2)
        worked.append(item)
        return item

    with closing(in_order([work], count())) as results:
        assert next(results) == 0
        assert working.wait(PATIENCE)
    assert worked == [0, 1]


def test_ctrl_c_while_a_device_works():
    worked = []

    def work(item):
        time.sleep(0.1)  # by then the caller waits for the result
        if item == 0:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        worked.append(item)

    with pytest.raises(KeyboardInterrupt), closing(in_order([work], count())) as results:
        next(results)
    assert len(worked) < 3


def test_threads_do_not_keep_the_program_from_ending():
    hanging = """
import threading, time
from dunrestore.imaging.in_order import in_order

begun = threading.Event()

def hang(_):
    begun.set()
    time.sleep(600)

threading.Thread(target=lambda: list(in_order([hang, hang], range(4))), daemon=True).start()
begun.wait()
"""
    subprocess.run([sys.executable, "-c", hanging], check=True, timeout=60)


class Crowd:
    """How many are inside at the same time, at most."""

    def __init__(self):
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        return self

    def __exit__(self, *_):
        with self._lock:
            self.inside -= 1


def test_results_come_in_the_order_of_the_bands_though_later_ones_are_done_first():
    done = []

    def work(rows):
        time.sleep(0.05 if rows.start == 0 else 0)
        done.append(rows)
        return rows

    found = list(each_band(work, 1000, WIDTH, multiple=16))
    assert found == list(bands(1000, WIDTH, multiple=16))
    assert len(found) == 32
    assert done[0] != found[0]


def test_as_many_bands_are_worked_on_as_there_are_processors():
    crowd = Crowd()

    def work(_):
        with crowd:
            time.sleep(0.01)

    on_each_band(work, 1000, WIDTH)
    assert crowd.most == 4


@pytest.mark.parametrize(("width", "most"), [(4 * AT_ONCE // 32, 2), (16 * AT_ONCE // 32, 1)])
def test_wide_bands_take_turns_so_that_they_fit_the_memory(width, most):
    crowd = Crowd()

    def work(_):
        with crowd:
            time.sleep(0.01)

    on_each_band(work, 320, width)
    assert crowd.most == most


def test_a_failure_comes_up_in_its_turn_and_leaves_nothing_at_work():
    crowd = Crowd()

    def work(rows):
        with crowd:
            time.sleep(0.01)
            if rows.start == 64:
                raise ValueError("the third")
        return rows.start

    found = each_band(work, 32 * 100, WIDTH)
    assert (next(found), next(found)) == (0, 32)
    with pytest.raises(ValueError, match="the third"):
        next(found)
    assert crowd.inside == 0


def test_whoever_stops_listening_stops_the_work():
    begun = []

    def work(rows):
        time.sleep(0.01)
        begun.append(rows)

    for _ in each_band(work, 32 * 100, WIDTH):
        break
    count = len(begun)
    time.sleep(0.05)
    assert len(begun) == count < 10


def test_a_single_band_is_worked_on_by_the_caller():
    found = list(each_band(lambda _: threading.current_thread(), 20, 20))
    assert found == [threading.current_thread()]
    assert list(each_band(lambda rows: rows, 0, 20)) == []

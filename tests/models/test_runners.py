"""Several devices at work: results in order, bounded, and nothing left running however it ends."""

import os
import random
import signal
import threading
import time
from contextlib import closing
from itertools import count, islice

import numpy as np
import pytest
import torch

from dunrestore.models.colours import Part
from dunrestore.models.runners import Runners, in_order
from tests.restoration.networks import Toy

CPU = torch.device("cpu")
PATIENCE = 20
"""Seconds that a thread waits for another before the test fails."""


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
            raise torch.OutOfMemoryError("CUDA out of memory")
        time.sleep(0.01)
        return item

    results = []
    with (
        pytest.raises(torch.OutOfMemoryError),
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


def stacks(number):
    tiles = np.random.default_rng(0).random((number, 1, 48, 48, 3), np.float32)
    return [(tile, [Part.whole(48, 48)], None) for tile in tiles]


def test_a_single_cpu_works_in_the_calling_thread_one_by_one():
    seen, taken = set(), []

    def function(x):
        seen.add(threading.current_thread())
        return x * 0.5

    def tiles():
        for stack in stacks(3):
            taken.append(1)
            yield stack

    with closing(Runners(Toy(function), [CPU]).changes(tiles())) as changes:
        assert [len(taken) for _ in changes] == [1, 2, 3]
    assert seen == {threading.current_thread()}


def test_each_device_has_a_network_of_its_own():
    used, meeting = set(), threading.Barrier(2)

    class Own(Toy):
        def forward(self, x):
            used.add((id(self), threading.current_thread().name))
            meeting.wait(PATIENCE)
            return super().forward(x)

    network = Own(lambda x: x * 0.5)
    changes = list(Runners(network, [CPU, CPU]).changes(stacks(6)))
    assert len(used) == 2
    assert len({name for name, _ in used}) == 2
    assert threading.current_thread().name not in {name for _, name in used}
    assert len(network.shapes) == 3
    for change, (tile, *_) in zip(changes, stacks(6), strict=True):
        np.testing.assert_array_equal(change, tile * np.float32(0.5) - tile)


@pytest.mark.parametrize("devices", [1, 2])
def test_tiles_done_again_are_counted_once_their_result_is_handed_out(devices):
    def weak(x):
        return x * (float("nan") if torch.is_autocast_enabled("cpu") else 0.5)

    runners = Runners(Toy(weak), [CPU] * devices, torch.bfloat16)
    with closing(runners.changes(stacks(6))) as changes:
        for done, _ in enumerate(changes, 1):
            assert runners.redone == done
            time.sleep(0.02)  # others are computed meanwhile
    assert runners.redone == 6

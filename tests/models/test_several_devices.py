"""Several devices at work: results in order, bounded, and nothing left running however it ends."""

import threading
import time
from contextlib import closing

import numpy as np
import pytest
import torch

from dunrestore.models.colours import Part
from dunrestore.models.runner import Runner
from dunrestore.models.several_devices import Runners
from tests.restoration.networks import Toy

CPU = torch.device("cpu")
PATIENCE = 20
"""Seconds that a thread waits for another before the test fails."""


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


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


def test_arrays_that_pytorch_would_not_take_are_copied():
    (tile, *_), *_ = stacks(1)
    fixed = tile.copy()
    fixed.flags.writeable = False
    runner = Runner(Toy(lambda x: x * 0.5), CPU)
    for taken in (fixed, tile[:, ::-1], tile[:, :, ::-1]):
        np.testing.assert_array_equal(runner.change(taken), taken * np.float32(0.5) - taken)


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

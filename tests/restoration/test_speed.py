"""How fast a model is on a device: what is measured, and of which tiles."""

import time

import pytest
import torch

from dunrestore.restoration import speed as module
from dunrestore.restoration.change import LARGEST_ON_GPU
from dunrestore.restoration.speed import measure
from tests.restoration.batches import toy_model

START = 0.4
PIXELS_A_SECOND = 1e7
ELSEWHERE = "mps"  # named, never used: what is measured here sleeps


@pytest.fixture
def sides(monkeypatch, tmp_path):
    """Sides of the tiles that a device sleeps over which needs a while to start."""
    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path))
    changed: list[int] = []

    class Sleeper:
        def __init__(self, *_):
            self.started = False

        def change(self, tile):
            if not self.started:
                time.sleep(START)
            self.started = True
            changed.append(tile.shape[1])
            time.sleep(tile.shape[1] ** 2 / PIXELS_A_SECOND)

    monkeypatch.setattr(module, "Runner", Sleeper)
    return changed


def test_a_devices_start_does_not_count(sides):
    (found,), failed = measure(toy_model(), [(ELSEWHERE, "fp32")], START / 2)
    assert not failed
    assert found.tile == max(module.SIDES) == 384
    assert found.megapixels_a_second == pytest.approx(PIXELS_A_SECOND / 1e6, rel=0.25)


def test_one_devices_start_leaves_the_others_their_time(sides):
    places = [(ELSEWHERE, precision) for precision in ("fp32", "bf16", "fp16")]
    found, _ = measure(toy_model(), places, 2.5 * START)
    assert [speed.tile for speed in found] == [384, 384, 384]


def test_larger_tiles_are_left_out_when_the_time_would_not_suffice(sides):
    (found,), _ = measure(toy_model(), [(ELSEWHERE, "fp32")], 1e-3)
    assert found.tile == 96
    assert set(sides) == {96}


@pytest.mark.parametrize("busy", [True, False])
def test_a_busy_cpu_is_measured_with_one_thread(monkeypatch, sides, busy):
    """Threads that wait for each other take processor time as well."""

    def rate(*_):
        alone = torch.get_num_threads() == 1
        return 96, 5.0 if alone else 0.1 if busy else 9.0, 0.0

    monkeypatch.setattr(module, "_rate", rate)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (found,), _ = measure(toy_model(), [("cpu", "fp32")], 1.0)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert found.megapixels_a_second == (5 if busy else 9)


@pytest.mark.parametrize(("fits", "largest"), [(10**4, 2208), (1500, 1500), (1104, 1104)])
def test_a_gpu_is_measured_with_its_own_tiles_as_far_as_they_fit(monkeypatch, fits, largest):
    monkeypatch.setattr(module, "automatic_tile", lambda *_: min(fits, LARGEST_ON_GPU))
    network = toy_model().network
    assert max(module._sides(network, torch.device("cuda", 0), torch.bfloat16)) == largest
    assert max(module._sides(network, torch.device("cpu"), torch.bfloat16)) == 384

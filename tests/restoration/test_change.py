import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dunrestore.errors import MemoryExhaustedError, OutputCheckError, UsageError
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.restoration import change as change_module
from dunrestore.restoration.change import WINDOW, propose
from dunrestore.restoration.options import RestoreOptions
from tests.restoration.networks import Toy, blur, fill_white

CPU = {"device": "cpu", "precision": "fp32"}


def picture(height, width, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (4000, 3), (48, 48), (49, 95)])
@pytest.mark.parametrize("tile", [None, 0, 96])
def test_any_size_comes_back_at_its_own_size(size, tile):
    options = RestoreOptions(tile=tile, overlap=48 if tile else None, **CPU)
    network = Toy(lambda x: 1 - x)
    original = picture(*size)
    proposal = propose(original, network, options)
    assert proposal.change.shape == (*size, 3)
    np.testing.assert_allclose(original + proposal.change, 1 - original, atol=1e-5)
    assert all(side % 48 == 0 for shape in network.shapes for side in shape[-2:])


def test_tile_0_gives_the_network_the_whole_padded_picture():
    network = Toy(blur)
    propose(picture(100, 130), network, RestoreOptions(tile=0, **CPU))
    assert network.shapes == [(1, 3, 144, 144)]


def test_tiles_never_hold_more_than_asked():
    network = Toy(blur)
    options = RestoreOptions(tile=96, overlap=48, batch_size=2, **CPU)
    propose(picture(200, 300), network, options)
    assert {shape[-2:] for shape in network.shapes} == {(96, 96)}
    assert max(shape[0] for shape in network.shapes) == 2
    assert sum(shape[0] for shape in network.shapes) == 4 * 6


def test_a_local_network_shows_no_seams():
    original = picture(200, 260)
    whole = propose(original, Toy(blur), RestoreOptions(tile=0, **CPU)).change
    tiled = propose(original, Toy(blur), RestoreOptions(tile=96, overlap=48, **CPU)).change
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_an_identity_changes_nothing_at_all():
    proposal = propose(picture(99, 101), Toy(lambda x: x), RestoreOptions(tile=48, **CPU))
    assert not proposal.change.any()


def test_statistics_are_local_in_tiles_and_as_published_for_the_whole_picture():
    network = HINet(HINetConfig(width=2)).eval()
    norms = [m for m in network.modules() if type(m).__name__ == "InstanceNorm"]
    propose(picture(48, 48), network, RestoreOptions(tile=192, **CPU))
    assert {norm.window for norm in norms} == {WINDOW >> 3, WINDOW >> 4}
    propose(picture(48, 48), network, RestoreOptions(tile=0, **CPU))
    assert {norm.window for norm in norms} == {None}


class Hungry(Toy):
    """Runs out of memory above a number of pixels."""

    def __init__(self, limit):
        super().__init__(fill_white)
        self.limit = limit

    def forward(self, x):
        if x.shape[-1] * x.shape[-2] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(x)


def test_an_automatic_tile_shrinks_until_it_fits():
    network = Hungry(300 * 300)
    proposal = propose(picture(700, 700), network, RestoreOptions(**CPU))
    assert proposal.computed.tile**2 <= 300 * 300
    assert proposal.change.shape == (700, 700, 3)


@pytest.mark.parametrize(("tile", "advice"), [(384, "--tile 192"), (0, "--tile auto")])
def test_an_explicit_tile_is_not_overridden(tile, advice):
    with pytest.raises(MemoryExhaustedError) as error:
        propose(picture(700, 700), Hungry(100), RestoreOptions(tile=tile, **CPU))
    assert advice in str(error.value)


@pytest.fixture
def fake_gpu(monkeypatch):
    """A GPU that says it has memory for anything; computes nothing."""
    device = torch.device("cuda", 0)
    monkeypatch.setattr(change_module, "choose_devices", lambda _: (device,))
    monkeypatch.setattr(change_module, "choose_precision", lambda *_: torch.bfloat16)
    monkeypatch.setattr(change_module, "_free_memory", lambda _: 10**12)
    runners = SimpleNamespace(batch_size=1, redone=0, dtype=torch.bfloat16)
    monkeypatch.setattr(change_module, "Runners", lambda *_, **__: runners)


def tried(limit, **options):
    """The tiles and batches that are tried where so many pixels fit, and whether one did."""
    tries = []

    def run(runners, plan, _):
        tries.append((plan.largest, runners.batch_size))
        if runners.batch_size * plan.largest**2 > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    try:
        change_module.compute(run, (9000, 9000), Toy(blur), RestoreOptions(**options))
    except MemoryExhaustedError:
        return tries, False
    return tries, True


@pytest.mark.parametrize(
    ("options", "limit", "tries", "fits"),
    [
        ({}, 1.3e6, [(1968, 1), (960, 1)], True),
        ({}, 0.3e6, [(1968, 1), (960, 1), (480, 1)], True),
        ({"tile": 1008}, 1.3e6, [(1008, 4), (1008, 1)], True),
        ({"tile": 1008}, 0.3e6, [(1008, 4), (1008, 1)], False),
        ({"batch_size": 4}, 1.3e6, [(1104, 4), (528, 4)], True),
        ({"tile": 1008, "batch_size": 2}, 1.3e6, [(1008, 2)], False),
    ],
)
def test_a_batch_is_given_up_before_a_tile_is_made_smaller(fake_gpu, options, limit, tries, fits):
    assert tried(limit, **options) == (tries, fits)


@pytest.mark.parametrize("step", ["choose_precision", "Runners", "_free_memory"])
def test_a_gpu_that_another_program_has_filled_is_one_line(fake_gpu, monkeypatch, step):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(change_module, step, full)
    with pytest.raises(MemoryExhaustedError) as error:
        change_module.compute(lambda *_: None, (9, 9), Toy(blur), RestoreOptions())
    assert str(error.value) == (
        "out of memory on cuda:0 before the first tile;"
        " free some memory there, or choose another --device"
    )


def test_memory_that_never_suffices_is_an_error():
    with pytest.raises(MemoryExhaustedError):
        propose(picture(700, 700), Hungry(100), RestoreOptions(**CPU))


class Holding(Hungry):
    """Notes what each call holds, and how much of earlier failed ones is left."""

    def __init__(self, limit):
        super().__init__(limit)
        self.held, self.left = [], []

    def __deepcopy__(self, _memo):
        return self

    def forward(self, x):
        features = torch.ones(7)
        self.left.append((x.shape[-1], sum(one() is not None for one in self.held)))
        if x.shape[-1] * x.shape[-2] > self.limit:
            self.held.append(weakref.ref(features))
        return super().forward(x)


@pytest.fixture
def no_collection():
    gc.disable()  # it frees cycles only now and then
    yield
    gc.enable()


@pytest.mark.parametrize("device", ["cpu", "cpu,cpu"])
def test_what_did_not_fit_is_free_again_when_smaller_tiles_are_tried(no_collection, device):
    network = Holding(300 * 300)
    propose(picture(450, 450), network, RestoreOptions(device=device, precision="fp32"))
    assert network.held
    assert {left for side, left in network.left if side < 300} == {0}


def test_an_error_that_is_kept_does_not_hold_what_did_not_fit(no_collection):
    network = Holding(100)
    with pytest.raises(MemoryExhaustedError) as error:
        propose(picture(300, 300), network, RestoreOptions(tile=192, **CPU))
    assert network.held
    assert not any(one() is not None for one in network.held)
    assert error.value.__context__ is not None


def test_automatic_tiles_follow_the_free_memory(monkeypatch):
    sides = []
    for free in (2e6, 50e6, 1e12):
        monkeypatch.setattr(change_module, "free_memory", lambda device, free=free: int(free))
        sides.append(change_module.automatic_tile(Toy(blur), torch.device("cpu"), torch.float32, 1))
    assert sides == [240, 480, 1008]


@pytest.mark.parametrize(
    ("free", "batch", "side"),
    [(1e12, 1, 2208), (1e12, 4, 1104), (1e12, 64, 1008), (500e6, 1, 1536), (2e6, 1, 240)],
)
def test_a_gpu_takes_larger_tiles_where_they_fit(monkeypatch, free, batch, side):
    monkeypatch.setattr(change_module, "free_memory", lambda _: int(free))
    monkeypatch.setattr(change_module, "in_turn", lambda _device, call: call())
    device = torch.device("cuda:0")
    found = change_module.automatic_tile(Toy(blur), device, torch.float32, batch)
    assert found == side


@pytest.mark.parametrize(
    ("devices", "free", "side", "tiles"),
    [
        ("cpu", 1e12, 960, 1),
        ("cuda:0", 1e12, 960, 4),
        ("cuda:0", 500e6, 960, 2),
        ("cuda:0,cuda:1", 100e6, 960, 1),
        ("cuda:0", 1e12, 1200, 3),
        ("cuda:0", 1e12, 2208, 1),
        ("cuda:0", 1e12, 3000, 1),
    ],
)
def test_a_gpu_computes_as_many_tiles_at_once_as_fit(monkeypatch, devices, free, side, tiles):
    monkeypatch.setattr(change_module, "free_memory", lambda _: int(free))
    monkeypatch.setattr(change_module, "in_turn", lambda _device, call: call())
    named = [torch.device(name) for name in devices.split(",")]
    found = change_module.tiles_at_once(Toy(blur), named, torch.float32, side)
    assert found == tiles


@pytest.mark.parametrize(
    ("size", "largest", "tile"),
    [
        ((1000, 700), 1008, 1008),
        ((1000, 1100), 1008, 896),
        ((2000, 100), 480, 480),
        ((9000, 9000), 2208, 2208),
    ],
)
def test_a_picture_that_fits_is_one_tile(size, largest, tile):
    assert change_module.tile_for(size, largest) == tile


def test_not_a_number_in_low_precision_is_computed_again():
    calls = []

    def weak(x):
        calls.append(torch.is_autocast_enabled("cpu"))
        return x * (float("nan") if calls[-1] else 0.5)

    options = RestoreOptions(device="cpu", precision="bf16")
    proposal = propose(picture(48, 48), Toy(weak), options)
    assert calls == [True, False]
    assert np.isfinite(proposal.change).all()


def test_tiles_that_a_failed_attempt_computed_again_do_not_count(monkeypatch):
    monkeypatch.setattr(change_module, "LARGEST_TILE", 192)
    monkeypatch.setattr(change_module, "SMALLEST_TILE", 96)
    sides = []

    def weak(x):
        if torch.is_autocast_enabled("cpu"):
            return x * float("nan")
        sides.append(x.shape[-1])
        if len(sides) == 2:
            raise MemoryError
        return x * 0.5

    options = RestoreOptions(device="cpu", precision="bf16")
    proposal = propose(picture(192, 300), Toy(weak), options)
    assert sides[0] > proposal.computed.tile
    assert proposal.computed.tiles_redone == len(sides) - 2


def test_not_a_number_in_full_precision_is_an_error():
    with pytest.raises(OutputCheckError, match="not finite"):
        propose(picture(48, 48), Toy(lambda x: x * float("nan")), RestoreOptions(**CPU))


def test_senseless_options_are_refused():
    with pytest.raises(UsageError, match="leaves nothing of tiles of 100"):
        propose(picture(48, 48), Toy(blur), RestoreOptions(tile=100, overlap=120, **CPU))
    with pytest.raises(UsageError, match="unknown device"):
        propose(picture(48, 48), Toy(blur), RestoreOptions(device="abacus"))
    with pytest.raises(UsageError, match="float16"):
        propose(picture(48, 48), Toy(blur), RestoreOptions(device="cpu", precision="fp16"))

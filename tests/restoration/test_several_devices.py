"""Several devices restore one picture: the same bytes as one, in memory, from the disk, resumed."""

import json
import threading
from typing import ClassVar

import numpy as np
import pytest
import torch

from dunrestore.errors import ExitCode, MemoryExhaustedError, OutputCheckError
from dunrestore.models.hinet import HINet
from dunrestore.models.measurements import Speed
from dunrestore.restoration import change
from dunrestore.restoration.batch import estimate
from dunrestore.restoration.batch.estimate import PlannedFile
from dunrestore.restoration.batch.steps import Stopped
from dunrestore.restoration.change import common_tile, propose
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job
from tests.restoration.batches import (
    make_scans,
    pictures,
    remove,
    restore,
    restore_file,
    toy_model,
    use_toy,
)
from tests.restoration.networks import Toy, blur, fill_white
from tests.restoration.test_large import (
    HINET,
    make_tiff,
    network,
    on_disk,
    restored,
    small_bands,  # noqa: F401 - a fixture
)

ONE = {"device": "cpu", "precision": "fp32"}
TWO = {"device": "cpu,cpu", "precision": "fp32"}
DEVICES = ("cpu", "cpu,cpu")


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def picture(height, width):
    return np.random.default_rng(0).random((height, width, 3), np.float32)


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("kind", ["hinet", "guided"])
def test_the_proposal_is_the_same_to_the_last_bit(kind, batch_size):
    original = picture(150, 200)
    options = {"tile": 96, "overlap": 48, "batch_size": batch_size}
    one = propose(original, network(kind).eval(), RestoreOptions(**options, **ONE))
    two = propose(original, network(kind).eval(), RestoreOptions(**options, **TWO))
    assert two.change.tobytes() == one.change.tobytes()
    assert (two.damage is None) == (one.damage is None) == (kind == "hinet")
    if one.damage is not None:
        assert two.damage.tobytes() == one.damage.tobytes()
    assert (one.computed.device, two.computed.device) == DEVICES


def test_a_network_that_has_worked_alone_is_copied_with_what_it_remembers():
    worked = HINet(HINET).eval()
    with torch.inference_mode():  # as what convolutions pack on some processors
        worked.packed = torch.ones(3)
    one = propose(picture(100, 200), worked, RestoreOptions(tile=96, **ONE)).change
    two = propose(picture(100, 200), worked, RestoreOptions(tile=96, **TWO)).change
    assert two.tobytes() == one.tobytes()


@pytest.mark.parametrize("large", [False, True])
def test_both_devices_are_used_and_the_file_is_the_same(monkeypatch, tmp_path, large):
    path = make_tiff(tmp_path / "in.tif")
    on_disk(monkeypatch, large)
    used, meeting = [], threading.Barrier(2)

    def function(x):
        used.append(threading.current_thread())
        if meeting.parties:  # neither goes on without the other
            meeting.wait(20)
        return fill_white(x)

    two, values = restored(tmp_path, path, toy_model(function), TWO)
    assert len(used) == 12
    assert len(set(used)) == 2
    assert threading.current_thread() not in used
    remove(tmp_path / "out.tif")
    one, wanted = restored(tmp_path, path, toy_model(fill_white), ONE)
    assert two == one
    assert (wanted["execution"].pop("device"), values["execution"].pop("device")) == DEVICES
    assert values == wanted


class Numbered(Toy):
    """Notes which copy of it was used."""

    used: ClassVar[list[int]] = []

    def __init__(self, number):
        super().__init__(None)
        self.number = number

    def __deepcopy__(self, _memo):
        return Numbered(self.number + 1)

    def forward(self, x):
        Numbered.used.append(self.number)
        return (x,)


def test_pictures_of_a_single_tile_take_turns_on_the_devices(monkeypatch):
    monkeypatch.setattr(Numbered, "used", [])
    numbered = Numbered(0)
    for _ in range(6):
        propose(picture(48, 48), numbered, RestoreOptions(**TWO))
    first = Numbered.used[0]
    assert Numbered.used == [first, 1 - first] * 3


def test_a_picture_of_a_single_tile_goes_to_the_device_with_the_least_to_do(monkeypatch):
    monkeypatch.setattr(Numbered, "used", [])
    begun, others_done = threading.Event(), threading.Event()

    class Slow(Numbered):
        def __deepcopy__(self, _memo):
            return Slow(self.number + 1)

        def forward(self, x):
            if not begun.is_set():
                begun.set()
                assert others_done.wait(20)
            return super().forward(x)

    slow, options = Slow(0), RestoreOptions(device="cpu:0,cpu:1", precision="fp32")
    first = threading.Thread(target=propose, args=(picture(48, 48), slow, options))
    first.start()
    assert begun.wait(20)
    for _ in range(4):
        propose(picture(48, 48), slow, options)
    others_done.set()
    first.join()
    *others, busy = Numbered.used
    assert others == [1 - busy] * 4


@pytest.mark.parametrize(("device", "most"), [("cpu", 2), ("cpu,cpu", 2), ("cpu:0,cpu:1", 4)])
def test_each_device_has_two_pictures_whose_tiles_are_computed(device, most):
    at_work, lock, meeting = [0, 0], threading.Lock(), threading.Barrier(most)

    def run(*_):
        with lock:
            at_work[0] += 1
            at_work[1] = max(at_work)
        meeting.wait(20)
        with lock:
            at_work[0] -= 1

    def begin():
        change.compute(run, (48, 48), network, RestoreOptions(device=device, precision="fp32"))

    network = Toy(blur)
    threads = [threading.Thread(target=begin) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_work[1] == most


class Filling(Toy):
    """Runs out of memory at one of the first tiles, which it would fill otherwise than later."""

    calls = 0
    lock = threading.Lock()

    def __init__(self, failing, shown):
        super().__init__(None)
        self.failing, self.shown = failing, shown

    def __deepcopy__(self, _memo):
        return self.__class__(self.failing, self.shown)

    def forward(self, x):
        with self.lock:
            Filling.calls += 1
            number = Filling.calls
        if x.shape[-1] >= self.shown:
            if number == self.failing:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return (x * 0.2 + 0.3,)
        return (x * 0.9,)


@pytest.mark.parametrize("failing", [1, 2, 5])
@pytest.mark.parametrize("device", DEVICES)
def test_when_memory_runs_out_no_result_of_a_larger_tile_is_used(monkeypatch, failing, device):
    monkeypatch.setattr(change, "LARGEST_TILE", 480)
    monkeypatch.setattr(Filling, "calls", 0)
    original = picture(500, 1300)
    options = RestoreOptions(device=device, precision="fp32")
    found = propose(original, Filling(failing, 400), options)
    assert found.computed.tile < 400
    np.testing.assert_allclose(found.change, original * -0.1, atol=1e-6)
    assert Filling.calls > failing


def test_a_tile_that_does_not_fit_names_the_devices():
    def greedy(x):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryExhaustedError, match=r"on cpu,cpu with tiles of 192.*--tile 96"):
        propose(picture(200, 300), Toy(greedy), RestoreOptions(tile=192, **TWO))
    with pytest.raises(MemoryExhaustedError, match=r"free some memory or --tile auto"):
        propose(picture(200, 300), Toy(greedy), RestoreOptions(tile=96, **TWO))


def test_a_result_that_is_no_restoration_fails_as_with_one_device():
    options = RestoreOptions(tile=96, **TWO)
    with pytest.raises(OutputCheckError, match="not finite"):
        propose(picture(200, 300), Toy(lambda x: x * float("nan")), options)


def test_automatic_tiles_fit_every_device(monkeypatch):
    small, large, cpu = torch.device("cuda:0"), torch.device("cuda:1"), torch.device("cpu")
    free = {small: 30e6, large: 150e6, cpu: 100e6}
    monkeypatch.setattr(change, "in_turn", lambda _device, call: call())
    monkeypatch.setattr(change, "free_memory", lambda device: int(free[device]))

    def side(*devices):
        return common_tile(Toy(blur), devices, torch.float32, 1)

    assert side(small) < side(large)
    assert side(large, small) == side(small, large) == side(small)
    free[large] = free[cpu] / 2
    assert side(cpu, cpu) == side(large) < side(cpu)


def stop_after(tiles):
    def progress(advance):
        if advance.done >= tiles:
            raise Stopped

    return progress


@pytest.mark.parametrize("tiles", [1, 4, 7, 11])
@pytest.mark.parametrize("first", DEVICES)
def test_a_large_picture_goes_on_with_more_or_fewer_devices(monkeypatch, tmp_path, first, tiles):
    path = make_tiff(tmp_path / "in.tif")
    on_disk(monkeypatch, False)
    wanted, _ = restored(tmp_path, path)
    remove(tmp_path / "out.tif")
    on_disk(monkeypatch, True)
    computed = []

    def function(x):
        computed.append(1)
        return fill_white(x)

    options = RestoreOptions(tile=96, device=first, precision="fp32")
    job = Job(path, tmp_path / "out.tif")
    with pytest.raises(Stopped):
        restore_file(job, toy_model(function), options, FileOptions(), stop_after(tiles))
    assert tiles <= len(computed) < tiles + 2 * len(first.split(","))
    computed.clear()
    second = next(one for one in DEVICES if one != first)
    found, values = restored(tmp_path, path, toy_model(function), {"device": second})
    assert found == wanted
    assert values["execution"]["device"] == second
    assert len(computed) == 12 - tiles // 4 * 4


@pytest.mark.parametrize("tiles", [3, 4, 6])
def test_tiles_done_again_are_counted_once_in_a_resumed_picture(monkeypatch, tmp_path, tiles):
    def weak(x):
        return x * (float("nan") if torch.is_autocast_enabled("cpu") else 0.5)

    path = make_tiff(tmp_path / "in.tif")
    on_disk(monkeypatch, True)
    asked = {"tile": 96, "device": "cpu,cpu", "precision": "bf16"}
    job = Job(path, tmp_path / "out.tif")
    with pytest.raises(Stopped):
        restore_file(
            job, toy_model(weak), RestoreOptions(**asked), FileOptions(), stop_after(tiles)
        )
    _, values = restored(tmp_path, path, toy_model(weak), asked)
    assert values["execution"]["tiles_redone"] == 12


def test_what_one_device_restored_is_not_restored_again_by_two(monkeypatch, tmp_path, capsys):
    model = use_toy(monkeypatch)
    scans = make_scans(tmp_path / "scans", ["a.png", "b.png"])
    out = tmp_path / "out"
    assert restore(scans, out) == ExitCode.OK
    first = pictures(out)
    model.network.shapes.clear()
    capsys.readouterr()
    (out / "b.png").unlink()
    again = ("--existing", "skip", "-d", "cpu,cpu", "--json", "--tile", "auto")
    assert restore(scans, out, *again) == ExitCode.OK
    skipped, anew = map(json.loads, capsys.readouterr().out.splitlines())
    assert (skipped["status"], anew["status"]) == ("skipped", "restored")
    assert anew["device"] == "cpu,cpu"
    assert pictures(out) == first


@pytest.mark.parametrize("names", ["cuda:0,cuda:0", "cpu,cuda:0"])
def test_a_wrong_list_is_one_line_for_a_whole_folder(monkeypatch, tmp_path, capsys, names):
    use_toy(monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    scans = make_scans(tmp_path / "scans", ["a.png", "b.png"])
    assert restore(scans, tmp_path / "out", "-d", names) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert names in line


@pytest.mark.parametrize(("kind", "share"), [("cuda", 0.5), ("cpu", 1.0)])
def test_an_estimate_shares_the_tiles_among_gpus_but_not_the_cores(
    monkeypatch, tmp_path, kind, share
):
    devices = [torch.device("cuda", n) if kind == "cuda" else torch.device("cpu") for n in (0, 1)]
    monkeypatch.setattr(estimate, "choose_devices", lambda names: devices[: len(names.split(","))])
    monkeypatch.setattr(estimate, "choose_precision", lambda *_: torch.float32)
    monkeypatch.setattr(estimate, "processor_share", lambda: 1.0)
    speed = Speed("toy", "0", kind, "some", "float32", 192, 0.5, "2026-11-01T00:00:00")
    monkeypatch.setattr(estimate, "stored_speed", lambda *_: speed)
    source = tmp_path / "a.png"
    source.touch()

    def seconds(size, names):
        planned = [PlannedFile(Job(source, tmp_path / "b.png"), "restore", (size,), 0, None)]
        options = RestoreOptions(tile=96, overlap=0, device=names)
        return estimate.estimate(planned, toy_model(), options).seconds

    four_tiles, a_tile = (192, 192), (96, 96)
    assert seconds(four_tiles, "a,b") == pytest.approx(share * seconds(four_tiles, "a"))
    assert seconds(a_tile, "a,b") == pytest.approx(seconds(a_tile, "a"))

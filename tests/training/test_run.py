"""Whole runs of the smallest networks: to the end, interrupted, resumed, broken, in pairs."""

import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
import torch

from dunrestore.checkpoints.load import load
from dunrestore.datasets.pictures import PictureStore
from dunrestore.errors import ConfigError, FileAccessError, InputError, ModelError, UsageError
from dunrestore.models import devices
from dunrestore.training import loop, run
from dunrestore.training.config import to_toml
from dunrestore.training.observers import METRICS
from dunrestore.training.run import saved_config, train
from dunrestore.training.state import load_state, save_state
from tests.datasets.folders import save
from tests.training.tiny import pictures, tiny


@pytest.fixture
def data(tmp_path):
    return pictures(tmp_path)


class Interrupter:
    """Presses Ctrl-C after some steps."""

    def __init__(self, after, number=signal.SIGINT):
        self.after, self.number, self.losses = after, number, []

    def stepped(self, step):
        self.losses.append(step.loss)
        if step.iteration == self.after:
            os.kill(os.getpid(), self.number)

    def validated(self, iteration, figures, pictures):
        pass

    def close(self):
        pass


def assert_same(one, other):
    for part in ("network", "ema"):
        a, b = getattr(one, part), getattr(other, part)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) for k in a), part
    moments = [
        [v for s in state.optimizers for p in s["state"].values() for v in p.values()]
        for state in (one, other)
    ]
    assert len(moments[0]) == len(moments[1]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*moments, strict=True))
    assert one.best == other.best


def test_a_run_leaves_a_model_that_describes_itself(data, tmp_path):
    table = [f"pictures/wall-{i}.png,licence {i}" for i in range(3)]
    (data.parent / "sources.csv").write_text("\n".join(["file,licence", *table]))
    result = train(tiny(data), tmp_path / "run")
    model = load(result.model)
    assert model.architecture == "hinet"
    assert model.network(torch.rand(1, 3, 16, 16))[-1].shape == (1, 3, 16, 16)
    training = model.card["training"]
    assert training["config"]["batch"] == 4
    assert training["iterations"] == 6
    assert training["data"]["pictures"] == 3
    (kept_back,) = training["data"]["validation"]
    licences = {f"wall-{i}": f"licence {i}" if i < 3 else "not stated" for i in range(4)}
    del licences[kept_back]
    assert {f["name"]: f["licence"] for f in training["data"]["files"]} == licences
    assert training["versions"]["torch"] == version("torch")
    assert model.card["figures"]["validation"]["psnr"] == pytest.approx(result.figures.psnr, 1e-3)
    lines = [json.loads(s) for s in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [x["iteration"] for x in lines if "loss" in x] == [1, 2, 3, 4, 5, 6]
    assert [x["iteration"] for x in lines if "validation" in x] == [3, 6]
    assert all((tmp_path / "run" / f"{n}.safetensors").is_file() for n in ("best", "last"))


@pytest.mark.parametrize("stage", ["hinet-dr", "car", "arin", "arin-joint", "arin-guided"])
def test_every_stage_trains(data, tmp_path, stage):
    config = tiny(data, stage=stage, iterations=2, ema=0.0, recipe="robust", lr=1e-3)
    result = train(config, tmp_path / "run")
    assert np.isfinite(result.figures.psnr)
    before = run.make_network(config).state_dict()
    after = load(result.model).network.state_dict()
    changed = {
        k.split(".")[0] for k in before if not torch.equal(before[k].half(), after[k].half())
    }
    if stage == "arin":
        assert changed == {"hinet"}
    elif stage == "arin-joint":
        assert changed == {"car", "hinet"}
    assert changed


def test_it_learns(data, tmp_path):
    config = tiny(
        data, iterations=150, batch=4, lr=3e-3, hinet_width=4, warmup=5, optimizer="adamw",
        validate_every=150, save_every=150, ema=0.9, coverage_min=10.0, coverage_max=10.0,
        colours=0.0,
    )  # fmt: skip
    result = train(config, tmp_path / "run")
    assert result.figures.psnr > result.figures.psnr_input + 0.7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    data, tmp_path, number, optimizer
):
    config = tiny(data, painted=0.3, recipe="robust", accumulate=2, optimizer=optimizer)
    whole = Interrupter(after=-1)
    train(config, tmp_path / "whole", observers=lambda start: [whole])
    halves = Interrupter(after=3, number=number)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "halves", observers=lambda start: [halves])
    assert load_state(tmp_path / "halves").iteration == 3
    train(config, tmp_path / "halves", resume=True, observers=lambda start: [halves])
    assert halves.losses == whole.losses
    assert_same(load_state(tmp_path / "halves"), load_state(tmp_path / "whole"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_workers_make_the_same_patches(data, tmp_path):
    for workers in (0, 2):
        train(tiny(data, workers=workers), tmp_path / str(workers))
    assert_same(load_state(tmp_path / "0"), load_state(tmp_path / "2"))


def test_a_killed_run_resumes_from_the_last_saved_state(data, tmp_path):
    """As after kill -9 in step 5: the state is of step 4, the records run on to step 5."""
    config = tiny(data)
    train(config, tmp_path / "whole")

    class KilledError(Exception):
        pass

    class Killer(Interrupter):
        def stepped(self, step):
            if step.iteration == 5:
                raise KilledError

    with pytest.raises(KilledError):
        train(config, tmp_path / "killed", observers=lambda start: [Killer(5)])
    assert load_state(tmp_path / "killed").iteration == 4
    train(config, tmp_path / "killed", resume=True)
    assert_same(load_state(tmp_path / "killed"), load_state(tmp_path / "whole"))
    lines = [json.loads(s) for s in (tmp_path / "killed/metrics.jsonl").read_text().splitlines()]
    assert [x["iteration"] for x in lines if "loss" in x] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("failing", ["MetricsFile", "TensorBoard", "Keeper"])
def test_observers_are_closed_when_a_run_does_not_begin(data, tmp_path, monkeypatch, failing):
    closed = []

    class Watcher(Interrupter):
        def close(self):
            closed.append(True)

    def fails(*_):
        raise InputError("cannot begin")

    monkeypatch.setattr(run, failing, fails)
    config = tiny(data, tensorboard=failing == "TensorBoard")
    with pytest.raises(InputError, match="cannot begin"):
        train(config, tmp_path / "run", observers=lambda start: [Watcher(-1)])
    assert closed == [True]


def test_accumulated_parts_are_the_whole_batch(data, tmp_path):
    values = {"optimizer": "adam", "ema": 0.0}
    train(tiny(data, **values), tmp_path / "one")
    train(tiny(data, accumulate=4, **values), tmp_path / "four")
    one, four = (load_state(tmp_path / name).network for name in ("one", "four"))
    for name in one:
        torch.testing.assert_close(one[name], four[name], atol=2e-5, rtol=1e-3)


def test_a_nan_stops_and_keeps_the_last_good_state(data, tmp_path, monkeypatch):
    config = tiny(data)
    real, calls = loop.stages_loss, []

    def poisoned(*arguments):
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) == 6 else 1)

    monkeypatch.setattr(loop, "stages_loss", poisoned)
    with pytest.raises(ConfigError, match="no longer finite at iteration 6"):
        train(config, tmp_path / "run")
    state = load_state(tmp_path / "run")
    assert state.iteration == 5
    assert all(torch.isfinite(t).all() for t in state.network.values())
    monkeypatch.undo()
    train(config, tmp_path / "whole")
    train(config, tmp_path / "run", resume=True)
    assert_same(load_state(tmp_path / "run"), load_state(tmp_path / "whole"))


def test_a_full_disk_does_not_destroy_the_previous_state(data, tmp_path, monkeypatch):
    config = tiny(data)
    real, refused = os.fsync, []

    def full(descriptor):
        """No room for the state at step 4."""
        for part in (tmp_path / "run").glob("*.part"):
            is_it = os.path.samestat(os.fstat(descriptor), part.stat())
            is_state = is_it and zipfile.is_zipfile(part)  # models are none
            if is_state and torch.load(part, weights_only=True)["iteration"] == 4:
                refused.append(part)
                raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileAccessError, match="no space left"):
        train(config, tmp_path / "run")
    assert len(refused) == 1
    assert load_state(tmp_path / "run").iteration == 2
    assert not [p for p in (tmp_path / "run").iterdir() if p.suffix == ".part"]


def test_resuming_takes_the_saved_configuration_and_longer_runs_go_on(data, tmp_path):
    config = tiny(data)
    train(config, tmp_path / "run")
    assert saved_config(tmp_path / "run")["batch"] == 4
    with pytest.raises(InputError, match="has made its 6 iterations"):
        train(config, tmp_path / "run", resume=True)
    assert train(replace(config, iterations=8), tmp_path / "run", resume=True).iterations == 8


@pytest.mark.parametrize(
    "change",
    [{"hinet_width": 6}, {"stage": "hinet-dr"}, {"optimizer": "adam"}, {"preset": "paper"},
     {"init": ("hinet-db",)}],
)  # fmt: skip
def test_what_a_run_that_goes_on_cannot_change_is_refused(data, tmp_path, change):
    config = tiny(data, iterations=1)
    train(config, tmp_path / "run")
    with pytest.raises(UsageError, match=f"keeps its {next(iter(change))}"):
        train(replace(config, iterations=2, **change), tmp_path / "run", resume=True)


def test_resuming_needs_no_model_to_start_from(data, tmp_path):
    parts = []
    for stage in ("car", "hinet-dr"):
        result = train(tiny(data, stage=stage, iterations=1), tmp_path / stage)
        parts.append(result.model.rename(tmp_path / f"{stage}.safetensors"))
    config = tiny(data, stage="arin", init=[str(part) for part in parts], car_width=None,
                  car_blocks=None, edsr_blocks=None, edsr_features=None)  # fmt: skip
    train(config, tmp_path / "whole")
    train(replace(config, iterations=4), tmp_path / "run")
    for part in parts:
        part.unlink()
    result = train(replace(config, iterations=6), tmp_path / "run", resume=True)
    assert load(result.model).network.config.hinet.hin_first == 0
    assert load_state(tmp_path / "run").iteration == 6


def test_the_best_is_found_anew_on_other_validation_pictures(data, tmp_path, caplog):
    config = tiny(data, validation_data=str(data), iterations=3)
    train(config, tmp_path / "run")
    state = load_state(tmp_path / "run")
    save_state(tmp_path / "run", replace(state, best=98.0))
    train(replace(config, iterations=6), tmp_path / "run", resume=True)
    assert load_state(tmp_path / "run").best == 98.0
    assert "best model is found anew" not in caplog.text
    config = replace(config, coverage_min=40.0, coverage_max=50.0, iterations=9)
    train(config, tmp_path / "run", resume=True)
    assert load_state(tmp_path / "run").best < 98
    assert "best model is found anew" in caplog.text


def test_weights_that_are_not_finite_leave_the_last_good_state(data, tmp_path, monkeypatch):
    config, real = tiny(data), loop.Trainer.step

    def overflowing(trainer, parts):
        done = real(trainer, parts)
        if trainer.iteration == 4:
            next(trainer.network.parameters()).data.fill_(float("inf"))
        return done

    monkeypatch.setattr(loop.Trainer, "step", overflowing)
    with pytest.raises(ConfigError, match="weights are no longer finite at iteration 4"):
        train(config, tmp_path / "run")
    assert load_state(tmp_path / "run").iteration == 2
    monkeypatch.undo()
    assert train(config, tmp_path / "run", resume=True).iterations == 6


def test_a_measured_precision_is_measured_once(data, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_bfloat16_pays_on_cpu", lambda: True)
    config = tiny(data, precision="auto", iterations=1)
    train(config, tmp_path / "run")
    assert saved_config(tmp_path / "run")["precision"] == "bf16"
    monkeypatch.setattr(devices, "_bfloat16_pays_on_cpu", lambda: False)
    train(replace(config, iterations=2), tmp_path / "run", resume=True)
    assert saved_config(tmp_path / "run")["precision"] == "bf16"


def test_folders_of_other_runs_are_not_overwritten_and_absent_ones_not_resumed(data, tmp_path):
    config = tiny(data, iterations=1)
    with pytest.raises(ModelError, match="no state to resume from"):
        train(config, tmp_path / "run", resume=True)
    train(config, tmp_path / "run")
    with pytest.raises(UsageError, match="holds the state of another run"):
        train(config, tmp_path / "run")
    (tmp_path / "run" / "state.pt").write_bytes(b"PK not a state")
    with pytest.raises(ModelError, match="the saved state is broken"):
        train(config, tmp_path / "run", resume=True)


def test_bad_data_is_one_line(data, tmp_path):
    with pytest.raises(UsageError, match="--data"):
        train(tiny(""), tmp_path / "run")
    with pytest.raises(InputError, match="smaller than a patch of 64"):
        train(tiny(data, patch=64), tmp_path / "run")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hinet_depth": 5, "patch": 24}, "of 32 pixels, or of a larger multiple of 16, not of 24"),
        ({"hinet_depth": 5, "patch": 16}, "of 32 pixels"),
        ({"stage": "car", "patch": 20}, "of 16 pixels, or of a larger multiple of 8"),
        ({"stage": "arin-guided", "patch": 20}, "multiple of 8"),
    ],
)
def test_a_patch_that_does_not_fit_the_network_is_refused(data, tmp_path, values, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny(data, **values), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("values", [{"hinet_depth": 4}, {"stage": "car"}, {"stage": "arin-guided"}])
def test_the_smallest_patches_train(data, tmp_path, values):
    train(tiny(data, iterations=1, **values), tmp_path / "run")


def test_validation_on_a_folder_of_its_own(data, tmp_path, caplog):
    own = tmp_path / "own"
    for i in range(3):
        save(own / f"other-{i}.png", 50 + i, 33, 47)
    config = tiny(data, validation_data=str(own), validation_images=2, iterations=1)
    result = train(config, tmp_path / "run")
    assert result.figures.pictures == 2
    described = load(result.model).card["training"]["data"]
    assert described["pictures"] == 4
    assert described["validation"] == ["other-0", "other-1", "other-2"]
    assert "trained on, too" not in caplog.text
    train(replace(config, validation_data=str(data)), tmp_path / "flattering")
    assert "4 validation pictures are trained on, too" in caplog.text


def test_pictures_too_small_for_ssim_leave_valid_json(data, tmp_path):
    save(tmp_path / "small" / "a.png", 1, 9, 10)
    config = tiny(data, validation_data=str(tmp_path / "small"))
    assert train(config, tmp_path / "run").figures.ssim is None

    def refuse(constant):
        raise AssertionError(constant)

    for line in (tmp_path / "run" / METRICS).read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_tensorboard_gets_scalars_and_pictures(data, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tiny(data, tensorboard=True, iterations=3), tmp_path / "run")
    found = events.EventAccumulator(str(tmp_path / "run/tensorboard"))
    found.Reload()
    assert [e.step for e in found.Scalars("training/loss")] == [1, 2, 3]
    assert found.Scalars("validation/psnr")[0].step == 3
    assert found.Tags()["images"]


def torchrun(processes, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               f"--nproc-per-node={processes}", "-m", "dunrestore", "train",
               *arguments]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_two_processes_equal_one_with_the_same_batch(data, tmp_path):
    values = {"painted": 0.2, "accumulate": 2, "optimizer": "adam", "iterations": 4}
    config = tiny(data, **values)
    train(config, tmp_path / "one")
    file = tmp_path / "run.toml"
    file.write_text(to_toml(config), encoding="utf-8")
    done = torchrun(2, "-c", str(file), "-o", str(tmp_path / "two"))
    assert done.returncode == 0, done.stderr
    one, two = load_state(tmp_path / "one"), load_state(tmp_path / "two")
    for name in one.network:
        torch.testing.assert_close(one.network[name], two.network[name], atol=2e-5, rtol=1e-3)
    losses = [
        [json.loads(s).get("loss", 0.0) for s in (tmp_path / n / METRICS).read_text().splitlines()]
        for n in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert load(tmp_path / "two" / "hinet-db.safetensors").card["training"]["processes"] == 2


def test_the_store_is_shared_by_training_and_validation(data, tmp_path, monkeypatch):
    stores = []
    real = PictureStore.__init__

    def counted(self, capacity):
        stores.append(capacity)
        real(self, capacity)

    monkeypatch.setattr(PictureStore, "__init__", counted)
    train(tiny(data, iterations=1, cache_mb=3), tmp_path / "run")
    assert stores == [3 * 2**20]

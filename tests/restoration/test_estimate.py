"""Estimates of a run: from what is stored, else from a measurement that is then kept."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from dunrestore.models import measurements
from dunrestore.models.measurements import Speed
from dunrestore.restoration import estimate as module
from dunrestore.restoration.estimate import estimate, plan_files
from dunrestore.restoration.jobs import Job
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.speed import hardware, stored_speed
from tests.restoration.batches import toy_model

CPU = RestoreOptions(device="cpu", precision="fp32")


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "processor_share", lambda: 1.0)
    source = tmp_path / "a.png"
    Image.new("RGB", (960, 480)).save(source)
    return plan_files([Job(source, tmp_path / "b.png")], "abort")


def keep(model, rate):
    name = hardware(torch.device("cpu"))
    threads = torch.get_num_threads()
    speed = Speed("toy", model.sha256, "cpu", name, "float32", 192, rate, "2026-11-01T00:00:00")
    measurements.store_speeds(threads, [speed])


def test_the_stored_speed_counts_for_all_tiles(planned, monkeypatch):
    model = toy_model()
    keep(model, 0.5)
    monkeypatch.setattr(module, "measure", None)
    whole = estimate(planned, model, RestoreOptions(device="cpu", precision="fp32", tile=0))
    assert whole.stored
    assert whole.measured == "2026-11-01T00:00:00"
    assert whole.seconds == pytest.approx(960 * 480 / 1e6 / 0.5)
    tiled = RestoreOptions(device="cpu", precision="fp32", tile=240, overlap=96)
    assert estimate(planned, model, tiled).seconds > 1.5 * whole.seconds
    assert whole.megapixels == pytest.approx(0.4608)


def test_a_speed_of_another_model_or_precision_does_not_count(planned):
    keep(toy_model(sha256="1" * 64), 0.5)
    first = estimate(planned, toy_model(), CPU)
    assert not first.stored
    assert first.seconds > 0
    again = estimate(planned, toy_model(), CPU)
    assert again.stored
    assert again.measured == first.measured


def test_a_busy_processor_takes_longer(planned, monkeypatch):
    model = toy_model()
    keep(model, 0.5)
    idle = estimate(planned, model, CPU)
    monkeypatch.setattr(module, "processor_share", lambda: 0.25)
    assert estimate(planned, model, CPU).seconds == pytest.approx(4 * idle.seconds)


def test_the_speed_of_the_largest_tile_counts(planned):
    model = toy_model()
    keep(model, 0.5)
    stored = measurements.read_speeds(torch.get_num_threads())
    for side, rate in ((384, 0.8), (96, 0.1)):
        speed = replace(stored[0], tile=side, megapixels_a_second=rate)
        measurements.store_speeds(torch.get_num_threads(), [speed])
    found = stored_speed(model, torch.device("cpu"), torch.float32)
    assert found is not None
    assert (found.tile, found.megapixels_a_second) == (384, 0.8)

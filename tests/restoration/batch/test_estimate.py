"""Estimates of a run: from what is stored, else from a measurement that is then kept."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from dunrestore.checkpoints.load import load
from dunrestore.imaging import files
from dunrestore.imaging.picture import Document, Encoding, Picture
from dunrestore.models import measurements
from dunrestore.models.measurements import Speed
from dunrestore.restoration import source
from dunrestore.restoration.batch import estimate as module
from dunrestore.restoration.batch.estimate import estimate, plan_files
from dunrestore.restoration.large import streams, work_bytes
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job, open_file
from dunrestore.restoration.speed import hardware, stored_speed
from dunrestore.storage.hashing import Hashed
from tests.restoration.batches import toy_model

ENCODINGS = {1: Encoding("grey"), 3: Encoding("rgb"), 4: Encoding("rgb", extra=1)}
CPU = RestoreOptions(device="cpu", precision="fp32")


@pytest.fixture
def planned(tmp_path, monkeypatch):
    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "processor_share", lambda: 1.0)
    path = tmp_path / "a.png"
    Image.new("RGB", (960, 480)).save(path)
    return plan_files([Job(path, tmp_path / "b.png")], "abort", CPU, FileOptions())


def plan(path, options=CPU, ending=None, **file_options):
    target = path.with_name(f"restored-{path.name}")
    job = Job(path, target if ending is None else target.with_suffix(ending))
    (planned,) = plan_files([job], "abort", options, FileOptions(**file_options))
    return planned


def keep(model, rate):
    name = hardware(torch.device("cpu"))
    threads = torch.get_num_threads()
    speed = Speed("toy", model.sha256, "cpu", name, "float32", 192, rate, "2026-11-01T00:00:00")
    measurements.store_speeds(threads, [speed])


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_disk_space_is_counted_by_the_bytes_of_a_pixel(tmp_path, monkeypatch, dtype, channels):
    monkeypatch.setattr(source, "IN_MEMORY", 20 * 30 - 1)
    page = Picture(np.zeros((20, 30, channels), dtype), ENCODINGS[channels])
    files.write(Document((page,), "tiff"), tmp_path / "a.tif")
    planned = plan(tmp_path / "a.tif")
    needed = work_bytes(20 * 30, 20 * 30 * channels * np.dtype(dtype).itemsize)
    assert planned.work_bytes == needed


@pytest.fixture
def pages(tmp_path):
    """Three pages, 1400 pixels."""
    path = tmp_path / "pages.tif"
    made = (np.zeros((20, width, 3), np.uint8) for width in (20, 30, 20))
    document = tuple(Picture(samples, ENCODINGS[3]) for samples in made)
    files.write(Document(document, "tiff"), path)
    return path


@pytest.mark.parametrize("options", [CPU, replace(CPU, tile=0)])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("in_memory", [1399, 1400])
def test_all_pages_count_that_are_restored(pages, monkeypatch, in_memory, first, options):
    monkeypatch.setattr(source, "IN_MEMORY", in_memory)
    planned = plan(pages, options, first_page=first)
    assert planned.sizes == ((20, 20), (20, 30), (20, 20))[: 1 if first else 3]
    assert planned.megapixels == pytest.approx(400e-6 if first else 1400e-6)
    # What is read band by band is decided by the pages together.
    opened = open_file(
        planned.job, Hashed.of(planned.job.source), None, FileOptions(first_page=first)
    )
    assert (planned.work_bytes is not None) == streams(opened.document, options)
    if planned.work_bytes is not None:
        pixels = 400 if first else 1400
        assert planned.work_bytes == work_bytes(pixels, 3 * pixels)


@pytest.mark.parametrize("in_memory", [1399, 1400])
def test_pages_that_the_output_cannot_hold_do_not_count(pages, monkeypatch, in_memory):
    monkeypatch.setattr(source, "IN_MEMORY", in_memory)
    planned = plan(pages, ending=".png")
    assert planned.sizes == ((20, 20),)
    opened = open_file(planned.job, Hashed.of(planned.job.source), None, FileOptions())
    assert len(opened.document.pages) == 1
    assert (planned.work_bytes is not None) == streams(opened.document, CPU)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_what_has_a_palette_is_not_restored_band_by_band(tmp_path, monkeypatch, name):
    monkeypatch.setattr(source, "IN_MEMORY", 599)
    Image.new("P", (20, 30)).save(tmp_path / name)
    planned = plan(tmp_path / name)
    opened = open_file(planned.job, Hashed.of(planned.job.source), None, FileOptions())
    assert not streams(opened.document, CPU)
    assert planned.work_bytes is None


def test_the_time_of_all_pages_is_estimated(pages, planned):
    model = toy_model()
    keep(model, 0.5)
    every = estimate([plan(pages)], model, CPU)
    first = estimate([plan(pages, first_page=True)], model, CPU)
    assert every.seconds == pytest.approx(3 * first.seconds)
    assert every.megapixels == pytest.approx(1400e-6)


def test_reduced_copies_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "IN_MEMORY", 20 * 30)
    page = np.zeros((20, 30), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(page)
        tif.write(page[::2, ::2], subfiletype=1)
    planned = plan(tmp_path / "a.tif")
    assert (planned.sizes, planned.work_bytes) == (((20, 30),), None)
    (read,) = source.read_in_part(tmp_path / "a.tif", 1, tmp_path).pages
    assert not read.stays_on_disk


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


@pytest.mark.parametrize("preserve", ["auto", "always", "never"])
@pytest.mark.parametrize("name", ["arin-guided", "hinet-db"])
def test_less_is_computed_of_sound_scans_by_a_model_that_finds_losses(planned, name, preserve):
    model = load(name)
    keep(model, 0.5)
    asked = replace(CPU, preserve=preserve)
    less = name == "arin-guided" and preserve != "never"
    assert estimate(planned, model, asked).at_most == less

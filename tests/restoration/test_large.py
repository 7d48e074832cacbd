"""Pictures that stay on the disk: the same bytes, resumed after a kill, room checked first."""

import errno
import gc
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import psutil
import pytest
import simplejpeg
import tifffile
import torch
from PIL import Image

from dunrestore.checkpoints.load import Model
from dunrestore.cli.app import run
from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.noise import through_jpeg
from dunrestore.errors import ExitCode, FileAccessError
from dunrestore.imaging import files, rows
from dunrestore.imaging.formats import tiff_rows
from dunrestore.imaging.formats.jp2_rows import Jp2Rows
from dunrestore.models.arin import ARIN, ARINConfig
from dunrestore.models.car import CARConfig
from dunrestore.models.edsr import EDSRConfig
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.provenance import record
from dunrestore.restoration import change, gathered, source, work_folder
from dunrestore.restoration import large as large_module
from dunrestore.restoration.damage import masks
from dunrestore.restoration.observer import LOOKING
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job
from tests.restoration.batches import EPOCH, remove, restore_file, toy_model, use_toy
from tests.restoration.networks import Toy, fill_white

ROOT = Path(__file__).parents[2]
HINET = HINetConfig(width=2, depth=3, hin_first=1, hin_last=2)


@pytest.fixture(autouse=True)
def small_bands(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    monkeypatch.setattr(rows, "AT_ONCE", 6000)
    monkeypatch.setattr(rows, "FEWEST", 16)


def on_disk(monkeypatch, large):
    monkeypatch.setattr(source, "IN_MEMORY", 0 if large else 10**9)


def make_tiff(path, dtype=np.uint8, channels=3, seed=0, size=(150, 210), **form):
    """A TIFF of dark noise with two white losses."""
    top = np.iinfo(dtype).max
    samples = np.random.default_rng(seed).integers(0, top * 3 // 4, (*size, channels), dtype)
    samples[30:52, 60:101] = top
    samples[100:, 180:] = top
    array = samples[..., 0] if channels == 1 else samples
    if form.get("planarconfig") == "separate":
        array = np.moveaxis(array, -1, 0)
    extra = ["unassalpha"] if channels in (2, 4) else None
    kind = "minisblack" if channels < 3 else "rgb"
    resolution = {"resolution": (300, 300), "resolutionunit": "INCH"}
    tifffile.imwrite(path, array, photometric=kind, extrasamples=extra, **resolution, **form)
    return path


def restored(folder, source_path, model=None, options=(), **file_options):
    """The output's bytes and its record without what differs from run to run."""
    target = folder / ("out" + file_options.pop("suffix", source_path.suffix))
    asked = RestoreOptions(**{"tile": 96, "device": "cpu", "precision": "fp32", **dict(options)})
    restore_file(Job(source_path, target), model or toy_model(), asked, FileOptions(**file_options))
    values = record.read(record.path_of(target))
    values["execution"].pop("seconds")
    assert not list(folder.glob(".dunrestore-*"))
    return target.read_bytes(), values


def both(monkeypatch, tmp_path, *arguments, **options):
    """The same restored in memory and from the disk."""
    results = []
    for large in (False, True):
        on_disk(monkeypatch, large)
        folder = tmp_path / "out"
        folder.mkdir()
        results.append(restored(folder, *arguments, **dict(options)))
        shutil.rmtree(folder)
    return results


FORMS = {
    "strips": {"rowsperstrip": 7},
    "one raw strip": {},
    "one packed strip": {"compression": "zlib", "rowsperstrip": 150},
    "tiles": {"tile": (64, 48), "compression": "zlib", "predictor": True},
    "zstd": {"rowsperstrip": 16, "compression": "zstd", "byteorder": ">"},
    "big": {"tile": (32, 32), "bigtiff": True, "compression": "lzw"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_bytes_and_the_record_are_the_same(monkeypatch, tmp_path, form, dtype, channels):
    path = make_tiff(tmp_path / "in.tif", dtype, channels, **FORMS[form])
    small, large = both(monkeypatch, tmp_path, path)
    assert large == small
    assert small[1]["changed_percent"] > 5


def fill_red(x):
    red = torch.tensor([0.8, 0.3, 0.1]).reshape(1, 3, 1, 1)
    return torch.where((x == 1).all(dim=1, keepdim=True), red, x)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_black_and_white_that_is_stored_as_colours_stays_so(monkeypatch, tmp_path, dtype):
    path = make_tiff(tmp_path / "in.tif", dtype, 1, compression="zlib", rowsperstrip=7)
    tifffile.imwrite(path, np.repeat(tifffile.imread(path)[..., None], 3, 2), photometric="rgb")
    small, large = both(monkeypatch, tmp_path, path, toy_model(fill_red))
    assert large == small
    (tmp_path / "out.tif").write_bytes(large[0])
    filled = tifffile.imread(tmp_path / "out.tif")
    assert (filled == filled[..., :1]).all()
    assert (filled[35, 70] < np.iinfo(dtype).max).all()


class WhiteIsLost(torch.nn.Module):
    def forward(self, x):
        return (x.amin(dim=1, keepdim=True) - 0.93) * 200


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("preserve", ["auto", "never"])
def test_what_jpeg_spoilt_around_losses(monkeypatch, tmp_path, orientation, preserve):
    mural = paint_mural(150, 210, np.random.default_rng(0)).astype(np.float32)
    mural[30:52, 60:101] = mural[100:, 180:] = 1
    samples = np.rint(through_jpeg(mural, 40) * 255).astype(np.uint8)
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="rgb", extratags=tags)
    guided = network("guided").eval()
    guided.finder = WhiteIsLost()
    model = Model("random", "guided", guided, {}, "0" * 64, Path("random"))
    options = {"preserve": preserve, "tile": 144}
    small, large = both(monkeypatch, tmp_path, tmp_path / "in.tif", model, options)
    assert large == small
    lost = (samples.min(axis=2) > 237).mean()
    assert small[1]["changed_percent"] > 110 * lost  # what is around it, too


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["toy", "guided"])
def test_margins_stay_as_they_are(monkeypatch, tmp_path, kind, orientation):
    samples = np.random.default_rng(0).integers(0, 190, (150, 210, 3), np.uint8)
    samples[:13] = samples[:, :30] = samples[-9:] = 255
    lost = np.zeros((150, 210), bool)
    lost[60:80, 90:130] = lost[40:70, 180:] = True  # the second touches a side without a margin
    samples[lost] = 255
    tags = [(274, 3, 1, orientation, True)]
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, samples, photometric="rgb", rowsperstrip=7, extratags=tags)
    model = None
    if kind == "guided":
        guided = network("guided").eval()
        guided.finder = WhiteIsLost()
        model = Model("random", "guided", guided, {}, "0" * 64, Path("random"))
    small, large = both(monkeypatch, tmp_path, path, model, {"tile": 144})
    assert large == small
    sides = {1: "top, bottom and left", 6: "top, left and right"}[orientation]
    assert small[1]["warnings"] == [
        f"the margin along the {sides} stays as it is; a mask (--mask) would fill it"
    ]
    (tmp_path / "out.tif").write_bytes(small[0])
    changed = (tifffile.imread(tmp_path / "out.tif") != samples).any(axis=2)
    assert not changed[:, :30].any()
    assert not changed[:13].any()
    assert not changed[-9:].any()
    assert changed[lost].mean() > 0.95


@pytest.mark.parametrize("preserve", ["auto", "never"])
@pytest.mark.parametrize("suffix", ["strips.tif", "turned.tif", "rgba.png", "trns.png"])
@pytest.mark.parametrize("kind", ["toy", "guided"])
def test_what_nobody_sees_is_never_changed(monkeypatch, tmp_path, kind, suffix, preserve):
    path = tmp_path / suffix
    samples = np.random.default_rng(0).integers(0, 190, (150, 210, 4), np.uint8)
    samples[..., 3] = 255
    samples[30:52, 60:101] = 255
    samples[20:120, 80:, 3] = 0
    if path.suffix == ".tif":
        tags = [(274, 3, 1, 6 if suffix == "turned.tif" else 1, True)]
        form = {"photometric": "rgb", "extrasamples": ["unassalpha"], "rowsperstrip": 7}
        tifffile.imwrite(path, samples, extratags=tags, **form)
    elif suffix == "rgba.png":
        Image.fromarray(samples).save(path)
    else:
        samples[samples[..., 3] == 0] = (255, 255, 255, 0)
        samples[30:52, 60:80, 2] = 254
        Image.fromarray(samples[..., :3]).save(path, transparency=(255, 255, 255))
    model = None if kind == "guided" else toy_model(lambda x: torch.where(x > 0.99, 0.4, x))
    if kind == "guided":
        guided = network("guided").eval()
        guided.finder = WhiteIsLost()
        model = Model("random", "guided", guided, {}, "0" * 64, Path("random"))
    options = {"tile": 144, "preserve": preserve}
    small, large = both(monkeypatch, tmp_path, path, model, options)
    assert large == small
    target = tmp_path / f"out{path.suffix}"
    target.write_bytes(small[0])
    old, new = (files.read(one).pages[0].samples for one in (path, target))
    changed = (old != new).any(axis=2)
    assert not changed[20:120, 80:].any()
    assert changed[30:52, 60:80].mean() > 0.9


def test_margins_of_a_scan_that_is_cleaned_stay_as_they_are(monkeypatch, tmp_path):
    noise = np.random.default_rng(2).normal(0, 16, (150, 210, 3))
    samples = (120 + noise).astype(np.uint8)
    samples[:, 190:] = 255
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="rgb")
    model = toy_model(lambda x: torch.full_like(x, 120 / 255))
    small, large = both(monkeypatch, tmp_path, tmp_path / "in.tif", model)
    assert large == small
    assert small[1]["pages"][0]["cleaned"]
    (tmp_path / "out.tif").write_bytes(small[0])
    changed = (tifffile.imread(tmp_path / "out.tif") != samples).any(axis=2)
    assert not changed[:, 190:].any()
    assert changed[:, :180].mean() > 0.9


def test_all_is_changed_where_nothing_is_to_be_preserved(monkeypatch, tmp_path):
    samples = np.random.default_rng(0).integers(0, 190, (90, 110, 3), np.uint8)
    samples[:13] = 255
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="rgb")
    options = {"preserve": "never"}
    small, large = both(monkeypatch, tmp_path, tmp_path / "in.tif", None, options)
    assert large == small
    (tmp_path / "out.tif").write_bytes(small[0])
    assert (tifffile.imread(tmp_path / "out.tif")[:13] == 102).all()


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 7, 8])
def test_turned_pictures(monkeypatch, tmp_path, orientation):
    path = make_tiff(tmp_path / "in.tif", extratags=[(274, 3, 1, orientation, True)])
    small, large = both(monkeypatch, tmp_path, path, options={"preserve": "never"})
    assert large == small


def test_separate_planes_and_parts_too_large_to_be_read_alone(monkeypatch, tmp_path):
    form = {"planarconfig": "separate", "compression": "zlib", "rowsperstrip": 150}
    path = make_tiff(tmp_path / "in.tif", **form)
    monkeypatch.setattr(tiff_rows, "COARSE", 10_000)
    small, large = both(monkeypatch, tmp_path, path)
    assert large == small


def network(kind):
    torch.manual_seed(3)
    if kind == "hinet":
        return HINet(HINET)
    if kind == "arin":
        edsr = EDSRConfig(blocks=1, features=4, scale=2)
        car = CARConfig(kernel=3, scale=2, width=4, residual_blocks=1, edsr=edsr)
        return ARIN(ARINConfig(car=car, hinet=HINET))
    inner = HINetConfig(width=2, depth=3, hin_first=1, hin_last=2, in_channels=7)
    levels = 5 if kind == "guided, farther sighted" else 2
    return Guided(GuidedConfig(finder_width=2, finder_depth=levels, pyramid_levels=3, hinet=inner))


def make_mask(path, size=(150, 210), orientation=1):
    """A mask of that size as it is looked at, with a hole at the edge and one inside."""
    mask = np.zeros(size, np.uint8)
    mask[20:60, 50:110] = 255
    mask[110:, 170:] = 200
    if path.suffix == ".png":
        Image.fromarray(mask).save(path)
    else:
        turns = {1: mask, 6: np.rot90(mask)}
        tags = [(274, 3, 1, orientation, True)]
        tifffile.imwrite(path, turns[orientation], tile=(32, 48), extratags=tags)
    return path


@pytest.mark.parametrize(("name", "orientation"), [("m.tif", 1), ("m.tif", 6), ("m.png", 1)])
def test_masks_stay_on_the_disk_too(monkeypatch, tmp_path, name, orientation):
    path = make_tiff(tmp_path / "in.tif", tile=(64, 48))
    mask = make_mask(tmp_path / name, orientation=orientation)
    model = Model("guided", "guided", network("guided").eval(), {}, "0" * 64, Path("guided"))
    results, read = [], []

    def read_masks(*arguments):
        found = masks.read_masks(*arguments)
        read.extend(type(lost).__name__ for lost in found)
        return found

    monkeypatch.setattr(source, "read_masks", read_masks)
    for large in (False, True):
        on_disk(monkeypatch, large)
        target = tmp_path / f"{large}.tif"
        asked = RestoreOptions(tile=96, device="cpu", precision="fp32")
        restore_file(Job(path, target, mask=mask), model, asked, FileOptions(sidecar=False))
        results.append(target.read_bytes())
    assert results[0] == results[1]
    assert read == ["ndarray", "StoredRows" if orientation == 1 else "TurnedRows"]
    changed = tifffile.imread(tmp_path / "True.tif") != tifffile.imread(path)
    assert changed[30:50, 60:100].any()
    assert not changed[70:100].any()
    gc.collect()
    assert not list(tmp_path.glob(".dunrestore-*"))


@pytest.mark.parametrize("preserve", ["auto", "always", "never"])
@pytest.mark.parametrize("kind", ["hinet", "arin", "guided", "guided, farther sighted"])
def test_all_networks_give_the_same_bytes(monkeypatch, tmp_path, kind, preserve):
    path = make_tiff(tmp_path / "in.tif")
    model = Model(
        "random", kind.partition(",")[0], network(kind).eval(), {}, "0" * 64, Path("random")
    )
    options = {"preserve": preserve, "tile": 144, "batch_size": 2}
    small, large = both(monkeypatch, tmp_path, path, model, options)
    assert large == small


def test_a_noisy_scan_is_cleaned_as_a_whole(monkeypatch, tmp_path):
    noise = np.random.default_rng(2).normal(0, 16, (150, 210, 3))
    tifffile.imwrite(tmp_path / "in.tif", (120 + noise).astype(np.uint8))
    model = toy_model(lambda x: torch.full_like(x, 120 / 255))
    small, large = both(monkeypatch, tmp_path, tmp_path / "in.tif", model)
    assert large == small
    assert small[1]["pages"][0]["cleaned"]


@pytest.mark.parametrize(("rows_lost", "preserve"), [(24, "auto"), (22, "auto"), (24, "never")])
def test_losses_that_are_hardly_likely_are_warned_of(monkeypatch, tmp_path, rows_lost, preserve):
    path = tmp_path / "in.tif"
    with tifffile.TiffWriter(path) as writer:
        for rows_of_page in (0, rows_lost):
            page = np.random.default_rng(0).integers(0, 190, (150, 210, 3), np.uint8)
            page[40 : 40 + rows_of_page, :205] = 255
            writer.write(page, photometric="rgb")
    small, large = both(monkeypatch, tmp_path, path, options={"preserve": preserve})
    assert large == small
    expected = (
        "page 2: 16 % of the picture was taken for losses; look at the change map (--change-map),"
        " or mark them with --mask"
    )
    wanted = rows_lost == 24 and preserve == "auto"
    assert [w for w in small[1]["warnings"] if "taken" in w] == ([expected] if wanted else [])


def test_several_pages_and_only_the_first(monkeypatch, tmp_path):
    path = tmp_path / "in.tif"
    with tifffile.TiffWriter(path) as writer:
        for seed in range(2):
            page = np.random.default_rng(seed).integers(0, 190, (60, 90, 3), np.uint8)
            page[20:40, 30:50] = 255
            writer.write(page, photometric="rgb", rowsperstrip=9)
    for first_page in (False, True):
        small, large = both(monkeypatch, tmp_path, path, first_page=first_page)
        assert large == small


def make_other(folder, suffix):
    """The picture of ``make_tiff`` in another format."""
    path = folder / f"in{suffix}"
    files.write(files.read(make_tiff(folder / "in.tif")), path, format=files.format_of(path))
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jp2", ".webp"])
def test_other_formats_in_and_out(monkeypatch, tmp_path, suffix):
    tiff = make_tiff(tmp_path / "in.tif")
    other = make_other(tmp_path, suffix)
    small, large = both(monkeypatch, tmp_path, tiff, suffix=suffix)
    assert large == small
    small, large = both(monkeypatch, tmp_path, other, suffix=".tif")
    assert large == small
    assert small[1]["input"]["format"] == files.format_of(other)


def make_tiled(path, orientation=1):
    """A JPEG 2000 of tiles that begin beside the picture, with two white losses."""
    samples = tifffile.imread(make_tiff(path.with_suffix(".tif")))
    form = {"tile_size": (64, 48), "offset": (9, 30), "tile_offset": (5, 7), "num_resolutions": 3}
    Image.fromarray(samples).save(path, "JPEG2000", **form)
    if orientation > 1:
        block = Image.Exif()
        block[274] = orientation
        body = b"JpgTiffExif->JP2" + block.tobytes()[6:]
        with path.open("ab") as file:
            file.write((len(body) + 8).to_bytes(4, "big") + b"uuid" + body)
    return path


@pytest.mark.parametrize("orientation", [1, 6])
def test_tiles_of_jpeg_2000(monkeypatch, tmp_path, orientation):
    path = make_tiled(tmp_path / "in.jp2", orientation)
    small, large = both(monkeypatch, tmp_path, path, suffix=".tif")
    assert large == small
    assert small[1]["changed_percent"] > 5
    assert small[1]["pages"][0]["width"] == (210 if orientation == 1 else 150)


def test_each_tile_of_jpeg_2000_is_decoded_once(monkeypatch, tmp_path):
    path = make_tiled(tmp_path / "in.jp2")
    on_disk(monkeypatch, True)
    decoded = []
    plain = Jp2Rows._read  # in the calling thread; what is read is decoded
    monkeypatch.setattr(
        Jp2Rows, "_read", lambda self, *which: decoded.append(which[1]) or plain(self, *which)
    )
    restored(tmp_path, path, suffix=".tif")
    assert decoded == list(range(4 * 4))


def test_an_interrupted_jpeg_2000_goes_on(monkeypatch, tmp_path):
    path = make_tiled(tmp_path / "in.jp2")
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path)
    remove(tmp_path / "out.jp2")
    on_disk(monkeypatch, True)
    model = toy_model()

    def progress(advance):
        if advance.done >= 8:
            raise Stop

    asked = RestoreOptions(tile=96, device="cpu", precision="fp32")
    with pytest.raises(Stop):
        restore_file(Job(path, tmp_path / "out.jp2"), model, asked, FileOptions(), progress)
    model = toy_model()
    assert restored(tmp_path, path, model) == wanted
    assert len(model.network.shapes) == 4


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jp2", ".webp"])
def test_no_room_to_decode_is_one_line(monkeypatch, tmp_path, capsys, suffix):
    use_toy(monkeypatch)
    path = make_other(tmp_path, suffix)
    on_disk(monkeypatch, True)

    def full(descriptor, _offset, size):
        os.ftruncate(descriptor, size // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    target = tmp_path / "out" / "out.tif"
    code = run(["restore", str(path), "-o", str(target), "-d", "cpu"])
    assert code == ExitCode.FILE_ACCESS
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{target.parent}: no space left" in line
    assert "free some space" in line
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jp2", ".webp"])
def test_a_damaged_picture_leaves_no_room_behind(monkeypatch, tmp_path, capsys, suffix):
    use_toy(monkeypatch)
    path = make_other(tmp_path, suffix)
    on_disk(monkeypatch, True)
    made = []
    plain = rows.StoredRows
    monkeypatch.setattr(rows, "StoredRows", lambda *form: made.append(1) or plain(*form))

    def damaged(*_args, **_options):
        raise ValueError("nothing but noise")

    for name in ("png_decode", "jpeg2k_decode", "webp_decode"):
        monkeypatch.setattr(imagecodecs, name, damaged)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", damaged)
    target = tmp_path / "out" / "out.tif"
    assert run(["restore", str(path), "-o", str(target), "-d", "cpu"]) == ExitCode.INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing but noise" in line
    assert made
    assert not list(target.parent.iterdir())


def test_palettes_and_whole_pictures_stay_in_memory(monkeypatch, tmp_path):
    path = make_tiff(tmp_path / "in.tif")
    small, large = both(monkeypatch, tmp_path, path, options={"tile": 0})
    assert large == small


def test_the_change_map_is_a_tiff(monkeypatch, tmp_path):
    path = make_tiff(tmp_path / "in.tif")
    on_disk(monkeypatch, True)
    job = Job(path, tmp_path / "out" / "out.tif")
    options = RestoreOptions(tile=96, device="cpu", precision="fp32")
    restore_file(job, toy_model(), options, FileOptions(change_map=True))
    shown = tifffile.imread(tmp_path / "out" / "out.tif.changes.tif")
    old, new = (tifffile.imread(p).astype(int) for p in (path, job.target))
    np.testing.assert_array_equal(shown, np.abs(new - old).max(axis=2))


class Stop(Exception):  # noqa: N818 - nothing went wrong
    pass


def interrupted(monkeypatch, tmp_path, path, tiles, **options):
    """Run until so many tiles are done."""

    def progress(advance):
        if advance.done >= tiles:
            raise Stop

    on_disk(monkeypatch, True)
    asked = RestoreOptions(**{"tile": 96, "device": "cpu", "precision": "fp32", **options})
    model = toy_model()
    with pytest.raises(Stop):
        restore_file(Job(path, tmp_path / "out.tif"), model, asked, FileOptions(), progress)
    return len(model.network.shapes)


@pytest.mark.parametrize("tiles", range(1, 13))
def test_an_interrupted_picture_goes_on_at_the_last_finished_row(monkeypatch, tmp_path, tiles):
    path = make_tiff(tmp_path / "in.tif")
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path)
    remove(tmp_path / "out.tif")
    across, down = 4, 3
    assert interrupted(monkeypatch, tmp_path, path, tiles) == tiles
    folder = work_folder.path_of(tmp_path / "out.tif")
    assert folder.is_dir()
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"event": "row", "pa')  # as a kill may leave it
    model = toy_model()
    assert restored(tmp_path, path, model) == wanted
    assert len(model.network.shapes) == across * (down - tiles // across)


def guided_model():
    guided = network("guided").eval()
    guided.finder = WhiteIsLost()
    return Model("random", "guided", guided, {}, "0" * 64, Path("random"))


@pytest.fixture
def looks_at_the_same_tiles(monkeypatch):
    """As those that are restored, else the whole picture is one of those that are looked at."""
    for module in (gathered, change):
        monkeypatch.setattr(module, "look_plan", lambda _, plan: plan)


def stopped_when(when, monkeypatch, tmp_path, path, model, options):
    """Run until ``when`` says so of the tiles that are done and the times that was told."""
    told = itertools.count()

    def progress(advance):
        if when(advance.done, next(told)):
            raise Stop

    on_disk(monkeypatch, True)
    asked, job = RestoreOptions(**options), Job(path, tmp_path / "out.tif")
    with pytest.raises(Stop):
        restore_file(job, model, asked, FileOptions(), progress)


@pytest.mark.usefixtures("looks_at_the_same_tiles")
@pytest.mark.parametrize("calls", [1, 3, 4, 9, 12, 13, 20])
def test_a_model_that_looks_first_is_interrupted(monkeypatch, tmp_path, calls):
    path, model = make_tiff(tmp_path / "in.tif"), guided_model()
    options = {"tile": 96, "device": "cpu", "precision": "fp32"}
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path, model, options)
    remove(tmp_path / "out.tif")
    stopped_when(lambda _, told: told == calls, monkeypatch, tmp_path, path, model, options)
    looks, look = [], model.network.look
    monkeypatch.setattr(model.network, "look", lambda *seen: looks.append(seen) or look(*seen))
    assert restored(tmp_path, path, model, options) == wanted
    across, down = 4, 3
    assert len(looks) == across * max(down - calls // across, 0)


@pytest.mark.usefixtures("looks_at_the_same_tiles")
@pytest.mark.parametrize(("calls", "looked", "done"), [(6, 4, 0), (12, 12, 0), (17, 12, 4)])
def test_what_an_interrupted_run_looked_at_is_told_first(
    monkeypatch, tmp_path, calls, looked, done
):
    path, model = make_tiff(tmp_path / "in.tif"), guided_model()
    options = {"tile": 96, "device": "cpu", "precision": "fp32"}
    stopped_when(lambda _, told: told == calls, monkeypatch, tmp_path, path, model, options)
    asked, told = RestoreOptions(**options), []
    restore_file(Job(path, tmp_path / "out.tif"), model, asked, FileOptions(), told.append)
    assert (told[0].looked, told[0].done) == ((looked, 12), done)


@pytest.mark.usefixtures("looks_at_the_same_tiles")
@pytest.mark.parametrize("in_memory", [True, False])
def test_looking_at_a_picture_is_told_as_a_part_of_the_work(monkeypatch, tmp_path, in_memory):
    path, model = make_tiff(tmp_path / "in.tif"), guided_model()
    on_disk(monkeypatch, not in_memory)
    asked = RestoreOptions(tile=96, device="cpu", precision="fp32")
    told = []
    restore_file(Job(path, tmp_path / "out.tif"), model, asked, FileOptions(), told.append)
    count = 4 * 3
    each = [((seen, count), 0) for seen in range(count + 1)]
    each += [((count, count), n + 1) for n in range(count)]
    assert [(one.looked, one.done) for one in told] == each
    assert {(one.total, one.pixels) for one in told} == {(count, 150 * 210)}
    shares = [one.share for one in told]
    assert (shares[0], shares[count], shares[-1]) == (0, LOOKING, 1)
    assert shares == sorted(set(shares))


@pytest.mark.parametrize("side", [84, 90, 100, 110])
def test_automatic_tiles_are_cut_as_before_the_interruption(monkeypatch, tmp_path, side):
    monkeypatch.setattr(change, "ALIGNED_FROM", 80)
    monkeypatch.setattr(GuidedConfig, "overlap", 40)
    monkeypatch.setattr(change, "common_tile", lambda *_: side)
    path, model = make_tiff(tmp_path / "in.tif"), guided_model()
    options = {"tile": None, "device": "cpu", "precision": "fp32"}
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path, model, options)
    remove(tmp_path / "out.tif")
    assert wanted[1]["execution"]["tile"] == side
    stopped_when(lambda done, _: done >= 5, monkeypatch, tmp_path, path, model, options)
    monkeypatch.setattr(change, "common_tile", lambda *_: 10**6)  # there is more memory now
    assert restored(tmp_path, path, model, options) == wanted


def batches_of(monkeypatch, tiles):
    monkeypatch.setattr(change, "tiles_at_once", lambda *_: tiles)


def by_batch(x):
    """As on a GPU, where a batch may come out otherwise than its tiles alone."""
    return torch.where(x == 1, 0.3 + 0.1 * len(x), x)


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (2, 4)])
def test_tiles_are_computed_together_as_before_the_interruption(
    monkeypatch, tmp_path, before, after
):
    path, model = make_tiff(tmp_path / "in.tif"), toy_model(by_batch)
    options = {"tile": 96, "device": "cpu", "precision": "fp32"}
    batches_of(monkeypatch, before)
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path, model)
    remove(tmp_path / "out.tif")
    stopped_when(lambda done, _: done >= 5, monkeypatch, tmp_path, path, model, options)
    batches_of(monkeypatch, after)  # there is less memory now, or more
    model.network.shapes.clear()
    assert restored(tmp_path, path, model) == wanted
    assert sum(shape[0] for shape in model.network.shapes) == 8  # a row was there already


def test_a_batch_that_fits_no_longer_is_given_up_with_what_it_made(monkeypatch, tmp_path):
    path, model = make_tiff(tmp_path / "in.tif"), toy_model(by_batch)
    options = {"tile": 96, "device": "cpu", "precision": "fp32"}
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path, model)
    remove(tmp_path / "out.tif")
    batches_of(monkeypatch, 3)
    stopped_when(lambda done, _: done >= 5, monkeypatch, tmp_path, path, model, options)

    def full(x):
        if len(x) > 1:
            raise MemoryError
        return by_batch(x)

    full_now = toy_model(full)
    stopped_when(lambda done, _: done == 5, monkeypatch, tmp_path, path, full_now, options)
    full_now.network.shapes.clear()
    assert restored(tmp_path, path, full_now) == wanted
    assert len(full_now.network.shapes) == 8  # a row was there, computed one by one


def test_work_of_a_version_that_did_not_note_the_batch_begins_anew(monkeypatch, tmp_path):
    path, model = make_tiff(tmp_path / "in.tif"), toy_model()
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path)
    remove(tmp_path / "out.tif")
    interrupted(monkeypatch, tmp_path, path, 5)
    journal = work_folder.path_of(tmp_path / "out.tif") / "journal.jsonl"
    lines = journal.read_text()
    assert lines.count(', "batch": 1}') == 1
    journal.write_text(lines.replace(', "batch": 1}', "}"))
    assert restored(tmp_path, path, model) == wanted
    assert len(model.network.shapes) == 12


def test_work_for_something_else_is_not_gone_on_with(monkeypatch, tmp_path):
    path = make_tiff(tmp_path / "in.tif")
    interrupted(monkeypatch, tmp_path, path, 8)
    other = make_tiff(tmp_path / "in.tif", seed=1)
    model = toy_model()
    found = restored(tmp_path, other, model)
    assert len(model.network.shapes) == 12
    remove(tmp_path / "out.tif")
    on_disk(monkeypatch, False)
    assert found == restored(tmp_path, other)


def test_two_runs_do_not_work_on_one_output(monkeypatch, tmp_path):
    path = make_tiff(tmp_path / "in.tif")
    on_disk(monkeypatch, True)
    held = work_folder.WorkFolder(tmp_path / "out.tif", {})
    with pytest.raises(FileAccessError, match="another run"):
        restored(tmp_path, path)
    held.remove()


def test_a_full_disk_is_one_line_before_the_work(monkeypatch, tmp_path, capsys):
    use_toy(monkeypatch)
    on_disk(monkeypatch, True)
    path = make_tiff(tmp_path / "in.tif")
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(work_folder.shutil, "disk_usage", lambda _: full)
    code = run(["restore", str(path), "-o", str(tmp_path / "out.tif"), "-d", "cpu"])
    assert code == ExitCode.FILE_ACCESS
    (line,) = capsys.readouterr().err.splitlines()
    assert "disk space" in line
    assert "free some space" in line
    assert not list(tmp_path.glob(".dunrestore-*"))


def large_to(monkeypatch, tmp_path, suffix):
    use_toy(monkeypatch)
    on_disk(monkeypatch, True)
    path = make_tiff(tmp_path / "in.tif")
    return run(["restore", str(path), "-o", str(tmp_path / f"out{suffix}"), "-d", "cpu"])


@pytest.mark.parametrize("suffix", [".jpg", ".jp2", ".webp"])
def test_too_little_memory_for_an_encoder_is_one_line_before_the_work(
    monkeypatch, tmp_path, capsys, suffix
):
    monkeypatch.setattr(large_module, "_memory_to_have", lambda: 10_000)
    assert large_to(monkeypatch, tmp_path, suffix) == ExitCode.MEMORY
    (line,) = capsys.readouterr().err.splitlines()
    assert "of memory" in line
    assert "--format tiff" in line
    assert not list(tmp_path.glob(".dunrestore-*"))


def test_what_another_file_is_written_with_is_not_missing(monkeypatch):
    monkeypatch.setattr(large_module, "free_memory", lambda device: 10_000)
    held = psutil.Process().memory_info().rss
    assert large_module._memory_to_have() > 10_000 + held / 2


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 65501), (".webp", 16384)])
def test_a_picture_too_long_for_its_format_is_refused_before_the_work(
    monkeypatch, tmp_path, capsys, suffix, side
):
    use_toy(monkeypatch)
    on_disk(monkeypatch, True)
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((16, side, 3), np.uint8), photometric="rgb")
    computed = []
    monkeypatch.setattr(large_module, "compute", lambda *given: computed.append(given))
    target = tmp_path / f"out{suffix}"
    code = run(["restore", str(tmp_path / "in.tif"), "-o", str(target), "-d", "cpu"])
    assert code == ExitCode.INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert f"at most {side - 1} pixels a side" in line
    assert "--format" in line
    assert not computed
    assert not list(tmp_path.glob(".dunrestore-*"))


@pytest.mark.parametrize(("suffix", "fits"), [(".tif", True), (".png", False)])
def test_room_for_reading_back_is_counted(monkeypatch, tmp_path, capsys, suffix, fits):
    pixels = 150 * 210
    needed = (
        large_module.work_bytes(pixels, 3 * pixels)
        + make_tiff(tmp_path / "other.tif").stat().st_size
    )
    disk = shutil.disk_usage(tmp_path)._replace(free=needed + 3 * pixels)
    monkeypatch.setattr(work_folder.shutil, "disk_usage", lambda _: disk)
    code = large_to(monkeypatch, tmp_path, suffix)
    assert code == (ExitCode.OK if fits else ExitCode.FILE_ACCESS)
    assert ("disk space" in capsys.readouterr().err) != fits


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_tiff_and_png_are_written_with_little_memory(monkeypatch, tmp_path, suffix):
    monkeypatch.setattr(large_module, "_memory_to_have", lambda: 10_000)
    assert large_to(monkeypatch, tmp_path, suffix) == ExitCode.OK
    assert (tmp_path / f"out{suffix}").exists()


CHILD = """
import os, sys
from tests.restoration.batches import restore_file, toy_model
from dunrestore.restoration import source
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job
from pathlib import Path
source.IN_MEMORY = 0
def progress(advance):
    if advance.done == 6:
        os.kill(os.getpid(), 9)
restore_file(Job(Path(sys.argv[1]), Path(sys.argv[2])), toy_model(),
    RestoreOptions(tile=96, device="cpu", precision="fp32"), FileOptions(), progress)
"""


def test_killed_and_run_again(monkeypatch, tmp_path):
    path = make_tiff(tmp_path / "in.tif")
    on_disk(monkeypatch, False)
    wanted = restored(tmp_path, path)
    remove(tmp_path / "out.tif")
    command = [sys.executable, "-c", CHILD, str(path), str(tmp_path / "out.tif")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    on_disk(monkeypatch, True)
    model = toy_model()
    assert restored(tmp_path, path, model) == wanted
    assert len(model.network.shapes) == 8


def test_a_dry_run_says_what_stays_on_the_disk(monkeypatch, tmp_path, capsys):
    use_toy(monkeypatch, Model("toy", "hinet", Toy(fill_white), {}, "0" * 64, Path("toy")))
    on_disk(monkeypatch, True)
    path = make_tiff(tmp_path / "in.tif")
    command = [
        "restore",
        str(path),
        "-o",
        str(tmp_path / "out.tif"),
        "--dry-run",
        "-d",
        "cpu",
        "--json",
    ]
    assert run(command) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["work_bytes"] == 150 * 210 * (18 + 3)
    assert run(command[:-1]) == ExitCode.OK
    assert "MB on the disk" in capsys.readouterr().out

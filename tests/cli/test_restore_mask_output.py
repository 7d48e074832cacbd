"""``restore --mask-output``: what was taken for lost, to correct and give back."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dunrestore.cli.app import run
from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.random_walk import random_walk_mask
from dunrestore.errors import ExitCode, FileAccessError
from dunrestore.restoration import file, source


def mural(seed):
    """A painted mural with white losses, and where they are."""
    rng = np.random.default_rng(seed)
    picture = np.rint(paint_mural(144, 192, rng) * 255).astype(np.uint8)
    lost = random_walk_mask(144, 192, 0.1, rng)
    picture[lost] = 255
    return picture, lost


def restore(*arguments):
    return run(["restore", *map(str, arguments), "-d", "cpu", "--precision", "fp32", "-q"])


def read(path):
    return np.asarray(Image.open(path))


@pytest.fixture
def wall(tmp_path):
    picture, _ = mural(1)
    Image.fromarray(picture).save(tmp_path / "wall.png")
    return tmp_path / "wall.png"


@pytest.mark.parametrize("large", [False, True])
def test_the_mask_marks_what_was_taken_for_lost(tmp_path, wall, monkeypatch, large):
    monkeypatch.setattr(source, "IN_MEMORY", 0 if large else 10**9)
    out, mask = tmp_path / "out.tif", tmp_path / "masks" / f"wall.{'tif' if large else 'png'}"
    assert restore(wall, "-o", out, "--mask-output", tmp_path / "masks") == ExitCode.OK
    marked, (before, lost) = read(mask), mural(1)
    assert set(np.unique(marked)) == {0, 255}
    assert (marked[lost] == 255).mean() > 0.9
    after = read(out)
    assert np.array_equal(after[marked == 0], before[marked == 0])
    assert (after[marked > 0] != before[marked > 0]).any(axis=1).mean() > 0.9


def test_a_corrected_mask_is_given_back(tmp_path, wall):
    masks = tmp_path / "masks"
    assert restore(wall, "-o", tmp_path / "out.png", "--mask-output", masks) == ExitCode.OK
    corrected = read(masks / "wall.png").copy()
    corrected[:, :60] = 0  # sound, says the archivist
    corrected[20:40, 100:120] = 255  # and this is lost
    Image.fromarray(corrected).save(masks / "wall.png")
    out = tmp_path / "again.png"
    assert restore(wall, "-o", out, "--mask", masks) == ExitCode.OK
    changed = (read(out) != read(wall)).any(axis=2)
    assert not changed[corrected == 0].any()
    assert changed[20:40, 100:120].mean() > 0.9


def test_masks_keep_the_tree_and_the_names_of_the_sources(tmp_path):
    for seed, name in enumerate(("a/wall.png", "b/wall.png")):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.fromarray(mural(seed)[0]).save(tmp_path / "in" / name)
    masks = tmp_path / "masks"
    for output in (["-o", tmp_path / "out", "--suffix", "-filled"], []):  # and beside the sources
        code = restore(tmp_path / "in", "-r", *output, "--mask-output", masks, "--overwrite")
        assert code == ExitCode.OK
        for seed, name in enumerate(("a/wall.png", "b/wall.png")):
            assert (read(masks / name)[mural(seed)[1]] == 255).mean() > 0.9
            (masks / name).unlink()
        assert not [path for path in masks.rglob("*") if path.is_file()]


def test_pages_have_a_mask_each_and_those_left_alone_none(tmp_path):
    (first, _), (second, lost) = mural(1), mural(2)
    both = tmp_path / "both.tif"
    with tifffile.TiffWriter(both) as file:
        for page in (first, second):
            file.write(page, photometric="rgb")
    out, mask = tmp_path / "out.tif", tmp_path / "m.png"
    assert restore(both, "-o", out, "--mask-output", mask) == ExitCode.OK
    with tifffile.TiffFile(tmp_path / "m.tif") as masks:
        assert len(masks.pages) == 2
        assert (masks.pages[1].asarray()[lost] == 255).mean() > 0.9
    again = ("-o", out, "--overwrite", "--pages", "first")
    assert restore(both, *again, "--mask-output", mask) == ExitCode.OK
    assert read(mask).shape == first.shape[:2]
    assert restore(both, *again, "--mask", mask) == ExitCode.OK


def test_where_nothing_was_found_the_mask_is_black(tmp_path):
    picture = np.rint(paint_mural(144, 192, np.random.default_rng(3)) * 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "sound.png")
    out, mask = tmp_path / "out.png", tmp_path / "mask.png"
    assert restore(tmp_path / "sound.png", "-o", out, "--mask-output", mask) == ExitCode.OK
    assert not read(mask).any()
    assert out.read_bytes() == (tmp_path / "sound.png").read_bytes()


def test_a_mask_that_exists_is_kept_or_replaced_as_the_output_is(tmp_path, wall, capsys):
    out, mask = tmp_path / "out.png", tmp_path / "mask.png"
    mask.write_bytes(b"somebody's")
    arguments = (wall, "-o", out, "--mask-output", mask)
    assert restore(*arguments) == ExitCode.FILE_ACCESS
    assert "mask.png: this file exists already" in capsys.readouterr().err
    assert restore(*arguments, "--existing", "skip") == ExitCode.FILE_ACCESS
    assert mask.read_bytes() == b"somebody's"
    assert not out.exists()
    assert restore(*arguments, "--overwrite") == ExitCode.OK
    made = mask.read_bytes()
    mask.write_bytes(b"corrected")
    assert restore(*arguments, "--existing", "skip") == ExitCode.OK  # nothing to do
    assert mask.read_bytes() == b"corrected"
    mask.unlink()
    assert restore(*arguments, "--existing", "skip") == ExitCode.OK
    assert mask.read_bytes() == made
    for path in (out, Path(f"{out}.dunrestore.json")):  # as if a run had died after the mask
        path.unlink()
    assert restore(*arguments, "--existing", "skip") == ExitCode.OK
    assert mask.read_bytes() == made
    assert out.exists()


def test_a_mask_saved_with_black_for_lost_is_another(tmp_path, wall):
    out, mask = tmp_path / "out.png", tmp_path / "mask.tif"
    arguments = (wall, "-o", out, "--mask-output", mask)
    assert restore(*arguments) == ExitCode.OK
    tifffile.imwrite(mask, read(mask), photometric="miniswhite")
    for path in (out, Path(f"{out}.dunrestore.json")):
        path.unlink()
    assert restore(*arguments, "--existing", "skip") == ExitCode.FILE_ACCESS


@pytest.mark.parametrize("large", [False, True])
def test_going_on_never_replaces_a_corrected_mask(tmp_path, wall, monkeypatch, capsys, large):
    monkeypatch.setattr(source, "IN_MEMORY", 0 if large else 10**9)
    out, masks = tmp_path / "out.tif", tmp_path / "masks"
    found = (wall, "-o", out, "--mask-output", masks)
    assert restore(*found) == ExitCode.OK
    mask = masks / f"wall.{'tif' if large else 'png'}"
    corrected = read(mask).copy()
    corrected[:, :60] = 0
    Image.fromarray(corrected).save(mask)
    by_hand = mask.read_bytes()
    assert restore(wall, "-o", out, "--mask", masks, "--overwrite") == ExitCode.OK
    before, recorded = out.read_bytes(), Path(f"{out}.dunrestore.json").read_bytes()
    assert restore(*found, "--existing", "skip") == ExitCode.FILE_ACCESS
    words = f"{mask}: there is another mask already, perhaps a corrected one; give it back with"
    assert words in capsys.readouterr().err
    assert mask.read_bytes() == by_hand
    assert out.read_bytes() == before
    assert Path(f"{out}.dunrestore.json").read_bytes() == recorded
    assert any(tmp_path.glob(".dunrestore-*.work")) == large  # what was computed is kept
    assert restore(*found, "--overwrite") == ExitCode.OK
    assert mask.read_bytes() != by_hand
    assert not any(tmp_path.glob(".dunrestore-*"))


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("wall.png", "the mask would replace an input"),
        ("out.png", "the mask would replace an output"),
        ("out.png.changes.png", "the mask would replace an output"),
        ("mask.jpg", "a mask of this name cannot be written"),
        ("", "masks and pictures would lie in one folder"),
    ],
)
def test_no_mask_takes_another_files_place(tmp_path, wall, capsys, named, words):
    before = wall.read_bytes()
    out = tmp_path / "out.png"
    more = ("--overwrite", "--mask-output", tmp_path / named)
    assert restore(wall, "-o", out, *more) == ExitCode.USAGE
    assert words in capsys.readouterr().err
    assert wall.read_bytes() == before
    assert not out.exists()


def test_masks_do_not_go_among_the_scans_either(tmp_path, wall, capsys):
    assert restore(wall, "-o", tmp_path / "out", "--mask-output", tmp_path) == ExitCode.USAGE
    assert "masks and pictures would lie in one folder" in capsys.readouterr().err


def test_a_mask_is_given_or_written(tmp_path, wall, capsys):
    masks = ("--mask", wall, "--mask-output", tmp_path / "masks")
    assert restore(wall, "-o", tmp_path / "out.png", *masks) == ExitCode.USAGE
    assert "--mask says what is lost, --mask-output writes" in capsys.readouterr().err


@pytest.mark.parametrize("absolute", [False, True])
def test_masks_stay_in_their_folder_however_inputs_are_named(tmp_path, monkeypatch, absolute):
    scans = {}
    for seed, name in enumerate(("east/y.png", "west/x.png")):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(mural(seed)[0]).save(tmp_path / name)
        scans[name] = (tmp_path / name).read_bytes()
    monkeypatch.chdir(tmp_path / "west")
    east = tmp_path / "east/y.png" if absolute else "../east/y.png"
    assert restore(east, "x.png", "--mask-output", "../masks") == ExitCode.OK
    assert {name: (tmp_path / name).read_bytes() for name in scans} == scans
    made = sorted(path.relative_to(tmp_path) for path in (tmp_path / "masks").rglob("*.png"))
    assert made == [Path("masks/x.png"), Path("masks/y.png")]


@pytest.mark.parametrize(
    ("option", "value"), [("--mask-output", "not/../wall.png"), ("-o", "not/../wall.png")]
)
def test_no_folder_that_is_yet_to_be_made_hides_an_input(tmp_path, wall, capsys, option, value):
    before = wall.read_bytes()
    more = () if option == "-o" else ("-o", tmp_path / "out.png")
    code = restore(wall, *more, option, f"{tmp_path}/{value}", "--overwrite")
    assert code == ExitCode.USAGE
    assert "would replace an input" in capsys.readouterr().err
    assert wall.read_bytes() == before


@pytest.mark.parametrize(
    ("masks", "words"),
    [("taken", "taken: this is no folder"), ("taken/deep/m.png", "taken: this is no folder")],
)
def test_what_cannot_hold_masks_is_refused_before_any_work(tmp_path, wall, capsys, masks, words):
    (tmp_path / "taken").write_bytes(b"a file")
    out = tmp_path / "out.png"
    assert restore(wall, "-o", out, "--mask-output", tmp_path / masks) == ExitCode.FILE_ACCESS
    assert words in capsys.readouterr().err
    assert not Path(f"{out}.dunrestore.json").exists()


def test_a_mask_that_fails_leaves_output_and_record_as_they_were(tmp_path, wall, monkeypatch):
    out = tmp_path / "out.png"
    assert restore(wall, "-o", out) == ExitCode.OK
    before, recorded = out.read_bytes(), Path(f"{out}.dunrestore.json").read_bytes()

    def full(*_, **__):
        raise FileAccessError("no space left")

    monkeypatch.setattr(file, "write_masks", full)
    more = ("--preserve", "always", "--overwrite", "--mask-output", tmp_path / "m.png")
    assert restore(wall, "-o", out, *more) == ExitCode.FILE_ACCESS
    assert out.read_bytes() == before
    assert Path(f"{out}.dunrestore.json").read_bytes() == recorded


@pytest.mark.parametrize("name", ["m.tiff", "M.TIF"])
def test_a_tiff_keeps_its_name(tmp_path, name):
    both = tmp_path / "both.tif"
    with tifffile.TiffWriter(both) as tiff:
        for seed in (1, 2):
            tiff.write(mural(seed)[0], photometric="rgb")
    out, mask = tmp_path / "out.tif", tmp_path / name
    assert restore(both, "-o", out, "--mask-output", mask) == ExitCode.OK
    assert restore(both, "-o", out, "--mask", mask, "--overwrite") == ExitCode.OK


def test_a_picture_never_has_two_masks(tmp_path, capsys):
    both, masks = tmp_path / "both.tif", tmp_path / "masks"
    with tifffile.TiffWriter(both) as tiff:
        for seed in (1, 2):
            tiff.write(mural(seed)[0], photometric="rgb")
    again = ("-o", tmp_path / "out.tif", "--overwrite")
    assert restore(both, *again, "--mask-output", masks, "--pages", "first") == ExitCode.OK
    assert restore(both, *again, "--mask-output", masks) == ExitCode.OK
    assert [path.name for path in masks.iterdir()] == ["both.tif"]
    Image.fromarray(mural(1)[1]).save(masks / "both.png")
    assert restore(both, *again, "--mask", masks) == ExitCode.INPUT
    assert "more than one mask of this name" in (said := capsys.readouterr().err)
    assert "leave one of them there" in said
    (masks / "both.tif").unlink()  # what is left may be somebody's correction
    again = ("-o", tmp_path / "other.tif", "--existing", "skip")
    assert restore(both, *again, "--mask-output", masks) == ExitCode.FILE_ACCESS
    assert "both.png: there is another mask already" in capsys.readouterr().err
    assert [path.name for path in masks.iterdir()] == ["both.png"]


def test_masks_inside_the_folder_of_scans_are_no_scans(tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    Image.fromarray(mural(1)[0]).save(scans / "wall.png")
    for more in (("--mask-output",), ("--mask-output",), ("--mask",)):
        again = ("-o", tmp_path / "out", "-r", "--overwrite", *more, scans / "masks")
        assert restore(scans, *again) == ExitCode.OK
    mask = scans / "wall-lost.png"
    for more in ("--mask-output", "--mask"):
        assert restore(scans, "-o", tmp_path / "out", "--overwrite", more, mask) == ExitCode.OK
    made = sorted(path.name for path in (tmp_path / "out").rglob("*.png"))
    assert made == ["wall.png"]


def test_the_object_of_a_picture_names_its_mask(tmp_path, wall, capsys):
    mask = tmp_path / "mask.png"
    code = restore(wall, "-o", tmp_path / "out.png", "--mask-output", mask, "--json")
    assert code == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["mask"] == str(mask)


def test_names_that_differ_in_case_alone_share_no_mask(tmp_path, wall, capsys):
    Image.fromarray(mural(2)[0]).save(tmp_path / "WALL.tif")
    both = (wall, tmp_path / "WALL.tif", "-o", tmp_path / "out")
    assert restore(*both, "--mask-output", tmp_path / "masks") == ExitCode.USAGE
    said = capsys.readouterr().err
    assert f"this would be the mask of {wall} and of {tmp_path / 'WALL.tif'}" in said


def test_links_to_folders_in_the_output_keep_the_tree(tmp_path):
    for seed, name in enumerate("ab"):
        (tmp_path / "in" / name).mkdir(parents=True)
        Image.fromarray(mural(seed)[0]).save(tmp_path / "in" / name / "x.png")
        (tmp_path / "disk" / name).mkdir(parents=True)
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / name).symlink_to(tmp_path / "disk" / name)
    masks = tmp_path / "masks"
    code = restore(tmp_path / "in", "-r", "-o", tmp_path / "out", "--mask-output", masks)
    assert code == ExitCode.OK
    made = sorted(path.relative_to(masks).as_posix() for path in masks.rglob("*.png"))
    assert made == ["a/x.png", "b/x.png"]


def test_a_mask_is_upright_and_fits_its_turned_scan(tmp_path):
    picture, lost = mural(1)
    turned = tmp_path / "turned.tif"
    exif = Image.Exif()
    exif[274] = 6  # shown turned by a quarter to the right
    Image.fromarray(picture).save(turned, exif=exif)
    out, mask = tmp_path / "out.tif", tmp_path / "mask.png"
    assert restore(turned, "-o", out, "--mask-output", mask) == ExitCode.OK
    assert (read(mask)[np.rot90(lost, -1)] == 255).mean() > 0.9
    assert restore(turned, "-o", out, "--overwrite", "--mask", mask) == ExitCode.OK


def test_a_file_that_was_given_up_gets_no_mask_later(tmp_path, wall, monkeypatch):
    mask, named = tmp_path / "mask.png", threading.Event()
    mask.write_bytes(b"corrected")
    real = file.write_masks

    def slow(*arguments, **options):
        time.sleep(1.5)
        try:
            return real(*arguments, **options)
        finally:
            named.set()

    monkeypatch.setattr(file, "write_masks", slow)
    more = ("--overwrite", "--mask-output", mask, "--timeout", 1)
    assert restore(wall, "-o", tmp_path / "out.png", *more) != ExitCode.OK
    assert named.wait(20)
    assert mask.read_bytes() == b"corrected"
    assert not (tmp_path / "out.png").exists()


def test_a_folder_that_may_not_be_written_to_is_refused(tmp_path, wall, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    masks = tmp_path / "masks" / "new"
    assert restore(wall, "-o", tmp_path / "o", "--mask-output", masks) == ExitCode.FILE_ACCESS
    assert "masks: no mask can be written here" in capsys.readouterr().err


def test_files_in_work_at_once_share_a_folder_of_masks(tmp_path):
    (tmp_path / "in").mkdir()
    for seed in range(4):
        Image.fromarray(mural(seed)[0]).save(tmp_path / "in" / f"{seed}.png")
    masks = tmp_path / "masks"
    code = restore(tmp_path / "in", "-o", tmp_path / "out", "-j", 3, "--mask-output", masks)
    assert code == ExitCode.OK
    for seed in range(4):
        assert (read(masks / f"{seed}.png")[mural(seed)[1]] == 255).mean() > 0.9

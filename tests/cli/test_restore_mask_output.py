"""``restore --mask-output``: what was taken for lost, to correct and give back."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from dunrestore.cli.app import run
from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.random_walk import random_walk_mask
from dunrestore.errors import ExitCode
from dunrestore.restoration import source


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


def test_a_mask_is_given_or_written(tmp_path, wall, capsys):
    masks = ("--mask", wall, "--mask-output", tmp_path / "masks")
    assert restore(wall, "-o", tmp_path / "out.png", *masks) == ExitCode.USAGE
    assert "--mask says what is lost, --mask-output writes" in capsys.readouterr().err

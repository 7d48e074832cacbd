import json
from typing import get_args, get_type_hints

import numpy as np
import pytest
import tifffile
from PIL import Image

from dunrestore.cli import bench
from dunrestore.cli import noise as noise_module
from dunrestore.cli.app import run
from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.fills import FILLS
from dunrestore.degradations.recipes import KINDS, RECIPES
from dunrestore.training.config import TrainConfig
from tests.restoration.batches import everything

MURAL = np.rint(paint_mural(64, 80, np.random.default_rng(1)) * 255).astype(np.uint8)


@pytest.fixture
def mural(tmp_path):
    path = tmp_path / "wall.png"
    Image.fromarray(MURAL).save(path, dpi=(300, 300))
    return path


def noise(*arguments):
    return run(["noise", *map(str, arguments)])


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def test_the_options_name_all_there_is():
    of_noise, of_bench = get_type_hints(noise_module.noise), get_type_hints(bench.bench)
    for option, names in (("damage", KINDS), ("fill", FILLS), ("recipe", RECIPES)):
        repeated = get_args(of_noise[option])[0]
        assert [one.value for one in get_args(repeated)[0]] == list(names)
    assert get_args(get_args(of_bench["fill"])[0]) == FILLS
    assert get_args(get_type_hints(TrainConfig)["recipe"]) == tuple(RECIPES)


def test_the_challenges_damage_with_its_mask(mural, tmp_path, capsys):
    out, mask = tmp_path / "out.png", tmp_path / "mask.png"
    code = noise(mural, "-o", out, "--damage", "random-walk", "--coverage", 12,
                 "--mask-output", mask, "--json")  # fmt: skip
    assert code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["damaged_percent"] == pytest.approx(12, abs=0.5)
    assert (said["output"], said["mask"], said["seed"]) == (str(out), str(mask), 0)
    damaged = pixels(mask) == 255
    assert set(np.unique(pixels(mask))) == {0, 255}
    assert damaged.mean() * 100 == pytest.approx(12, abs=0.5)
    assert (pixels(out)[damaged] == 255).all()
    assert np.array_equal(pixels(out)[~damaged], MURAL[~damaged])
    with Image.open(out) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_same_seed_same_bytes_whatever_else_is_done(mural, tmp_path):
    other = tmp_path / "another.png"
    Image.fromarray(MURAL[::-1]).save(other)
    options = ["--recipe", "mural", "--seed", 7]
    assert noise(mural, "-o", tmp_path / "alone", *options) == 0
    (tmp_path / "renamed.png").write_bytes(mural.read_bytes())
    assert noise(other, tmp_path / "renamed.png", mural, "-o", tmp_path / "all", *options) == 0
    alone = (tmp_path / "alone/wall.png").read_bytes()
    assert (tmp_path / "all/wall.png").read_bytes() == alone
    assert (tmp_path / "all/renamed.png").read_bytes() == alone
    assert noise(mural, "-o", tmp_path / "seed", "--recipe", "mural", "--seed", 8) == 0
    assert (tmp_path / "seed/wall.png").read_bytes() != alone


def test_gaussian_noise_is_scaled_to_sixteen_bits(tmp_path):
    source, out = tmp_path / "deep.tif", tmp_path / "noisy.tif"
    tifffile.imwrite(source, np.full((128, 128, 3), 30001, np.uint16), photometric="rgb")
    assert noise(source, "-o", out, "--gaussian", 16) == 0
    result = tifffile.imread(out)
    assert result.dtype == np.uint16
    assert result.astype(float).std() / 65535 * 255 == pytest.approx(16, rel=0.02)
    assert len(np.unique(result)) > 5000


def test_edges_are_as_soft_as_asked_for(tmp_path):
    source, mask = tmp_path / "grey.png", tmp_path / "mask.png"
    Image.fromarray(np.full((128, 128, 3), 128, np.uint8)).save(source)
    between = []
    for name, edges in (("sharp", []), ("soft", ["--soft-edges", 2])):
        out = tmp_path / f"{name}.png"
        options = ["--damage", "random-walk", *edges, "--mask-output", mask, "--overwrite"]
        assert noise(source, "-o", out, *options) == 0
        found = pixels(out)[..., 0]
        assert ((found > 128) == (pixels(mask) > 0)).all()
        between.append(((found > 128) & (found < 255)).sum())
    assert between[0] == 0
    assert between[1] > 1000


def test_grey_gets_noise_of_full_strength(tmp_path):
    source, out = tmp_path / "grey.png", tmp_path / "noisy.png"
    Image.fromarray(np.full((128, 128), 128, np.uint8)).save(source)
    assert noise(source, "-o", out, "--gaussian", 16) == 0
    assert pixels(out).ndim == 2
    assert pixels(out).astype(float).std() == pytest.approx(16, rel=0.03)


def test_jpeg_leaves_the_format_as_it_is(mural, tmp_path):
    losses = []
    for quality in (60, 30):
        out = tmp_path / f"{quality}.png"
        assert noise(mural, "-o", out, "--jpeg", quality) == 0
        losses.append(np.abs(pixels(out).astype(float) - MURAL).mean())
    assert 0 < losses[0] < losses[1]


def test_kinds_combine_each_with_its_coverage(mural, tmp_path, capsys):
    out = tmp_path / "out.png"
    code = noise(mural, "-o", out, "--damage", "flakes", "--damage", "cracks",
                 "--coverage", 10, "--coverage", 4, "--fill", "dark", "--json")  # fmt: skip
    assert code == 0
    assert 9.5 < json.loads(capsys.readouterr().out)["damaged_percent"] < 14.5


def test_folders_keep_their_tree_and_masks_follow(mural, tmp_path):
    (tmp_path / "in/cave").mkdir(parents=True)
    for name in ("in/a.png", "in/cave/b.png"):
        (tmp_path / name).write_bytes(mural.read_bytes())
    code = noise(tmp_path / "in", "-r", "-o", tmp_path / "out", "--recipe", "challenge",
                 "--mask-output", tmp_path / "masks")  # fmt: skip
    assert code == 0
    for name in ("a.png", "cave/b.png"):
        mask = pixels(tmp_path / "masks" / name) == 255
        assert (pixels(tmp_path / "out" / name)[mask] == 255).all()


def test_every_page_of_a_tiff_gets_its_own(tmp_path):
    source, out = tmp_path / "two.tif", tmp_path / "out.tif"
    with tifffile.TiffWriter(source) as writer:
        for _ in range(2):
            writer.write(MURAL, photometric="rgb")
    code = noise(source, "-o", out, "--damage", "flakes", "--mask-output", tmp_path / "m.png")
    assert code == 0
    with tifffile.TiffFile(out) as damaged, tifffile.TiffFile(tmp_path / "m.tif") as masks:
        first, second = (page.asarray() for page in masks.pages)
        assert not np.array_equal(first, second)
        for page, mask in zip(damaged.pages, (first, second), strict=True):
            assert np.array_equal(page.asarray()[mask == 0], MURAL[mask == 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to add"),
        (["--damage", "flakes", "--coverage", 1, "--coverage", 2], "2 times for 1 kinds"),
        (["--gaussian", 3, "--coverage", 2], "1 times for 0 kinds"),
        (["--damage", "stains", "--soft-edges", 2], "nothing covers the paint"),
        (["--damage", "stains", "--fill", "white"], "takes no fill"),
    ],
)
def test_options_that_do_not_fit_are_one_line(mural, tmp_path, capsys, options, message):
    assert noise(mural, "-o", tmp_path / "out.png", *options) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_one_broken_file_does_not_stop_the_rest(mural, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    code = noise(broken, mural, "-o", tmp_path / "out", "--gaussian", 8)
    assert code == 10
    assert "broken.png" in capsys.readouterr().err
    assert (tmp_path / "out/wall.png").is_file()
    assert noise(broken, "-o", tmp_path / "out2", "--gaussian", 8, "--json") == 3
    said, err = capsys.readouterr()
    failed = json.loads(said)
    assert (failed["input"], failed["status"], failed["exit_code"]) == (str(broken), "failed", 3)
    assert err == f"error: {failed['error']}\n"
    assert failed["error"] == f"{broken}: {failed['cause']}; {failed['next_step']}"


def test_larger_pictures_are_refused_unless_allowed(mural, tmp_path, capsys):
    arguments = [mural, "-o", tmp_path / "out.png", "--gaussian", 8, "--max-image-mpixels"]
    assert noise(*arguments, 0.005) == 3
    assert "allow it with --max-image-mpixels" in capsys.readouterr().err
    assert noise(*arguments, 0.006) == 0


def test_existing_outputs_are_not_replaced_unasked(mural, tmp_path):
    arguments = [mural, "-o", tmp_path / "out.png", "--gaussian", 8]
    assert noise(*arguments) == 0
    assert noise(*arguments) == 5
    assert noise(*arguments, "--overwrite") == 0


@pytest.mark.parametrize("named", ["wall.png", "deep/../wall.png", "link.png", "twin.png"])
def test_a_mask_replaces_no_input(mural, tmp_path, capsys, named):
    (tmp_path / "deep").mkdir()
    (tmp_path / "link.png").symlink_to(mural)
    (tmp_path / "twin.png").hardlink_to(mural)
    before = everything(tmp_path)
    out = tmp_path / "out.png"
    code = noise(mural, "-o", out, "--damage", "random-walk", "--overwrite",
                 "--mask-output", tmp_path / named)  # fmt: skip
    assert code == 2
    assert "the mask would replace an input" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_masks_replace_no_inputs_in_their_folder_and_no_output(mural, tmp_path, capsys):
    pages = tmp_path / "pages.tif"
    tifffile.imwrite(pages, np.stack([MURAL, MURAL]))
    before = everything(tmp_path)
    options = ("--damage", "flakes", "--overwrite", "--mask-output")
    assert noise(mural, pages, "-o", tmp_path / "out", *options, tmp_path) == 2
    assert noise(pages, "-o", tmp_path / "out.tif", *options, tmp_path / "pages.png") == 2
    said = capsys.readouterr().err
    assert "masks and pictures would lie in one folder" in said
    assert "the mask would replace an input" in said
    assert noise(mural, "-o", tmp_path / "out.png", *options, tmp_path / "out.png") == 2
    assert "the mask would replace an output" in capsys.readouterr().err
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("pictures", "name", "words"),
    [
        (1, "mask.jpg", "a mask of this name cannot be written"),
        (1, "mask.bmp", "a mask of this name cannot be written"),
        (2, "mask.png", "one mask does not do for 2 pictures"),
    ],
)
def test_no_folder_of_masks_is_called_like_a_picture(
    mural, tmp_path, capsys, pictures, name, words
):
    Image.fromarray(MURAL[::-1]).save(tmp_path / "other.png")
    before = everything(tmp_path)
    sources = (mural, tmp_path / "other.png")[:pictures]
    code = noise(*sources, "-o", tmp_path / "out", "--damage", "flakes",
                 "--mask-output", tmp_path / name)  # fmt: skip
    assert code == 2
    assert f"{name}: {words}" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_pictures_that_differ_in_their_format_alone_share_no_mask(mural, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "wall.tif", MURAL)
    code = noise(mural, tmp_path / "wall.tif", "-o", tmp_path / "out", "--damage", "flakes",
                 "--mask-output", tmp_path / "masks")  # fmt: skip
    assert code == 2
    assert "masks/wall.png: this would be the mask of" in capsys.readouterr().err


def test_outputs_and_masks_that_exist_stop_a_run_before_it_begins(mural, tmp_path, capsys):
    Image.fromarray(MURAL[::-1]).save(tmp_path / "other.png")
    out, masks = tmp_path / "out", tmp_path / "masks"
    command = (
        mural,
        tmp_path / "other.png",
        "-o",
        out,
        "--damage",
        "flakes",
        "--mask-output",
        masks,
    )
    for folder in (out, masks):
        folder.mkdir(exist_ok=True)
        (folder / "other.png").write_bytes(b"precious")
        assert noise(*command) == 5
        assert f"{folder / 'other.png'}: this file exists already" in capsys.readouterr().err
        assert everything(tmp_path / folder) == {"other.png": b"precious"}
        (folder / "other.png").unlink()
    assert noise(*command) == 0
    assert noise(*command) == 5
    assert "this and 3 others exist already; use --overwrite" in capsys.readouterr().err


def test_of_several_files_that_all_failed_a_part_failed(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    command = ("-o", tmp_path / "out", "--damage", "flakes")
    assert noise(tmp_path / "a.png", tmp_path / "b.png", *command) == 10
    assert noise(tmp_path / "a.png", *command) == 3


def test_a_name_with_a_line_break_is_said_on_one_line(mural, tmp_path, capsys):
    mural = mural.rename(tmp_path / "two\nlines.png")
    assert noise(mural, "-o", tmp_path / "out.png", "--gaussian", 8) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert r"two\nlines.png -> " in said


def test_what_the_outputs_format_loses_is_said(tmp_path, capsys):
    source, out = tmp_path / "three.tif", tmp_path / "out.jpg"
    deep = np.full((3, 24, 32, 4), 30001, np.uint16)
    tifffile.imwrite(source, deep, photometric="rgb", extrasamples=["unassalpha"])
    assert noise(source, "-o", out, "--gaussian", 8) == 0
    lost = ["alpha", "16 bits a sample (written with 8)"]
    lost += ["samples exactly (JPEG)", "further pages"]
    said = capsys.readouterr().err
    assert said.endswith(f"; jpeg cannot hold {', '.join(lost)}\n")
    assert noise(source, "-o", out, "--gaussian", 8, "--overwrite", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lost_metadata"] == lost
    assert told["warnings"] == [f"jpeg cannot hold {', '.join(lost)}"]
    assert noise(source, "-o", tmp_path / "out.tif", "--gaussian", 8) == 0
    assert "cannot hold" not in capsys.readouterr().err


def test_pages_that_the_output_cannot_hold_have_no_mask(tmp_path, capsys):
    source, mask = tmp_path / "two.tif", tmp_path / "mask.png"
    tifffile.imwrite(source, np.full((2, 24, 32, 3), 90, np.uint8), photometric="rgb")
    arguments = ["-o", tmp_path / "out.png", "--damage", "flakes", "--mask-output", mask]
    assert noise(source, *arguments) == 0
    assert mask.exists()
    assert not mask.with_suffix(".tif").exists()


@pytest.mark.parametrize("value", ["nan", "0", "-5"])
def test_a_largest_size_that_is_none_is_refused(mural, tmp_path, capsys, value):
    arguments = [mural, "-o", tmp_path / "out.png", "--gaussian", 8, "--max-image-mpixels", value]
    assert noise(*arguments) == 2
    assert "must be above 0" in capsys.readouterr().err

import json
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from dunrestore.cli.app import run
from dunrestore.metrics.fidelity import compare


@pytest.fixture
def folders(tmp_path):
    """Three restored pictures and their truths, of differing file formats."""
    restored, truth = tmp_path / "restored", tmp_path / "truth"
    rng = np.random.default_rng(3)
    for name in ("a", "sub/b", "c"):
        clean = rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)
        noisy = np.clip(clean + rng.normal(0, 9, clean.shape), 0, 255).astype(np.uint8)
        for folder, suffix, picture in (
            (restored, "-restored.tif", noisy),
            (truth, ".png", clean),
        ):
            path = folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    return restored, truth


def lines(capsys):
    out, err = capsys.readouterr()
    return [json.loads(line) for line in out.splitlines()], err


def compared(*arguments):
    return run(["compare", *map(str, arguments), "--no-lpips", "--json"])


def test_two_files(folders, capsys):
    restored, truth = folders
    assert compared(restored / "a-restored.tif", truth / "a.png") == 0
    (found,), err = lines(capsys)
    assert err == ""
    expected = compare(
        np.asarray(Image.open(restored / "a-restored.tif")),
        np.asarray(Image.open(truth / "a.png")),
    ).whole
    assert found["psnr"] == pytest.approx(expected.psnr)
    assert found["ssim"] == pytest.approx(expected.ssim)
    assert found["ciede2000"] == pytest.approx(expected.ciede2000)
    assert found["lpips"] is None


def test_change_maps_are_no_pictures_to_compare(folders, capsys):
    restored, truth = folders
    for name in ("a.changes.png", "c-restored.tif.changes.png", "sub/b-restored.tif.changes.tif"):
        Image.new("L", (4, 4)).save(restored / name)
    assert compared(restored, truth, "--suffix", "-restored") == 0
    assert len(lines(capsys)[0]) == 3


def test_hidden_files_are_no_pictures_to_compare(folders, tmp_path, capsys):
    restored, truth = folders
    masks = tmp_path / "masks"
    mask = Image.new("L", (30, 24))
    mask.paste(255, (5, 5, 15, 15))
    for name in ("a", "c", "sub/b"):
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        mask.save(masks / f"{name}.png")
    for folder in (restored, truth, masks):
        (folder / ".cache").mkdir()
        for name in (".DS_Store", "._a.png", ".a.png", ".cache/a.png"):
            (folder / name).write_bytes(b"no picture")
    (restored / ".only here.png").write_bytes(b"no picture")
    given = (restored, truth, "--suffix", "-restored", "--mask", masks)
    assert compared(*given) == 0
    found, err = lines(capsys)
    assert [one["picture"] for one in found] == ["a", "c", "sub/b"]
    assert err == ""


def test_folders_are_matched_by_name_and_suffix(folders, capsys):
    restored, truth = folders
    assert compared(restored, truth, "--suffix", "-restored") == 0
    found, _ = lines(capsys)
    assert [one["picture"] for one in found] == ["a", "c", "sub/b"]
    assert all(20 < one["psnr"] < 40 for one in found)


def test_bench_on_two_folders_points_here(folders, capsys):
    code = run(["bench", *map(str, folders), "--no-lpips", "--json"])
    (failed,), err = lines(capsys)
    assert (code, failed["exit_code"]) == (2, 2)
    assert err.count("\n") == 1
    assert "`dunrestore compare`" in err


def test_an_unmatched_file_is_named_and_never_paired(folders, capsys):
    restored, truth = folders
    (truth / "c.png").unlink()
    assert compared(restored, truth, "--suffix", "-restored") == 10
    found, err = lines(capsys)
    assert [one["picture"] for one in found] == ["a", "sub/b"]
    assert "left out: " in err
    assert "c-restored.tif: no picture of that name in" in err


def test_two_files_of_one_name_are_both_left_out(folders, capsys):
    restored, truth = folders
    (truth / "c.jpg").write_bytes((truth / "c.png").read_bytes())
    assert compared(restored, truth, "--suffix", "-restored") == 10
    found, err = lines(capsys)
    assert [one["picture"] for one in found] == ["a", "sub/b"]
    assert "has the same name" in err


def test_a_broken_picture_costs_itself_alone(folders, capsys):
    restored, truth = folders
    (restored / "c-restored.tif").write_bytes(b"II*\0 nonsense")
    assert compared(restored, truth, "--suffix", "-restored") == 10
    found, err = lines(capsys)
    assert [one["picture"] for one in found if "error" not in one] == ["a", "sub/b"]
    assert [one["status"] for one in found] == ["done", "failed", "done"]
    failed = found[1]
    assert (failed["picture"], failed["exit_code"]) == ("c", 3)
    assert err == f"error: {failed['error']}\n"
    assert failed["error"].endswith(f"c-restored.tif: {failed['cause']}; {failed['next_step']}")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{r}", "{t}/missing"], 3, "no such file or folder"),
        (["{r}/a-restored.tif", "{t}"], 3, "cannot be compared with a folder"),
        (["{r}", "{t}"], 6, "no name occurs in both"),
        (["{r}/a-restored.tif", "{t}/a.png", "--mask", "{t}/missing.png"], 3, "no such file"),
        (["{r}/a-restored.tif", "{t}/a.png", "--mask", "{t}"], 2, "does not do for one picture"),
        (["{r}", "{t}", "--mask", "{t}/a.png"], 2, "one mask does not do for a folder"),
        (["{t}", "{t}", "--mask", "{r}"], 6, "no mask in"),
    ],
)
def test_errors_are_one_line(folders, capsys, arguments, code, message):
    restored, truth = folders
    given = [text.format(r=restored, t=truth) for text in arguments]
    assert compared(*given) == code
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == code
    assert err.count("\n") == 1
    assert message in err


def test_sizes_that_differ_are_an_error(folders, capsys):
    restored, truth = folders
    Image.new("RGB", (5, 7)).save(truth / "a.png")
    assert compared(restored / "a-restored.tif", truth / "a.png") == 3
    found, err = lines(capsys)
    assert "30x24 pixels, but a.png has 5x7" in err
    assert "psnr" not in found[0]


def test_no_option_is_advised_that_there_is_not(folders, tmp_path, capsys):
    bomb = tmp_path / "bomb.tif"
    tifffile.imwrite(bomb, np.zeros((1, 1), np.uint8))
    with tifffile.TiffFile(bomb, mode="r+b") as tif:
        for name in ("ImageWidth", "ImageLength"):
            tif.pages[0].tags[name].overwrite(60_000)
    compared(bomb, folders[1] / "a.png")
    said = capsys.readouterr().err
    assert "60000 x 60000 pixels, more than the 2000 megapixels that are allowed" in said
    assert "--max-image-mpixels" not in said


def test_a_mask_adds_the_parts(folders, tmp_path, capsys):
    restored, truth = folders
    mask = np.zeros((24, 30), dtype=np.uint8)
    mask[5:15, 5:15] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    given = (restored / "a-restored.tif", truth / "a.png", "--mask", tmp_path / "mask.png")
    assert compared(*given) == 0
    (found,), _ = lines(capsys)
    expected = compare(
        np.asarray(Image.open(restored / "a-restored.tif")),
        np.asarray(Image.open(truth / "a.png")),
        mask > 0,
    )
    assert found["psnr_inside"] == pytest.approx(expected.inside.psnr)
    assert found["ciede2000_outside"] == pytest.approx(expected.outside.ciede2000)
    Image.fromarray(mask[:9]).save(tmp_path / "mask.png")
    assert compared(*given) == 3
    assert "the mask has 30x9 pixels" in capsys.readouterr().err


def test_a_mask_that_can_be_seen_through_is_refused(folders, tmp_path, capsys):
    restored, truth = folders
    Image.new("RGBA", (30, 24), (255, 255, 255, 0)).save(tmp_path / "m.png")
    two = restored / "a-restored.tif", truth / "a.png"
    assert compared(*two, "--mask", tmp_path / "m.png") == 3
    (failed,), err = lines(capsys)
    assert failed["cause"] == "the mask has transparent pixels, which are neither white nor black"
    assert "flatten it onto black" in err


def test_pictures_without_a_mask_are_named_and_left_out(folders, tmp_path, capsys):
    restored, truth = folders
    mask = np.zeros((24, 30), dtype=np.uint8)
    mask[5:15, 5:15] = 255
    (tmp_path / "masks/sub").mkdir(parents=True)
    for name in ("sub/b", "of nothing"):
        Image.fromarray(mask).save(tmp_path / f"masks/{name}.png")
    given = (restored, truth, "--suffix", "-restored", "--mask", tmp_path / "masks")
    assert compared(*given) == 10
    (found,), err = lines(capsys)
    assert found["picture"] == "sub/b"
    assert found["psnr_inside"] is not None
    assert [line.split(": ")[1] for line in err.splitlines()] == [
        str(truth / "a.png"),
        str(truth / "c.png"),
    ]
    assert f"no mask of that name in {tmp_path / 'masks'}" in err


def test_the_table_has_every_picture_mean_and_median(folders, capsys):
    restored, truth = folders
    assert run(["compare", str(restored), str(truth), "--suffix", "-restored", "--offline"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines() if line.split()][2:] == [
        "a",
        "c",
        "sub/b",
        "mean",
        "median",
    ]
    assert "PSNR" in out
    assert "n/a" in out
    assert err.count("\n") == 1
    assert "dunrestore models pull lpips-alexnet" in err


def test_names_that_are_no_text_take_one_line_each(folders, capsys):
    restored, truth = folders
    (restored / "lonely\npage.png").write_bytes(b"")
    name = os.fsdecode(b"\xff\n")
    try:
        (restored / "a-restored.tif").rename(restored / f"{name}-restored.tif")
        (truth / "a.png").rename(truth / f"{name}.png")
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    given = ("compare", str(restored), str(truth), "--suffix", "-restored", "--no-lpips")
    assert run(given) == 10
    out, err = capsys.readouterr()
    shown = [line.split()[0] for line in out.splitlines() if line.split()]
    assert shown[2:] == ["c", "sub/b", r"\udcff\n", "mean", "median"]
    assert err.count("\n") == 1
    assert r"lonely\npage.png: no picture of that name" in err

import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import dunrestore
from dunrestore.checkpoints import formats
from dunrestore.cli.app import run
from dunrestore.errors import ExitCode, InputError, UsageError
from dunrestore.imaging import files
from dunrestore.models.guided import Guided, GuidedConfig
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.provenance import record
from dunrestore.restoration import source
from dunrestore.restoration.batch import run as run_module
from dunrestore.storage.hashing import sha256_of

HINET = HINetConfig(width=2, depth=3, hin_first=2, hin_last=2, in_channels=7)


@pytest.fixture(scope="module")
def guided(tmp_path_factory):
    """Finds nothing by itself; leaves the fill as it is."""
    torch.manual_seed(0)
    network = Guided(GuidedConfig(finder_width=2, finder_depth=2, hinet=HINET))
    network.begin_with_fill()
    torch.nn.init.zeros_(network.finder.last.weight)
    torch.nn.init.constant_(network.finder.last.bias, -5)
    path = tmp_path_factory.mktemp("model") / "guided.safetensors"
    formats.save(path, network, "guided", {})
    return str(path)


@pytest.fixture(scope="module")
def hinet(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "hinet.safetensors"
    network = HINet(HINetConfig(width=2, depth=3, hin_first=2, hin_last=2))
    formats.save(path, network, "hinet", {})
    return str(path)


@pytest.fixture
def scan(tmp_path):
    """A grey wall with a red loss, and its mask."""
    wall = np.full((40, 60, 3), 128, np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 30:45] = 255
    wall[mask > 0] = (200, 10, 10)
    Image.fromarray(wall).save(tmp_path / "wall.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "wall.tif")
    return tmp_path


def restore(scan, model, *more, source="wall.png"):
    out = scan / "out.png"
    arguments = [str(scan / source), "-o", str(out), "-m", model, "-d", "cpu", *map(str, more)]
    return run(["restore", *arguments]), out


def test_what_the_mask_says_is_filled_and_nothing_else(scan, guided, capsys):
    code, out = restore(scan, guided)
    assert code == ExitCode.OK
    assert "0.00 % of the pixels changed" in capsys.readouterr().err
    code, out = restore(scan, guided, "--overwrite", "--mask", scan / "masks" / "wall.tif")
    assert code == ExitCode.OK
    filled = np.array(Image.open(out))
    mask = np.array(Image.open(scan / "masks" / "wall.tif")) > 0
    assert np.array_equal(filled[~mask], np.full_like(filled[~mask], 128))
    assert np.abs(filled[mask].astype(int) - 128).max() <= 1


def test_the_record_names_the_mask_that_was_read(scan, guided, monkeypatch):
    mask, real = scan / "masks" / "wall.tif", run_module.restore_opened
    read = sha256_of(mask)

    def rewriting(*arguments):
        Image.fromarray(np.full((40, 60), 255, np.uint8)).save(mask)
        return real(*arguments)

    monkeypatch.setattr(run_module, "restore_opened", rewriting)
    code, out = restore(scan, guided, "--mask", mask)
    assert code == ExitCode.OK
    assert record.read(record.path_of(out))["options"]["mask_sha256"] == read


def test_a_folder_of_masks_goes_by_the_pictures_names(scan, guided, capsys):
    code, out = restore(scan, guided, "--mask", scan / "masks")
    assert code == ExitCode.OK
    assert (np.array(Image.open(out)) == 128).all()
    (scan / "other.png").write_bytes((scan / "wall.png").read_bytes())
    code, _ = restore(scan, guided, "--overwrite", "--mask", scan / "masks", source="other.png")
    assert code == ExitCode.INPUT
    assert "other.png: no mask of this name" in capsys.readouterr().err


def test_pictures_of_one_name_in_a_tree_take_the_masks_of_the_same_tree(scan, guided, capsys):
    mask = np.array(Image.open(scan / "masks" / "wall.tif"))
    for folder, own in (("east", mask), ("west", mask[::-1])):
        (scan / "tree" / folder).mkdir(parents=True)
        wall = np.full((40, 60, 3), 128, np.uint8)
        wall[own > 0] = (200, 10, 10)
        Image.fromarray(wall).save(scan / "tree" / folder / "wall.png")
    command = [
        "restore",
        str(scan / "tree"),
        "-r",
        "-o",
        str(scan / "out"),
        "-m",
        guided,
        "-d",
        "cpu",
    ]
    assert run([*command, "--mask", str(scan / "masks")]) == ExitCode.INPUT
    assert "would both take this mask" in capsys.readouterr().err
    for folder, own in (("east", mask), ("west", mask[::-1])):
        (scan / "marks" / folder).mkdir(parents=True)
        Image.fromarray(own).save(scan / "marks" / folder / "wall.png")
    assert run([*command, "--mask", str(scan / "marks")]) == ExitCode.OK
    for folder in ("east", "west"):
        restored = np.array(Image.open(scan / "out" / folder / "wall.png")).astype(int)
        assert np.abs(restored - 128).max() <= 1


def test_two_masks_of_one_name_are_refused(scan, guided, capsys):
    (scan / "masks" / "wall.png").write_bytes((scan / "wall.png").read_bytes())
    assert restore(scan, guided, "--mask", scan / "masks")[0] == ExitCode.INPUT
    assert "more than one mask of this name" in capsys.readouterr().err


def test_the_record_names_the_mask_and_another_mask_is_other_work(scan, guided, capsys):
    mask = scan / "masks" / "wall.tif"
    assert restore(scan, guided, "--mask", mask)[0] == ExitCode.OK
    record = json.loads((scan / "out.png.dunrestore.json").read_text())
    assert len(record["options"]["mask_sha256"]) == 64
    capsys.readouterr()
    restore(scan, guided, "--mask", mask, "--existing", "skip")
    assert "is there already" in capsys.readouterr().err
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(mask)
    restore(scan, guided, "--mask", mask, "--existing", "skip")
    assert "0.00 % of the pixels changed" in capsys.readouterr().err


def test_a_turned_scan_takes_the_mask_of_what_is_seen(scan, guided):
    stored = np.full((40, 60, 3), 128, np.uint8)
    stored[0:10, 5:25] = (10, 10, 200)
    exif = Image.Exif()
    exif[0x0112] = 6  # is looked at after a quarter turn clockwise
    Image.fromarray(stored).save(scan / "turned.png", exif=exif)
    mask = np.zeros((60, 40), np.uint8)
    mask[5:25, 30:40] = 255
    Image.fromarray(mask).save(scan / "seen.png")
    code, out = restore(scan, guided, "--mask", scan / "seen.png", source="turned.png")
    assert code == ExitCode.OK
    assert np.abs(np.array(Image.open(out)).astype(int) - 128).max() <= 1


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ("nothing.png", "no such file"),
        ("small.png", "the mask has 20x10 pixels, its picture 60x40"),
        ("pages.tif", "the mask has 2 pages, its picture 1"),
    ],
)
def test_a_mask_that_does_not_fit_is_one_line(scan, guided, capsys, mask, message):
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(scan / "small.png")
    tifffile.imwrite(scan / "pages.tif", np.zeros((2, 40, 60), np.uint8), photometric="minisblack")
    code, out = restore(scan, guided, "--mask", scan / mask)
    assert code == ExitCode.INPUT
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("marked", [1, 2])
def test_a_mask_may_have_the_pages_that_are_not_restored(scan, guided, ending, marked):
    wall = np.array(Image.open(scan / "wall.png"))
    mask = np.array(Image.open(scan / "masks" / "wall.tif"))
    tifffile.imwrite(scan / "walls.tif", np.stack([wall, wall]), photometric="rgb")
    masks = np.stack([mask, 255 - mask])[:marked]
    tifffile.imwrite(scan / "marks.tif", masks, photometric="minisblack")
    out = scan / f"out.{ending}"
    asked = ["--mask", scan / "marks.tif", "-o", out, "-m", guided, "-d", "cpu"]
    first = [] if ending == "png" else ["--pages", "first"]
    assert run(["restore", str(scan / "walls.tif"), *map(str, asked), *first]) == ExitCode.OK
    filled = files.read(out).pages[0].samples
    assert np.abs(filled.astype(int) - 128).max() <= 1


def test_a_mask_that_leaves_nothing_is_refused(scan, guided, capsys):
    Image.fromarray(np.full((40, 60), 255, np.uint8)).save(scan / "all.png")
    code, out = restore(scan, guided, "--mask", scan / "all.png")
    assert code == ExitCode.INPUT
    assert "all.png: the mask leaves nothing to restore from" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("rows", "warnings"),
    [(0, ["the mask marks nothing"]), (15, []), (30, ["the mask marks 75 % of the picture"])],
)
def test_a_mask_that_is_likely_a_mistake_is_warned_of(scan, guided, rows, warnings):
    mask = np.zeros((40, 60), np.uint8)
    mask[:rows] = 255
    Image.fromarray(mask).save(scan / "some.png")
    code, out = restore(scan, guided, "--mask", scan / "some.png")
    assert code == ExitCode.OK
    assert json.loads((scan / f"{out.name}.dunrestore.json").read_text())["warnings"] == warnings


def test_a_mask_and_changing_everything_contradict_each_other(scan, guided, capsys):
    code, out = restore(scan, guided, "--mask", scan / "masks", "--preserve", "never")
    assert code == ExitCode.USAGE
    assert "--preserve never changes all" in capsys.readouterr().err
    assert not out.exists()


def test_one_mask_does_not_do_for_two_pictures(scan, guided, capsys):
    (scan / "other.png").write_bytes((scan / "wall.png").read_bytes())
    pictures = [str(scan / "wall.png"), str(scan / "other.png")]
    mask = str(scan / "masks" / "wall.tif")
    code = run(["restore", *pictures, "-o", str(scan / "o"), "-m", guided, "--mask", mask])
    assert code == ExitCode.INPUT
    assert "one mask does not do for 2 pictures" in capsys.readouterr().err


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_model_that_takes_no_mask_says_so_once(scan, hinet, capsys, more):
    for folder in ("in", "masks"):
        (scan / folder).mkdir(exist_ok=True)
        for name in ("a.png", "b.png"):
            (scan / folder / name).write_bytes((scan / "wall.png").read_bytes())
    arguments = [str(scan / "in"), "-o", str(scan / "out"), "-m", hinet, *more]
    assert run(["restore", *arguments, "--mask", str(scan / "masks")]) == ExitCode.USAGE
    assert capsys.readouterr().err.count("takes no mask") == 1
    assert not (scan / "out").exists()


def test_arrays_take_a_mask_too(scan, guided, hinet):
    wall = np.array(Image.open(scan / "wall.png"))
    mask = np.array(Image.open(scan / "masks" / "wall.tif")) > 0
    model = dunrestore.load(guided)
    assert np.abs(dunrestore.restore(wall, model, mask=mask).astype(int) - 128).max() <= 1
    floats = dunrestore.restore(wall / 255, model, mask=mask)
    assert np.abs(floats * 255 - 128).max() <= 1
    with pytest.raises(InputError, match="a mask of shape"):
        dunrestore.restore(wall, model, mask=mask[1:])
    with pytest.raises(InputError, match="the mask leaves nothing to restore from"):
        dunrestore.restore(wall, model, mask=np.ones_like(mask))
    with pytest.raises(UsageError, match="takes no mask"):
        dunrestore.restore(wall, dunrestore.load(hinet), mask=mask)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("scale", [1, 255])
def test_only_bool_says_what_is_lost(scan, guided, dtype, scale):
    wall = np.array(Image.open(scan / "wall.png"))
    mask = (np.array(Image.open(scan / "masks" / "wall.tif")) / 255 * scale).astype(dtype)
    for picture in (wall, wall / 255, scan / "wall.png"):
        with pytest.raises(InputError, match=r"mask of \w+ does not say.*bool, such as mask > 127"):
            dunrestore.restore(picture, dunrestore.load(guided), mask=mask)


def test_an_output_replaces_no_mask(scan, guided, capsys):
    mask = scan / "out.png"
    mask.write_bytes((scan / "masks" / "wall.tif").read_bytes())
    code, out = restore(scan, guided, "--mask", mask, "--overwrite")
    assert code == ExitCode.USAGE
    assert "out.png: this would replace a mask" in capsys.readouterr().err
    assert out.read_bytes() == (scan / "masks" / "wall.tif").read_bytes()
    assert sorted(path.name for path in scan.iterdir()) == ["masks", "out.png", "wall.png"]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", ["grey.png", "palette.png", "grey.tif", "zero.tif", "g4.tif"])
def test_masks_of_one_bit_are_taken(scan, guided, monkeypatch, kind, large):
    if large:
        monkeypatch.setattr(source, "IN_MEMORY", 100)
    path = scan / kind
    marked = np.array(Image.open(scan / "masks" / "wall.tif")) > 0
    if kind == "grey.tif":
        tifffile.imwrite(path, marked, photometric="minisblack")
    elif kind == "zero.tif":
        tifffile.imwrite(path, ~marked, photometric="miniswhite")
    elif kind == "g4.tif":
        Image.fromarray(marked).save(path, compression="group4")
    elif kind == "grey.png":
        Image.fromarray(marked).save(path)
    else:
        colours = Image.fromarray(marked.astype(np.uint8), "P")
        colours.putpalette([0, 0, 0, 255, 255, 255])
        colours.save(path, bits=1)
    code, out = restore(scan, guided, "--mask", path)
    assert code == ExitCode.OK
    filled = np.array(Image.open(out)).astype(int)
    assert (filled[~marked] == 128).all()
    assert np.abs(filled - 128).max() <= 1


def test_a_mask_of_zeros_and_ones_is_told_why_it_marks_nothing(scan, guided, capsys):
    marked = np.array(Image.open(scan / "masks" / "wall.tif")) > 0
    Image.fromarray(marked.astype(np.uint8)).save(scan / "ones.png")
    code, _ = restore(scan, guided, "--mask", scan / "ones.png")
    assert code == ExitCode.OK
    assert "the mask marks nothing: its brightest value is 1 of 255" in capsys.readouterr().err


def on_a_layer(path, marked, clear):
    """A mask in the mode its file is called after, transparent where it says."""
    mode = path.stem
    if mode in ("LA", "RGBA"):
        layer = Image.fromarray(marked * np.uint8(255)).convert(mode)
        layer.putalpha(Image.fromarray(np.where(clear, 254, 255).astype(np.uint8)))
        layer.save(path)
    elif mode == "P":
        layer = Image.fromarray(np.where(clear, 2, marked).astype(np.uint8))
        layer.putpalette([0, 0, 0, 255, 255, 255, 255, 255, 255])
        layer.save(path, transparency=2)
    else:
        Image.fromarray(np.where(clear, 1, marked * 255).astype(np.uint8)).save(
            path, transparency=1
        )


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", ["RGBA.png", "LA.png", "P.png", "L.png", "RGBA.tif", "RGBA.webp"])
def test_a_mask_that_can_be_seen_through_is_refused(scan, guided, monkeypatch, capsys, name, large):
    if large:
        monkeypatch.setattr(source, "IN_MEMORY", 100)
    marked = np.array(Image.open(scan / "masks" / "wall.tif")) > 0
    clear = np.zeros_like(marked)
    on_a_layer(scan / name, marked, clear)
    assert restore(scan, guided, "--mask", scan / name)[0] == ExitCode.OK
    clear[30:, :5] = True
    on_a_layer(scan / name, marked, clear)
    code, _ = restore(scan, guided, "--mask", scan / name, "--overwrite")
    assert code == ExitCode.INPUT
    said = capsys.readouterr().err
    assert f"{name}: the mask has transparent pixels" in said
    assert "flatten it onto black" in said


def test_a_masks_channel_that_is_no_alpha_does_not_count(scan, guided):
    marked = np.array(Image.open(scan / "masks" / "wall.tif"))
    channels = np.dstack([marked, np.zeros_like(marked)])
    tifffile.imwrite(scan / "two.tif", channels, photometric="minisblack", extrasamples=[0])
    code, out = restore(scan, guided, "--mask", scan / "two.tif")
    assert code == ExitCode.OK
    assert np.abs(np.array(Image.open(out)).astype(int) - 128).max() <= 1


def test_pictures_of_one_bit_are_refused_as_before(scan, guided, capsys):
    Image.new("1", (60, 40)).save(scan / "bits.png")
    assert restore(scan, guided, source="bits.png")[0] == ExitCode.INPUT
    assert "1 bits a sample is not supported" in capsys.readouterr().err


def test_a_dry_run_tells_for_what_its_time_is(scan, guided, hinet, capsys):
    assert restore(scan, guided, "--dry-run")[0] == ExitCode.OK
    assert (
        "of computing with losses everywhere, less where little is lost" in capsys.readouterr().err
    )
    assert restore(scan, hinet, "--dry-run")[0] == ExitCode.OK
    assert "of computing (" in capsys.readouterr().err

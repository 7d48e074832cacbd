from functools import partial

import numpy as np
import pytest
from PIL import Image

from dunrestore.datasets.description import describe
from dunrestore.datasets.layouts import list_pairs
from dunrestore.datasets.pictures import PictureStore, check, cut, sift, split
from dunrestore.errors import InputError
from dunrestore.imaging.files import read
from dunrestore.restoration.damage.masks import read_masks
from tests.datasets.folders import clean_folder, save


def checked(folder, store=None):
    return check(list_pairs(folder), store or PictureStore(10**8))


def test_unreadable_and_unequal_pictures_are_named_and_left_out(tmp_path):
    for i in range(3):
        save(tmp_path / "input" / f"{i}.png", i)
        save(tmp_path / "target" / f"{i}.png", i)
    save(tmp_path / "input" / "1.png", 1, 40, 40)
    (tmp_path / "target" / "2.png").write_bytes(b"no picture")
    good, left_out = sift(list_pairs(tmp_path), PictureStore(10**8))
    assert [g.pair.name for g in good] == ["0"]
    reasons = {left.path.parent.name + left.path.stem: left.reason for left in left_out}
    assert reasons["input1"] == "is 40 x 40 pixels, its clean picture 56 x 48"
    assert reasons["target2"]
    with pytest.raises(InputError, match="2 of 3 pictures are unusable"):
        checked(tmp_path)


def test_a_few_unusable_pictures_are_named_and_counted(tmp_path, caplog):
    clean_folder(tmp_path, 9)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert len(checked(tmp_path)) == 9
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "broken.png" in said[0]
    assert said[1] == "1 of 10 pictures left out"


def test_pixels_masks_and_sixteen_bits(tmp_path):
    target = np.full((20, 30, 3), 100, np.uint8)
    damaged = target.copy()
    damaged[5:9, 7:11] = 255
    damaged[0, 0] = 103  # noise is no damage
    for name, pixels in (("target", target), ("input", damaged)):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    store = PictureStore(10**8)
    (pair,) = checked(tmp_path, store)
    sample = cut(pair, store)
    assert sample.mask.sum() == 16
    assert sample.mask[5:9, 7:11].all()
    assert np.array_equal(np.rint(sample.input * 255), damaged)
    window = cut(pair, store, (slice(4, 10), slice(6, 12)))
    assert np.array_equal(window.input, sample.input[4:10, 6:12])

    (tmp_path / "mask").mkdir()
    Image.fromarray((np.arange(20 * 30).reshape(20, 30) % 2 * 255).astype(np.uint8)).save(
        tmp_path / "mask" / "a.png"
    )
    (pair,) = checked(tmp_path, store)
    assert cut(pair, store).mask.sum() == 300


@pytest.mark.parametrize("kind", ["1", "L", "RGB"])
def test_masks_are_read_as_restore_reads_them(tmp_path, kind):
    for name in ("target", "input"):
        save(tmp_path / name / "a.png", 1, 20, 30)
    height, width = 20, 30
    mask = np.zeros((height, width, 3), np.uint8)
    mask[3:9, :5, 0] = 255  # red
    shown = Image.fromarray(mask if kind == "RGB" else mask[..., 0])
    (tmp_path / "mask").mkdir()
    shown.convert(kind).save(tmp_path / "mask" / "a.png")
    store = PictureStore(10**8)
    (pair,) = checked(tmp_path, store)
    pages = read(tmp_path / "input" / "a.png").pages
    any_depth = partial(read, any_depth=True)
    (asked,) = read_masks(tmp_path / "mask" / "a.png", pages, any_depth)
    found = cut(pair, store).mask
    assert np.array_equal(found, asked[:])
    assert np.array_equal(found, mask[..., 0] > 0)


@pytest.fixture
def pair(tmp_path):
    """A folder of one pair with an empty folder of masks; 20 x 30 pixels."""
    for name in ("target", "input", "mask"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (30, 20)).save(tmp_path / name / "a.png")
    return tmp_path


def test_a_mask_of_zeros_and_ones_is_no_mask(pair):
    Image.new("L", (30, 20), 1).save(pair / "mask" / "a.png")
    with pytest.raises(InputError, match=r"marks nothing.*; 1 of 1 pictures are unusable"):
        checked(pair)


def test_a_mask_that_can_be_seen_through_is_no_mask(pair):
    Image.new("RGBA", (30, 20), (255, 255, 255, 0)).save(pair / "mask" / "a.png")
    with pytest.raises(InputError, match=r"mask.a\.png: the mask has transparent pixels"):
        checked(pair)


def test_the_store_forgets_what_does_not_fit(tmp_path):
    clean_folder(tmp_path, 3)
    paths = sorted(tmp_path.iterdir())
    small = PictureStore(2 * 48 * 56 * 3)
    first = small.get(paths[0])
    assert small.get(paths[0]) is first
    for path in paths[1:]:
        small.get(path)
    assert small.get(paths[0]) is not first
    assert np.array_equal(small.get(paths[0]), first)


def test_the_split_is_by_picture_and_does_not_hang_on_the_order(tmp_path):
    pictures = checked(clean_folder(tmp_path, 10))
    training, validation = split(pictures, 0.3, seed=1)
    assert len(validation) == 3
    assert not {p.sha256 for p in training} & {p.sha256 for p in validation}
    again = split(pictures[::-1], 0.3, seed=1)[1]
    assert {p.pair.name for p in again} == {p.pair.name for p in validation}
    assert split(pictures, 0.0, seed=1) == (pictures, [])
    assert len(split(pictures, 0.01, seed=1)[1]) == 1
    seeds = {tuple(p.pair.name for p in split(pictures, 0.3, seed=s)[1]) for s in range(5)}
    assert len(seeds) > 1


def test_copies_of_a_picture_stay_on_one_side(tmp_path):
    clean_folder(tmp_path, 4)
    for i in range(4):
        save(tmp_path / "copies" / f"copy-{i}.png", i)
    for seed in range(4):
        training, validation = split(checked(tmp_path), 0.25, seed)
        assert len(validation) == 2
        assert not {p.sha256 for p in training} & {p.sha256 for p in validation}


def test_the_description_names_hashes_and_licences(tmp_path):
    folder = clean_folder(tmp_path / "open", 2)
    (tmp_path / "sources.csv").write_text("file,licence\nopen/wall-0.png,CC0\n")
    described = describe(folder, checked(folder))
    assert [f["licence"] for f in described["files"]] == ["CC0", "not stated"]
    assert [f["name"] for f in described["files"]] == ["wall-0", "wall-1"]
    assert all(len(f["sha256"]) == 64 for f in described["files"])
    assert describe(folder, checked(folder)[::-1]) == described


def test_a_table_without_the_columns_is_told_of(tmp_path, caplog):
    clean_folder(tmp_path, 1)
    (tmp_path / "sources.csv").write_text("file;licence\nwall-0.png;CC0\n")
    assert describe(tmp_path, checked(tmp_path))["files"][0]["licence"] == "not stated"
    assert "has no columns 'file' and 'licence'" in caplog.text


@pytest.mark.parametrize("table", ["file,licence\nä.png,CC0\n".encode("latin-1"), b"a" * 200_000])
def test_a_table_of_licences_that_is_none_is_named(tmp_path, table):
    clean_folder(tmp_path, 1)
    (tmp_path / "sources.csv").write_bytes(table)
    with pytest.raises(InputError, match="cannot be read as a table") as raised:
        describe(tmp_path, checked(tmp_path))
    assert raised.value.path == str(tmp_path / "sources.csv")
    assert "UTF-8" in raised.value.next_step

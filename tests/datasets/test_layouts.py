import unicodedata
from pathlib import Path

import pytest

from dunrestore.datasets.layouts import list_pairs
from dunrestore.errors import InputError, NothingToDoError
from dunrestore.imaging.files import IMAGE_SUFFIXES
from tests.datasets.folders import clean_folder, save


def test_the_challenge_as_distributed(tmp_path):
    for part in ("train", "test"):
        for i in (10, 9):
            save(tmp_path / part / f"{part}{i}_masked.jpg", i)
            save(tmp_path / part / f"{part}{i}_mask.jpg", i)
            save(tmp_path / f"{part}_gt" / f"{part}{i}.jpg", i)
    for part in ("train", "test"):
        listing = list_pairs(tmp_path, part)
        assert listing.layout == "challenge"
        assert [p.name for p in listing.pairs] == [f"{part}10", f"{part}9"]
        pair = listing.pairs[0]
        assert pair.target == tmp_path / f"{part}_gt" / f"{part}10.jpg"
        assert pair.input == tmp_path / part / f"{part}10_masked.jpg"
        assert pair.mask == tmp_path / part / f"{part}10_mask.jpg"
        assert not listing.left_out


@pytest.mark.parametrize("names", [("input", "target", "mask"), ("lq", "gt", None),
                                   ("damaged", "clean", "masks"), ("LQ", "hq", None)])  # fmt: skip
def test_folders_under_their_usual_names_match_by_name_across_formats(tmp_path, names):
    damaged, clean, mask = names
    for i in range(3):
        save(tmp_path / damaged / f"a{i}.jpg", i)
        save(tmp_path / clean / f"a{i}.png", i)
        if mask:
            save(tmp_path / mask / f"a{i}.png", i)
    listing = list_pairs(tmp_path)
    assert listing.layout == "paired"
    assert [p.name for p in listing.pairs] == ["a0", "a1", "a2"]
    assert all(p.input.stem == p.target.stem == p.name for p in listing.pairs)
    assert all((p.mask is not None) == (mask is not None) for p in listing.pairs)


def test_a_missing_file_does_not_mispair_the_rest(tmp_path):
    for name in ("a", "c", "d"):
        save(tmp_path / "input" / f"{name}.png", 1)
        save(tmp_path / "mask" / f"{name}.png", 1)
    for name in ("b", "c", "d"):
        save(tmp_path / "target" / f"{name}.png", 1)
    listing = list_pairs(tmp_path)
    assert [(p.input.stem, p.target.stem) for p in listing.pairs] == [("c", "c"), ("d", "d")]
    reasons = {left.path.relative_to(tmp_path): left.reason for left in listing.left_out}
    assert reasons == {
        Path("input/a.png"): "has no clean picture of that name",
        Path("target/b.png"): "has no damaged picture of that name",
    }


def test_a_plain_folder_is_read_with_its_subfolders(tmp_path):
    clean_folder(tmp_path, 2)
    save(tmp_path / "cave 1" / "wall-0.png", 3)
    save(tmp_path / ".cache" / "hidden.png", 3)
    (tmp_path / "notes.txt").write_text("not a picture")
    listing = list_pairs(tmp_path)
    assert listing.layout == "clean"
    assert [p.name for p in listing.pairs] == ["cave 1/wall-0", "wall-0", "wall-1"]


def test_two_files_of_one_name_are_told(tmp_path):
    clean_folder(tmp_path, 1)
    save(tmp_path / "wall-0.jpg", 5)
    listing = list_pairs(tmp_path)
    assert len(listing.pairs) == 1
    assert listing.left_out[0].reason == "has the same name as wall-0.jpg"


def test_nothing_to_train_on_is_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToDoError, match="no pictures found"):
        list_pairs(tmp_path / "empty")
    with pytest.raises(InputError, match="no such folder"):
        list_pairs(tmp_path / "absent")
    with pytest.raises(InputError, match="is a file, not a folder"):
        list_pairs(save(tmp_path / "wall.png", 1))


@pytest.mark.parametrize(
    ("there", "missing"),
    [(["train", "train_gt"], "not both of test/ and test_gt/"),
     (["train", "train_gt", "test_gt"], "not both of test/ and test_gt/"),
     (["damaged"], "no folder of clean pictures"),
     (["input", "mask"], "no folder of clean pictures"),
     (["gt", "masks"], "no folder of damaged pictures")],
)  # fmt: skip
def test_a_set_of_pairs_without_a_part_is_not_taken_for_clean_pictures(tmp_path, there, missing):
    for name in there:
        save(tmp_path / name / "wall.png", 1)
    with pytest.raises(InputError, match=missing):
        list_pairs(tmp_path, "test")


def test_the_challenges_inner_folder_is_not_taken_for_clean_pictures(tmp_path):
    for name in ("1_masked", "1_mask"):
        save(tmp_path / "train" / f"{name}.png", 1)
    for folder in (tmp_path / "train", tmp_path):
        with pytest.raises(InputError, match=r"damaged pictures and masks .*1_masked, .*1_mask"):
            list_pairs(folder)


def test_pictures_beside_a_folder_of_clean_ones_are_told_of(tmp_path, caplog):
    save(tmp_path / "clean" / "wall.png", 1)
    assert [p.name for p in list_pairs(tmp_path).pairs] == ["wall"]
    assert not caplog.text
    save(tmp_path / "north" / "wall.png", 2)
    assert [p.name for p in list_pairs(tmp_path).pairs] == ["wall"]
    assert "only those in clean/ are taken" in caplog.text


def test_accents_match_however_a_disk_composes_them(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "dorée") for form in ("NFC", "NFD"))
    save(tmp_path / "input" / f"{composed}.png", 1)
    save(tmp_path / "target" / f"{decomposed}.png", 1)
    save(tmp_path / "mask" / f"{decomposed}.png", 1)
    listing = list_pairs(tmp_path)
    assert [p.name for p in listing.pairs] == [composed]
    assert listing.pairs[0].mask is not None
    assert not listing.left_out


def test_accents_match_in_the_challenge_too(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "dorée") for form in ("NFC", "NFD"))
    save(tmp_path / "train" / f"{decomposed}_masked.png", 1)
    save(tmp_path / "train" / f"{composed}_mask.png", 1)
    save(tmp_path / "train_gt" / f"{composed}.png", 1)
    listing = list_pairs(tmp_path)
    assert [p.name for p in listing.pairs] == [composed]
    assert not listing.left_out


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_whatever_restore_takes_is_trained_on(tmp_path, suffix):
    (tmp_path / f"wall{suffix}").touch()
    (tmp_path / f"roof{suffix.upper()}").touch()
    assert [p.name for p in list_pairs(tmp_path).pairs] == ["roof", "wall"]

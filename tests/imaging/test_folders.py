import os
import unicodedata
from pathlib import Path

import pytest

from dunrestore.errors import FileAccessError
from dunrestore.imaging.folders import by_name, files_below, pictures_in, shown_pictures_in

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "dorée") for form in ("NFC", "NFD"))


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_pictures_are_found_by_extension_in_any_case_and_at_any_depth(tmp_path):
    make(tmp_path, "b.PNG", "cave/a.j2k", "c.jpe", "notes.txt", "png")
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in pictures_in(tmp_path)]
    assert found == ["b.PNG", "c.jpe", "cave/a.j2k"]


def test_what_is_hidden_below_a_folder_is_not_shown(tmp_path):
    folder = make(tmp_path / ".kept", "a.png", ".b.png", ".cache/c.png", "cave/d.png", "._a.png")
    assert shown_pictures_in(folder) == [folder / "a.png", folder / "cave/d.png"]


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A folder that cannot be read, among others that can."""
    make(tmp_path, "a.png", "closed/b.png", "open/c.png")
    scan = os.scandir

    def refusing(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    return tmp_path


def test_a_folder_that_cannot_be_read_is_not_passed_over(closed):
    with pytest.raises(FileAccessError, match="closed: permission denied"):
        list(files_below(closed))


def test_folders_of_the_system_are_passed_over(closed):
    (closed / "closed").rename(closed / "lost+found")
    assert [path.name for path in pictures_in(closed)] == ["a.png", "c.png"]


def test_all_files_of_a_name_are_told(tmp_path):
    make(tmp_path, "a.png", "a.tif", "cave/a.png", f"{COMPOSED}.png", f"{DECOMPOSED}.png")
    found = by_name(pictures_in(tmp_path), tmp_path)
    assert {name: len(paths) for name, paths in found.items()} == {
        "a": 2,
        "cave/a": 1,
        COMPOSED: len(list(tmp_path.glob("dor*"))),
    }
    assert [path.name for path in found["a"]] == ["a.png", "a.tif"]


def test_a_suffix_does_not_count_however_it_is_composed(tmp_path):
    make(tmp_path, f"a-{DECOMPOSED}.png", "a.png", "b.png")
    for suffix in (f"-{COMPOSED}", f"-{DECOMPOSED}"):
        found = by_name(pictures_in(tmp_path), tmp_path, suffix)
        assert {name: len(paths) for name, paths in found.items()} == {"a": 2, "b": 1}

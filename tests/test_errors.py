import pytest

from dunrestore.errors import ExitCode, file_access_error


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.toml", "check the path"),
        ("gone/missing.toml", "check the path"),
        ("file/missing.toml", "what should be a folder in it is a file"),
        ("folder", "choose another name"),
    ],
)
def test_what_stands_in_the_way_is_said(tmp_path, name, words):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    with pytest.raises(OSError, match="Errno") as caught:
        path.mkdir() if name == "folder" else path.read_bytes()
    error = file_access_error(caught.value, path)
    assert words in str(error)
    assert str(path) in str(error)
    assert error.exit_code == ExitCode.FILE_ACCESS


def test_a_folder_in_a_files_place_is_said(tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        tmp_path.read_bytes()
    assert "name a file, not a folder" in str(file_access_error(caught.value, tmp_path))

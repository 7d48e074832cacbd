import errno
import os
import stat

import pytest

from dunrestore.errors import FileAccessError
from dunrestore.storage.atomic import write_atomically, write_bytes, write_text


def test_bytes_take_the_place_of_a_file_and_make_its_folder(tmp_path):
    path = tmp_path / "deep" / "er" / "a"
    for content in (b"old", b"new"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == ["a"]


def test_text_keeps_its_line_ends_and_names_that_are_no_unicode(tmp_path):
    write_text(tmp_path / "a", "敦煌\nb\r\n" + os.fsdecode(b"\xff"))
    assert (tmp_path / "a").read_bytes() == "敦煌\nb\r\n".encode() + b"\xff"


def test_text_makes_no_folder_anew(tmp_path):
    with pytest.raises(FileAccessError, match="no such file"):
        write_text(tmp_path / "gone" / "a", "text")
    assert not (tmp_path / "gone").exists()


@pytest.mark.skipif(os.name == "nt", reason="no permissions of this kind")
def test_others_may_read_what_the_mask_lets_them(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="folders are not flushed there")
def test_file_and_folder_are_flushed_in_this_order(tmp_path, monkeypatch):
    flushed, real = [], os.fsync

    def fsync(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        flushed.append((kind, (tmp_path / "a").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(tmp_path / "a", b"x")
    assert flushed == [("file", False), ("folder", True)]


def test_a_full_disk_leaves_the_previous_file_and_nothing_else(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileAccessError, match="no space left"):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_name_that_is_taken_is_refused_also_when_taken_meanwhile(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(FileAccessError, match="of this name already"):
        write_atomically(path, lambda file: path.write_bytes(b"another's"))
    with pytest.raises(FileAccessError, match="of this name already"):
        write_atomically(path, lambda file: file.write(b"x"))
    assert path.read_bytes() == b"another's"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]

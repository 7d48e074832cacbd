"""Writing: whole and checked under the final name, or nothing; whatever the name."""

import errno
import os
import stat
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from dunrestore.errors import FileAccessError, InputError, OutputCheckError, UsageError
from dunrestore.imaging import files
from dunrestore.imaging.formats import png_write
from dunrestore.imaging.picture import Document, Encoding, Picture

NAMES = [
    "a b.png",
    "quote'\"s.png",
    "new\nline.png",
    "莫高窟 第112窟.png",
    unicodedata.normalize("NFD", "fresque dorée.png"),
    "-o.png",
    "x" * 251 + ".png",
    "%s {0} [x] *.png",
]


@pytest.fixture
def document():
    samples = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    return Document((Picture(samples, Encoding("rgb")),), "png")


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_can_be_written_and_read(tmp_path, document, name):
    path = tmp_path / name
    files.write(document, path)
    assert np.array_equal(files.read(path).pages[0].samples, document.pages[0].samples)
    files.copy(path, tmp_path / ("b" + name[1:]))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "b" + name[1:]])


def test_a_name_that_is_taken_stays_untouched_without_overwrite(tmp_path, document):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(FileAccessError, match="--overwrite"):
        files.write(document, path)
    assert path.read_bytes() == b"precious"
    files.write(document, path, overwrite=True)
    assert len(files.read(path).pages) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_name_that_is_taken_meanwhile_stays_untouched(tmp_path, document, monkeypatch):
    path = tmp_path / "a.png"
    encode = png_write.write

    def taken_meanwhile(file, given):
        path.write_bytes(b"of another process")
        return encode(file, given)

    monkeypatch.setitem(files._WRITERS, "png", taken_meanwhile)
    with pytest.raises(FileAccessError, match="of this name"):
        files.write(document, path)
    assert path.read_bytes() == b"of another process"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_file_gets_the_usual_permissions(tmp_path, document):
    files.write(document, tmp_path / "a.png")
    (tmp_path / "b").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.png", "b")]
    assert modes[0] == modes[1]


def test_without_hard_links_it_is_still_written(tmp_path, document, monkeypatch):
    def no_links(*_, **__):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    files.write(document, tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_overwriting_a_link_replaces_the_link_and_not_what_it_points_to(tmp_path, document):
    (tmp_path / "master").write_bytes(b"precious")
    (tmp_path / "a.png").symlink_to("master")
    files.write(document, tmp_path / "a.png", overwrite=True)
    assert (tmp_path / "master").read_bytes() == b"precious"
    assert not (tmp_path / "a.png").is_symlink()


def test_a_link_to_a_picture_is_read(tmp_path, document):
    files.write(document, tmp_path / "a.png")
    (tmp_path / "link").symlink_to("a.png")
    (tmp_path / "dangling").symlink_to("gone")
    assert files.read(tmp_path / "link").format == "png"
    with pytest.raises(InputError, match="no such file"):
        files.read(tmp_path / "dangling")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        files.read(tmp_path / "pipe")


def test_a_missing_folder_and_a_name_too_long_are_file_errors(tmp_path, document):
    with pytest.raises(FileAccessError, match="no such file or directory"):
        files.write(document, tmp_path / "gone" / "a.png")
    with pytest.raises(FileAccessError, match="too long"):
        files.write(document, tmp_path / ("x" * 252 + ".png"))
    assert list(tmp_path.iterdir()) == []


def test_wrong_bytes_on_disk_never_get_the_name(tmp_path, document, monkeypatch):
    encode = png_write.write

    def another_picture(file, given):
        return encode(file, Picture(given.samples[::-1].copy(), given.encoding))

    def cut_short(file, given):
        encode(file, given)
        file.truncate(file.tell() - 20)
        return ()

    monkeypatch.setitem(files._WRITERS, "png", another_picture)
    with pytest.raises(OutputCheckError, match="other pixels"):
        files.write(document, tmp_path / "a.png")
    monkeypatch.setitem(files._WRITERS, "png", cut_short)
    with pytest.raises(OutputCheckError, match="cannot be read back"):
        files.write(document, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_is_compared_with_its_source(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 9000)
    files.copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    monkeypatch.setattr(files.shutil, "copyfileobj", lambda _, to, __: to.write(b"short"))
    with pytest.raises(OutputCheckError, match="differs"):
        files.copy(tmp_path / "a", tmp_path / "c")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_other_formats_have_no_choice_of_compression(tmp_path, document):
    with pytest.raises(UsageError, match="no choice"):
        files.write(document, tmp_path / "a.png", compression="lzw")
    with pytest.raises(UsageError, match="rle"):
        files.write(document, tmp_path / "a.tif", format="tiff", compression="rle")
    assert list(tmp_path.iterdir()) == []


class FailingFile:
    """A file whose reads, writes and flushes count, and fail, with the system's other calls."""

    def __init__(self, file, system):
        self._file, self._system = file, system

    def __getattr__(self, name):
        found = getattr(self._file, name)
        return self._system.wrapped(found) if name in ("read", "write", "flush") else found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


class FailingSystem:
    """Counts the calls that touch the disk and makes the k-th fail."""

    CALLS = ((os, "fsync"), (os, "link"), (os, "open"), (Path, "replace"), (Path, "stat"))

    def __init__(self, monkeypatch, kth, number):
        self.count, self.kth, self.number = 0, kth, number
        for owner, name in self.CALLS:
            monkeypatch.setattr(owner, name, self.wrapped(getattr(owner, name)))
        opened = self.wrapped(Path.open)
        monkeypatch.setattr(Path, "open", lambda *a, **k: FailingFile(opened(*a, **k), self))

    def wrapped(self, call):
        def failing(*args, **kwargs):
            self.count += 1
            if self.count == self.kth:
                raise OSError(self.number, os.strerror(self.number))
            return call(*args, **kwargs)

        return failing


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_every_kth_failure_leaves_no_half_file(
    tmp_path, document, monkeypatch, number, overwrite, kind
):
    source, target = tmp_path / "in", tmp_path / "out"
    files.write(document, source, format=kind)
    before = source.read_bytes()
    kth, failed, finished = 0, 0, False
    while not finished:
        kth += 1
        with monkeypatch.context() as patch:
            system = FailingSystem(patch, kth, number)
            try:
                files.write(files.read(source), target, overwrite=overwrite)
            except FileAccessError:
                failed += 1
            finished = system.count < kth
        if target.exists():  # complete under its name, also when the failure came after
            assert np.array_equal(files.read(target).pages[0].samples, document.pages[0].samples)
            target.unlink()
        assert [p.name for p in tmp_path.iterdir()] == ["in"]
        assert source.read_bytes() == before
    assert failed >= 10


def test_a_full_disk_is_named_with_what_to_do(tmp_path, document, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileAccessError) as caught:
        files.write(document, tmp_path / "a.png")
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: no space left on device; free")


def test_an_interruption_leaves_nothing(tmp_path, document, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(document, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []

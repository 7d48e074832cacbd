"""Damaged files, bombs, odd names, links, and folders that cannot be written to or vanish."""

import errno
import io
import os
import shutil
import unicodedata
import zlib

import numpy as np
import pytest
from PIL import Image

from dunrestore.cli.app import run
from dunrestore.errors import ExitCode
from tests.restoration.batch.faults import Faults, injected
from tests.restoration.batches import everything, make_scans, pictures, restore, scan
from tests.restoration.batches import use_toy as load_toy


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    return load_toy(monkeypatch)


def encoded(kind, **how):
    held = io.BytesIO()
    Image.fromarray(scan(3)).save(held, kind, **how)
    return held.getvalue()


KINDS = {
    "png": lambda: encoded("PNG"),
    "tif": lambda: encoded("TIFF"),
    "deflate.tif": lambda: encoded("TIFF", compression="tiff_adobe_deflate"),
    "jpg": lambda: encoded("JPEG"),
    "webp": lambda: encoded("WEBP", lossless=True),
    "jp2": lambda: encoded("JPEG2000", irreversible=False),
}


def outcome(tmp_path, capsys, data, suffix):
    """Exit code for one file of these bytes; checks that nothing is half done."""
    source, target = tmp_path / f"in.{suffix}", tmp_path / f"out.{suffix}"
    source.write_bytes(data)
    code = restore(source, target, "-q", "--no-sidecar")
    said = capsys.readouterr().err
    assert source.read_bytes() == data
    assert "Traceback" not in said
    assert "unexpected" not in said, said
    assert target.exists() == (code == ExitCode.OK)
    assert not list(tmp_path.glob("*.part"))
    if code != ExitCode.OK:
        assert said.count("\n") == 1, said
    return code, target


@pytest.mark.parametrize("suffix", KINDS)
def test_files_cut_short_at_every_percent(tmp_path, capsys, suffix):
    whole = KINDS[suffix]()
    code, target = outcome(tmp_path, capsys, whole, suffix)
    assert code == ExitCode.OK
    undisturbed = target.read_bytes()
    target.unlink()
    accepted = 0
    for percent in range(100):
        cut = whole[: len(whole) * percent // 100]
        code, target = outcome(tmp_path, capsys, cut, suffix)
        assert code in (ExitCode.OK, ExitCode.INPUT)
        if code == ExitCode.OK:
            # What is missing was no part of the picture: its pixels are all there.
            same = np.asarray(Image.open(target)), np.asarray(Image.open(io.BytesIO(undisturbed)))
            np.testing.assert_array_equal(*same)
            accepted += 1
            target.unlink()
    assert accepted <= 3


@pytest.mark.parametrize("flips", [30, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", KINDS)
def test_flipped_bits_never_end_in_a_traceback(tmp_path, capsys, suffix, flips):
    whole = KINDS[suffix]()
    rng = np.random.default_rng(5)
    for _ in range(flips):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        code, target = outcome(tmp_path, capsys, bytes(data), suffix)
        assert code in (ExitCode.OK, ExitCode.INPUT)
        target.unlink(missing_ok=True)


def png_chunk(kind, data):
    body = kind + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def test_decompression_bombs_are_refused_before_they_burst(tmp_path, capsys):
    side = 60_000
    header = b"".join(n.to_bytes(4, "big") for n in (side, side)) + bytes([8, 2, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
    bomb += png_chunk(b"IDAT", zlib.compress(bytes(10**6), 9)) + png_chunk(b"IEND", b"")
    code, _ = outcome(tmp_path, capsys, bomb, "png")
    assert code == ExitCode.INPUT
    (tmp_path / "in.png").write_bytes(encoded("PNG"))
    small = ("--max-image-mpixels", "0.0005")
    assert restore(tmp_path / "in.png", tmp_path / "o.png", *small) == ExitCode.INPUT
    assert "--max-image-mpixels" in capsys.readouterr().err


NAMES = [
    "with space.png",
    "'quotes\" and `more`.png",
    "new\nline.png",
    "敦煌壁画.png",
    unicodedata.normalize("NFD", "é à la carte.png"),
    "[red] markup.png",
    "-dash.png",
    "%41.png",
    ".hidden.png",
    "UPPER.PNG",
    "n" * 251 + ".png",
    "画" * 83 + "zz.png",
    b"not \xff unicode.png",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_odd_names(tmp_path, capsys, name):
    name = os.fsdecode(name)
    scans = make_scans(tmp_path / "scans", ["plain.png"])
    try:
        (scans / "plain.png").rename(scans / name)
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    out = tmp_path / "out"
    more = ("--change-map", "--premis", "--checksums", "--json")
    assert restore(scans, out, *more) == ExitCode.OK, capsys.readouterr()
    assert (out / name).is_file()
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert restore(scans, out, *more, "--existing", "skip") == ExitCode.OK
    assert '"skipped"' in capsys.readouterr().out
    assert run(["verify", str(out)]) == ExitCode.OK
    assert "5 checks" in capsys.readouterr().err or len(os.fsencode(name)) > 200


def test_names_that_differ_in_case_or_accents_do_not_replace_each_other(tmp_path, capsys):
    for pair in (("a.png", "A.png"), ("é.png", unicodedata.normalize("NFD", "é.png"))):
        scans = make_scans(tmp_path / f"scans {pair[0]}", pair)
        if len(list(scans.iterdir())) < 2:
            pytest.skip("this file system takes them for the same")
        assert restore(scans, tmp_path / "out") == ExitCode.USAGE
        assert "would both be written" in capsys.readouterr().err


def test_links(tmp_path, capsys):
    scans = make_scans(tmp_path / "scans", ["a.png"])
    (scans / "link.png").symlink_to(scans / "a.png")
    (scans / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (scans / "loop").symlink_to(scans, target_is_directory=True)
    out = tmp_path / "out"
    assert restore(scans, out) == ExitCode.OK
    assert set(pictures(out)) == {"a.png", "link.png"}
    assert not (out / "link.png").is_symlink()
    assert "broken.png" in capsys.readouterr().err
    precious = tmp_path / "precious.png"
    precious.write_bytes(b"precious")
    (out / "a.png").unlink()
    (out / "a.png").symlink_to(precious)
    assert restore(scans, out, "--overwrite") == ExitCode.OK
    assert precious.read_bytes() == b"precious"
    (tmp_path / "again").symlink_to(scans, target_is_directory=True)
    assert restore(scans, tmp_path / "again", "--overwrite") == ExitCode.USAGE
    assert "replace an input" in capsys.readouterr().err


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch, capsys):
    scans = make_scans(tmp_path / "scans", ["a.png", "b.png"])
    inputs = everything(scans)
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o555)
    try:
        if os.access(out, os.W_OK):  # nothing is read-only to root: let the system say no itself
            with injected(monkeypatch, Faults(out, 1, errno.EROFS, lasting=True)):
                code = restore(scans, out)
        else:
            code = restore(scans, out)
    finally:
        out.chmod(0o755)
    assert code == ExitCode.FILE_ACCESS
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert pictures(out) == {}
    (tmp_path / "file").write_bytes(b"x")
    assert restore(scans, tmp_path / "file" / "out") == ExitCode.FILE_ACCESS
    assert everything(scans) == inputs


@pytest.mark.parametrize("vanishing", ["out", "scans"])
def test_a_folder_that_vanishes(tmp_path, monkeypatch, capsys, vanishing):
    def vanish(x):
        if len(model.network.shapes) == 2:
            shutil.rmtree(tmp_path / vanishing)
        return model_function(x)

    model = load_toy(monkeypatch, None)
    model_function, model.network.function = model.network.function, vanish
    scans = make_scans(tmp_path / "scans", [f"{n}.png" for n in range(6)])
    code = restore(scans, tmp_path / "out")
    said = capsys.readouterr().err
    assert code in (ExitCode.PARTIAL, ExitCode.FILE_ACCESS)
    assert "Traceback" not in said
    assert "unexpected" not in said
    if vanishing == "scans":
        assert len(pictures(tmp_path / "out")) >= 1
        assert run(["verify", str(tmp_path / "out")]) == ExitCode.OK


def test_two_runs_at_once_leave_whole_files(tmp_path, monkeypatch, capsys):
    scans = make_scans(tmp_path / "scans", [f"{n}.png" for n in range(4)])
    assert restore(scans, tmp_path / "reference") == ExitCode.OK
    out = tmp_path / "out"
    codes = []

    def other_run(x):
        if not codes:
            codes.append(None)
            codes[0] = restore(scans, out, "--existing", "skip")
        return model_function(x)

    model = load_toy(monkeypatch, None)
    model_function, model.network.function = model.network.function, other_run
    assert restore(scans, out) == ExitCode.OK
    assert codes == [ExitCode.FILE_ACCESS]
    assert "another run is writing" in capsys.readouterr().err
    assert pictures(out) == pictures(tmp_path / "reference")


@pytest.mark.parametrize("what", ["input", "mask"])
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_pipes_are_refused_at_once(tmp_path, monkeypatch, capsys, what, more):
    load_toy(monkeypatch)
    scans = make_scans(tmp_path / "scans", ["a.png"])
    os.mkfifo(pipe := tmp_path / "pipe.png")
    given = (pipe,) if what == "input" else (scans, "--mask", pipe)
    code = restore(given[0], tmp_path / "out", *given[1:], *more)
    assert code == ExitCode.INPUT
    assert "pipe.png: this is not a regular file" in capsys.readouterr().err

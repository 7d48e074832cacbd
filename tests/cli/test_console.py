import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dunrestore
from dunrestore.cli import console
from dunrestore.cli.app import run
from dunrestore.errors import ExitCode
from tests.restoration.batches import everything, make_scans, restore, use_toy

ROOT = str(Path(dunrestore.__file__).parent.parent)


@pytest.fixture(autouse=True)
def no_log_stays_open():
    yield
    console.set_up()


@pytest.fixture
def scans(tmp_path, monkeypatch):
    use_toy(monkeypatch)
    scans = make_scans(tmp_path / "scans", ["a.png"])
    (tmp_path / "link.log").symlink_to(scans / "a.png")
    (tmp_path / "twin.log").hardlink_to(scans / "a.png")
    (tmp_path / "run.toml").write_text("stage = 'arin'\n")
    return scans


@pytest.mark.parametrize("name", ["scans/a.png", "new.TIF", "link.log", "twin.log", "run.toml"])
@pytest.mark.parametrize("command", ["restore", "train"])
def test_a_log_is_written_into_nothing_else(scans, tmp_path, capsys, name, command):
    before = everything(tmp_path)
    log = tmp_path / name
    if command == "restore":
        code = restore(scans, tmp_path / "out", "--log-file", log)
    else:
        code = run(["train", "--data", str(scans), "-o", str(log.parent), "--log-file", str(log)])
    assert code == ExitCode.USAGE
    assert f"{name}: " in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_log_is_gone_on_with(scans, tmp_path):
    log = tmp_path / "log.txt"
    (scans / "b.bmp").write_bytes(b"x")
    log.touch()
    for times in (1, 2):
        assert restore(scans, tmp_path / "out", "--overwrite", "--log-file", log) == ExitCode.OK
        assert log.read_text().count("b.bmp: pictures of this kind are not read") == times


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_the_log_says_what_became_of_each_picture(scans, tmp_path, capsys, quiet):
    log = tmp_path / "log.txt"
    (scans / "b.png").write_bytes(b"x")
    assert restore(scans, tmp_path / "out", "--log-file", log, *quiet) == ExitCode.PARTIAL
    kept = log.read_text()
    assert "a.png: 4.17 % of the pixels changed" in kept
    assert kept.count("error: ") == capsys.readouterr().err.count("error: ") == 1
    assert "1 restored, 1 failed" in kept


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_that_cannot_be_written_ends_no_batch_and_is_said_once(scans, tmp_path, capsys):
    log = tmp_path / "log.txt"
    log.symlink_to("/dev/full")
    assert restore(scans, tmp_path / "out", "--log-file", log) == ExitCode.OK
    said = capsys.readouterr().err
    assert said.count("the log cannot be written") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_output_that_is_not_utf_8_gets_escapes(tmp_path, encoding):
    """A pipe on Windows, a C locale: no letter ends a batch that has begun."""
    make_scans(tmp_path, ["壁画.png"])

    def output(*arguments):
        command = [sys.executable, "-m", "dunrestore", *arguments]
        settings = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": ROOT}
        done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path, env=settings)
        assert done.returncode == ExitCode.OK, done.stderr
        return done.stdout.decode(encoding)

    said = output("noise", "壁画.png", "-o", "b.png", "--gaussian", "3", "--json")
    assert json.loads(said)["input"] == "壁画.png"
    table = output("compare", "b.png", "壁画.png", "--no-lpips")
    assert "\\u58c1\\u753b" in table
    assert "PSNR" in table

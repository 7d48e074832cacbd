import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from dunrestore.checkpoints import formats
from dunrestore.cli.app import run
from dunrestore.errors import ExitCode
from dunrestore.models.hinet import HINet, HINetConfig


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small network that changes a little everywhere."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    formats.save(path, HINet(HINetConfig(width=2, depth=3, hin_first=2, hin_last=2)), "hinet", {})
    return str(path)


@pytest.fixture
def scans(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "scans"
    (folder / "west wall").mkdir(parents=True)
    for name in ("b.png", "a.png", "west wall/壁画.png"):
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(folder / name)
    return folder


def test_a_folder_keeps_its_tree_and_says_one_line_a_picture(scans, model, capsys):
    out = scans.parent / "out"
    code = run(["restore", str(scans), "-r", "-o", str(out), "-m", model, "-d", "cpu"])
    printed = capsys.readouterr()
    assert code == ExitCode.OK
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == [
        "a.png",
        "b.png",
        "west wall/壁画.png",
    ]
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 3
    assert all("% of the pixels changed" in line for line in lines)


@pytest.mark.parametrize("name", ["lpips-alexnet", "edsr-x2"])
def test_a_model_that_restores_nothing_is_refused_before_it_is_fetched(scans, capsys, name):
    out = scans.parent / "out"
    code = run(["restore", str(scans), "-o", str(out), "-m", name, "--offline"])
    assert code == ExitCode.MODEL
    assert "does not restore pictures" in capsys.readouterr().err


def test_json_is_one_object_a_picture_and_nothing_else_on_stdout(scans, model, capsys):
    (scans / "c.png").write_text("not a picture")
    out = scans.parent / "out"
    code = run(["restore", str(scans), "-o", str(out), "-m", model, "--json", "-q"])
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert code == ExitCode.PARTIAL
    assert [row["status"] for row in rows] == ["restored", "restored", "failed"]
    assert rows[0]["width"] == 40
    assert 0 <= rows[0]["changed_percent"] <= 100
    assert rows[2]["exit_code"] == ExitCode.INPUT
    assert rows[2]["input"].endswith("c.png")
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("error: ")


def test_a_failure_before_any_work_is_an_object_as_well(scans, tmp_path, model, capsys):
    missing = str(tmp_path / "none.png")
    for command in (["restore", missing, "-m", model], ["compare", missing, str(scans)]):
        assert run([*command, "--json"]) == ExitCode.INPUT
        printed = capsys.readouterr()
        said = json.loads(printed.out)
        assert (said["status"], said["cause"]) == ("failed", "no such file or folder")
        assert (said["next_step"], said["exit_code"]) == ("check the name", ExitCode.INPUT)
        assert printed.err == f"error: {said['error']}\n"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "empty.png"),
        (b"hello\n" * 50, "text.png"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "broken.png"),
    ],
)
def test_a_bad_input_is_one_line_and_its_exit_code(tmp_path, model, capsys, content, name):
    bad = tmp_path / name
    bad.write_bytes(content)
    code = run(["restore", str(bad), "-o", str(tmp_path / "o.png"), "-m", model])
    printed = capsys.readouterr()
    assert code == ExitCode.INPUT
    (line,) = printed.err.splitlines()
    assert str(bad) in line
    assert not (tmp_path / "o.png").exists()


def test_a_truncated_picture_and_a_giant_header_are_refused(scans, tmp_path, model, capsys):
    whole = (scans / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    giant = bytearray(whole)
    giant[16:24] = (10**6).to_bytes(4, "big") * 2
    (tmp_path / "giant.png").write_bytes(giant)
    for name in ("cut.png", "giant.png"):
        target = tmp_path / "out" / name
        code = run(["restore", str(tmp_path / name), "-o", str(target), "-m", model])
        assert code == ExitCode.INPUT
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert not target.exists()


def test_usage_errors_have_their_code(scans, model, capsys):
    picture = str(scans / "a.png")
    assert run(["restore", picture, "-o", picture, "-m", model]) == ExitCode.USAGE
    assert run(["restore", picture, "--tile", "many", "-m", model]) == ExitCode.USAGE
    capsys.readouterr()
    for command in (["restore", picture, "-m", model], ["bench", str(scans)]):
        assert run([*command, "--tile", "63"]) == ExitCode.USAGE
        assert "must be 0, or at least 64 pixels" in capsys.readouterr().err
    assert run(["restore", picture, "--device", "cuda:99", "-m", model]) == ExitCode.USAGE
    assert run(["restore", str(scans / "none.png"), "-m", model]) == ExitCode.INPUT
    assert run(["restore", str(scans), "-o", str(scans), "-m", model]) == ExitCode.USAGE
    capsys.readouterr()


def test_without_an_output_the_result_lies_beside_the_input(scans, model, capsys):
    assert run(["restore", str(scans / "a.png"), "-m", model, "-q"]) == ExitCode.OK
    assert (scans / "a-restored.png").is_file()
    assert capsys.readouterr().err == ""


def test_a_model_that_is_none_is_refused_before_any_work(scans, tmp_path, capsys):
    (tmp_path / "model.pth").write_bytes(b"nothing")
    code = run(["restore", str(scans / "a.png"), "-m", str(tmp_path / "model.pth")])
    assert code == ExitCode.MODEL
    assert "model.pth" in capsys.readouterr().err


def test_help_imports_no_torch():
    check = (
        "import sys; from dunrestore.cli.app import run; code = run(['restore', '--help']);"
        "assert code == 0; assert 'torch' not in sys.modules, 'torch was imported';"
        "assert 'numpy' not in sys.modules, 'numpy was imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--preserve" in done.stdout

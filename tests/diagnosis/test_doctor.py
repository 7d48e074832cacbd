"""The doctor: every check stands alone, whatever is broken."""

import contextlib
import json
import signal
import subprocess
import sys

import pytest

from dunrestore.cli.app import run
from dunrestore.diagnosis import machine, software
from dunrestore.diagnosis.findings import Finding, isolated
from dunrestore.diagnosis.run import exit_code
from dunrestore.errors import ExitCode
from dunrestore.models import measurements, passes
from dunrestore.models.measurements import Speed


@pytest.fixture(autouse=True)
def no_torchvision(monkeypatch):
    """Importing it takes seconds."""
    monkeypatch.setattr(software, "_torchvision", lambda: Finding("extras", "torchvision", "fits"))


def diagnosed(capsys, tmp_path):
    code = run(["doctor", "--no-measure", "--json", "--cache-dir", str(tmp_path)])
    return code, json.loads(capsys.readouterr().out)


def test_json_alone_stands_on_stdout(capsys, tmp_path):
    code, told = diagnosed(capsys, tmp_path)
    assert code == ExitCode.OK
    assert told["works"] is True
    sections = [finding["section"] for finding in told["findings"]]
    assert list(dict.fromkeys(sections)) == [
        "versions", "devices", "memory", "cache", "models", "speed", "extras",
    ]  # fmt: skip
    keys = {"section", "name", "value", "state", "advice", "data"}
    assert all(set(finding) == keys for finding in told["findings"])
    assert {"arin", "hinet-db"} <= {f["name"] for f in told["findings"] if f["section"] == "models"}


def test_no_library_is_imported_before_the_checks_run():
    libraries = {"torch", "numpy", "platformdirs", "filelock", "psutil"}
    asked = f"""
import sys
import dunrestore.diagnosis.run
print(*({libraries!r} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", ["torch", "tifffile"])
def test_a_broken_library_is_a_line_and_an_exit_code(capsys, tmp_path, monkeypatch, module):
    real = software.importlib.import_module

    def broken(name, package=None):
        if name == module:
            raise OSError("libfoo.so.1: cannot open shared object file")
        return real(name, package)

    monkeypatch.setattr(software.importlib, "import_module", broken)
    code, told = diagnosed(capsys, tmp_path)
    assert code == ExitCode.CONFIG
    assert told["works"] is False
    (line,) = [f for f in told["findings"] if f["state"] == "broken"]
    assert line["name"] == module
    assert "libfoo" in line["value"]
    assert f"pip install --force-reinstall {module}" in line["advice"]


@pytest.mark.parametrize("reason", ["", "RuntimeError: Failed to find C compiler"])
def test_a_gpu_without_a_compiler_is_told_what_it_lacks(monkeypatch, reason):
    monkeypatch.setattr(software, "version_of", lambda _: "1.0")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "GPU kernels" not in {finding.name for finding in software.extras()}
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(passes, "_tried", lambda _: (None if reason else passes, reason))
    (found,) = [finding for finding in software.extras() if finding.name == "GPU kernels"]
    assert found.state == ("note" if reason else "ok")
    assert found.value == (reason or "compiled")
    assert ("gcc" in found.advice) == bool(reason)


def test_a_check_that_fails_leaves_the_others(capsys, tmp_path, monkeypatch):
    def fails():
        yield Finding("devices", "cpu", "some")
        raise RuntimeError("driver\nlong story")

    monkeypatch.setattr(machine, "devices", fails)
    code, told = diagnosed(capsys, tmp_path)
    found = [f for f in told["findings"] if f["section"] == "devices"]
    assert [f["value"] for f in found] == ["some", "RuntimeError: driver"]
    assert [f["state"] for f in found] == ["ok", "problem"]
    assert code == ExitCode.OK


@pytest.mark.parametrize("name", ["other", "hinet-gopro", "lpips-alexnet"])
def test_a_broken_record_hides_no_other_model(capsys, tmp_path, name):
    folder = tmp_path / "models" / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{")
    code, told = diagnosed(capsys, tmp_path)
    found = {f["name"]: f for f in told["findings"] if f["section"] == "models"}
    assert code == ExitCode.OK
    assert (found["arin"]["state"], found[name]["state"]) == ("ok", "problem")
    assert found[name]["value"] == "the record of this model is broken"
    assert f"models remove {name}" in found[name]["advice"]
    assert "models" not in found


def test_a_torchvision_of_another_torch_is_explained(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(software, "version_of", {"torchvision": "0.1", "torch": "2.9.1+cpu"}.get)
    said = "Traceback\nRuntimeError: operator torchvision::nms does not exist\n\n"
    ended = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(software.subprocess, "run", lambda *_, **__: ended)
    found = software._torchvision()
    assert found.value == "RuntimeError: operator torchvision::nms does not exist"
    assert '`pip install --force-reinstall torchvision "torch==2.9.1"`' in found.advice
    assert found.state == "note"


def test_a_cache_without_permission_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path / "file" / "below"))
    found = list(machine.cache(None))
    assert [one.state for one in found] == ["problem", "problem"]
    assert "DUNRESTORE_CACHE_DIR" in found[0].advice


def test_stored_speeds_are_shown(capsys, tmp_path, monkeypatch):
    import torch

    from dunrestore.checkpoints.store import embedded_index

    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path))
    sha256 = embedded_index()["arin"]
    speed = Speed("arin", sha256, "cpu", "CPU", "bfloat16", 192, 0.5, "2026-11-24T00:00:00")
    measurements.store_speeds(torch.get_num_threads(), [speed])
    monkeypatch.setattr("dunrestore.cli.doctor.DEFAULT_MODEL", "arin")
    _, told = diagnosed(capsys, tmp_path)
    (line,) = [f for f in told["findings"] if f["section"] == "speed"]
    assert line["data"]["megapixels_a_second"] == 0.5


@pytest.mark.parametrize("columns", [40, 59, 60, 80])
def test_a_narrow_terminal_shows_what_was_found(monkeypatch, capsys, columns):
    from dunrestore.cli.doctor import _show

    monkeypatch.setenv("COLUMNS", str(columns))
    name = "opencv-python-headless"
    _show([Finding("versions", name, "too old", "problem", "get a newer one")])
    said = capsys.readouterr().out.split()
    assert {"problem", "too", "old", "newer"} <= {*said}
    assert all(len(line) <= columns for line in said)


def test_exit_codes():
    fine = Finding("models", "a", "")
    assert exit_code([fine, Finding("x", "b", "", "problem")]) == ExitCode.OK
    assert exit_code([fine, Finding("models", "b", "", "broken")]) == ExitCode.MODEL
    assert exit_code([Finding("versions", "torch", "", "broken")]) == ExitCode.CONFIG


def test_an_error_without_words_has_a_name():
    def check():
        raise ImportError
        yield

    assert [one.value for one in isolated("x", check)] == ["ImportError"]


@pytest.mark.parametrize("found", [[], [Finding("devices", "cpu", "one")]])
def test_an_interrupt_that_a_check_swallows_ends_the_diagnosis(
    monkeypatch, capsys, tmp_path, found
):
    def swallows():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(software, "extras", swallows)
    assert run(["doctor", "--no-measure", "--cache-dir", str(tmp_path)]) == 130
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "error: interrupted\n")

import errno
import subprocess
import sys

import pytest
import typer

from dunrestore.cli import app as app_module
from dunrestore.errors import ExitCode, InputError, ModelError


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("no good", path="a\nb.png", next_step="look"), ExitCode.INPUT, "a\\nb.png"),
        (ModelError("gone"), ExitCode.MODEL, "gone"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
        (MemoryError(), ExitCode.MEMORY, "--tile"),
        (OSError(errno.ENOSPC, "No space", "x.png"), ExitCode.FILE_ACCESS, "free some space"),
        (ZeroDivisionError("a bug\nof ours"), ExitCode.UNEXPECTED, "please report"),
    ],
)
def test_every_error_is_one_line_and_its_code(monkeypatch, capsys, error, code, words):
    broken = typer.Typer()

    @broken.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(app_module, "app", broken)
    assert app_module.run([]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_an_unknown_option_is_a_usage_error(capsys):
    assert app_module.run(["restore", "--no-such-option"]) == ExitCode.USAGE
    assert "no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["restore", "--no-such-option"]])
def test_help_and_usage_errors_import_nothing_heavy(arguments):
    heavy = {"torch", "numpy", "pydantic", "PIL"}
    asked = f"""
import sys
from dunrestore.cli.app import run
run({arguments!r})
print("imported:", *({heavy!r} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported:"

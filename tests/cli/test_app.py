import errno
import os
import signal
import subprocess
import sys
import time

import pytest
import typer
from PIL import Image

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


@pytest.mark.parametrize(
    ("command", "imported"),
    [
        (["restore", "a.png"], "checkpoints.load"),
        (["noise", "a.png", "-o", "b.png"], "degradations.files"),
        (["verify", "a"], "provenance.verify"),
    ],
)
def test_verbose_shows_why_an_import_fails(monkeypatch, capsys, command, imported):
    monkeypatch.setitem(sys.modules, f"dunrestore.{imported}", None)
    assert app_module.run([*command, "-v"]) == ExitCode.UNEXPECTED
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("epoch", ["yesterday", "1.5", "9" * 12, "9" * 30])
def test_a_time_that_is_none_is_told_before_any_work(monkeypatch, capsys, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert app_module.run(["models", "path"]) == ExitCode.CONFIG
    assert f"SOURCE_DATE_EPOCH is '{epoch}'" in capsys.readouterr().err


def test_an_empty_time_is_none(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "")
    assert app_module.run(["models", "path"]) == ExitCode.OK
    assert "SOURCE_DATE_EPOCH" not in os.environ


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


@pytest.mark.parametrize(
    "command", [["restore"], ["bench"], ["compare"], ["doctor"], ["models", "list"]]
)
def test_help_names_the_variable_of_the_cache(command, capsys):
    assert app_module.run([*command, "--help"]) == ExitCode.OK
    assert "DUNRESTORE_CACHE_DIR" in capsys.readouterr().out


def test_an_interrupt_that_an_import_turns_into_another_error_is_one(monkeypatch, capsys):
    broken = typer.Typer()

    @broken.command()
    def command() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt as interrupt:
            raise RecursionError("maximum recursion depth exceeded") from interrupt

    monkeypatch.setattr(app_module, "app", broken)
    assert app_module.run([]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


STARTED = """
import sys
from dunrestore.__main__ import main

class Teller:
    def find_spec(self, name, *_):
        if name == "dunrestore.cli":
            print("started", flush=True)

sys.meta_path.insert(0, Teller())
sys.argv = ["dunrestore", "doctor", "--no-measure"]
main()
"""


@pytest.mark.parametrize("seconds", [0, 0.05, 0.2, 0.5, 1.0])
def test_an_interrupt_while_the_program_starts_is_one_line(seconds):
    with subprocess.Popen(
        [sys.executable, "-c", STARTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "started\n"
        time.sleep(seconds)
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=60)
    assert (program.returncode, said) in ((130, "error: interrupted\n"), (0, ""))


@pytest.mark.skipif(sys.platform == "win32", reason="has neither sh nor /dev/full")
@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ("{} models list --json >&-", 0, ""),
        ("{} --version >&-", 0, ""),
        ("{} models list --json > /dev/full", 5, "error: standard output: no space left"),
        ("{} models list > /dev/full", 5, "error: standard output: no space left"),
        ("{} --help > /dev/full", 5, "error: standard output: no space left"),
        ("{} restore --help > /dev/full", 5, "error: standard output: no space left"),
        ("{} train -h > /dev/full", 5, "error: standard output: no space left"),
        ("({} models list --json; echo $? >&2) | true", 0, "error: standard output: broken pipe"),
        ("({} models list; echo $? >&2) | true", 0, "error: standard output: broken pipe"),
        ("({} {} --no-lpips; echo $? >&2) | true", 0, "error: standard output: broken pipe"),
        ("({} --help; echo $? >&2) | true", 0, "error: standard output: broken pipe"),
        ("({} restore --help; echo $? >&2) | true", 0, "error: standard output: broken pipe"),
    ],
)
def test_where_standard_output_goes_is_no_bug_of_ours(tmp_path, shell, code, words):
    picture = tmp_path / "a.png"
    Image.new("RGB", (16, 16)).save(picture)
    command = shell.format(f"{sys.executable} -m dunrestore", f"compare {picture} {picture}")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(words)
    assert len(done.stderr.splitlines()) == (0 if not words else 1 if code else 2)
    if "echo" in shell:
        assert done.stderr.splitlines()[-1] == "5"


@pytest.mark.skipif(sys.platform == "win32", reason="has neither sh nor /dev/full")
@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-", "2>&1 >/dev/null | true"])
def test_where_messages_go_ends_no_batch(tmp_path, where):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 64), (name[0] == "a" and "red") or "blue").save(tmp_path / name)
    program = f"{sys.executable} -m dunrestore noise --recipe challenge"
    shell = f"({program} {tmp_path}/a.png {tmp_path}/b.png -o {tmp_path}/out; echo $? >&3) {where}"
    command = ["sh", "-c", f"exec 3>{tmp_path}/code; {shell}"]
    subprocess.run(command, check=False, capture_output=True)
    assert (tmp_path / "code").read_text() == "0\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "b.png"}


@pytest.mark.skipif(sys.platform == "win32", reason="has no sh")
def test_no_file_takes_the_number_of_a_stream_that_is_closed(tmp_path):
    code = (
        "import contextlib, sys; from dunrestore.__main__ import main\n"
        "sys.argv = ['dunrestore', '--version']\n"
        "with contextlib.suppress(SystemExit): main()\n"
        f"file = open({str(tmp_path / 'x')!r}, 'w'); print(file.fileno() > 2)"
    )
    command = ["sh", "-c", f'{sys.executable} -c "$0" 2>&- <&-', code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "True"


def commands(group, *path):
    """Each command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield [*path, name], command


@pytest.mark.parametrize("columns", [40, 60, 75, 80, 90, 100, 120])
def test_help_cuts_no_options_name(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for words, command in commands(typer.main.get_command(app_module.app)):
        assert app_module.run([*words, "--help"]) == ExitCode.OK
        shown = capsys.readouterr().out
        names = [n for option in command.params for n in (*option.opts, *option.secondary_opts)]
        cut = [name for name in names if name.startswith("-") and name not in shown]
        assert not cut, f"{' '.join(words)}, {columns} columns"

import os
import subprocess
import sys

import pytest

from dunrestore import allocator

OLD, NEW = "glibc 2.36", "glibc 2.39"
UNCACHED = "glibc.malloc.tcache_count=0"


@pytest.fixture
def started(monkeypatch):
    """What replaced the process: program, arguments, environment."""
    calls = []
    monkeypatch.setattr(os, "execve", lambda *given: calls.append(given))
    monkeypatch.setattr(os, "confstr", lambda name: OLD)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "bin/dunrestore", "restore"])
    return calls


@pytest.mark.parametrize("command", ["restore", "bench", "train"])
def test_commands_with_networks_begin_again_as_they_began(started, monkeypatch, command):
    began = [sys.executable, "-m", "dunrestore", command, "mural.png"]
    monkeypatch.setattr(sys, "orig_argv", began)
    allocator.begin_again([command, "mural.png"])
    ((program, arguments, environment),) = started
    assert (program, arguments) == (sys.executable, began)
    assert environment == {**os.environ, "GLIBC_TUNABLES": UNCACHED}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["verify", "restore"], ["doctor"]])
def test_others_go_on(started, monkeypatch, arguments):
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "bin/dunrestore", *arguments])
    allocator.begin_again(arguments)
    assert not started


def test_a_program_that_calls_the_command_line_is_not_begun_again(started):
    allocator.begin_again(["restore", "mural.png"])
    assert not started
    allocator.begin_again(["restore"])
    assert started


def test_what_was_set_stays(started, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=1")
    allocator.begin_again(["restore"])
    assert started[0][2]["GLIBC_TUNABLES"] == f"glibc.malloc.perturb=1:{UNCACHED}"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=3")
    allocator.begin_again(["restore"])
    assert len(started) == 1


def _unknown(_):
    raise ValueError("unrecognized configuration name")


@pytest.mark.parametrize("confstr", [lambda _: NEW, lambda _: None, lambda _: "musl 1", _unknown])
def test_only_old_versions_of_one_library_need_it(started, monkeypatch, confstr):
    monkeypatch.setattr(os, "confstr", confstr)
    allocator.begin_again(["restore"])
    monkeypatch.delattr(os, "confstr")  # Windows
    allocator.begin_again(["restore"])
    assert not started


def test_what_cannot_begin_again_goes_on(started, monkeypatch):
    def fail(*_):
        raise PermissionError

    monkeypatch.setattr(os, "execve", fail)
    allocator.begin_again(["restore"])


@pytest.mark.skipif(not allocator.sparing_environment(), reason="this C library needs it not")
def test_the_command_line_begins_again():
    script = "import os; print(os.environ['GLIBC_TUNABLES']); print(os.getpid())"
    begin = (
        "import sys; from dunrestore.allocator import begin_again\n"
        f"sys.orig_argv = [sys.executable, '-c', {script!r}, 'restore']\n"
        "import os; print(os.getpid(), flush=True); begin_again(['restore'])"
    )
    done = subprocess.run([sys.executable, "-c", begin], capture_output=True, text=True, check=True)
    before, tunables, after = done.stdout.split()
    assert before == after
    assert tunables == UNCACHED


def test_next_to_nothing_is_imported():
    def loaded(*modules):
        code = f"import {', '.join(modules)}, sys; print(*sys.modules)"
        command = [sys.executable, "-c", code]
        return {*subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()}

    assert not {"typing", "pathlib", "typer"} & (loaded("dunrestore.allocator") - loaded("os"))

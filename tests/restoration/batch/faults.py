"""A file system of which one operation can be made to fail.

Files opened from Python go through ``FaultyFile``, so that every real read and write is counted,
also those that buffers make.
"""

import builtins
import errno
import io
import os
import threading
from contextlib import contextmanager
from pathlib import Path


class Faults:
    """Counts operations below ``root``; the one with number ``fail_at`` raises ``code``.

    A buffer's flush counts as the write that it makes. With ``lasting`` all that come after it
    fail as well.
    """

    def __init__(self, root, fail_at=None, code=errno.EIO, *, lasting=False):
        self.root = os.fspath(root)
        self.fail_at = fail_at
        self.code = code
        self.lasting = lasting
        self.count = 0
        self.hits = []
        self._lock = threading.Lock()

    def step(self, name, path):
        if isinstance(path, int):
            path = f"fd {path}"
        elif not os.fspath(path).startswith(self.root):
            return
        with self._lock:
            self.count += 1
            fails = self.fail_at is not None and (
                self.count >= self.fail_at if self.lasting else self.count == self.fail_at
            )
        if fails:
            self.hits.append((name, os.fspath(path)))
            raise OSError(self.code, os.strerror(self.code), os.fspath(path))


def faulty_file(faults):
    class FaultyFile(io.FileIO):
        def readinto(self, buffer):
            faults.step("read", self.name)
            return super().readinto(buffer)

        def readall(self):
            faults.step("read", self.name)
            return super().readall()

        def write(self, data):
            faults.step("write", self.name)
            return super().write(data)

        def close(self):
            written = not self.closed and self.writable()
            super().close()
            if written:  # network disks report here what did not reach them
                faults.step("close", self.name)

    return FaultyFile


@contextmanager
def injected(monkeypatch, faults):
    """Let ``faults`` see, and spoil, what is done below its root."""
    plain_open = io.open
    cls = faulty_file(faults)

    def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **other):
        inside = isinstance(file, (str, Path)) and os.fspath(file).startswith(faults.root)
        if not inside:
            return plain_open(file, mode, buffering, encoding, errors, newline, **other)
        faults.step("open", file)
        raw = cls(file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        if "+" in mode:
            buffered = io.BufferedRandom(raw)
        elif raw.writable():
            buffered = io.BufferedWriter(raw)
        else:
            buffered = io.BufferedReader(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

    def counted(name, function):
        def call(path, *args, **kwargs):
            faults.step(name, path)
            return function(path, *args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        for name in ("fsync", "link", "replace", "rename", "mkdir", "open"):
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield faults

"""What this process may use of the machine: processors and memory.

A container or a job of a queue sees the whole machine but may use a part of it. On Linux its
control groups say how much: https://docs.kernel.org/admin-guide/cgroup-v2.html, and for the older
kind .../cgroup-v1/memory.html and https://docs.kernel.org/scheduler/sched-bwc.html.
"""

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


class Memory(NamedTuple):
    """Memory that this process may have, in bytes."""

    free: int
    """Not in use, or in use for what the system can drop."""
    total: int


def processors() -> int:
    """Processors that this process may use: of its affinity, its control groups' quota (rounded
    up) and ``OMP_NUM_THREADS`` the least."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(_usable(), int(allowed)) if allowed.isdecimal() and int(allowed) else _usable()


def limit_threads() -> None:
    """Let PyTorch, if it is not imported yet, compute with no more threads than ``processors``.

    It counts the processors of the affinity alone. Threads beyond a quota do not only wait: they
    spend it on looking whether the others are done.
    """
    if _usable() < _in_affinity():
        os.environ.setdefault("OMP_NUM_THREADS", str(_usable()))


def memory() -> Memory:
    """The machine's memory, or what is left of the smallest limit of this process's groups."""
    import psutil

    machine = psutil.virtual_memory()
    groups = [group for folder in _groups("memory") if (group := _memory(folder)) is not None]
    return Memory(
        min((machine.available, *(group.free for group in groups))),
        min((machine.total, *(group.total for group in groups))),
    )


def _in_affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _usable() -> int:
    quota = min(map(_quota, _groups("cpu")), default=math.inf)
    return math.ceil(min(quota, _in_affinity()))


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's groups for a controller, from its own to the outermost; not all
    exist."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mounted = _GROUPS / controller if controllers else _GROUPS  # of the older kind each has one
        own = PurePosixPath(path.lstrip("/"))
        yield from (mounted / group for group in (own, *own.parents))


def _quota(group: Path) -> float:
    """Processors that a group may use; infinity without a limit."""
    older = (_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    words = (_read(group / "cpu.max") or " ".join(older)).split()
    if len(words) != 2 or not all(map(str.isdecimal, words)):  # max or -1: no limit
        return math.inf
    return int(words[0]) / int(words[1])


def _memory(group: Path) -> Memory | None:
    """Memory of a group; None without a limit."""
    limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
    used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
    if not (limit.strip().isdecimal() and used.strip().isdecimal()):
        return None
    words = _read(group / "memory.stat").split()
    counts = dict(zip(words[::2], words[1::2], strict=False))
    # Of the older kind, those with "total_" count the groups within, as the usage does.
    droppable = sum(
        int(counts.get(f"total_{name}", counts.get(name, 0)))
        for name in ("inactive_file", "active_file")
    )
    total = int(limit)
    return Memory(max(min(total - int(used) + droppable, total), 0), total)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""

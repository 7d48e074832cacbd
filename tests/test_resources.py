"""What a process may use of its machine."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dunrestore import resources

MACHINE = psutil.virtual_memory().total


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Writes this process's groups and their files as the system shows them."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(resources, "_in_affinity", lambda: 8)
    monkeypatch.setattr(resources, "_GROUPS", tmp_path)
    monkeypatch.setattr(resources, "_OWN_GROUPS", tmp_path / "own")
    resources._usable.cache_clear()

    def write(own: str, files: dict[str, str]):
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    yield write
    resources._usable.cache_clear()


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3),
        ("0::/a\n", {"a/cpu.max": "300000 100000\n", "b/cpu.max": "100000 100000\n"}, 3),
        ("0::/../other\n", {}, 8),
        (
            "3:cpu,cpuacct:/docker/1\n1:memory:/docker/1\n0::/\n",
            {"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "3:cpu:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "-1\n", "cpu/job/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ("", {"cpu.max": "100000 100000\n"}, 8),
    ],
)
def test_a_quota_limits_the_processors(groups, own, files, expected):
    groups(own, files)
    assert resources.processors() == expected


def test_without_groups_there_are_the_processors_of_the_affinity(groups):
    assert resources.processors() == 8


def test_threads_that_are_asked_for_limit_the_processors_further(groups, monkeypatch):
    groups("0::/\n", {"cpu.max": "400000 100000\n"})
    for asked, expected in (("1", 1), ("6", 4), ("", 4), ("0", 4), ("many", 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert resources.processors() == expected


def test_only_a_quota_limits_pytorchs_threads_and_what_is_set_stays(groups, monkeypatch):
    resources.limit_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    groups("0::/\n", {"cpu.max": "300000 100000\n"})
    resources._usable.cache_clear()
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    resources.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "5"
    monkeypatch.delenv("OMP_NUM_THREADS")
    resources.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (
            "0::/\n",
            {
                "memory.max": "1000000000\n",
                "memory.current": "700000000\n",
                "memory.stat": "anon 400000000\ninactive_file 100000000\nactive_file 50000000\n",
            },
            (450_000_000, 1_000_000_000),
        ),
        (
            "0::/a\n",
            {
                "a/memory.max": "900000000\n",
                "a/memory.current": "100000000\n",
                "memory.max": "1000000000\n",
                "memory.current": "990000000\n",
            },
            (10_000_000, 900_000_000),
        ),
        (
            "4:memory:/docker/1\n",
            {
                "memory/memory.limit_in_bytes": "1000000000\n",
                "memory/memory.usage_in_bytes": "1000000000\n",
                "memory/memory.stat": (
                    "inactive_file 1\nactive_file 1\n"
                    "total_inactive_file 200000000\ntotal_active_file 0\n"
                ),
            },
            (200_000_000, 1_000_000_000),
        ),
        # Dropped while it is counted.
        (
            "0::/\n",
            {
                "memory.max": "1000000000\n",
                "memory.current": "100\n",
                "memory.stat": "inactive_file 300\n",
            },
            (1_000_000_000, 1_000_000_000),
        ),
    ],
)
def test_a_limit_is_the_memory_there_is(groups, own, files, expected):
    groups(own, files)
    assert resources.memory() == expected


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/\n", {"memory.max": "max\n", "memory.current": "100\n"}),
        (
            "4:memory:/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.usage_in_bytes": "100\n",
            },
        ),
        ("0::/\n", {}),
    ],
)
def test_without_a_limit_it_is_the_machines(groups, own, files):
    groups(own, files)
    memory = resources.memory()
    assert memory.total == MACHINE
    assert 0 < memory.free <= MACHINE


def test_the_program_hands_its_quota_to_pytorch(tmp_path):
    """In a process of its own, since PyTorch counts processors once."""
    (tmp_path / "own").write_text("0::/\n")
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    program = f"""
import sys
from pathlib import Path
from dunrestore import resources
from dunrestore.__main__ import main

resources._GROUPS, resources._OWN_GROUPS = Path({str(tmp_path)!r}), Path({str(tmp_path / "own")!r})
resources._in_affinity = lambda: 2
sys.argv = ["dunrestore", "--version"]
try:
    main()
except SystemExit:
    import torch
    print(torch.get_num_threads())
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "1"

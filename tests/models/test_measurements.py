"""Measurements of a machine: kept, replaced, and never in the way."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from dunrestore.models import devices, measurements
from dunrestore.models.measurements import Speed

SPEED = Speed("arin", "ab" * 32, "cpu", "Some CPU", "bfloat16", 240, 0.5, "2026-11-24T00:00:00")


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path / "cache"))
    devices._bfloat16_pays_on_cpu.cache_clear()
    yield tmp_path / "cache" / "machine.json"
    devices._bfloat16_pays_on_cpu.cache_clear()


@pytest.fixture
def measured(monkeypatch):
    """How often the convolutions are measured."""
    calls = []
    measure = devices.measure_convolutions

    def counted():
        calls.append(1)
        return measure()

    monkeypatch.setattr(devices, "measure_convolutions", counted)
    return calls


def choose():
    devices._bfloat16_pays_on_cpu.cache_clear()
    return devices.choose_precision("auto", torch.device("cpu"))


def test_a_machine_is_measured_once(path, measured):
    first = choose()
    assert choose() == first
    assert len(measured) == 1
    (section,) = json.loads(path.read_text())["machines"].values()
    assert section["seconds_of_one_thread"].keys() == {"float32", "bfloat16"}


def test_one_thread_is_measured_and_the_others_come_back(monkeypatch):
    threads = torch.get_num_threads()
    during: list[int] = []
    measure = devices._best_of_convolutions

    def watched() -> dict[str, float]:
        during.append(torch.get_num_threads())
        return measure()

    monkeypatch.setattr(devices, "_best_of_convolutions", watched)
    torch.set_num_threads(threads + 1)
    try:
        seconds = devices.measure_convolutions()
        assert (during, torch.get_num_threads()) == ([1], threads + 1)
        assert measurements.read_section(threads + 1)["seconds_of_one_thread"] == seconds
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("slow", "dtype"), [(0.2, torch.bfloat16), (1.0, torch.float32)])
def test_what_was_measured_decides(path, measured, slow, dtype):
    seconds = {"float32": 1.0, "bfloat16": slow}
    measurements.store(torch.get_num_threads(), seconds_of_one_thread=seconds)
    assert choose() == dtype
    assert not measured


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"{", b"[]", b"null", b'{"machines": 1}', b'{"machines": {"KEY": 7}}',
        b'{"machines": {"KEY": {"seconds_of_one_thread": 3, "speeds": 4}}}',
        b'{"machines": {"KEY": {"seconds_of_one_thread": {"float32": "x"}, "speeds": [1, {}]}}}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_broken_file_is_as_good_as_none(path, measured, content):
    path.parent.mkdir()
    key = measurements.machine_key(torch.get_num_threads())
    path.write_bytes(content.replace(b"KEY", key.encode()))
    assert measurements.read_speeds(torch.get_num_threads()) == []
    choose()
    choose()
    assert len(measured) == 1  # mended by the first


def test_a_folder_that_cannot_be_written_only_costs_time(path, measured):
    path.parent.write_text("a file where the folder should be")
    first = choose()
    assert choose() == first
    assert len(measured) == 2


def test_other_machines_and_threads_keep_theirs(path):
    measurements.store(1, a=1)
    measurements.store(2, a=2)
    measurements.store(1, b=3)
    assert measurements.read_section(1) == {"a": 1, "b": 3}
    assert measurements.read_section(2) == {"a": 2}
    assert measurements.read_section(3) == {}


def test_the_file_does_not_grow_without_end(path):
    for threads in range(1, 60):
        measurements.store(threads, a=threads)
    assert len(json.loads(path.read_text())["machines"]) == measurements._MACHINES
    assert measurements.read_section(59) == {"a": 59}


def test_speeds_replace_older_ones_of_the_same(path):
    faster = replace(SPEED, megapixels_a_second=0.7)
    other = replace(SPEED, precision="float32")
    assert measurements.store_speeds(2, [SPEED, other])
    assert measurements.store_speeds(2, [faster])
    assert measurements.read_speeds(2) == [other, faster]


@pytest.mark.parametrize("wrong", [{"tile": "240"}, {"megapixels_a_second": -1.0}, {"device": 3}])
def test_a_speed_that_makes_no_sense_is_left_out(path, wrong):
    measurements.store_speeds(2, [replace(SPEED, **wrong)])
    assert measurements.read_speeds(2) == []


def test_importing_touches_no_file(tmp_path):
    check = f"import os; os.environ['DUNRESTORE_CACHE_DIR'] = {str(tmp_path / 'none')!r}\n"
    check += "import dunrestore.models.devices"
    subprocess.run([sys.executable, "-c", check], check=True)
    assert not (tmp_path / "none").exists()

"""kill -9 at random moments of a batch: what is there is whole, and a rerun completes it."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dunrestore.cli.app import run
from dunrestore.errors import ExitCode
from tests.restoration.batches import EPOCH, everything, make_scans, pictures

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

NAMES = ("a.png", "b.png", "deep/c.tif", "d.jpg", "deep/e.png", "f.png")


@pytest.fixture
def forker():
    root = Path(__file__).parents[3]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forker.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


def batch(forker, scans, out, kill_after=""):
    """One batch in a process of its own; its seconds, and the status that it ended with."""
    forker.stdin.write(f"{scans}\t{out}\t{kill_after}\n")
    forker.stdin.flush()
    seconds, status = forker.stdout.readline().split()
    return float(seconds), int(status)


@pytest.mark.parametrize(
    "kills", [10, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_killed_at_random_moments(forker, tmp_path, capsys, kills):
    scans = make_scans(tmp_path / "scans", NAMES)
    inputs = everything(scans)
    seconds, status = batch(forker, scans, tmp_path / "reference")
    assert status == 0
    warm, _ = batch(forker, scans, tmp_path / "warm")  # the first one also measures the processor
    seconds = min(seconds, warm)
    reference = pictures(tmp_path / "reference")
    assert len(reference) == len(NAMES)
    out = tmp_path / "out"
    rng = random.Random(7)
    killed = resumed = 0
    for _ in range(10 * kills):  # some will be done before they are killed
        if rng.random() < 0.4 or pictures(out).keys() == reference.keys():
            shutil.rmtree(out, ignore_errors=True)  # else go on with what the last one left
        took, status = batch(forker, scans, out, rng.uniform(0.05 * seconds, seconds))
        found = pictures(out)
        assert all(content == reference[name] for name, content in found.items())
        assert everything(scans) == inputs
        if status == signal.SIGKILL:
            killed += 1
            resumed += 0 < len(found) < len(NAMES)
        else:
            assert status == 0
            seconds = min(seconds, took)
        if killed >= kills and resumed > 0:
            break
    assert killed >= kills
    assert resumed > 0, "no kill came in the middle of a batch"
    _, status = batch(forker, scans, out)
    assert status == 0
    assert pictures(out) == reference
    assert not list(out.rglob("*.part"))
    assert run(["verify", str(out), "-q"]) == ExitCode.OK
    capsys.readouterr()

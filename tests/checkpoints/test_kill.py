"""kill -9 at random moments of a download: never a file under its name that is not whole."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture
def forker():
    script = Path(__file__).with_name("forker.py")
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


def pull(forker, shop, kill_after=""):
    """One download in a process of its own; its seconds, and the signal that ended it."""
    forker.stdin.write(f"{shop.catalog}\t{shop.cache}\t{kill_after}\n")
    forker.stdin.flush()
    seconds, status = forker.stdout.readline().split()
    return float(seconds), int(status)


def check(shop, model_bytes):
    """What is under its final name is whole and recorded; return whether there is something."""
    if not shop.final.exists():
        return False
    assert shop.final.read_bytes() == model_bytes
    record = json.loads(shop.final.with_name("record.json").read_text())
    assert record["sha256"] == hashlib.sha256(model_bytes).hexdigest()
    return True


@pytest.mark.parametrize(
    "kills", [12, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize("hash_known", [True, False])
def test_killed_at_random_moments(forker, shop, page, model_bytes, kills, hash_known):
    if not hash_known:
        shop.offer(sha256="")
    page.chunk_pause = 0.003
    seconds, status = pull(forker, shop)
    assert status == 0
    assert check(shop, model_bytes)
    rng = random.Random(12)
    killed = 0
    for _ in range(5 * kills):  # some will be done before they are killed
        if rng.random() < 0.5 or shop.final.exists():  # else go on with what the last one left
            shutil.rmtree(shop.cache, ignore_errors=True)  # it may not have come to making it
        took, status = pull(forker, shop, kill_after=rng.uniform(0, seconds))
        check(shop, model_bytes)
        if status == signal.SIGKILL:
            killed += 1
        else:
            seconds = min(seconds, took)
        if killed == kills:
            break
    assert killed == kills
    _, status = pull(forker, shop)
    assert status == 0
    assert check(shop, model_bytes)
    assert sorted(p.name for p in shop.final.parent.iterdir()) == ["m.safetensors", "record.json"]

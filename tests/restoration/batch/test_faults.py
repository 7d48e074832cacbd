"""Every operation on the disk made to fail: no half file, no wrong exit code, no lost run."""

import errno

import pytest

from dunrestore.cli.app import run
from dunrestore.errors import ExitCode
from tests.restoration.batch.faults import Faults, injected
from tests.restoration.batches import everything, make_scans, pictures, restore, use_toy

NAMES = ("a.png", "deep/b.tif", "c.jpg")
CODES = (errno.ENOSPC, errno.EIO, errno.EACCES)
RIGHT_CODES = {ExitCode.FILE_ACCESS, ExitCode.PARTIAL}
OPTIONS = ("--change-map", "--premis", "-q")


@pytest.fixture
def scans(tmp_path, monkeypatch):
    use_toy(monkeypatch)
    return make_scans(tmp_path / "scans", NAMES)


def check_fault(scans, out, reference, faults, monkeypatch, capsys):
    """One run with a fault, then one without; return whether the fault came to pass."""
    inputs = everything(scans)
    with injected(monkeypatch, faults):
        code = restore(scans, out, *OPTIONS)
    said = capsys.readouterr()
    assert everything(scans) == inputs
    assert "Traceback" not in said.err
    if faults.hits and code != ExitCode.OK:
        assert code in RIGHT_CODES, (faults.hits, said.err)
        assert said.err.count("error: ") >= 1
    else:  # nothing failed that mattered, so everything must be there
        assert code == ExitCode.OK
        assert pictures(out) == reference
    for name, content in pictures(out).items():
        assert content == reference[name], f"half a file called {name}"
    assert restore(scans, out, "--existing", "skip", *OPTIONS) == ExitCode.OK, capsys.readouterr()
    assert pictures(out) == reference
    assert not list(out.rglob("*.part"))
    assert run(["verify", str(out), "-q"]) == ExitCode.OK
    capsys.readouterr()
    return bool(faults.hits)


def operations(scans, tmp_path, monkeypatch):
    """How many operations an undisturbed run makes, and what it writes."""
    counted = Faults(tmp_path)
    with injected(monkeypatch, counted):
        assert restore(scans, tmp_path / "reference", *OPTIONS) == ExitCode.OK
    return counted.count, pictures(tmp_path / "reference")


@pytest.mark.parametrize("first", range(4))
def test_some_operation_fails(scans, tmp_path, monkeypatch, capsys, first):
    total, reference = operations(scans, tmp_path, monkeypatch)
    assert len(reference) == len(NAMES)
    assert total > 60
    for k in range(1 + first, total + 1, 16):
        faults = Faults(tmp_path, k, CODES[k % 3])
        check_fault(scans, tmp_path / f"out {k}", reference, faults, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_every_operation_fails(scans, tmp_path, monkeypatch, capsys, code, lasting):
    total, reference = operations(scans, tmp_path, monkeypatch)
    spoilt = 0
    for k in range(1, total + 1):
        faults = Faults(tmp_path, k, code, lasting=lasting)
        out = tmp_path / f"out {k}"
        spoilt += check_fault(scans, out, reference, faults, monkeypatch, capsys)
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{errno.errorcode[code]}, lasting={lasting}: {spoilt} faults of {total} operations"
        )
    assert spoilt > total * 0.9

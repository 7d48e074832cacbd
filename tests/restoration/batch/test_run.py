"""Runs over many files: what exists, failures, limits, interruptions, two at once."""

import errno
import itertools
import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import tifffile
import torch
from filelock import FileLock
from PIL import Image

from dunrestore.cli.app import run
from dunrestore.errors import ExitCode
from dunrestore.provenance import checksums, manifest, record
from dunrestore.provenance.verify import verify
from dunrestore.restoration import file as file_module
from dunrestore.restoration import source
from dunrestore.restoration.batch import at_once, plan
from dunrestore.restoration.batch import run as run_module
from dunrestore.restoration.batch.folder import LOCK
from dunrestore.restoration.batch.run import BatchOptions, Run
from dunrestore.restoration.file import write_file
from dunrestore.restoration.observer import Advance
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job
from tests.restoration.batches import everything, make_scans, pictures, restore, scan, toy_model
from tests.restoration.batches import use_toy as load_toy
from tests.restoration.networks import fill_white

NAMES = ("a.png", "b.png", "deep/c.png", "d.png")


@pytest.fixture
def toy(monkeypatch):
    return load_toy(monkeypatch)


@pytest.fixture
def scans(tmp_path, toy):
    return make_scans(tmp_path / "scans", NAMES)


class Quiet:
    def start_picture(self, name):
        pass

    def advance(self, advance):
        pass


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_event_stands_in_the_manifest(scans, tmp_path, capsys):
    out = tmp_path / "out"
    (scans / "bad.png").write_bytes(b"no picture")
    assert restore(scans, out) == ExitCode.PARTIAL
    lines = list(manifest.events(out / "manifest.jsonl"))
    assert lines[0]["event"] == "run"
    assert lines[0]["files"] == 5
    assert lines[-1] == {**lines[-1], "event": "end", "stopped": False}
    ends = {line["output"]: line["event"] for line in lines if "error" in line or "input" in line}
    assert ends == dict.fromkeys(NAMES, "restored") | {"bad.png": "failed"}
    traces = {line["output"]: line["traces"] for line in lines if line["event"] == "writing"}
    assert traces.keys() == set(NAMES)
    for name, trace in traces.items():
        assert record.read(record.path_of(out / name))["output"]["sha256"] == trace["output_sha256"]
    assert "bad.png" in capsys.readouterr().err


@pytest.mark.parametrize("verbose", [False, True])
def test_where_a_bug_of_ours_is_can_be_reported(scans, tmp_path, monkeypatch, capsys, verbose):
    def broken(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(run_module, "restore_opened", broken)
    code = restore(scans / "a.png", tmp_path / "a.png", *["-v"] * verbose)
    assert code == ExitCode.UNEXPECTED
    said = capsys.readouterr().err
    assert f"error: {scans / 'a.png'}: unexpected error: ZeroDivisionError: by zero; please" in said
    assert ("Traceback" in said and "in broken" in said) == verbose


def test_existing_outputs_stop_a_run_before_it_begins(scans, tmp_path, toy, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_bytes(b"precious")
    assert restore(scans, out) == ExitCode.FILE_ACCESS
    assert "b.png" in capsys.readouterr().err
    assert everything(out) == {"b.png": b"precious"}
    assert toy.network.shapes == []


@pytest.mark.parametrize("sidecar", ["--sidecar", "--no-sidecar"])
def test_only_what_is_missing_or_made_otherwise_is_done_again(
    scans, tmp_path, toy, monkeypatch, capsys, sidecar
):
    out = tmp_path / "out"
    again = ("--existing", "skip", "--json", sidecar)

    def statuses(*more):
        assert restore(scans, out, *again, *more) == ExitCode.OK
        return "".join(row["status"][0] for row in rows(capsys))

    assert restore(scans, out, sidecar) == ExitCode.OK
    toy.network.shapes.clear()
    assert statuses() == "ssss"
    assert toy.network.shapes == []
    (out / "b.png").unlink()
    assert statuses() == "srss"
    Image.fromarray(scan(77)).save(scans / "a.png")
    assert statuses() == "rsss"
    assert statuses("--preserve", "always") == "rrrr"
    assert statuses("--preserve", "always") == "ssss"
    load_toy(monkeypatch, toy_model(sha256="1" * 64))
    assert statuses("--preserve", "always") == "rrrr"


def test_a_picture_that_somebody_retouched_is_not_replaced(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert restore(scans, out) == ExitCode.OK
    Image.fromarray(scan(5)).save(out / "a.png")
    retouched = (out / "a.png").read_bytes()
    assert restore(scans, out, "--existing", "skip") == ExitCode.PARTIAL
    assert "changed after it was restored" in capsys.readouterr().err
    assert (out / "a.png").read_bytes() == retouched
    (out / "b.png").unlink()
    (out / "b.png").write_bytes(b"from elsewhere")
    record.path_of(out / "b.png").unlink()
    (out / "manifest.jsonl").unlink()
    assert restore(scans, out, "--existing", "skip") == ExitCode.PARTIAL
    assert "has no record" in capsys.readouterr().err
    assert restore(scans, out, "--overwrite") == ExitCode.OK
    assert run(["verify", str(out)]) == ExitCode.OK


def test_a_replacement_that_died_before_the_rename_is_completed(scans, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert restore(scans, out) == ExitCode.OK
    older = (out / "a.png").read_bytes()
    load_toy(monkeypatch, toy_model(lambda x: x * 0.8, "2" * 64))
    assert restore(scans, out, "--existing", "skip") == ExitCode.OK
    newer = (out / "a.png").read_bytes()
    assert newer != older
    (out / "a.png").write_bytes(older)  # as if only the record had been written
    assert restore(scans, out, "--existing", "skip") == ExitCode.OK
    assert (out / "a.png").read_bytes() == newer


BESIDE = (".dunrestore.json", ".changes.png", ".premis.xml")
ALL = ("--change-map", "--premis")


@pytest.mark.parametrize("ending", BESIDE)
def test_what_lies_where_a_run_would_write_beside_outputs_stops_it(
    scans, tmp_path, toy, capsys, ending
):
    out = tmp_path / "out"
    out.mkdir()
    (out / f"b.png{ending}").write_bytes(b"precious")
    assert restore(scans, out, *ALL) == ExitCode.FILE_ACCESS
    assert f"b.png{ending}: this file exists already" in capsys.readouterr().err
    assert toy.network.shapes == []
    assert restore(scans, out, *ALL, "--dry-run") == ExitCode.OK
    planned = capsys.readouterr().out.splitlines()
    there = out / f"b.png{ending}"
    assert planned[1].startswith(f"refuse: {scans / 'b.png'}")
    assert planned[1].endswith(f"; there is {there})")
    assert "there is" not in planned[0]
    assert restore(scans, out, *ALL, "--dry-run", "--json") == ExitCode.OK
    planned = [json.loads(line)["exists"] for line in capsys.readouterr().out.splitlines()]
    assert planned == [None, str(there), *[None] * (len(NAMES) - 2)]
    assert restore(scans, out, *ALL, "--existing", "skip") == ExitCode.PARTIAL
    assert "no record says whose it is" in capsys.readouterr().err
    assert (out / f"b.png{ending}").read_bytes() == b"precious"
    assert set(pictures(out)) == set(NAMES) - {"b.png"}
    assert restore(scans, out, *ALL, "--overwrite") == ExitCode.OK
    assert run(["verify", str(out)]) == ExitCode.OK


def test_what_a_run_would_not_write_is_not_in_its_way(scans, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png.changes.png").write_bytes(b"precious")
    assert restore(scans, out) == ExitCode.OK
    assert (out / "b.png.changes.png").read_bytes() == b"precious"


def test_a_list_of_hashes_is_not_replaced_unasked(scans, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest-sha256.txt").write_bytes(b"precious")
    assert restore(scans, out, "--checksums") == ExitCode.FILE_ACCESS
    assert "manifest-sha256.txt: this file exists already" in capsys.readouterr().err
    assert everything(out) == {"manifest-sha256.txt": b"precious"}
    assert restore(scans, out, "--checksums", "--existing", "skip") == ExitCode.INPUT
    assert "manifest-sha256.txt: this is no list of hashes" in capsys.readouterr().err
    assert everything(out) == {"manifest-sha256.txt": b"precious"}


@pytest.mark.parametrize("more", ["--change-map", "--premis", "--sidecar"])
def test_an_output_that_lacks_what_is_asked_for_is_made_again(scans, tmp_path, capsys, more):
    out = tmp_path / "out"
    skip = ("--existing", "skip", "--include", "a.png")
    assert restore(scans, out, *skip) == ExitCode.OK
    there = {path.name for path in out.iterdir()}
    if more == "--sidecar":
        record.path_of(out / "a.png").unlink()
    assert restore(scans, out, *skip, more) == ExitCode.OK
    assert "is there already" not in capsys.readouterr().err
    assert len({path.name for path in out.iterdir()}) == len(there) + (more != "--sidecar")
    assert restore(scans, out, *skip, more) == ExitCode.OK
    assert "is there already" in capsys.readouterr().err


def test_a_list_of_hashes_is_kept_up_to_date(scans, tmp_path):
    out = tmp_path / "out"
    some = ("--checksums", "--existing", "skip", "--change-map")
    assert restore(scans, out, *some, "--include", "a.png") == ExitCode.OK
    first = checksums.read(out)
    assert set(first) == {"a.png", "a.png.changes.png", "a.png.dunrestore.json"}
    (out / "a.png.changes.png").write_bytes(b"forged")
    assert restore(scans, out, *some) == ExitCode.OK
    later = checksums.read(out)
    assert first.items() <= later.items()
    assert len(later) == 3 * len(NAMES)
    assert run(["verify", str(out)]) == ExitCode.OUTPUT_CHECK
    again = ("--checksums", "--overwrite", "--include", "a.png")
    assert restore(scans, out, *again) == ExitCode.OK
    assert set(later) - set(checksums.read(out)) == {"a.png.changes.png"}
    assert run(["verify", str(out)]) == ExitCode.OK


def test_what_is_made_again_does_not_pass_for_changed(scans, tmp_path):
    out = tmp_path / "out"
    assert restore(scans, out, "--checksums", "--change-map", "--exclude", "d.png") == ExitCode.OK
    first = checksums.read(out)
    (out / "b.png.changes.png").write_bytes(b"forged")
    Image.fromarray(scan(9)).save(scans / "a.png")
    assert restore(scans, out, "--existing", "skip") == ExitCode.OK  # makes a.png anew, and d.png
    later = checksums.read(out)
    gone = {"a.png.changes.png"}
    assert set(later) == set(first) - gone
    anew = {name for name in later if later[name] != first[name]}
    assert anew == {"a.png", "a.png.dunrestore.json"}
    wrong = [one.path.name for one in verify(out) if one.verdict != "ok"]
    assert wrong == ["b.png.changes.png"]


def test_a_file_that_is_only_called_like_a_list_is_left_alone(scans, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / checksums.NAME).write_text("my notes")
    assert restore(scans, out) == ExitCode.OK
    assert (out / checksums.NAME).read_text() == "my notes"


@pytest.mark.parametrize("sidecar", ["--sidecar", "--no-sidecar"])
def test_what_a_run_that_died_left_beside_its_output_is_replaced(
    scans, tmp_path, monkeypatch, capsys, sidecar
):
    out = tmp_path / "out"
    more = (*ALL, sidecar)

    def die(*_):
        raise OSError(errno.EIO, "as if the power had failed")

    with monkeypatch.context() as patch:
        patch.setattr(file_module.premis, "write", die)
        assert restore(scans, out, *more) == ExitCode.PARTIAL
    assert (out / "a.png.changes.png").exists()
    assert not (out / "a.png").exists()
    assert restore(scans, out, *more) == ExitCode.FILE_ACCESS
    assert "use --existing skip to go on" in capsys.readouterr().err
    assert restore(scans, out, *more, "--existing", "skip") == ExitCode.OK
    assert set(pictures(out)) == set(NAMES)
    assert run(["verify", str(out)]) == (ExitCode.OK if "no" not in sidecar else 6)


def test_contradicting_policies_are_refused(scans, tmp_path):
    code = restore(scans, tmp_path / "out", "--overwrite", "--existing", "skip")
    assert code == ExitCode.USAGE
    assert restore(scans / "a.png", tmp_path / "o.png", "--checksums") == ExitCode.USAGE


def test_bad_files_cost_themselves_alone_unless_asked(scans, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        (scans / name).write_bytes(b"no picture")
    assert restore(scans, tmp_path / "on") == ExitCode.PARTIAL
    assert set(pictures(tmp_path / "on")) == {"deep/c.png", "d.png"}
    assert restore(scans, tmp_path / "fast", "--fail-fast") == ExitCode.PARTIAL
    assert pictures(tmp_path / "fast") == {}
    capsys.readouterr()
    assert restore(scans, tmp_path / "two", "--max-failures", "2") == ExitCode.PARTIAL
    said = capsys.readouterr().err
    assert len(pictures(tmp_path / "two")) <= 1
    assert "stopped: " in said
    assert "left" in said


def test_a_bug_in_one_picture_does_not_stop_the_others(scans, tmp_path, monkeypatch, capsys):
    calls = []

    def buggy(x):
        calls.append(1)
        if len(calls) == 2:
            raise KeyError("surprise")
        return x * 0.9

    load_toy(monkeypatch, toy_model(buggy))
    assert restore(scans, tmp_path / "out") == ExitCode.PARTIAL
    assert len(pictures(tmp_path / "out")) == 3
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "error: " in one]
    assert "KeyError" in line
    assert "b.png" in line


def test_patterns_choose_among_what_folders_hold(scans, tmp_path):
    make_scans(scans, ["west/a.tif", "west/b.tif"])
    assert restore(scans, tmp_path / "1", "--include", "a.*") == ExitCode.OK
    assert set(pictures(tmp_path / "1")) == {"a.png", "west/a.tif"}
    assert restore(scans, tmp_path / "2", "--exclude", "west/*", "--exclude", "d*") == ExitCode.OK
    assert set(pictures(tmp_path / "2")) == {"a.png", "b.png", "deep/c.png"}
    assert restore(scans, tmp_path / "3", "--include", "none*") == ExitCode.NOTHING_TO_DO


def test_a_dry_run_does_nothing(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert restore(scans, out, "--dry-run", "--json") == ExitCode.OK
    printed = capsys.readouterr()
    planned = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["plan"] for row in planned] == ["restore"] * 4
    assert planned[0]["megapixels"] == pytest.approx(24 * 32 / 1e6)
    assert "nothing was done" in printed.err
    assert not out.exists()
    assert restore(scans, out, "--include", "a.png") == ExitCode.OK
    capsys.readouterr()
    before = everything(out)
    assert restore(scans, out, "--dry-run", "--existing", "skip") == ExitCode.OK
    assert capsys.readouterr().out.splitlines()[0].startswith("check: ")
    assert everything(out) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_finishes_cleanly_and_is_resumed(tmp_path, monkeypatch, capsys, number):
    def slow(x):
        if len(network.shapes) == 3:
            os.kill(os.getpid(), number)
        return x * 0.9

    model = load_toy(monkeypatch, toy_model(slow))
    network = model.network
    scans = make_scans(tmp_path / "scans", NAMES)
    out = tmp_path / "out"
    listening = signal.getsignal(number)
    assert restore(scans, out) == ExitCode.INTERRUPTED
    said = capsys.readouterr().err
    assert "left; run it again with --existing skip" in said
    done = pictures(out)
    assert 0 < len(done) < len(NAMES)
    assert not list(out.rglob("*.part"))
    assert list(manifest.events(out / "manifest.jsonl"))[-1]["stopped"] is True
    assert signal.getsignal(number) == listening
    assert run(["verify", str(out)]) == ExitCode.OK
    network.shapes.extend([(0,)] * 3)
    assert restore(scans, out, "--existing", "skip") == ExitCode.OK
    assert set(pictures(out)) == set(NAMES)
    assert done.items() <= pictures(out).items()


def test_an_interruption_after_a_failure_is_still_one(tmp_path, monkeypatch, capsys):
    def slow(x):
        if len(network.shapes) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return x * 0.9

    model = load_toy(monkeypatch, toy_model(slow))
    network = model.network
    scans = make_scans(tmp_path / "scans", NAMES)
    (scans / "a.png").write_bytes(b"no picture")
    (scans / "a2.png").write_bytes((scans / "b.png").read_bytes())
    assert restore(scans, tmp_path / "out") == ExitCode.INTERRUPTED
    assert "interrupted: " in (said := capsys.readouterr().err)
    assert "1 failed" in said


def test_what_lay_beside_a_replaced_output_goes_with_it(scans, tmp_path):
    out = tmp_path / "out"
    only = ("--include", "a.png")
    assert restore(scans, out, *only, *ALL) == ExitCode.OK
    beside = {path for path in out.iterdir() if path.name.startswith("a.png.")}
    assert {path.suffix for path in beside} == {".png", ".xml", ".json"}
    assert restore(scans, out, *only, "--overwrite", "--preserve", "never") == ExitCode.OK
    assert [p.name for p in out.iterdir() if p in beside] == ["a.png.dunrestore.json"]


def test_what_lies_beside_a_replaced_stranger_stays(scans, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"theirs")
    (out / "a.png.changes.png").write_bytes(b"precious")
    assert restore(scans, out, "--overwrite") == ExitCode.OK
    assert (out / "a.png.changes.png").read_bytes() == b"precious"


def test_a_file_that_takes_too_long_is_given_up(tmp_path, monkeypatch, capsys):
    def sometimes_slow(x):
        if len(model.network.shapes) == 2:
            time.sleep(3)
        return x * 0.9

    model = load_toy(monkeypatch, toy_model(sometimes_slow))
    scans = make_scans(tmp_path / "scans", NAMES)
    assert restore(scans, tmp_path / "out", "--timeout", "2.5") == ExitCode.PARTIAL
    assert set(pictures(tmp_path / "out")) == set(NAMES) - {"b.png"}
    assert "it took longer than 2.5 s" in capsys.readouterr().err


def test_a_write_that_hangs_is_given_up_and_never_named(scans, tmp_path, monkeypatch, capsys):
    release = threading.Event()
    real = run_module.write_file

    def hanging(work, *arguments):
        if work.opened.job.source.name == "b.png":
            release.wait(20)
        return real(work, *arguments)

    monkeypatch.setattr(run_module, "write_file", hanging)
    assert restore(scans, tmp_path / "out", "--timeout", "2") == ExitCode.PARTIAL
    release.set()
    time.sleep(0.5)  # the late thread tries to finish
    assert "b.png" not in pictures(tmp_path / "out")
    assert "b.png: it took longer" in capsys.readouterr().err


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("clean", [False, True])
def test_a_source_that_is_written_to_meanwhile(tmp_path, monkeypatch, capsys, clean, large):
    path, out = tmp_path / "a.tif", tmp_path / "out.tif"
    before = scan(1)
    before[(before == 255).all(axis=2)] -= 255 * clean
    tifffile.imwrite(path, before)

    def rewriting(x):
        tifffile.imwrite(path, scan(2))
        return fill_white(x)

    monkeypatch.setattr(source, "IN_MEMORY", 0 if large else 10**9)
    load_toy(monkeypatch, toy_model(rewriting))
    code = restore(path, out)
    if clean or large:  # it would be copied, or is read in part
        assert code == ExitCode.INPUT
        assert "a.tif: this file was changed while it was restored" in capsys.readouterr().err
        assert not out.exists()
    else:
        assert code == ExitCode.OK
        sound = (before < 255).any(axis=2)
        assert np.array_equal(tifffile.imread(out)[sound], before[sound])


def test_a_source_that_is_written_to_before_it_is_read(scans, tmp_path, monkeypatch, capsys):
    real = run_module.open_file

    def opening(job, *more):
        if job.source.name == "b.png":
            Image.fromarray(scan(9)).save(job.source)
        return real(job, *more)

    monkeypatch.setattr(run_module, "open_file", opening)
    assert restore(scans, tmp_path / "out") == ExitCode.PARTIAL
    assert set(pictures(tmp_path / "out")) == set(NAMES) - {"b.png"}
    assert "b.png: this file was changed while it was restored" in capsys.readouterr().err


def test_a_source_that_is_only_touched_is_the_same(scans, tmp_path, monkeypatch):
    real = run_module.open_file

    def opening(job, *more):
        os.utime(job.source, (1, 1))
        return real(job, *more)

    monkeypatch.setattr(run_module, "open_file", opening)
    assert restore(scans, tmp_path / "out") == ExitCode.OK


def test_reading_computing_and_writing_overlap_and_stay_bounded(tmp_path, monkeypatch):
    alive, most, lock = set(), [], threading.Lock()
    real_open, real_write = run_module.open_file, run_module.write_file

    def opening(job, *more):
        with lock:
            alive.add(job.source.name)
            most.append(len(alive))
        time.sleep(0.1)
        return real_open(job, *more)

    def writing(work, *more):
        time.sleep(0.1)
        try:
            return real_write(work, *more)
        finally:
            with lock:
                alive.discard(work.opened.job.source.name)

    monkeypatch.setattr(run_module, "open_file", opening)
    monkeypatch.setattr(run_module, "write_file", writing)
    load_toy(monkeypatch)
    names = [f"{n:02}.png" for n in range(12)]
    scans = make_scans(tmp_path / "scans", names)
    assert restore(scans, tmp_path / "out") == ExitCode.OK
    assert set(pictures(tmp_path / "out")) == set(names)
    assert 2 <= max(most) <= 5


def test_a_second_run_on_the_same_folder_is_refused(scans, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / LOCK):
        assert restore(scans, out) == ExitCode.FILE_ACCESS
        assert "another run is writing" in capsys.readouterr().err
    assert pictures(out) == {}
    assert restore(scans, out) == ExitCode.OK


def test_results_do_not_depend_on_how_far_ahead_is_read(scans, tmp_path):
    assert restore(scans, tmp_path / "one") == ExitCode.OK
    assert restore(scans, tmp_path / "four", "-j", "4") == ExitCode.OK
    assert pictures(tmp_path / "one") == pictures(tmp_path / "four")


@pytest.fixture
def several_at_once(monkeypatch):
    """Three files are computed at once, as on a GPU."""
    monkeypatch.setattr(plan, "files_at_once", lambda *_: 3)


def test_results_do_not_depend_on_how_many_are_computed_at_once(
    scans, tmp_path, monkeypatch, capsys
):
    (scans / "bad.png").write_bytes(b"no picture")
    assert restore(scans, tmp_path / "one", "--json") == ExitCode.PARTIAL
    one = rows(capsys)
    monkeypatch.setattr(plan, "files_at_once", lambda *_: 3)
    assert restore(scans, tmp_path / "three", "--json") == ExitCode.PARTIAL
    three = rows(capsys)
    assert pictures(tmp_path / "one") == pictures(tmp_path / "three")
    assert len(pictures(tmp_path / "three")) == 4
    told = ("input", "status")
    assert [[row[k] for k in told] for row in three] == [[row[k] for k in told] for row in one]


def test_files_are_computed_at_the_same_time(scans, tmp_path, monkeypatch, several_at_once):
    meeting = threading.Barrier(2)  # neither goes on without the other

    def function(x):
        meeting.wait(20)
        return fill_white(x)

    load_toy(monkeypatch, toy_model(function))
    assert restore(scans, tmp_path / "out") == ExitCode.OK
    assert len(pictures(tmp_path / "out")) == 4


def test_a_file_that_takes_long_holds_up_no_other(scans, tmp_path, monkeypatch, several_at_once):
    calls, others = itertools.count(), threading.Semaphore(0)

    def function(x):
        if next(calls) > 0:
            others.release()
        else:
            assert all(others.acquire(timeout=20) for _ in NAMES[1:])
        return fill_white(x)

    load_toy(monkeypatch, toy_model(function))
    assert restore(scans, tmp_path / "out") == ExitCode.OK


def test_progress_is_told_picture_by_picture(scans, tmp_path, toy, several_at_once):
    told = []

    class Told:
        def start_picture(self, name):
            told.append((name,))

        def advance(self, advance):
            told.append(advance)

    paths = [scans / name for name in NAMES]
    jobs = [Job(path, tmp_path / path.name) for path in paths]
    batch = BatchOptions(ahead=3, at_once=3)
    options = RestoreOptions(device="cpu", precision="fp32")
    with Run(toy, options, FileOptions(), batch, None, Told()) as all_of_them:
        outcomes = list(all_of_them.restore(jobs))
    assert [outcome.job for outcome in outcomes] == jobs
    each = [Advance(0, 1, 24 * 32), Advance(1, 1, 24 * 32)]
    assert told == [event for path in paths for event in [(path.name,), *each]]


def test_a_stop_ends_what_is_computed_at_the_same_time(scans, tmp_path, monkeypatch, toy):
    jobs = [Job(scans / name, tmp_path / "out" / name) for name in NAMES]
    (tmp_path / "out").mkdir()
    options = RestoreOptions(device="cpu", precision="fp32")
    batch = BatchOptions(at_once=3)
    with Run(toy, options, FileOptions(), batch, tmp_path / "out", Quiet()) as stopped:
        compute = stopped._compute

        def wait_for_the_stop(one):
            if one.job is not jobs[0]:
                assert stopped.stop.wait(20)
                return compute(one)
            done = compute(one)
            stopped.stop.set()
            return done

        monkeypatch.setattr(stopped, "_compute", wait_for_the_stop)
        outcomes = list(stopped.restore(jobs))
    assert [outcome.job for outcome in outcomes] == jobs[:1]
    assert set(pictures(tmp_path / "out")) == {"a.png"}
    assert list(manifest.events(tmp_path / "out" / "manifest.jsonl"))[-1]["stopped"] is True


@pytest.mark.parametrize(
    ("device", "asked", "files"),
    [("cpu", None, 1), ("mps", 4, 1), ("cuda", 3, 3), ("cuda", 20, 20)],
)
def test_files_at_once_are_for_gpus(device, asked, files):
    assert at_once.files_at_once([torch.device(device)], asked, None) == files


def test_a_gpu_has_as_many_files_as_there_are_processors_and_memory(monkeypatch):
    gpus, most = [torch.device("cuda", number) for number in range(3)], at_once.MOST_AT_ONCE
    for devices, processors, free, files in (
        (1, 2, 1e12, 2),
        (1, 64, 1e12, most),
        (3, 64, 1e12, 3 * most),
        (3, 9, 1e12, 9),
        (1, 1, 1e12, 1),
        (1, 64, 7e9, 2),
        (3, 64, 7e9, 2),
        (1, 9, 1e9, 1),
    ):
        monkeypatch.setattr(at_once, "processors", lambda n=processors: n)
        monkeypatch.setattr(at_once, "free_memory", lambda _, n=free: n)
        assert at_once.files_at_once(gpus[:devices], None, None) == files
    assert at_once.files_at_once(gpus[:1], 4, 60.0) == 1  # waiting for others would count


def test_an_end_by_force_names_no_output_afterwards(scans, tmp_path, toy, monkeypatch):
    jobs = [Job(scans / name, tmp_path / "out" / name) for name in NAMES]
    (tmp_path / "out").mkdir()
    options = RestoreOptions(device="cpu", precision="fp32")
    forced, written = threading.Event(), []

    def late(*arguments):
        assert forced.wait(20)
        try:
            written.append(write_file(*arguments))
        finally:
            written.append(None)

    monkeypatch.setattr(run_module, "write_file", late)
    with Run(
        toy, options, FileOptions(), BatchOptions(at_once=3), tmp_path / "out", Quiet()
    ) as run_:
        monkeypatch.setattr(run_, "_is_due", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(run_.restore(jobs))
        forced.set()
        for _ in range(200):
            if written:
                break
            time.sleep(0.1)
    assert written[0] is None
    assert pictures(tmp_path / "out") == {}


def test_one_file_at_a_time_is_restored_on_the_disk(scans, tmp_path, monkeypatch, several_at_once):
    inside, most = [], []
    real = run_module.restore_opened

    def watched(*arguments):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        try:
            return real(*arguments)
        finally:
            inside.pop()

    monkeypatch.setattr(run_module, "restore_opened", watched)
    assert restore(scans, tmp_path / "memory") == ExitCode.OK
    assert max(most) > 1
    most.clear()
    monkeypatch.setattr(run_module, "streams", lambda *_: True)
    assert restore(scans, tmp_path / "disk") == ExitCode.OK
    assert most == [1] * len(NAMES)


def test_results_beside_the_inputs_are_not_inputs_of_the_next_run(scans, capsys):
    command = ["restore", str(scans), "-d", "cpu", "--precision", "fp32", "--change-map"]
    assert run(command) == ExitCode.OK
    count = len(pictures(scans))
    assert run([*command, "--existing", "skip"]) == ExitCode.OK
    assert len(pictures(scans)) == count
    assert "3 skipped" in capsys.readouterr().err


def test_checksums_list_outputs_and_what_lies_beside_them(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert restore(scans, out, "--checksums", "--change-map", "--premis") == ExitCode.OK
    assert len((out / "manifest-sha256.txt").read_text().splitlines()) == 4 * len(NAMES)
    assert run(["verify", str(out), "--json"]) == ExitCode.OK
    assert {row["verdict"] for row in rows(capsys)} == {"ok"}
    samples = bytearray((out / "d.png").read_bytes())
    samples[-20] ^= 1
    (out / "d.png").write_bytes(samples)
    (out / "b.png").unlink()
    assert run(["verify", str(out), "-q"]) == ExitCode.OUTPUT_CHECK
    said = capsys.readouterr().err
    assert "d.png: changed" in said
    assert "b.png: missing" in said


def test_memory_that_runs_out_is_one_line_and_one_file(scans, tmp_path, monkeypatch, capsys):
    calls = []

    def greedy(x):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x * 0.9

    load_toy(monkeypatch, toy_model(greedy))
    code = restore(scans, tmp_path / "out", "--tile", "96")
    assert code == ExitCode.PARTIAL
    assert "out of memory" in capsys.readouterr().err
    assert len(pictures(tmp_path / "out")) == 3
    assert np.array(Image.open(tmp_path / "out" / "b.png")).shape == (24, 32, 3)

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest

from dunrestore.errors import DunrestoreError, FileAccessError, InputError, NothingToDoError
from dunrestore.provenance import checksums, manifest
from dunrestore.provenance.beside import beside
from dunrestore.provenance.verify import verify


def test_lines_are_appended_and_a_torn_line_is_survived(tmp_path):
    path = tmp_path / "manifest.jsonl"
    first = manifest.Manifest(path)
    first.append("run", files=2)
    first.append("restored", output="壁画\n.png")
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "writ')
    second = manifest.Manifest(path)
    second.append("run", files=1)
    second.close()
    assert path.read_bytes().startswith(whole)
    assert [e["event"] for e in manifest.events(path)] == ["run", "restored", "run"]
    assert [e.get("output") for e in manifest.events(path)] == [None, "壁画\n.png", None]


def test_two_manifests_on_one_file_do_not_mix_their_lines(tmp_path):
    path = tmp_path / "manifest.jsonl"
    one, other = manifest.Manifest(path), manifest.Manifest(path)
    for number in range(20):
        (one, other)[number % 2].append("line", number=number)
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == list(range(20))
    one.close()
    other.close()


def test_a_line_that_the_disk_has_no_room_for_is_an_error_and_the_next_one_is_whole(tmp_path):
    path = tmp_path / "manifest.jsonl"
    log = manifest.Manifest(path)
    log.append("run", files=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(FileAccessError):
            log.append("writing", output="a.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    log.append("restored", output="b.png")
    log.close()
    assert [e["event"] for e in manifest.events(path)] == ["run", "restored"]


def test_a_manifest_in_no_folder_is_an_error_of_ours(tmp_path):
    with pytest.raises(FileAccessError):
        manifest.Manifest(tmp_path / "none" / "manifest.jsonl")
    assert list(manifest.events(tmp_path / "none" / "manifest.jsonl")) == []


@pytest.mark.parametrize("content", [b'{"id": 1}\n', b"a list\nof files\n", b"\x00" * 40])
def test_a_file_of_that_name_that_is_none_of_ours_stays_as_it_is(tmp_path, content):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileAccessError, match=r"no manifest of dunrestore's"):
        manifest.Manifest(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b'{"ev', b'{"event": "ru'])
def test_a_manifest_that_was_cut_short_in_its_first_line_goes_on(tmp_path, content):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(content)
    again = manifest.Manifest(path)
    again.append("run", files=1)
    again.close()
    assert [e["event"] for e in manifest.events(path)] == ["run"]


NAMES = ["plain.png", "a b.png", "deep/壁画.png", "line\nbreak.png", "100%0A.png", "'q\".png"]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    checksums.update(tmp_path, [tmp_path / name for name in NAMES])
    return tmp_path


def test_lines_of_what_was_not_made_now_stay_as_they_are(folder):
    before = checksums.read(folder)
    made, gone, changed, new = (folder / name for name in ("plain.png", *NAMES[1:3], "new.png"))
    gone.unlink()
    for path in (made, changed, new):
        path.write_bytes(b"other")
    checksums.update(folder, [made, gone], [changed, new])
    other = hashlib.sha256(b"other").hexdigest()
    expected = before | {"plain.png": other, "new.png": other}
    del expected[NAMES[1]]
    assert checksums.read(folder) == expected


def test_checksums_name_every_file(folder):
    found = checksums.read(folder)
    assert found == {name: hashlib.sha256(name.encode()).hexdigest() for name in NAMES}
    assert all(one.verdict == "ok" for one in verify(folder))


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_them(tmp_path):
    (tmp_path / "a b.png").write_bytes(b"x")
    checksums.update(tmp_path, [tmp_path / "a b.png"])
    command = ["sha256sum", "--check", "--strict", checksums.NAME]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "a b.png: OK\n"


def test_what_changed_is_named(folder):
    (folder / "plain.png").write_bytes(b"other")
    (folder / "a b.png").unlink()
    wrong = {one.path.name: one.verdict for one in verify(folder) if one.verdict != "ok"}
    assert wrong == {"plain.png": "changed", "a b.png": "missing"}


def test_lists_in_folders_below_are_checked_too(tmp_path):
    inner = tmp_path / "run 1"
    inner.mkdir()
    for name in ("a.png", "b.png"):
        (inner / name).write_bytes(b"x")
    checksums.update(inner, [inner / "a.png", inner / "b.png"])
    assert [one.verdict for one in verify(tmp_path)] == ["ok", "ok"]
    (inner / "a.png").unlink()
    assert [(one.path, one.verdict) for one in verify(tmp_path)] == [
        (inner / "a.png", "missing"),
        (inner / "b.png", "ok"),
    ]


@pytest.mark.parametrize("line", ["no hash at all\n", "0" * 64 + " \n"])
def test_a_list_that_is_none_is_refused(tmp_path, line):
    (tmp_path / checksums.NAME).write_text(line)
    with pytest.raises(InputError):
        list(verify(tmp_path))


def test_files_outside_are_not_looked_at(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    hashed = hashlib.sha256(b"x").hexdigest()
    (tmp_path / "in" / checksums.NAME).write_text(f"{hashed}  ../secret\n")
    (one,) = verify(tmp_path / "in")
    assert one.verdict == "unreadable"


def test_folders_without_records_are_nothing_to_do(tmp_path):
    with pytest.raises(NothingToDoError):
        list(verify(tmp_path))
    with pytest.raises(DunrestoreError, match="no such folder"):
        list(verify(tmp_path / "none"))


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_long_names_are_cut_where_names_are_no_unicode():
    code = (
        "import os, pathlib; from dunrestore.provenance.beside import beside\n"
        "name = os.fsdecode(b'\\xe6\\x97\\xa5' * 80 + b'.png')\n"
        "print(len(os.fsencode(beside(pathlib.Path(name), '.dunrestore.json').name)) <= 255)"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **plain}
    )
    assert done.stdout == "True\n", done.stderr


def test_names_as_long_as_can_be_get_a_record_of_their_own(tmp_path):
    names = {beside(tmp_path / f"{letter * 84}{n}.png", ".dunrestore.json").name
             for letter in "画a" for n in range(3)}  # fmt: skip
    assert len(names) == 6
    for name in names:
        (tmp_path / name).write_bytes(b"")

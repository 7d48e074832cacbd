import json
import os
from pathlib import Path

import pytest

from dunrestore.benchmarking.journal import Journal, plain
from dunrestore.benchmarking.results import Row
from dunrestore.errors import FileAccessError

NAMES = ("壁画", "no text \udcff", "two\u2028lines", "and\x85two\nmore")


def add(folder, names):
    journal = Journal(folder)
    for name in names:
        journal.add(name, Row("white", name, "calm", {"psnr": 30.0}, 0.1, 0))
    journal.close()


def read(folder):
    journal = Journal(folder)
    journal.close()
    return {key: row.image for key, row in journal.rows.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_row_of_a_picture_of_any_name_is_found_again(tmp_path, name):
    add(tmp_path, [name, "another"])
    assert read(tmp_path) == {name: name, "another": "another"}


def test_results_of_pictures_of_any_name_are_json(tmp_path):
    (tmp_path / "a.json").write_bytes(plain({"names": NAMES}).encode("utf-8", "surrogateescape"))
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))["names"] == list(NAMES)
    with pytest.raises(ValueError, match="not JSON compliant"):
        plain({"psnr": float("nan")})


@pytest.mark.parametrize("cut_off", [b'{"key": "in the mid', '{"key": "壁'.encode()[:-1]])
def test_what_a_crash_cut_off_is_dropped_and_nothing_else_touched(tmp_path, monkeypatch, cut_off):
    add(tmp_path, NAMES[:1])
    path = tmp_path / "rows.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + cut_off)

    def killed(self, *_, **__):
        os.truncate(self, 0)
        raise OSError

    monkeypatch.setattr(Path, "write_text", killed)
    monkeypatch.setattr(Path, "write_bytes", killed)
    assert read(tmp_path) == {"壁画": "壁画"}
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "foreign",
    [
        b"no rows",
        b"no rows\n",
        b'{"key": "a"}\n',
        b'{"key": "a", "block": 1, "more": 2}\n',
        b'["key"]\n',
        b"7\n",
        b"\xff\xfe\n",
    ],
)
def test_rows_of_somebody_elses_are_refused_and_stay(tmp_path, foreign):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(foreign)
    with pytest.raises(
        FileAccessError, match=r"rows\.jsonl: .*no rows of a benchmark.*--overwrite"
    ):
        read(tmp_path)
    assert path.read_bytes() == foreign
    Journal(tmp_path, overwrite=True).close()
    assert path.read_bytes() == b""


def test_a_run_that_ended_before_its_first_row_is_gone_on_with(tmp_path):
    Journal(tmp_path).close()
    (tmp_path / "pictures").mkdir()
    assert read(tmp_path) == {}

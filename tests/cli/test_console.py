import pytest

from dunrestore.cli import console
from dunrestore.cli.app import run
from dunrestore.errors import ExitCode
from tests.restoration.batches import everything, make_scans, restore, use_toy


@pytest.fixture(autouse=True)
def no_log_stays_open():
    yield
    console.set_up()


@pytest.fixture
def scans(tmp_path, monkeypatch):
    use_toy(monkeypatch)
    scans = make_scans(tmp_path / "scans", ["a.png"])
    (tmp_path / "link.log").symlink_to(scans / "a.png")
    (tmp_path / "twin.log").hardlink_to(scans / "a.png")
    (tmp_path / "run.toml").write_text("stage = 'arin'\n")
    return scans


@pytest.mark.parametrize("name", ["scans/a.png", "new.TIF", "link.log", "twin.log", "run.toml"])
@pytest.mark.parametrize("command", ["restore", "train"])
def test_a_log_is_written_into_nothing_else(scans, tmp_path, capsys, name, command):
    before = everything(tmp_path)
    log = tmp_path / name
    if command == "restore":
        code = restore(scans, tmp_path / "out", "--log-file", log)
    else:
        code = run(["train", "--data", str(scans), "-o", str(log.parent), "--log-file", str(log)])
    assert code == ExitCode.USAGE
    assert f"{name}: " in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_log_is_gone_on_with(scans, tmp_path):
    log = tmp_path / "log.txt"
    (scans / "b.bmp").write_bytes(b"x")
    log.touch()
    for times in (1, 2):
        assert restore(scans, tmp_path / "out", "--overwrite", "--log-file", log) == ExitCode.OK
        assert log.read_text().count("b.bmp: pictures of this kind are not read") == times

import json
import tomllib

import pytest

from dunrestore.cli.app import run
from dunrestore.training import run as training_run
from dunrestore.training.config import make_config, read_toml
from tests.training.tiny import pictures, tiny


@pytest.fixture
def config(tmp_path):
    from dunrestore.training.config import to_toml

    file = tmp_path / "run.toml"
    file.write_text(to_toml(tiny(pictures(tmp_path), iterations=3)), encoding="utf-8")
    return file


def train(*arguments):
    return run(["train", *map(str, arguments)])


def test_options_go_over_the_file_and_the_file_over_the_preset(tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text('stage = "car"\npreset = "paper"\nbatch = 5\nlr = 0.01\n')
    assert train("-c", file, "--lr", 0.5, "--no-flips", "--init", "a", "--init", "b",
                 "--hinet-width", 24, "--print-config") == 0  # fmt: skip
    shown = tomllib.loads(capsys.readouterr().out)
    config = make_config(shown)
    assert (config.stage, config.batch, config.lr, config.iterations) == ("car", 5, 0.5, 6000)
    assert (config.flips, config.init, config.hinet_width) == (False, ("a", "b"), 24)


def test_the_printed_configuration_is_the_same_run(tmp_path, capsys):
    assert train("--stage", "hinet-dr", "--print-config") == 0
    file = tmp_path / "run.toml"
    file.write_text(capsys.readouterr().out)
    assert make_config(read_toml(file)) == make_config({"stage": "hinet-dr"})


def test_a_run_from_the_command_line_and_its_continuation(config, tmp_path, capsys):
    out = tmp_path / "run"
    assert train("-c", config, "-o", out, "--json") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["iterations"] == 3
    assert (out / "hinet-db.safetensors").is_file()
    assert "PSNR" in captured.err
    assert train("--resume", "-o", out, "--iterations", 4, "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    lines = (out / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(x)["iteration"] for x in lines if "loss" in x] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("toml", "arguments", "code", "message"),
    [
        ("bacth = 3", [], 9, "did you mean 'batch'"),
        ("batch = 'x'", [], 9, "batch must be a whole number"),
        ("batch = ", [], 9, "not a TOML file"),
        ("", ["--data", "EMPTY"], 6, "EMPTY: no pictures found"),
        ("", ["--data", "ABSENT"], 3, "no such folder"),
        ("", [], 2, "no training pictures"),
        ("", ["--resume"], 8, "no state to resume from"),
        ("", ["--data", "DATA", "--init", "no-such-model", "--patch", 16], 8, "no-such-model"),
        ("", ["--data", "DATA"], 3, "smaller than a patch of 128"),
    ],
)
def test_every_error_is_one_line(tmp_path, capsys, toml, arguments, code, message):
    (tmp_path / "EMPTY").mkdir()
    file = tmp_path / "run.toml"
    file.write_text(toml)
    folders = {"EMPTY": tmp_path / "EMPTY", "ABSENT": tmp_path / "ABSENT"}
    if "DATA" in arguments:
        folders["DATA"] = pictures(tmp_path)
    given = [folders.get(a, a) for a in arguments]
    assert train("-c", file, "-o", tmp_path / "run", *given) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("toml", "options", "message"),
    [
        ("batch = 0", [], "FILE: batch must be at least 1, not 0; correct it there"),
        ("batch = 0", ["--lr", -1], "FILE: batch must be at least 1, not 0; correct it there"),
        ('batch = "x"', [], "FILE: batch must be a whole number, not 'x'; correct it there"),
        ("painted = 1.5", [], "FILE: painted is a share between 0 and 1, not 1.5; correct it"),
        ("batch = 5\naccumulate = 2", [], "FILE: a batch of 5 cannot be computed in 2 equal parts"),
        ("gaussian = 300", [], "FILE: gaussian must lie between 0 and 255"),
        ("batch = 3", ["--batch", 0], "batch must be at least 1, not 0"),
        ("batch = -1", ["--batch", 0], "batch must be at least 1, not 0"),
        ("accumulate = 3", ["--batch", 4], "a batch of 4 cannot be computed in 3 equal parts"),
    ],
)
def test_what_the_configuration_file_is_wrong_in_names_it(tmp_path, capsys, toml, options, message):
    file = tmp_path / "run.toml"
    file.write_text(toml)
    for more in ([], ["--print-config"]):
        assert train("-c", file, "-o", tmp_path / "run", *options, *more) == 9
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: " + message.replace("FILE", str(file)))


def test_an_option_stands_in_for_what_the_file_is_wrong_in(tmp_path, capsys):
    file = tmp_path / "run.toml"
    file.write_text("batch = 0")
    assert train("-c", file, "--batch", 3, "--print-config") == 0
    assert make_config(tomllib.loads(capsys.readouterr().out)).batch == 3


def test_what_is_frozen_is_a_part_and_no_file(capsys):
    assert run(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "--freeze PART" in shown
    assert "--init NAME|FILE" in shown


def test_who_interrupts_is_told_how_to_go_on_if_there_is_a_state(
    config, tmp_path, capsys, monkeypatch
):
    def interrupted(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "train", interrupted)
    out = tmp_path / "a run"
    assert train("-c", config, "-o", out) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    out.mkdir()
    (out / "state.pt").touch()
    assert train("-c", config, "-o", out) == 130
    said = f"stopped; go on with: dunrestore train --resume -o '{out}'\nerror: interrupted\n"
    assert capsys.readouterr().err == said

"""``dunrestore models`` as a user sees it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dunrestore.checkpoints import cards
from dunrestore.cli import console
from dunrestore.cli.app import run


@pytest.fixture
def models(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DUNRESTORE_CATALOG", raising=False)
    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path / "cache"))

    def models(*arguments):
        code = run(["models", *arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return models


@pytest.mark.parametrize("columns", [80, 120])
def test_list_fits_the_terminal(models, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    result = models("list")
    assert result.code == 0
    rows = result.out.splitlines()
    assert max(map(len, rows)) <= columns
    names = [row.split()[0] for row in rows[1:]]
    assert {"hinet-gopro", "car-df2k", "lpips-alexnet"} <= set(names)
    assert all(row[0] != " " for row in rows), "one line a model"
    assert "remote: fetched on first use" in result.err


def test_list_off_a_terminal_is_not_squeezed(models, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = models("list").out.splitlines()
    assert all(row.split()[0] for row in rows)
    assert any("HINet as published: SIDD, half width" in row for row in rows)


def test_list_json_has_what_a_script_needs(models):
    listed = {model["name"]: model for model in json.loads(models("list", "--json").out)}
    gopro = listed["hinet-gopro"]
    assert gopro["state"] == "remote"
    assert gopro["sha256"] == ""
    assert gopro["urls"][0].startswith("https://github.com/HolyWu/")
    assert listed["car-df2k"]["state"] == "importable"
    assert listed["edsr-x2"]["sha256"] == "0edfb8a3"
    assert {"importable", "remote"} <= {model["state"] for model in listed.values()}


def test_json_has_the_hash_of_an_embedded_model(models):
    shown = json.loads(models("show", "car", "--json").out)
    listed = {model["name"]: model for model in json.loads(models("list", "--json").out)}
    assert len(shown["sha256"]) == 64
    assert listed["car"]["sha256"] == shown["sha256"]
    assert shown["sha256"] in models("show", "car").out


def test_show_prints_the_card(models):
    result = models("show", "edsr-x2")
    assert result.code == 0
    for text in ("# edsr-x2", "| blocks | 32 |", "0edfb8a3", "## Licence", "arXiv 1707.02921"):
        assert text in result.out
    card = json.loads(models("show", "edsr-x2", "--json").out)["card"]
    assert card["licence"] == "MIT"


def test_show_says_honestly_that_a_hash_is_not_known(models):
    assert "not known; recorded on first use" in models("show", "hinet-reds").out


def test_an_unknown_name_gets_a_suggestion(models):
    result = models("show", "hinet-gopr")
    assert result.code == 8
    assert "did you mean hinet-gopro" in result.err


def test_pull_of_what_must_be_imported_explains_the_steps(models):
    result = models("pull", "car-df2k")
    assert result.code == 8
    assert "(1) in a browser, open https://github.com/sunwj/CAR" in result.err
    assert "(2) dunrestore models import PATH/TO/2x --name car-df2k" in result.err


def test_path_prints_the_cache(models, tmp_path):
    assert models("path").out.strip() == str(tmp_path / "cache" / "models")
    result = models("path", "hinet-gopro")
    assert (result.code, "models pull hinet-gopro" in result.err) == (8, True)


@pytest.mark.parametrize("arguments", [["pull", "../../x"], ["remove", "/etc"], ["path", ".."]])
def test_names_like_paths_are_refused(models, arguments):
    result = models(*arguments)
    assert result.code == 8
    assert "is not a model's name" in result.err


def test_a_catalogue_address_with_a_password_is_refused_and_not_shown(models):
    result = models("list", "--catalog", "https://user:hunter2@host/c.json")
    assert result.code == 8
    assert "user name or password" in result.err
    assert "hunter2" not in result.err + result.out


def test_offline_fetches_no_catalogue_either(models):
    result = models("pull", "x", "--offline", "--catalog", "https://host.invalid/c.json")
    assert result.code == 8
    assert "--offline forbids" in result.err


def test_importing_the_command_imports_neither_torch_nor_requests():
    code = "import sys, dunrestore.cli.models; print({'torch', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_listing_needs_no_torch():
    code = (
        "import sys; from dunrestore.cli.app import run; print(run(['models', 'list']));"
        " print({'torch', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["0", "set()"]


@pytest.mark.parametrize("columns", [0, 60])
def test_the_commands_of_a_training_can_be_copied(models, monkeypatch, capsys, columns):
    commands = json.loads(models("show", "hinet-db", "--json").out)["card"]["training"]["commands"]
    assert len(commands) == 2
    if columns:
        terminal = console.Output(
            highlight=False, soft_wrap=True, force_terminal=True, width=columns
        )
        monkeypatch.setattr(console, "data", terminal)
    shown = models("show", "hinet-db")
    assert shown.code == 0
    assert [line.strip() for line in shown.out.splitlines() if "dunrestore train" in line] == (
        commands
    )
    assert "128 open-licence pictures" in shown.out, "the rest of the training's table"


def test_a_cards_lists_that_are_no_commands_stay_in_its_table():
    card = {"training": {"commands": "by hand", "init": ["a", "b"]}, "figures": {"commands": []}}
    shown = cards.render("m", card, {})
    assert "| commands | by hand |\n| init | a, b |\n" in shown
    assert "    " not in shown

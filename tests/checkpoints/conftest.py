"""A model file, a server that hands it out, a cache, and the command line on them."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dunrestore.checkpoints import download, formats
from dunrestore.checkpoints.http import Patience
from dunrestore.cli.app import run
from dunrestore.models.hinet import HINet, HINetConfig
from tests.checkpoints.faulty_server import Page, Site

FILE = "m.safetensors"


@pytest.fixture(scope="session")
def model_bytes(tmp_path_factory):
    """A restoring network as a file of some hundred kilobytes."""
    torch.manual_seed(11)
    path = tmp_path_factory.mktemp("model") / FILE
    formats.save(path, HINet(HINetConfig(width=10, depth=3)), "hinet", {"title": "of the tests"})
    content = path.read_bytes()
    assert len(content) > 200_000
    return content


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(
        download, "PATIENCE", Patience(attempts=3, pause=0.01, connect=5, stall=1.0)
    )


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("DUNRESTORE_CACHE_DIR", "DUNRESTORE_CATALOG", "HTTP_PROXY", "HTTPS_PROXY",
                 "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def site():
    with Site() as site:
        yield site


@pytest.fixture
def page(site, model_bytes):
    site.pages["/" + FILE] = Page(model_bytes)
    return site.pages["/" + FILE]


@pytest.fixture
def shop(tmp_path, site, page, model_bytes, capsys):
    """The command line with a catalogue that has one model, ``m``."""
    cache = tmp_path / "cache"
    catalog = tmp_path / "catalog.json"
    entry = {
        "name": "m",
        "title": "of the tests",
        "architecture": "hinet",
        "urls": [f"{site.url}/{FILE}"],
        "file": FILE,
        "sha256": hashlib.sha256(model_bytes).hexdigest(),
    }

    def offer(**changes):
        catalog.write_text(json.dumps({"models": [entry | changes]}), encoding="utf-8")

    def models(*arguments, cache_dir=cache):
        code = run(["models", *arguments, "--cache-dir", str(cache_dir)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return SimpleNamespace(code=code, out=out, err=err)

    def pull(*arguments, cache_dir=cache):
        return models("pull", "m", "-q", "--catalog", str(catalog), *arguments,
                      cache_dir=cache_dir)  # fmt: skip

    offer()
    final = Path(cache, "models", "m", FILE)
    return SimpleNamespace(
        cache=cache, catalog=catalog, entry=entry, offer=offer, models=models, pull=pull,
        final=final, part=final.with_name(FILE + ".part"),
    )  # fmt: skip


@pytest.fixture
def assert_whole(shop, model_bytes):
    """The file is here, and is the one that the server has."""

    def check(result):
        assert (result.code, result.err) == (0, "")
        assert shop.final.read_bytes() == model_bytes
        assert not shop.part.exists()
        assert shop.models("verify", "m").code == 0

    return check


@pytest.fixture
def assert_refused(shop):
    """Exit code 8, one line that says why and what to do, and no file under its final name."""

    def check(result, reason):
        assert result.code == 8
        lines = [line for line in result.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert reason in lines[0]
        assert ";" in lines[0], "says what to do next"
        assert not shop.final.exists()

    return check

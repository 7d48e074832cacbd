"""Published files imported: usable by name, and giving exactly what they gave before."""

import hashlib
import json
from types import SimpleNamespace

import pytest
import torch

import dunrestore
from dunrestore.checkpoints import formats
from dunrestore.cli.app import run
from dunrestore.models.car import CAR, CARConfig
from dunrestore.models.edsr import EDSR, EDSRConfig
from dunrestore.models.hinet import HINet, HINetConfig


@pytest.fixture
def models(tmp_path, capsys):
    def models(*arguments):
        code = run(["models", *map(str, arguments), "--cache-dir", str(tmp_path / "cache")])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return models


def hinet_file(path):
    torch.manual_seed(13)
    torch.save({"params": HINet(HINetConfig(width=4, depth=3)).state_dict()}, path)
    return path


def edsr_file(path):
    torch.manual_seed(14)
    state = EDSR(EDSRConfig(blocks=2, features=4)).state_dict()
    torch.save({k: t * 255 if k.endswith("bias") else t for k, t in state.items()}, path)
    return path


def car_folder(path):
    torch.manual_seed(15)
    network = CAR(CARConfig(5, 2, 4, 1, EDSRConfig(blocks=2, features=4)))
    (path / "2x").mkdir(parents=True)
    for part in ("kgn", "usn"):
        state = getattr(network, part).state_dict()
        torch.save({f"module.{k}": t for k, t in state.items()}, path / "2x" / f"{part}.pth")
    return path


@pytest.mark.parametrize(
    ("make", "architecture"), [(hinet_file, "hinet"), (edsr_file, "edsr"), (car_folder, "car")]
)
def test_after_import_it_gives_exactly_what_it_gave_before(models, tmp_path, make, architecture):
    published = make(tmp_path / "published")
    before = dunrestore.load(published)
    result = models("import", published, "--name", "mine", "--licence", "MIT")
    assert result.code == 0, result.err
    after = dunrestore.load("mine", cache_dir=tmp_path / "cache")
    assert after.architecture == before.architecture == architecture
    x = torch.rand(1, 3, 48, 96)
    with torch.inference_mode():
        a, b = before.network(x), after.network(x)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert after.card["licence"] == "MIT"
    assert after.card["imported_from"] == "published"
    assert after.card["original_sha256"] == before.sha256
    listed = {m["name"]: m for m in json.loads(models("list", "--json").out)}
    assert listed["mine"]["state"] == "imported"
    assert models("verify", "mine", "--run").code == 0


def test_a_training_result_keeps_its_card(models, tmp_path):
    network = HINet(HINetConfig(width=4, depth=3))
    formats.save(tmp_path / "best.safetensors", network, "hinet", {"training": "42 steps"})
    assert models("import", tmp_path / "best.safetensors", "-n", "mine").code == 0
    card = dunrestore.load("mine", cache_dir=tmp_path / "cache").card
    assert card["training"] == "42 steps"
    assert card["licence"].startswith("unknown")


def test_a_taken_name_is_refused_unless_told(models, tmp_path):
    path = hinet_file(tmp_path / "h.pth")
    assert models("import", path, "--name", "mine").code == 0
    result = models("import", path, "--name", "mine")
    assert (result.code, "--overwrite" in result.err) == (2, True)
    assert models("import", path, "--name", "mine", "--overwrite").code == 0
    assert models("import", path, "--name", "arin").code == 2
    assert models("import", path, "--name", "lpips-alexnet").code == 2
    assert models("import", path, "--name", "../mine").code == 8


def test_a_catalogue_name_takes_only_that_model(models, tmp_path):
    result = models("import", hinet_file(tmp_path / "h.pth"), "--name", "hinet-gopro")
    assert (result.code, "its width is 4, not 64" in result.err) == (8, True)
    assert f"{tmp_path / 'h.pth'}: its width" in result.err
    assert "this is not hinet-gopro as published: choose another --name" in result.err
    result = models("import", hinet_file(tmp_path / "h.pth"), "--name", "car-df2k")
    assert (result.code, "it holds hinet, not car" in result.err) == (8, True)
    result = models("import", edsr_file(tmp_path / "e.pt"), "--name", "edsr-x2-baseline")
    assert (result.code, "its blocks is 2, not 16" in result.err) == (8, True)
    torch.save(EDSR(EDSRConfig(16, 64)).state_dict(), tmp_path / "forged.pt")
    result = models("import", tmp_path / "forged.pt", "--name", "edsr-x2-baseline")
    assert (result.code, "the catalogue says 1bc95232" in result.err) == (8, True)
    assert not list((tmp_path / "cache" / "models").glob("*/*.safetensors"))


def test_what_is_no_model_is_refused(models, tmp_path):
    (tmp_path / "x.pth").write_bytes(b"hello")
    assert models("import", tmp_path / "x.pth", "--name", "x").code == 8
    assert models("import", tmp_path / "nothing", "--name", "x").code == 8
    assert models("import", tmp_path, "--name", "x").code == 8


def test_removing_an_import_forgets_it(models, tmp_path):
    path = hinet_file(tmp_path / "h.pth")
    assert models("import", path, "--name", "mine").code == 0
    assert models("remove", "mine").code == 0
    assert models("show", "mine").code == 8
    assert models("import", path, "--name", "mine").code == 0


def test_the_hash_of_the_original_is_written_down(models, tmp_path):
    path = hinet_file(tmp_path / "h.pth")
    assert models("import", path, "--name", "mine").code == 0
    record = json.loads((tmp_path / "cache/models/mine/record.json").read_text())
    assert record["original_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["source"] == "h.pth"

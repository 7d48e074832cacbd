"""The cache: what is recorded on first use, what is refused later, what is found by name."""

import json

import pytest
import torch

import dunrestore
from dunrestore.checkpoints import formats, store
from dunrestore.checkpoints.load import locate
from dunrestore.errors import ModelError
from dunrestore.models.edsr import EDSR, EDSRConfig
from dunrestore.models.hinet import HINet, HINetConfig
from tests.checkpoints.faulty_server import Page


def other_model(tmp_path):
    torch.manual_seed(99)
    path = tmp_path / "other.safetensors"
    formats.save(path, HINet(HINetConfig(width=10, depth=3)), "hinet", {})
    return path.read_bytes()


@pytest.mark.parametrize("known", ["", "prefix"])
def test_the_hash_is_recorded_on_first_use_and_a_change_refused(
    shop, page, tmp_path, known, assert_whole
):
    if known:
        shop.offer(sha256=shop.entry["sha256"][:8])
    else:
        shop.offer(sha256="")
    assert_whole(shop.pull())
    record = json.loads(shop.final.with_name("record.json").read_text())
    assert record["sha256"] == shop.entry["sha256"]

    assert shop.models("remove", "m").code == 0
    assert not shop.final.exists()
    page.content = other_model(tmp_path)
    result = shop.pull()
    assert result.code == 8
    assert not shop.final.exists()
    if known:
        assert "the catalogue says" in result.err
        assert shop.pull("--accept-changed").code == 8, "the catalogue's word stands"
        return
    assert "changed since it was first fetched" in result.err
    assert "--accept-changed" in result.err
    assert shop.pull("--accept-changed").code == 0
    assert shop.final.read_bytes() == page.content
    assert shop.pull().code == 0, "the new hash is recorded"


def test_accept_changed_fetches_again_what_is_here(shop, page, tmp_path, assert_whole):
    shop.offer(sha256="")
    assert_whole(shop.pull())
    page.content = other_model(tmp_path)
    assert shop.pull("--accept-changed").code == 0
    assert shop.final.read_bytes() == page.content
    assert shop.models("verify", "m", "--run").code == 0


def test_a_file_damaged_in_the_cache_is_not_loaded_but_fetched_again(shop, page, assert_whole):
    assert_whole(shop.pull())
    damaged = bytearray(shop.final.read_bytes())
    damaged[-100] ^= 1
    shop.final.write_bytes(damaged)
    with pytest.raises(ModelError, match="is damaged or was replaced"):
        dunrestore.load("m", cache_dir=shop.cache)
    assert shop.models("verify").code == 8
    assert_whole(shop.pull())


@pytest.mark.parametrize("architecture", ["edsr", "alexnet"])
def test_what_restores_nothing_is_refused_before_it_is_fetched(shop, monkeypatch, architecture):
    monkeypatch.setenv("DUNRESTORE_CATALOG", str(shop.catalog))
    shop.offer(architecture=architecture)
    with pytest.raises(ModelError, match="does not restore pictures"):
        dunrestore.load("m", cache_dir=shop.cache, restoring=True)
    assert not shop.cache.exists()


def test_a_file_that_restores_nothing_is_refused(tmp_path):
    network = EDSR(EDSRConfig(blocks=1, features=4))
    formats.save(tmp_path / "up.safetensors", network, "edsr", {})
    assert dunrestore.load(tmp_path / "up.safetensors").architecture == "edsr"
    with pytest.raises(ModelError, match="does not restore pictures"):
        dunrestore.load(tmp_path / "up.safetensors", restoring=True)


def test_load_fetches_by_name_from_the_institutions_catalogue(shop, page, monkeypatch):
    with pytest.raises(ModelError, match="no model called 'm'"):
        dunrestore.load("m", cache_dir=shop.cache)
    monkeypatch.setenv("DUNRESTORE_CATALOG", str(shop.catalog))
    with pytest.raises(ModelError, match="--offline forbids"):
        dunrestore.load("m", cache_dir=shop.cache, offline=True)
    model = dunrestore.load("m", cache_dir=shop.cache)
    assert (model.name, model.architecture) == ("m", "hinet")
    assert model.sha256 == shop.entry["sha256"]
    assert model.card["title"] == "of the tests"
    monkeypatch.delenv("DUNRESTORE_CATALOG")
    assert dunrestore.load("m", cache_dir=shop.cache, offline=True).path == shop.final


def test_offline_asks_for_no_catalogue_that_the_environment_names(shop, site, monkeypatch):
    page = site.pages["/c.json"] = Page(b"{}")
    monkeypatch.setenv("DUNRESTORE_CATALOG", f"{site.url}/c.json")
    with pytest.raises(ModelError, match="--offline forbids to fetch the catalogue"):
        dunrestore.load("m", cache_dir=shop.cache, offline=True)
    assert not page.asked


def test_the_cache_folder_comes_from_the_environment(shop, monkeypatch, tmp_path):
    monkeypatch.setenv("DUNRESTORE_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert store.cache_folder() == tmp_path / "elsewhere" / "models"
    assert store.cache_folder(tmp_path) == tmp_path / "models"


def test_a_file_of_the_wrong_architecture_is_refused(shop, assert_refused):
    shop.offer(architecture="car")
    assert_refused(shop.pull(), "it holds hinet, not car")


def test_a_file_of_the_wrong_size_of_network_is_refused(shop, assert_refused):
    shop.offer(config={"width": 64})
    assert_refused(shop.pull(), "its width is 10, not 64")


def test_a_broken_record_says_what_to_do(shop, page, assert_whole):
    assert_whole(shop.pull())
    shop.final.with_name("record.json").write_text('{"name": "m", "file": "../../x"}')
    result = shop.models("verify", "m")
    assert result.code == 8
    assert "models remove m" in result.err
    assert shop.models("remove", "m").code == 0
    assert_whole(shop.pull())


def test_a_broken_record_does_not_keep_other_models_from_loading(
    shop, page, tmp_path, monkeypatch, model_bytes
):
    embed(tmp_path / "weights", monkeypatch, model_bytes, shop.entry["sha256"])
    broken = shop.cache / "models" / "other"
    broken.mkdir(parents=True)
    (broken / "record.json").write_text("{")
    assert dunrestore.load("arin", cache_dir=shop.cache).name == "arin"
    result = shop.models("list")
    assert (result.code, "models remove other" in result.err) == (8, True)
    with pytest.raises(ModelError, match=r"no model called 'aran'.*did you mean arin"):
        dunrestore.load("aran", cache_dir=shop.cache)
    assert "other" in store.Store(shop.cache).names()


def test_a_broken_record_hides_no_verdict(shop, page, tmp_path, assert_whole):
    assert_whole(shop.pull())
    broken = shop.cache / "models" / "other"
    broken.mkdir(parents=True)
    (broken / "record.json").write_text("{")
    result = shop.models("verify", "--json")
    verdicts = {one["name"]: one for one in json.loads(result.out)}
    assert result.code == 8
    assert (verdicts["m"]["passed"], verdicts["other"]["passed"]) == (True, False)
    assert "models remove other" in verdicts["other"]["problem"]
    assert shop.models("verify", "none").code == 8


def test_a_broken_record_hides_no_line_of_the_list(shop, page, assert_whole):
    assert_whole(shop.pull())
    broken = shop.cache / "models" / "other"
    broken.mkdir(parents=True)
    (broken / "record.json").write_text("{")
    result = shop.models("list")
    assert result.code == 8
    assert "arin-guided" in result.out
    assert "\nm " in result.out
    assert "models remove other" in result.err
    result = shop.models("list", "--json")
    assert result.code == 8
    listed = {one["name"]: one for one in json.loads(result.out)}
    assert listed["m"]["state"] == "cached"
    assert "models remove other" in listed["other"]["error"]


def test_what_was_removed_is_not_listed(shop, page, assert_whole):
    assert_whole(shop.pull())
    assert shop.models("remove", "m").code == 0
    assert shop.models("show", "m").code == 8
    assert "\nm " not in shop.models("list").out


def test_a_record_that_points_elsewhere_is_broken(shop, page, tmp_path, assert_whole):
    assert_whole(shop.pull())
    path = shop.final.with_name("record.json")
    record = json.loads(path.read_text()) | {"file": "../../../secret"}
    path.write_text(json.dumps(record))
    assert shop.models("path", "m").code == 8


def test_remove(shop, page, assert_whole):
    assert shop.models("remove", "m").code == 8
    assert_whole(shop.pull())
    result = shop.models("remove", "m")
    assert (result.code, "MB freed" in result.err) == (0, True)
    assert [p.name for p in shop.final.parent.iterdir()] == ["record.json"]
    assert shop.models("remove", "arin").code == 8


def test_a_name_comes_before_a_file_of_that_name(shop, page, tmp_path, monkeypatch, assert_whole):
    assert_whole(shop.pull())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(b"not a model")
    assert locate("m", cache_dir=shop.cache).path == shop.final
    assert locate("./m", cache_dir=shop.cache).path == (tmp_path / "m").relative_to(tmp_path)


def test_a_missing_embedded_file_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "embedded_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"should have come with dunrestore.*install"):
        dunrestore.load("arin", cache_dir=tmp_path)


def embed(folder, monkeypatch, content, listed):
    folder.mkdir()
    (folder / "arin.safetensors").write_bytes(content)
    (folder / "index.json").write_text(json.dumps({"arin": {"sha256": listed, "size": 1}}))
    monkeypatch.setattr(store, "embedded_folder", lambda: folder)


def test_an_embedded_file_is_checked_against_the_list_beside_it(
    shop, tmp_path, monkeypatch, model_bytes
):
    embed(tmp_path / "weights", monkeypatch, model_bytes, shop.entry["sha256"])
    assert dunrestore.load("arin", cache_dir=tmp_path).architecture == "hinet"
    embed(tmp_path / "damaged", monkeypatch, model_bytes, "0" * 64)
    with pytest.raises(ModelError, match=r"damaged or was replaced.*install dunrestore again"):
        dunrestore.load("arin", cache_dir=tmp_path)


def test_a_model_that_this_version_comes_without_is_not_listed(
    shop, tmp_path, monkeypatch, model_bytes
):
    embed(tmp_path / "weights", monkeypatch, model_bytes, shop.entry["sha256"])
    names = store.Store(tmp_path).names()
    assert "arin" in names
    assert "hinet-dr" not in names
    with pytest.raises(ModelError, match="comes without the model hinet-dr"):
        dunrestore.load("hinet-dr", cache_dir=tmp_path)
    (tmp_path / "weights" / "arin.safetensors").unlink()
    assert "arin" in store.Store(tmp_path).names()
    with pytest.raises(ModelError, match="should have come with dunrestore"):
        dunrestore.load("arin", cache_dir=tmp_path)


def test_a_broken_list_of_embedded_models_is_one_clear_line(tmp_path, monkeypatch, model_bytes):
    embed(tmp_path / "weights", monkeypatch, model_bytes, "")
    (tmp_path / "weights" / "index.json").write_text("[1]")
    with pytest.raises(ModelError, match="list of embedded models is broken"):
        dunrestore.load("arin", cache_dir=tmp_path)

"""The built-in catalogue is complete; other catalogues cannot smuggle anything in."""

import json
from dataclasses import asdict

import pytest

from dunrestore.checkpoints.catalogue import CATALOGUE
from dunrestore.checkpoints.entries import (
    Entry,
    check_name,
    check_url,
    entry_from_json,
    parse_catalogue,
    show_url,
)
from dunrestore.checkpoints.store import Store, embedded_folder, read_catalogue
from dunrestore.errors import ModelError
from dunrestore.models.architectures import ARCHITECTURES, config_from_dict
from tests.checkpoints.faulty_server import Page


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda e: e.name)
def test_every_entry_is_complete(entry):
    assert len(entry.title) <= 39, "fits `models list` in 80 columns"
    for field in ("licence", "citation", "training", "intended_use", "not_for"):
        assert getattr(entry, field), field
    assert sum((entry.embedded, bool(entry.urls), bool(entry.steps))) == 1
    if not entry.embedded:
        assert entry.source.startswith("https://")
        assert entry.size > 1e6
    if entry.config:
        config_from_dict(ARCHITECTURES[entry.architecture].config, entry.config)
    else:
        assert entry.embedded or entry.architecture not in ARCHITECTURES


def test_the_papers_five_and_the_published_starting_points_have_names():
    names = {entry.name for entry in CATALOGUE}
    assert {"car-df2k", "car", "hinet-dr", "hinet-db", "arin"} <= names
    assert {f"hinet-{d}" for d in ("gopro", "reds", "rain13k", "sidd")} <= names
    assert {"edsr-x2", "edsr-x2-baseline", "car-df2k-4x", "lpips-alexnet"} <= names
    assert len(names) == len(CATALOGUE)


def test_hash_prefixes_are_those_in_the_published_file_names():
    for entry in CATALOGUE:
        if entry.sha256:
            assert entry.sha256 in entry.file


def test_every_embedded_file_is_in_the_catalogue():
    files = {path.stem for path in embedded_folder().glob("*.safetensors")}
    assert files <= {entry.name for entry in CATALOGUE if entry.embedded}


def test_a_variant_is_part_of_the_name(tmp_path):
    assert Store(tmp_path).status("edsr-x2@baseline").name == "edsr-x2-baseline"


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", "C:x", "~root", "-rf", "a b", "A", "é",
        "a..b", "a.", ".a", "a@b@c", "x" * 65, "a\n", "a\0b", "con:", "$HOME", "*", "%2e%2e",
    ],
)  # fmt: skip
def test_names_that_are_no_names_are_refused(name, tmp_path):
    with pytest.raises(ModelError, match="not a model's name"):
        check_name(name)
    with pytest.raises(ModelError):
        Store(tmp_path).status(name)
    with pytest.raises(ModelError):
        Store(tmp_path).remove(name)
    with pytest.raises(ModelError):
        Entry(name=name, title="", architecture="hinet")


@pytest.mark.parametrize("name", ["a", "arin", "hinet-sidd-0.5x", "edsr_x2", "a.b", "arin@joint"])
def test_ordinary_names_are_names(name):
    assert check_name(name) == name.replace("@", "-")


@pytest.mark.parametrize(
    "url",
    ["https://user:hunter2@host/m.pth", "https://hunter2@host/", "http://:hunter2@[::1]/",
     "https://user:hunter2@host:notaport/"],
)  # fmt: skip
def test_an_address_with_a_password_is_refused_and_not_shown(url):
    with pytest.raises(ModelError, match="user name or password") as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in show_url(url)


@pytest.mark.parametrize(
    "url",
    ["ftp://host/m", "javascript:alert(1)", "data:,x", "m.pth", "https://", "file://host/m",
     "http://[", "https://host:99999/", ""],
)  # fmt: skip
def test_other_addresses_are_refused(url):
    with pytest.raises(ModelError):
        check_url(url)


def test_keys_in_an_address_are_not_shown():
    shown = show_url("https://host:8443/a/m.pth?id=7&X-Amz-Signature=hunter2&token=hunter3")
    assert shown == "https://host:8443/a/m.pth?id=7"
    assert show_url("https://host/m?token=hunter2") == "https://host/m?..."


GOOD = {"name": "ours", "title": "t", "architecture": "hinet", "urls": ["https://h/m.pth"],
        "file": "m.pth"}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "../evil"}, "not a model's name"),
        ({"name": 5}, "wrong kind"),
        ({"file": "../evil.pth"}, "plain file name"),
        ({"file": ".hidden"}, "plain file name"),
        ({"file": ""}, "plain file name"),
        ({"urls": "https://h/"}, "must be a list"),
        ({"urls": [5]}, "list of texts"),
        ({"urls": ["https://u:hunter2@h/"]}, "password"),
        ({"sha256": "xyz"}, "not hexadecimal"),
        ({"sha256": "0edf"}, "too short"),
        ({"embedded": True}, "only the built-in catalogue"),
        ({"size": "big"}, "wrong kind"),
        ({"run": "rm"}, "unknown field 'run'"),
        ({"config": []}, "wrong kind"),
    ],
)
def test_a_catalogue_with_a_bad_entry_is_refused(change, reason):
    with pytest.raises(ModelError, match=reason) as caught:
        parse_catalogue(json.dumps({"models": [GOOD | change]}), where="theirs", remote=False)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "5", '{"models": 5}', '{"models": [5]}', "[" * 9000, '{"models": [{}]}']
)
def test_what_is_no_catalogue_is_refused(text):
    with pytest.raises(ModelError, match="not a catalogue"):
        parse_catalogue(text, where="theirs", remote=False)


def test_a_catalogue_from_the_network_names_no_local_files():
    text = json.dumps({"models": [GOOD | {"urls": ["file:///etc/passwd"]}]})
    assert parse_catalogue(text, where="theirs", remote=False)
    with pytest.raises(ModelError, match="may not name local files"):
        parse_catalogue(text, where="theirs", remote=True)


def test_another_catalogue_cannot_take_a_built_in_name(tmp_path):
    with pytest.raises(ModelError, match="name a model arin"):
        Store(tmp_path, [entry_from_json(GOOD | {"name": "arin"})])


def test_entries_and_json_are_inverse():
    for entry in CATALOGUE:
        if not entry.embedded:
            assert entry_from_json(json.loads(json.dumps(asdict(entry)))) == entry


def test_a_catalogue_is_read_over_the_network(site):
    site.pages["/c.json"] = Page(json.dumps({"models": [GOOD]}).encode())
    assert [entry.name for entry in read_catalogue(f"{site.url}/c.json")] == ["ours"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(statuses=(404,)), "HTTP 404"),
        (Page(b"<!DOCTYPE html>"), "a web page"),
        (Page(b"\xff\xfe"), "cannot be read"),
        (Page(bytes(2_000_000)), "too large"),
        (Page(b"{", cuts=(0,)), "cut|cannot be read"),
        (Page(statuses=(302,), headers={"Location": "file:///etc/passwd"}), "refused"),
    ],
)
def test_a_catalogue_that_cannot_be_had_is_one_clear_line(site, page, reason):
    site.pages["/c.json"] = page
    with pytest.raises(ModelError, match=reason):
        read_catalogue(f"{site.url}/c.json?token=hunter2")


@pytest.mark.parametrize("where", ["missing.json", "."])
def test_a_catalogue_file_that_cannot_be_read_is_one_clear_line(where, tmp_path):
    with pytest.raises(ModelError, match="catalogue cannot be read"):
        read_catalogue(str(tmp_path / where))

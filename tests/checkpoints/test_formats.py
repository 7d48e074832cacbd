"""Our own format: a file alone rebuilds its network, and a broken one is refused with a reason."""

import json
import struct
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from dunrestore.checkpoints import formats
from dunrestore.checkpoints.header import KEY, MAX_HEADER, read_description
from dunrestore.checkpoints.load import load
from dunrestore.errors import ExitCode, FileAccessError, ModelError
from dunrestore.models.architectures import ARCHITECTURES, build

CAR = {"kernel": 4, "width": 4, "residual_blocks": 1}
EDSR = {"blocks": 1, "features": 4}
HINET = {"width": 2, "depth": 2, "hin_first": 0, "hin_last": 1}
CONFIGS = {
    "hinet": HINET,
    "edsr": EDSR,
    "car": CAR | {"edsr": EDSR},
    "arin": {"car": CAR | {"edsr": EDSR}, "hinet": HINET},
    "guided": {"finder_width": 2, "finder_depth": 2, "hinet": HINET | {"in_channels": 7}},
}
CARD = {"title": "千佛洞", "licence": "MIT", "figures": {"psnr_db": 31.5}}


@pytest.fixture
def network():
    torch.manual_seed(1)
    return build("hinet", HINET).eval()


@pytest.fixture
def file(network, tmp_path):
    path = tmp_path / "model.safetensors"
    formats.save(path, network, "hinet", CARD)
    return path


def rewrite(path, change, description=None):
    """Save the file again with its tensors changed."""
    tensors = load_file(path)
    change(tensors)
    text = description or read_description(path).to_json()
    save_file(tensors, path, metadata={KEY: text})


def test_every_architecture_is_tried_here():
    assert CONFIGS.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_file_alone_rebuilds_its_network(architecture, tmp_path):
    torch.manual_seed(2)
    network = build(architecture, CONFIGS[architecture]).eval()
    formats.save(tmp_path / "m.safetensors", network, architecture, CARD, dtype=torch.float32)
    model = load(tmp_path / "m.safetensors")
    assert model.architecture == architecture
    assert model.card == CARD
    assert model.network.config == network.config
    assert not model.network.training
    x = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        expected, got = network(x), model.network(x)
    if not ARCHITECTURES[architecture].restores:
        expected, got = [expected], [got]
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_weights_are_half_precision_on_disk_and_float32_in_memory(file, network):
    stored = load_file(file)
    assert {t.dtype for t in stored.values() if t.ndim > 1} == {torch.float16}
    assert {t.dtype for t in stored.values() if t.ndim < 2} == {torch.float32}
    state = load(file).network.state_dict()
    assert {t.dtype for t in state.values()} == {torch.float32}
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=1e-3, atol=1e-6)


def test_a_matrix_too_large_for_half_precision_stays_float32(network, tmp_path):
    with torch.no_grad():
        network.conv_01.weight[0, 0, 0, 0] = 1e6
    formats.save(tmp_path / "m.safetensors", network, "hinet", {})
    assert load(tmp_path / "m.safetensors").network.conv_01.weight[0, 0, 0, 0] == 1e6


def test_the_same_network_gives_the_same_bytes(network, tmp_path):
    for name in ("a", "b"):
        formats.save(tmp_path / name, network, "hinet", CARD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_saving_leaves_no_temporary_file_and_replaces_what_was_there(file, network):
    formats.save(file, network, "hinet", {"title": "second"})
    assert [p.name for p in file.parent.iterdir()] == ["model.safetensors"]
    assert read_description(file).card == {"title": "second"}


def test_weights_that_are_not_finite_are_never_saved(network, tmp_path):
    with torch.no_grad():
        network.last.bias[0] = torch.nan
    with pytest.raises(ModelError, match=r"not finite: last\.bias"):
        formats.save(tmp_path / "m.safetensors", network, "hinet", {})
    assert not list(tmp_path.iterdir())


def test_saving_where_one_may_not_is_a_file_error(network, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileAccessError):
        formats.save(tmp_path / "file" / "m.safetensors", network, "hinet", {})


def drop(tensors):
    del tensors["sam12.conv2.bias"]


def add(tensors):
    tensors["sam12.conv9.bias"] = torch.zeros(3)


def reshape(tensors):
    tensors["cat12.weight"] = torch.zeros(2, 5, 1, 1)


def poison(tensors):
    tensors["cat12.weight"][0, 0] = torch.inf


def make_integer(tensors):
    tensors["cat12.bias"] = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop, r"lacks sam12\.conv2\.bias"),
        (add, r"holds sam12\.conv9\.bias, which HINet does not have"),
        (reshape, r"cat12\.weight has the shape \(2, 5, 1, 1\), HINet needs \(2, 4, 1, 1\)"),
        (poison, r"cat12\.weight holds numbers that are not finite"),
        (make_integer, r"cat12\.bias is not floating-point"),
    ],
)
def test_wrong_tensors_are_refused_with_the_reason(file, change, reason):
    rewrite(file, change)
    with pytest.raises(ModelError, match=reason) as caught:
        load(file)
    assert caught.value.exit_code == ExitCode.MODEL
    assert str(file) in str(caught.value)


def test_a_file_cut_short_anywhere_is_refused(file):
    whole = file.read_bytes()
    for kept in {0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1}:
        file.write_bytes(whole[:kept])
        with pytest.raises(ModelError):
            load(file)


@pytest.mark.parametrize("claim", [10 * 2**30, 2**63, MAX_HEADER + 1, MAX_HEADER])
def test_an_absurd_header_is_refused_without_reading_it(tmp_path, claim):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", claim) + b'{"__metadata__":{}}')
    with pytest.raises(ModelError, match=r"absurd|cut short"):
        load(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "incomplete"),
        ("[]", "incomplete"),
        ('{"version": 1}', "incomplete"),
        ('{"version": 9, "architecture": "hinet", "config": {}, "card": {}}', "upgrade dunrestore"),
        ('{"version": 1, "architecture": 5, "config": {}, "card": {}}', "not valid"),
        ('{"version": 1, "architecture": "x", "config": {}, "card": {}}', "unknown architecture"),
        ('{"version": 1, "architecture": "hinet", "config": {"w": 1}, "card": {}}', "no field w"),
        ('{"version":1,"architecture":"hinet","config":{"width":1000000000},"card":{}}', "valid"),
        ('{"version":1,"architecture":"hinet","config":{"depth":4000},"card":{}}', "no network"),
        ("[" * 100_000, "incomplete"),
    ],
)
def test_a_description_that_cannot_be_believed_is_refused(file, text, reason):
    save_file(load_file(file), file, metadata={KEY: text})
    with pytest.raises(ModelError, match=reason):
        load(file)


def test_a_safetensors_file_of_somebody_else_is_refused(file):
    save_file(load_file(file), file)
    with pytest.raises(ModelError, match="does not describe its network"):
        load(file)


def test_a_header_that_is_not_an_object_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", 2) + b"[]")
    with pytest.raises(ModelError, match="not a JSON object"):
        load(path)


def test_the_description_is_read_without_reading_the_weights(file):
    length = struct.unpack("<Q", file.read_bytes()[:8])[0]
    file.write_bytes(file.read_bytes()[: 8 + length])
    assert read_description(file).config["width"] == 2


def test_a_config_survives_as_plain_json(file):
    assert json.loads(read_description(file).to_json())["config"] == {
        "width": 2,
        "depth": 2,
        "hin_first": 0,
        "hin_last": 1,
        "slope": 0.2,
        "in_channels": 3,
    }


def test_a_missing_path_is_one_clear_line(tmp_path):
    with pytest.raises(ModelError, match="no such model, file or folder"):
        load(tmp_path / "nothing.safetensors")


LOADED = """
import sys
from pathlib import Path

from dunrestore.checkpoints.load import load

for path in sys.argv[1:]:
    load(Path(path))
    print("torch._dynamo" in sys.modules)
"""


def test_loading_does_not_import_the_compiler(tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in CONFIGS]
    for path in paths:
        formats.save(path, build(path.stem, CONFIGS[path.stem]), path.stem, {})
    assert {path.stem for path in paths} == set(ARCHITECTURES)
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *paths], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"] * len(paths)

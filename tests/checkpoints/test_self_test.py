"""The self-test: the same picture everywhere, passing where results agree, failing where not."""

import hashlib
import json

import numpy as np
import pytest
import torch

from dunrestore.checkpoints import self_test, store, verify
from dunrestore.checkpoints.load import load
from dunrestore.errors import ModelError
from dunrestore.models.hinet import HINet, HINetConfig
from dunrestore.storage.hashing import sha256_of


@pytest.fixture
def network():
    torch.manual_seed(16)
    return HINet(HINetConfig(width=4, depth=3)).eval()


def test_the_picture_is_the_same_to_the_last_bit():
    picture = self_test.picture()
    assert picture.shape == (96, 96, 3)
    assert picture.dtype == np.float32
    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    assert digest == "74b7753be470be00d51a6c041af4529b26783c990894e4b3c933cc3cedc87e47"
    white = (picture == 1).all(axis=-1).mean()
    assert 0.05 < white < 0.3


def test_a_network_agrees_with_itself_within_each_precisions_tolerance(network):
    reference = self_test.restore_picture(network, "cpu", "fp32")
    outcomes = list(self_test.run(network, reference))
    assert [(o.device, o.precision) for o in outcomes][:2] == [("cpu", "fp32"), ("cpu", "bf16")]
    assert all(outcome.passed for outcome in outcomes)
    assert outcomes[0].largest == 0
    assert outcomes[1].largest > 0
    assert next(network.parameters()).dtype == torch.float32


def test_a_slightly_wrong_result_fails(network):
    reference = self_test.restore_picture(network, "cpu", "fp32")
    with torch.no_grad():
        network.last.bias += 3 / 255
    outcomes = list(self_test.run(network, reference))
    assert not any(outcome.passed for outcome in outcomes)


def test_a_handful_of_tipped_pixels_passes_and_more_do_not(network, monkeypatch):
    reference = self_test.restore_picture(network, "cpu", "fp32")

    def spoil(pixels):
        spoilt = reference.copy()
        spoilt.reshape(-1, 3)[:pixels] += 0.2
        monkeypatch.setattr(self_test, "restore_picture", lambda *_: spoilt)
        return next(self_test.run(network, reference)).passed

    assert spoil(10)
    assert not spoil(40)


def test_a_crash_of_a_device_is_a_result(network, monkeypatch):
    def crash(*_):
        raise RuntimeError("CUDA error: an illegal memory access\nmore")

    reference = self_test.restore_picture(network, "cpu", "fp32")
    monkeypatch.setattr(self_test, "restore_picture", crash)
    outcomes = list(self_test.run(network, reference))
    assert outcomes[0].error == "CUDA error: an illegal memory access"
    assert not outcomes[0].passed


def test_references_are_kept_in_16_bits(tmp_path):
    result = self_test.picture() * 0.5
    self_test.write_references(tmp_path / "r.npz", {("m", "ab" * 32): result})
    back = self_test.read_reference(tmp_path / "r.npz", "m", "ab" * 32)
    assert abs(back - result).max() < 1e-5
    assert self_test.read_reference(tmp_path / "r.npz", "m", "cd" * 32) is None
    assert self_test.read_reference(tmp_path / "none.npz", "m", "ab" * 32) is None
    (tmp_path / "r.npz").write_bytes(b"PK")
    with pytest.raises(ModelError, match="self-test are broken"):
        self_test.read_reference(tmp_path / "r.npz", "m", "ab" * 32)


def test_verify_runs_compares_and_fails_loudly(shop, page, assert_whole):
    assert_whole(shop.pull())
    result = shop.models("verify", "m", "--run", "--json")
    assert result.code == 0
    (verdict,) = json.loads(result.out)
    assert verdict["passed"]
    assert {"cpu"} <= {run["device"] for run in verdict["runs"]}

    stored = shop.final.with_name("m.self-test.npz")
    wrong = self_test.picture() * 0 + 0.5
    self_test.write_references(stored, {("m", sha256_of(shop.final)): wrong})
    result = shop.models("verify", "m", "--run")
    assert result.code == 8
    assert "FAILED" in result.out
    assert "1 of 1 models failed: m (results on cpu fp32" in result.err
    again = shop.models("verify", "m", "--run", "--json")
    assert (again.code, again.err) == (8, result.err)
    assert [verdict["passed"] for verdict in json.loads(again.out)] == [False]

    stored.unlink()
    result = shop.models("verify", "m", "--run")
    assert (result.code, "stored now" in result.out) == (0, True)
    assert stored.is_file()


def test_a_model_is_loaded_once_to_be_remembered(shop, monkeypatch):
    loaded = []
    monkeypatch.setattr(verify, "load", lambda *a, **k: loaded.append(a) or load(*a, **k))
    assert shop.pull().code == 0
    assert len(loaded) == 1
    shop.final.with_name("m.self-test.npz").unlink()
    assert "stored now" in shop.models("verify", "m", "--run").out
    assert len(loaded) == 2


@pytest.mark.parametrize(
    "path", sorted(store.embedded_folder().glob("*.safetensors")), ids=lambda p: p.stem
)
def test_embedded_models_are_listed_with_hash_and_result(path):
    """If this fails, weights/ has changed: run benchmarks/stamp_weights.py."""
    sha256 = sha256_of(path)
    assert store.embedded_index()[path.stem] == sha256
    reference = self_test.reference_path(path.stem, path)
    assert self_test.read_reference(reference, path.stem, sha256) is not None
    assert sha256 in path.with_suffix(".md").read_text(encoding="utf-8")

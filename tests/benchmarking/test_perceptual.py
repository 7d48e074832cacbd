import json

import numpy as np
import pytest
import torch
from PIL import Image

from dunrestore.benchmarking import perceptual
from dunrestore.checkpoints.store import Located
from dunrestore.cli.app import run
from dunrestore.metrics.lpips import LPIPS

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture
def trunk(tmp_path, monkeypatch):
    """AlexNet's file, of random weights, where the cache would have it."""
    torch.manual_seed(0)
    state = {}
    for layer, (outputs, inputs, kernel) in SHAPES.items():
        state[f"features.{layer}.weight"] = torch.randn(outputs, inputs, kernel, kernel) * 0.05
        state[f"features.{layer}.bias"] = torch.zeros(outputs)
    path = tmp_path / "alexnet.pth"
    torch.save(state, path)
    monkeypatch.setattr(perceptual, "locate", lambda name, **_: Located(name, path, {}))
    return path


def test_the_trunk_comes_from_the_cache_and_fills_the_column(trunk, tmp_path, capsys):
    lpips, note = perceptual.load_lpips()
    assert isinstance(lpips, LPIPS)
    assert note == ""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40, 44, 3), dtype=np.uint8) for _ in range(2)]
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for picture, path in zip(pictures, paths, strict=True):
        Image.fromarray(picture).save(path)
    assert run(["compare", *map(str, paths), "--json"]) == 0
    shown, said = capsys.readouterr()
    assert said == ""
    assert json.loads(shown)["lpips"] == pytest.approx(lpips.distance(*pictures))


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"<html>"])
def test_a_broken_trunk_is_one_line_and_no_lpips(trunk, content):
    trunk.write_bytes(content)
    lpips, note = perceptual.load_lpips()
    assert lpips is None
    assert note.count("\n") == 0
    assert "LPIPS' trunk cannot be read" in note
    assert "dunrestore models pull lpips-alexnet" in note


def test_other_weights_are_one_line_and_no_lpips(trunk):
    torch.save({"features.0.weight": torch.zeros(1)}, trunk)
    lpips, note = perceptual.load_lpips()
    assert lpips is None
    assert "not the weights of LPIPS' AlexNet" in note

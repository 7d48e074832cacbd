import warnings

import numpy as np
import pytest
import torch

from dunrestore.errors import ModelError
from dunrestore.metrics.lpips import LPIPS, load_heads

SHAPES = {
    "0": (64, 3, 11, 11),
    "3": (192, 64, 5, 5),
    "6": (384, 192, 3, 3),
    "8": (256, 384, 3, 3),
    "10": (256, 256, 3, 3),
}


@pytest.fixture(scope="module")
def trunk():
    """AlexNet with fixed random weights, as torchvision names them."""
    rng = np.random.default_rng(7)
    weights = {"classifier.1.weight": torch.zeros(4, 4)}
    for layer, shape in SHAPES.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        weights[f"features.{layer}.weight"] = torch.from_numpy(
            (rng.standard_normal(shape) * scale).astype(np.float32)
        )
        weights[f"features.{layer}.bias"] = torch.from_numpy(
            (rng.standard_normal(shape[0]) * 0.1).astype(np.float32)
        )
    return weights


@pytest.fixture(scope="module")
def package(trunk):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lpips

        reference = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    places = {"0": "slice1", "3": "slice2", "6": "slice3", "8": "slice4", "10": "slice5"}
    own = {
        f"{places[key.split('.')[1]]}.{key.split('.', 1)[1]}": value
        for key, value in trunk.items()
        if key.startswith("features.")
    }
    reference.net.load_state_dict(own)
    return reference


@pytest.fixture(scope="module")
def ours(trunk):
    return LPIPS(trunk, load_heads())


def pair(height, width):
    rng = np.random.default_rng(height * 1000 + width)
    truth = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = np.clip(truth + rng.normal(0, 30, truth.shape), 0, 255).astype(np.uint8)
    return picture, truth


@pytest.mark.parametrize("size", [(64, 64), (35, 90), (101, 67), (32, 32)])
def test_it_gives_the_packages_own_result(ours, package, size):
    picture, truth = pair(*size)
    tensors = [
        torch.from_numpy(p.astype(np.float32).transpose(2, 0, 1)[None] / 255)
        for p in (picture, truth)
    ]
    with torch.inference_mode():
        expected = float(package(*tensors, normalize=True))
    assert expected > 0.01
    assert ours.distance(picture, truth) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [(401, 40), (384, 36)])
def test_strips_change_nothing(ours, size):
    picture, truth = pair(*size)
    whole = ours.distance(picture, truth)
    assert ours.distance(picture, truth, strip_pixels=1) == pytest.approx(whole, abs=1e-6)
    assert ours.distance(picture, truth, strip_pixels=96 * 40) == pytest.approx(whole, abs=1e-6)


def test_equal_pictures_are_at_distance_zero_and_tiny_ones_have_none(ours):
    picture, _ = pair(40, 40)
    assert ours.distance(picture, picture) == 0
    assert ours.distance(picture[:31], picture[:31]) is None


def test_other_weights_are_refused(trunk):
    with pytest.raises(ModelError, match="not the weights"):
        LPIPS({"features.0.weight": torch.zeros(1)}, load_heads())
    with pytest.raises(ModelError, match="not the weights"):
        LPIPS(trunk, {})


def test_it_needs_no_torchvision():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from dunrestore.metrics.lpips import load_heads\n"
        "assert len(load_heads()) == 5"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

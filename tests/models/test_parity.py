"""The networks give what the public reference implementations give."""

import pytest
import torch

from dunrestore.models.car import CAR, CARConfig, KernelGenerator, resample, round_to_8_bits
from dunrestore.models.edsr import EDSR, EDSRConfig
from dunrestore.models.hinet import HINet, HINetConfig
from tests.models.reference import draw_weights, read_vectors, relative_error

TOLERANCE = 1e-5
"""Of the output's largest magnitude. The project's promise is 1e-4."""


@pytest.mark.parametrize("name", ["hinet_wf16_hin34.npz", "hinet_wf8_hin04.npz"])
def test_hinet(name):
    v = read_vectors(name)
    config = HINetConfig(v["wf"], v["depth"], v["hin_left"], v["hin_right"])
    network = draw_weights(HINet(config), v["seed"])
    with torch.inference_mode():
        out_1, out_2 = network(v["x"])
    assert relative_error(out_1, v["out_1"]) < TOLERANCE
    assert relative_error(out_2, v["out_2"]) < TOLERANCE


@pytest.fixture(params=["car_x2_k7_edsr16x64.npz", "car_x4_k13_edsr16x64.npz"])
def car(request):
    v = read_vectors(request.param)
    edsr = EDSRConfig(v["blocks"], v["feats"], v["scale"])
    network = CAR(CARConfig(v["k_size"], v["scale"], edsr=edsr)).eval()
    draw_weights(network.kgn, v["seed_kgn"])
    draw_weights(network.usn, v["seed_usn"])
    return network, v


def test_car(car):
    network, v = car
    with torch.inference_mode():
        kernels, offsets_h, offsets_v = network.kgn(v["x"])
        down = network.downscale(v["x"])
        quantised = round_to_8_bits(down.clamp(0, 1))
        (up,) = network(v["x"])
    assert relative_error(kernels, v["kernels"]) < TOLERANCE
    assert relative_error(offsets_h, v["offsets_h"]) < TOLERANCE
    assert relative_error(offsets_v, v["offsets_v"]) < TOLERANCE
    assert relative_error(down, v["down"]) < TOLERANCE
    assert relative_error(quantised, v["quantised"]) < TOLERANCE
    assert relative_error(up, v["up"]) < TOLERANCE


def test_the_resampler_alone(car):
    network, v = car
    down = resample(
        v["x"],
        v["kernels"],
        v["offsets_h"],
        v["offsets_v"],
        kernel=network.config.kernel,
        scale=network.config.scale,
    )
    assert relative_error(down, v["down"]) < TOLERANCE


@pytest.mark.parametrize(
    ("build", "published"),
    [
        (lambda: HINet(HINetConfig()), 88_668_806),
        (lambda: HINet(HINetConfig(hin_first=0)), 88_668_806 + 2 * (64 + 128 + 256)),
        (lambda: KernelGenerator(CARConfig()), 10.6e6),
        (lambda: EDSR(EDSRConfig(32, 256)), 40.7e6),
        (lambda: EDSR(EDSRConfig(16, 64)), 1.37e6),
    ],
    ids=["HINet 64", "HINet 64, all levels", "CAR kernels", "EDSR 32x256", "EDSR 16x64"],
)
def test_published_parameter_counts(build, published):
    with torch.device("meta"):
        count = sum(p.numel() for p in build().parameters())
    if isinstance(published, int):
        assert count == published
    else:  # known to three figures
        assert count == pytest.approx(published, rel=5e-3)

"""CAR's resampler: gradients, precisions, memory, and what its formula says by hand."""

import math
import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

from dunrestore.models.car import CAR, CARConfig, resample, round_to_8_bits
from dunrestore.models.edsr import EDSRConfig


def off_the_kinks(shape, kernel, scale, *, low=-0.9, high=0.9):
    """Offsets whose sampling points lie well between two pixels.

    Bilinear interpolation has a kink at every pixel, where numerical gradients mean nothing.
    """
    offsets = torch.empty(shape, dtype=torch.float64).uniform_(low, high)
    pad = kernel // 2
    centring = pad - (kernel - 1) / 2
    position = offsets * scale + 0.5 * scale - 0.5 + centring
    position = position.floor() + 0.25 + 0.5 * (position - position.floor())
    return (position - 0.5 * scale + 0.5 - centring) / scale


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kernel", [2, 3])
def test_gradients_agree_with_numerical_ones(kernel, scale):
    torch.manual_seed(6)
    rows, columns = 2, 3
    image = torch.rand(1, 2, rows * scale, columns * scale, dtype=torch.float64)
    shape = (1, kernel**2, rows, columns)
    kernels = torch.rand(shape, dtype=torch.float64) + 0.1
    inputs = [image, kernels, *(off_the_kinks(shape, kernel, scale) for _ in range(2))]
    for tensor in inputs:
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *args: resample(*args, kernel=kernel, scale=scale), inputs, eps=1e-6, atol=1e-6
    )


def resample_by_hand(image, kernels, offsets_h, offsets_v, kernel, scale):
    """The formula of the paper, one tap at a time, in plain Python numbers."""
    pad = kernel // 2
    padded = F.pad(image, (pad,) * 4, mode="reflect")
    height, width = padded.shape[-2:]
    centring = pad - (kernel - 1) / 2
    out = torch.zeros(*image.shape[:2], *kernels.shape[-2:], dtype=image.dtype)
    for b, tap, y, x in torch.cartesian_prod(*(torch.arange(n) for n in kernels.shape)).tolist():
        i, j = divmod(tap, kernel)
        px = (x + 0.5) * scale + j + float(offsets_h[b, tap, y, x]) * scale - 0.5 + centring
        py = (y + 0.5) * scale + i + float(offsets_v[b, tap, y, x]) * scale - 0.5 + centring
        left, top = math.floor(px), math.floor(py)
        for row, wy in ((top, 1 - (py - top)), (top + 1, py - top)):
            for column, wx in ((left, 1 - (px - left)), (left + 1, px - left)):
                value = padded[b, :, min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
                out[b, :, y, x] += float(kernels[b, tap, y, x]) * wy * wx * value
    return out


@pytest.mark.parametrize(("kernel", "scale"), [(1, 2), (2, 2), (5, 2), (6, 2), (4, 4), (5, 4)])
def test_it_is_the_papers_formula(kernel, scale):
    torch.manual_seed(7)
    image = torch.rand(2, 3, 4 * scale, 3 * scale, dtype=torch.float64)
    shape = (2, kernel**2, 4, 3)
    kernels = torch.rand(shape, dtype=torch.float64)
    # Not before the first pixel: there the published code reads one pixel off, and so do we.
    low = -(0.5 * scale - 0.5 + kernel // 2 - (kernel - 1) / 2) / scale
    offsets = [torch.empty(shape, dtype=torch.float64).uniform_(low, 1) for _ in range(2)]
    got = resample(image, kernels, *offsets, kernel=kernel, scale=scale)
    expected = resample_by_hand(image, kernels, *offsets, kernel, scale)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", [6, 7])
def test_a_flat_picture_stays_flat(kernel):
    kernels = torch.rand(1, kernel**2, 4, 4)
    kernels /= kernels.sum(1, keepdim=True)
    offsets = torch.rand(1, kernel**2, 4, 4) * 2 - 1
    out = resample(torch.full((1, 3, 8, 8), 0.3), kernels, offsets, offsets, kernel=kernel, scale=2)
    torch.testing.assert_close(out, torch.full((1, 3, 4, 4), 0.3))


def test_an_even_kernel_is_centred():
    """Without offsets, equal taps of a left-right symmetric picture give a symmetric picture."""
    picture = torch.rand(1, 1, 12, 6)
    picture = torch.cat([picture, picture.flip(-1)], dim=-1)
    for kernel in (2, 3, 6, 7):
        taps = torch.full((1, kernel**2, 6, 6), 1 / kernel**2)
        out = resample(
            picture, taps, torch.zeros_like(taps), torch.zeros_like(taps), kernel=kernel, scale=2
        )
        torch.testing.assert_close(out, out.flip(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_and_is_close(dtype):
    torch.manual_seed(8)
    image, kernels = torch.rand(1, 3, 16, 16), torch.rand(1, 49, 8, 8) / 49
    offsets = torch.rand(1, 49, 8, 8) * 2 - 1
    short = [t.to(dtype) for t in (image, kernels, offsets, offsets)]
    out = resample(*short, kernel=7, scale=2)
    assert out.dtype == dtype
    expected = resample(*(t.float() for t in short), kernel=7, scale=2)
    torch.testing.assert_close(out.float(), expected, rtol=0, atol=2 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_whole_network_runs_in_half_precision(dtype):
    torch.manual_seed(9)
    network = CAR(CARConfig(6, 2, 8, 1, EDSRConfig(2, 8))).eval()
    x = torch.rand(1, 3, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", dtype):
        (out,) = network(x)
    with torch.inference_mode():
        (expected,) = network(x)
    assert (out.float() - expected).abs().max() < 0.05


def test_rounding_to_8_bits_rounds_and_passes_gradients_straight_through():
    x = torch.linspace(0, 1, 1001, requires_grad=True)
    y = round_to_8_bits(x)
    assert torch.equal(y * 255, (y * 255).round())
    assert (y - x).abs().max() <= 0.5 / 255 + 1e-7
    weights = torch.arange(1001.0)
    (y * weights).sum().backward()
    assert torch.equal(x.grad, weights)


MEASURE = """
import sys, torch
from pathlib import Path
from dunrestore.models.car import resample
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
torch.set_num_threads(1)
side = int(sys.argv[1])
shape = (1, 49, side // 2, side // 2)
image, kernels, h, v = torch.rand(1, 3, side, side), *(torch.rand(shape) for _ in range(3))
small = [t[..., :64, :64] for t in (kernels, h, v)]
with torch.inference_mode():
    resample(image[..., :128, :128], *small, kernel=7, scale=2)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = peak()
    resample(image, kernels, h, v, kernel=7, scale=2)
print((peak() - before) / side**2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_grows_in_proportion_to_the_picture():
    """Peak bytes above the inputs, per pixel of the picture, in a process of its own."""
    per_pixel = [
        float(
            subprocess.run(
                [sys.executable, "-c", MEASURE, str(side)],
                env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for side in (512, 1024)
    ]
    assert min(per_pixel) > 20
    assert max(per_pixel) < 160
    assert max(per_pixel) < 1.3 * min(per_pixel)

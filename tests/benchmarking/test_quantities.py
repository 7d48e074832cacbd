import numpy as np
import pytest

from dunrestore.benchmarking.quantities import PSNR_CAP, QUANTITIES, measure, show
from dunrestore.metrics.fidelity import compare


class FixedLPIPS:
    def distance(self, picture, truth):
        return 0.25


def test_every_quantity_is_there_and_from_its_part():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    damaged = truth.copy()
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    damaged[mask] = 255
    picture = np.where(mask[..., None], truth // 2, damaged).astype(np.uint8)
    picture[39, 39] ^= 1
    values = measure(picture, truth, mask, damaged, FixedLPIPS())
    parts = compare(picture, truth, mask)
    assert list(values) == list(QUANTITIES)
    assert values["psnr"] == parts.whole.psnr
    assert values["psnr_inside"] == parts.inside.psnr
    assert values["ciede2000_outside"] == parts.outside.ciede2000
    assert values["dssim"] == 1 - values["ssim"]
    assert values["lpips"] == 0.25
    assert values["kept"] == pytest.approx(100 * 1499 / 1500)


def test_equal_pictures_count_as_the_cap_and_print_as_exact():
    truth = np.zeros((20, 20, 3), np.uint8)
    values = measure(truth, truth)
    assert values["psnr"] == PSNR_CAP
    assert (values["kept"], values["lpips"], values["psnr_inside"]) == (None, None, None)
    assert show("psnr", values["psnr"]) == "exact"
    assert show("psnr", 31.234) == "31.23"
    assert show("kept", 100.0) == "100.000"
    assert show("lpips", None) == "n/a"

"""What is measured of every picture, and how it is shown."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dunrestore.metrics.fidelity import Comparison, Fidelity, compare, share_kept
from dunrestore.metrics.lpips import LPIPS

PSNR_CAP = 100.0
"""Equal pictures count as so many dB: averages and intervals need finite figures."""


@dataclass(frozen=True)
class Quantity:
    """One column of the tables."""

    title: str
    unit: str
    digits: int
    higher_is_better: bool


QUANTITIES: dict[str, Quantity] = {
    "psnr": Quantity("PSNR", "dB", 2, True),
    "ssim": Quantity("SSIM", "", 4, True),
    "dssim": Quantity("DSSIM", "", 4, False),
    "lpips": Quantity("LPIPS", "", 4, False),
    "ciede2000": Quantity("ΔE", "", 2, False),
    "ciede2000_p95": Quantity("ΔE 95 %", "", 2, False),
    "psnr_inside": Quantity("PSNR in", "dB", 2, True),
    "ssim_inside": Quantity("SSIM in", "", 4, True),
    "ciede2000_inside": Quantity("ΔE in", "", 2, False),
    "psnr_outside": Quantity("PSNR out", "dB", 2, True),
    "ssim_outside": Quantity("SSIM out", "", 4, True),
    "ciede2000_outside": Quantity("ΔE out", "", 2, False),
    "kept": Quantity("kept", "%", 3, True),
}
"""The keys are the names in ``results.json`` and ``results.csv``."""

Measurement = dict[str, float | None]
"""A value, or None where it does not apply, for every key of ``QUANTITIES``."""


def measure(
    picture: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    mask: NDArray[np.bool_] | None = None,
    damaged: NDArray[np.uint8] | None = None,
    lpips: LPIPS | None = None,
) -> Measurement:
    """Measure one picture against the truth.

    Args:
        picture: (H, W, 3) RGB: the result.
        truth: (H, W, 3) RGB.
        mask: (H, W), True where the input was damaged; None if that is not known.
        damaged: (H, W, 3) RGB: the input, for the share that was kept; None if there is none.
        lpips: the perceptual metric, or None to leave it out.
    """
    found: Comparison = compare(picture, truth, mask)
    values: Measurement = {
        "psnr": _finite(found.whole.psnr),
        "ssim": found.whole.ssim,
        "dssim": found.whole.dssim,
        "lpips": None if lpips is None else lpips.distance(picture, truth),
        "ciede2000": found.whole.ciede2000,
        "ciede2000_p95": found.whole.ciede2000_p95,
        **_part("inside", found.inside),
        **_part("outside", found.outside),
        "kept": None,
    }
    share = None if damaged is None else share_kept(picture, damaged, mask)
    if share is not None:
        values["kept"] = 100 * share
    return values


def _part(name: str, part: Fidelity | None) -> Measurement:
    return {
        f"psnr_{name}": None if part is None else _finite(part.psnr),
        f"ssim_{name}": None if part is None else part.ssim,
        f"ciede2000_{name}": None if part is None else part.ciede2000,
    }


def _finite(psnr: float) -> float:
    return min(psnr, PSNR_CAP)


def show(key: str, value: float | None) -> str:
    """A value as the tables print it; ``n/a`` where there is none."""
    if value is None or math.isnan(value):
        return "n/a"
    if key.startswith("psnr") and value >= PSNR_CAP:
        return "exact"
    return f"{value:.{QUANTITIES[key].digits}f}"


def without_empty(keys: Iterable[str], measured: Collection[str]) -> list[str]:
    """The columns in which somebody has a value, in the order of ``keys``; LPIPS always stands."""
    return [key for key in keys if key in measured or key == "lpips"]

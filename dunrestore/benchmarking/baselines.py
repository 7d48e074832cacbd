"""What a user could do without any network: mark near-white pixels and fill them classically.

Sources: Navier-Stokes: Bertalmio, Bertozzi, Sapiro, CVPR 2001; Telea: Journal of Graphics Tools
9(1), 2004 (both as in OpenCV); biharmonic: Damelin and Hoang, arXiv 1801.09939 (scikit-image).
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import inpaint_biharmonic

from dunrestore.errors import UsageError

NEAR_WHITE = 250
"""All three samples from here on (of 255) count as lost, where losses are still pure white."""

NEAR_WHITE_NOISY = 215
"""The same where noise or JPEG went over them. Each is the best single choice for its case,
measured in docs/decisions.md: a user who looks at the scan would choose no worse."""

RADIUS = 3
"""OpenCV's neighbourhood in pixels, as in its own examples."""

Fill = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.uint8]]
"""Fills the marked pixels of (H, W, 3) RGB; mask (H, W)."""

Choice = Literal["auto", "all", "none"]


@dataclass(frozen=True)
class Baseline:
    """A classical way to fill marked pixels."""

    key: str
    title: str
    fill: Fill


def near_white(picture: NDArray[np.uint8], *, noisy: bool) -> NDArray[np.bool_]:
    """Where a user without a mask would look for losses: (H, W) of (H, W, 3) RGB."""
    return np.all(picture >= (NEAR_WHITE_NOISY if noisy else NEAR_WHITE), axis=2)


def choose(choice: Choice) -> list[Baseline]:
    """The baselines to run.

    Args:
        choice: ``auto`` for OpenCV's two, or the biharmonic one without OpenCV; ``all`` for the
            three; ``none``.

    Raises:
        UsageError: if all are asked for and OpenCV is not installed.
    """
    if choice == "none":
        return []
    biharmonic = Baseline("biharmonic", "biharmonic", _biharmonic)
    if importlib.util.find_spec("cv2") is None:
        if choice == "all":
            raise UsageError(
                "OpenCV is not installed", next_step="run `pip install 'dunrestore[opencv]'`"
            )
        return [biharmonic]
    opencv = [
        Baseline("navier-stokes", "Navier-Stokes", _navier_stokes),
        Baseline("telea", "Telea", _telea),
    ]
    return [*opencv, biharmonic] if choice == "all" else opencv


def _navier_stokes(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    import cv2

    return _opencv(picture, mask, cv2.INPAINT_NS)


def _telea(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    import cv2

    return _opencv(picture, mask, cv2.INPAINT_TELEA)


def _opencv(picture: NDArray[np.uint8], mask: NDArray[np.bool_], method: int) -> NDArray[np.uint8]:
    import cv2

    if not mask.any() or mask.all():
        return picture
    return np.asarray(cv2.inpaint(picture, mask.astype(np.uint8), RADIUS, method), dtype=np.uint8)


def _biharmonic(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    if not mask.any() or mask.all():
        return picture
    filled = inpaint_biharmonic(picture, mask, channel_axis=2, split_into_regions=True)
    filled = np.asarray(filled, dtype=np.float64).clip(0, 1)
    return np.where(mask[..., None], (filled * 255).round(), picture).astype(np.uint8)

"""The paper's own figures, for reference: another test set, so not comparable with ours.

Source: "ARIN: Adaptive Resampling and Instance Normalization for Robust Blind Inpainting of
Dunhuang Cave Paintings", arXiv 2402.16188, Tables I and III.
"""

from dataclasses import dataclass

REMARK = (
    "Published in arXiv 2402.16188 on the Dunhuang challenge's test set, which is another one than"
    " ours: for reference only."
)


@dataclass(frozen=True)
class Published:
    """One row of a published table; None where the paper gives no figure."""

    method: str
    psnr: float | None
    ssim: float | None
    dssim: float | None
    lpips: float | None


TABLE_I = (
    Published("CAR-DF2K", 16.65, 0.67, 0.33, 0.33),
    Published("VIDAR", None, 0.87, 0.13, None),
    Published("tomcarrot", None, 0.84, 0.16, None),
    Published("UIUC-AE", None, 0.84, 0.16, None),
    Published("CAR", 27.70, 0.84, 0.16, 0.17),
    Published("HINet-DR", 24.40, 0.83, 0.17, 0.16),
    Published("HINet-DB", 33.32, 0.90, 0.10, 0.08),
    Published("ARIN", 31.00, 0.86, 0.14, 0.15),
)

TABLE_III: dict[str, tuple[Published, Published]] = {
    "none": (
        Published("ARIN", 31.00, 0.86, None, 0.15),
        Published("HINet-DB", 33.32, 0.90, None, 0.08),
    ),
    "gaussian-8": (
        Published("ARIN", 30.40, 0.84, None, 0.15),
        Published("HINet-DB", 28.80, 0.78, None, 0.15),
    ),
    "gaussian-16": (
        Published("ARIN", 28.50, 0.76, None, 0.21),
        Published("HINet-DB", 23.20, 0.55, None, 0.35),
    ),
    "jpeg-60": (
        Published("ARIN", 29.90, 0.84, None, 0.18),
        Published("HINet-DB", 28.20, 0.84, None, 0.13),
    ),
    "jpeg-30": (
        Published("ARIN", 28.30, 0.80, None, 0.23),
        Published("HINet-DB", 25.30, 0.77, None, 0.21),
    ),
}
"""By noise, in the order in which the paper has them."""

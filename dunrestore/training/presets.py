"""The recipes that a configuration starts from."""

from typing import Any

_PLAIN: dict[str, Any] = {
    "size": "full", "colours": 0.0, "inversion": 0.0, "painted": 0.0, "sound": 0.0,
    "optimizer": "adam", "weight_decay": 0.0, "warmup": 0, "ema": 0.0, "mask_weight": 1.0,
    "precision": "fp32", "overlap": 64,
}  # fmt: skip
_PAPER_HINET: dict[str, Any] = _PLAIN | {
    "loss": "psnr", "lr": 2e-4, "lr_final": 1e-7, "beta2": 0.99, "clip": 0.01,
    "batch": 4, "iterations": 100_000, "first_stage_weight": 1.0,
}  # fmt: skip
_PAPER_CAR: dict[str, Any] = _PLAIN | {
    "loss": "l1", "lr": 1e-4, "lr_final": 1e-4, "beta2": 0.999, "clip": 0.0,
    "batch": 10, "iterations": 6_000,
}  # fmt: skip

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "car": _PAPER_CAR,
        "hinet-dr": _PAPER_HINET,
        "hinet-db": _PAPER_HINET,
        "arin": _PAPER_HINET,
        "arin-joint": _PAPER_HINET | {"lr_car": 1e-5},
        "arin-guided": _PAPER_HINET,
    },
    "compact": {
        "car": {"mask_weight": 1.0},
        "hinet-dr": {},
        "hinet-db": {},
        "arin": {"lr": 3e-4},
        "arin-joint": {"lr": 2e-4, "lr_car": 5e-5, "recipe": "robust"},
        # The finder learns from the mask alone, HINet always from the true one: neither disturbs
        # the other.
        "arin-guided": {
            "recipe": "robust",
            "loss": "psnr",
            "psnr_floor": 1e-3,
            "mask_weight": 1.0,
            "sound_weight": 0.02,
            "given_mask": 1.0,
        },
    },
}
"""What a preset says of a stage, where it is not the field's default."""

"""The smallest runs that exercise everything."""

from pathlib import Path

from dunrestore.training.config import TrainConfig, make_config
from tests.datasets.folders import clean_folder


def pictures(folder: Path, count: int = 4) -> Path:
    return clean_folder(folder / "pictures", count, 40, 48)


def tiny(data: Path, **more: object) -> TrainConfig:
    """A HINet of width 2 on patches of 16, in float32 on the CPU."""
    values = {
        "stage": "hinet-db", "data": str(data), "device": "cpu", "precision": "fp32",
        "hinet_width": 2, "hinet_depth": 2, "car_width": 4, "car_blocks": 1, "edsr_blocks": 1,
        "edsr_features": 4, "patch": 16, "batch": 4, "iterations": 6, "warmup": 2, "threads": 1,
        "save_every": 2, "validate_every": 3, "log_every": 1, "validation_share": 0.25,
        "painted": 0.0,
    }  # fmt: skip
    return make_config(values | more)

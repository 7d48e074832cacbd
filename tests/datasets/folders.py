"""Folders of pictures that tests train on."""

from pathlib import Path

import numpy as np
from PIL import Image

from dunrestore.datasets.painter import paint_mural


def save(path: Path, seed: int, height: int = 48, width: int = 56) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mural = paint_mural(height, width, np.random.default_rng(seed))
    Image.fromarray(np.rint(mural * 255).astype(np.uint8)).save(path)
    return path


def clean_folder(folder: Path, count: int = 4, height: int = 48, width: int = 56) -> Path:
    for i in range(count):
        save(folder / f"wall-{i}.png", i, height, width)
    return folder

"""Paint the example picture and damage it; run from the repository's root.

python examples/paint_mural.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.random_walk import random_walk_mask

HEIGHT, WIDTH, COVERAGE = 480, 640, 0.1


def main() -> None:
    here = Path(__file__).parent
    rng = np.random.default_rng(220)
    mural = np.rint(paint_mural(HEIGHT, WIDTH, rng) * 255).astype(np.uint8)
    Image.fromarray(mural).save(here / "mural-undamaged.png", optimize=True)
    mural[random_walk_mask(HEIGHT, WIDTH, COVERAGE, rng)] = 255
    Image.fromarray(mural).save(here / "mural.png", optimize=True)


if __name__ == "__main__":
    main()

import itertools

import numpy as np
import pytest
from PIL import Image

from dunrestore.datasets.painter import paint_mural
from dunrestore.degradations.noise import add_gaussian, through_jpeg
from dunrestore.imaging import rows
from dunrestore.restoration.damage.spoiling import BLURRED, RINGING, spoiling_of

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def mural():
    return paint_mural(205, 190, RNG(0)).astype(np.float32)


@pytest.mark.parametrize("bands", ["one", "many"])
@pytest.mark.parametrize("top", [0, 3])
def test_blocks_of_a_jpeg_show_wherever_they_begin(monkeypatch, mural, top, bands):
    if bands == "many":
        monkeypatch.setattr(rows, "AT_ONCE", 2000)
        monkeypatch.setattr(rows, "FEWEST", 8)
    noisy = add_gaussian(mural, 16, RNG(1))
    for picture in (mural, noisy):
        assert spoiling_of(picture[top:, top:]) == BLURRED
    for quality in (60, 30):
        assert spoiling_of(through_jpeg(mural, quality)[top:, top:]) == RINGING
    assert spoiling_of(through_jpeg(mural, 30)[:95]) == BLURRED  # too small to tell
    assert spoiling_of(np.full_like(mural, 0.5)) == BLURRED
    for factor, how in itertools.product(
        (2, 4), (Image.Resampling.NEAREST, Image.Resampling.BICUBIC)
    ):
        small = Image.fromarray(np.uint8(mural * 255)[: 204 // factor, : 188 // factor])
        large = np.asarray(small.resize((small.width * factor, small.height * factor), how))
        assert spoiling_of(large[top:, top:].astype(np.float32) / 255) == BLURRED

from pathlib import Path

import numpy as np
import pytest

from dunrestore.imaging.masks import marked, marks
from dunrestore.imaging.picture import Encoding, Picture


@pytest.mark.parametrize(
    ("dtype", "black", "white"), [(np.uint8, 127, 128), (np.uint16, 32767, 32768)]
)
def test_the_lightest_channel_says_what_is_marked(dtype, black, white):
    mask = np.array([[(0, 0, 0), (black,) * 3, (0, white, 0), (white,) * 3]], dtype)
    encoding = Encoding("rgb", np.iinfo(dtype).max)
    wanted = [[False, False, True, True]]
    assert marked(mask, encoding, Path("mask.png")).tolist() == wanted
    assert marks(Picture(mask, encoding), Path("mask.png")).tolist() == wanted

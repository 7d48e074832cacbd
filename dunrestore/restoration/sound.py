"""Whether what of a picture is not lost may be left without asking the network."""

import numpy as np

from dunrestore.imaging.rows import DerivedRows, Rows
from dunrestore.restoration.damage.noise import notable_noise
from dunrestore.restoration.options import Preserve


def leaves_sound(preserve: Preserve, picture: Rows, logits: Rows | None) -> bool:
    """Whether what is not lost stays as it is, whatever a network would propose there.

    If so, tiles in which nothing is lost need no more than the finder. (Of tiles that share nothing
    one may be left beside a loss whose rim reaches into it.)

    Args:
        preserve: as in ``RestoreOptions``.
        picture: (H, W, 3), RGB in [0, 1].
        logits: the finder's, at least (H, W, 1); None if a mask says what is lost.
    """
    if preserve != "auto" or logits is None:
        return preserve != "never"
    height, width = picture.shape[:2]
    lost = DerivedRows(logits, lambda band: band[:, :width, 0] > 0, (height, width), np.bool_)
    return notable_noise(picture, lost) == 0

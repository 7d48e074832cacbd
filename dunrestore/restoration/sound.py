"""Whether tiles of a picture in which nothing is lost may be left without asking the network."""

import numpy as np

from dunrestore.imaging.rows import DerivedRows, Rows
from dunrestore.restoration.damage.noise import notable_noise
from dunrestore.restoration.options import Preserve


def leaves_sound(preserve: Preserve, picture: Rows, logits: Rows | None, *, known: bool) -> bool:
    """Whether what is not lost stays as it is, whatever a network would propose there.

    If so, tiles in which nothing is lost need no more than the finder. (Of tiles that share nothing
    one may be left beside a loss whose rim reaches into it.)

    Args:
        preserve: as in ``RestoreOptions``.
        picture: (H, W, 3), RGB in [0, 1].
        logits: the finder's, at least (H, W, 1); None where it is not asked before, for the picture
            is one tile: which is left only if all of it is sound.
        known: whether a mask says what is lost.
    """
    if preserve != "auto" or known:
        return preserve != "never"
    height, width = picture.shape[:2]
    lost: Rows = np.broadcast_to(np.False_, (height, width))
    if logits is not None:
        lost = DerivedRows(logits, lambda band: band[:, :width, 0] > 0, (height, width), np.bool_)
    return notable_noise(picture, lost) == 0

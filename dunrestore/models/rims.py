"""Whether the losses of a scan shine into the paint around them: a lens softens every edge.

A pixel beside a loss that is half covered by it counts as sound for a finder that is sure of what
lies inside, and would colour the fill. Over a whole scan such pixels tell how soft its edges are:
they are compared with the loss and the paint, along rows and columns.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

INSIDE, OUTSIDE = 3, 7
"""Pixels of a loss and of the paint beside it that make up a profile."""
LENGTH = INSIDE + OUTSIDE
"""Pixels of a profile."""
SHOWN = 0.3
"""The first pixel of paint belongs to the rim if it shows more of the loss on average. With sharp
edges it is 0.03 for white losses, below 0.3 for plaster on plaster; with edges that are spread by a
standard deviation of 1.5 pixels mostly more than 0.3 (docs/decisions.md)."""
FEWEST = 30
"""Profiles that a scan must have."""

NUMBERS = 3
"""Of ``count_rims``."""


def count_rims(x: Tensor, lost: Tensor, rows: int | None = None) -> Tensor:
    """Sum up what the pixels beside losses show of these.

    Args:
        x: (3, H, W), RGB.
        lost: (H, W) of bool.
        rows: profiles count that begin in so many of the first rows; None for all.

    Returns:
        (NUMBERS,) in float64 on the CPU, to be added to those of other parts of a picture.
    """
    if x.device.type == "mps":  # which knows no float64
        x, lost = x.cpu(), lost.cpu()
    height = x.shape[1] if rows is None else min(rows, x.shape[1])
    along = [(x[:, :height], lost[:height], x.shape[2]), (x.transpose(1, 2), lost.T, height)]
    sums = [
        _profiles(*given, reverse=reverse).cpu() for given in along for reverse in (False, True)
    ]
    return torch.stack(sums).sum(0)


def _profiles(x: Tensor, lost: Tensor, most: int, *, reverse: bool) -> Tensor:
    """The same along the last axis only, for profiles that begin before place ``most`` and go from
    a loss into the paint, or in ``reverse``."""
    places = [LENGTH - 1 - place if reverse else place for place in range(LENGTH)]
    number = max(min(lost.shape[1] - LENGTH + 1, most), 0)
    last, first = (places[place] for place in (INSIDE - 1, INSIDE))
    edge = lost[:, last : last + number] & ~lost[:, first : first + number]
    line, begin = edge.nonzero(as_tuple=True)
    for place, at in enumerate(places):
        fits = lost[line, begin + at] == (place < INSIDE)
        line, begin = line[fits], begin[fits]

    def colour(place: int) -> Tensor:
        return x[:, line, begin + places[place]].double()

    inside, beside = (colour(0) + colour(1)) / 2, colour(INSIDE)
    # Two pixels of paint, so that their own spread does not count twice.
    paint, further = colour(LENGTH - 3), colour(LENGTH - 1)
    shown = ((beside - paint) * (inside - further)).sum()
    whole = ((inside - paint) * (inside - further)).sum()
    return torch.stack([shown, whole, torch.full_like(shown, len(line))])


def has_rims(sums: Tensor) -> bool:
    """Whether the losses have rims, from the sum of ``count_rims`` over all parts of a picture."""
    shown, whole, profiles = sums.tolist()
    return profiles >= FEWEST and shown > SHOWN * whole > 0


def with_rims(lost: Tensor) -> Tensor:
    """Losses (..., H, W) of 0 and 1, and the pixels around them."""
    return F.max_pool2d(lost, 3, stride=1, padding=1)

"""What the colours of a scan's certain losses tell of the rest of it.

What shows in the losses of one scan is mostly one ground. The colours of a whole picture are
counted before any of it is judged, part by part, so that it does not matter how it is cut up.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

CERTAIN = 0.9
"""Probability of a pixel being lost from which on its colour tells of the others'."""
ENOUGH = 0.01
"""Share of a cell that must be certain to be lost before colours are believed in and around it."""
CELL = 512
"""Side of the cells in pixels, about: a picture is cut evenly. What is a lot in a small picture is
little in a large one, but as much to those who look at that corner."""
CAUTION = math.log(0.99 / 0.01) - math.log(0.9 / 0.1)
"""Elsewhere a logit is lowered by so much that 0.99 becomes 0.9: what is sound stays as it is."""
TELLING = 0.3
"""Share of a colour's pixels that must be certain to be lost for the rest of that colour to need no
caution, wherever it lies. So few losses are enough if no sound paint has their colour."""
FEWEST = 100
"""Pixels that must be, whatever share that is."""
COARSE, FINE = 16, 64
"""Bins of the colour histograms, in each channel."""
PRIOR = 300
"""Pixels that the coarse, smoothed histogram counts for beside the fine one's own."""


@dataclass(frozen=True)
class Part:
    """A part of a picture.

    Attributes:
        picture: (rows, columns) of the whole picture.
        top: the first row; left: the first column.
        own: the rows and columns, in the part's own pixels, that no other part counts.
    """

    picture: tuple[int, int]
    top: int
    left: int
    own: tuple[slice, slice]

    @classmethod
    def whole(cls, rows: int, columns: int) -> Self:
        """A picture as its only part; what lies beyond these rows and columns is padding."""
        return cls((rows, columns), 0, 0, (slice(0, rows), slice(0, columns)))


def _cells(length: int) -> int:
    """How many cells a picture's side is cut into."""
    return max(round(length / CELL), 1)


def number_of_counts(picture: tuple[int, int]) -> int:
    """How many numbers ``count_colours`` returns for a picture of so many rows and columns."""
    return 2 * FINE**3 + _cells(picture[0]) * _cells(picture[1])


def count_colours(x: Tensor, likely: Tensor, part: Part) -> Tensor:
    """Count the colours of what is certainly lost and of what is sound.

    Whole numbers, so that the sums over the parts of a picture do not depend on their order.

    Args:
        x: (3, H, W), RGB in [0, 1].
        likely: (H, W), the probability of being lost.
        part: what of the picture ``x`` shows.

    Returns:
        (number_of_counts(part.picture),) in float64: for every colour how certainly it is lost, and
        how likely sound, in units of 1/255 pixel; then for every cell of the picture the number of
        pixels that are certainly lost. On the CPU if the device knows no float64.
    """
    rows, columns = part.own
    lost = (likely[rows, columns].float() * 255).round()
    colours = _colours(x[:, rows, columns]).flatten().long()
    if x.device.type == "mps":
        lost, colours = lost.cpu(), colours.cpu()
    lost = lost.double()
    is_certain = (lost > CERTAIN * 255).double()
    height, width = part.picture
    down, across = _cells(height), _cells(width)
    row = torch.arange(rows.start, rows.stop, device=lost.device) + part.top
    column = torch.arange(columns.start, columns.stop, device=lost.device) + part.left
    # Products count exactly: a float64 holds whole numbers up to 2**53.
    certain = _in_each(row * down // height, down) @ is_certain
    certain = certain @ _in_each(column * across // width, across).T
    return torch.cat(
        [
            _sums(colours, (lost * is_certain).flatten(), FINE**3),
            _sums(colours, (255 - lost).flatten(), FINE**3),
            certain.flatten(),
        ]
    )


def _in_each(cell: Tensor, number: int) -> Tensor:
    """(number, n) float64, 1 where a line's cell (n,) is that of the row."""
    return (torch.arange(number, device=cell.device)[:, None] == cell).double()


def _sums(bins: Tensor, values: Tensor, number: int) -> Tensor:
    """The sum of the values (n,) of each bin: (number,); ``torch.bincount`` would wait for a GPU,
    and takes three times as long on the CPU."""
    return torch.zeros(number, dtype=values.dtype, device=bins.device).scatter_add_(0, bins, values)


@dataclass(frozen=True)
class Evidence:
    """What a whole picture tells: its colours, and the edges of its losses.

    Attributes:
        ratios: (FINE**3,) float32, for each colour the logarithm of its share among the certain
            losses over that among what is sound.
        belief: (rows, columns) float32, for every cell of the picture whether that is believed.
        telling: (FINE**3,) float32, for each colour whether it is mostly that of losses.
        ground: (3, 1, 1) float32, the mean colour of what is sound.
        rims: whether losses shine into the pixels around them; see ``rims.py``.
    """

    ratios: Tensor
    belief: Tensor
    telling: Tensor
    ground: Tensor
    rims: bool = False

    @property
    def raises_logits(self) -> bool:
        """Whether a logit below zero may be raised above it."""
        return bool(self.belief.any())

    @classmethod
    def of(cls, counts: Tensor, picture: tuple[int, int]) -> Self:
        """From ``count_colours``, or the sum of its results over all parts of a picture."""
        down, across = map(_cells, picture)
        lost, sound, certain = counts.split([FINE**3, FINE**3, down * across])
        rows, columns = (_lengths(length, counts) for length in picture)
        enough = certain.view(down, across) >= ENOUGH * (rows[:, None] * columns)
        # Whatever lies in such a cell is believed wholly, and less and less beyond those around it.
        belief = F.max_pool2d(enough.float()[None], 3, stride=1, padding=1)[0]
        ratios = (_shares(lost / 255).log() - _shares(sound / 255).log()).clamp(-6, 6)
        telling = (lost >= 255 * FEWEST) & (lost >= TELLING * (lost + sound))
        return cls(ratios, belief, telling.float(), _mean_colour(sound))

    def to(self, device: torch.device) -> "Evidence":
        """On another device."""
        parts = ("ratios", "belief", "telling", "ground")
        return replace(self, **{part: getattr(self, part).to(device) for part in parts})

    def belief_in(self, part: Part, rows: int, columns: int) -> Tensor:
        """How far it is believed at each pixel (rows, columns) of a part, in [0, 1]."""
        down = _lines(self.belief, part.top, rows, part.picture[0])
        return _lines(down.T, part.left, columns, part.picture[1]).T


def _lengths(length: int, like: Tensor) -> Tensor:
    """How many rows or columns each of the cells has that a picture's side is cut into."""
    number = _cells(length)
    cell = torch.arange(length, device=like.device) * number // length
    return _sums(cell, like.new_ones(length), number)


def _lines(values: Tensor, first: int, number: int, length: int) -> Tensor:
    """Values (cells, n) interpolated for some of ``length`` rows: (number, n)."""
    cells = len(values)
    row = torch.arange(first, first + number, device=values.device)
    place = ((row + 0.5) * (cells / length) - 0.5).clamp(0, cells - 1)
    before = place.long()
    after = (before + 1).clamp_max(cells - 1)
    return torch.lerp(values[before], values[after], (place - before)[:, None])


def _mean_colour(counts: Tensor) -> Tensor:
    """The mean (3, 1, 1) of counted colours (FINE**3,)."""
    cube = counts.view(FINE, FINE, FINE)
    levels = (torch.arange(FINE, dtype=counts.dtype, device=counts.device) + 0.5) / FINE
    sums = [(cube.sum([a for a in range(3) if a != axis]) * levels).sum() for axis in range(3)]
    return (torch.stack(sums) / counts.sum().clamp_min(1)).float().view(3, 1, 1)


def _shares(counts: Tensor) -> Tensor:
    """The share (FINE**3,) that every colour has of all pixels; never zero."""
    counts = counts.float()
    total, each = counts.sum(), FINE // COARSE
    cube = counts.view(COARSE, each, COARSE, each, COARSE, each).sum((1, 3, 5))
    cube = (cube / total.clamp_min(1))[None, None]
    for _ in range(2):
        cube = F.avg_pool3d(cube, 3, stride=1, padding=1, count_include_pad=False)
    expected = (cube[0, 0] + 1e-5) / each**3
    for axis in range(3):
        expected = expected.repeat_interleave(each, axis)
    return (counts + PRIOR * expected.flatten()) / (total + PRIOR)


def weigh_colours(x: Tensor, logits: Tensor, evidence: Evidence, part: Part) -> Tensor:
    """Find the rest of the losses by the colours of those that are certain.

    A pixel of a colour that is common among certain losses and rare elsewhere is likelier to be
    lost, and the other way round: the logarithm of the ratio of the two shares of its colour is
    added to its logit, where that is believed. Elsewhere its logit is lowered, unless its colour is
    a telling one.

    Args:
        x: (3, H, W), RGB in [0, 1].
        logits: (1, H, W), the finder's.
        evidence: of the whole picture.
        part: what of it ``x`` shows.

    Returns:
        (1, H, W) in float32.
    """
    belief = evidence.belief_in(part, *logits.shape[1:])
    colours = _colours(x)
    doubt = 1 - torch.maximum(belief, evidence.telling[colours])
    return logits.float() + belief * evidence.ratios[colours] - doubt * CAUTION


def _colours(picture: Tensor) -> Tensor:
    """The bin (H, W) of every pixel's colour, of ``FINE**3``."""
    red, green, blue = (picture.float() * FINE).int().clamp(0, FINE - 1)
    return (red * FINE + green) * FINE + blue

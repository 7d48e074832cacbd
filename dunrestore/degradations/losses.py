"""Losses: flakes, cracks, scratches, dust, areas; as maps of how much is covered.

Every function takes (height, width, coverage, rng) and returns a map (height, width) in [0, 1]
that is above 0 on the share ``coverage`` of the pixels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.draw import polygon

from dunrestore.degradations.fields import Field, fractal_noise
from dunrestore.degradations.random_walk import random_walk_mask
from dunrestore.degradations.strokes import Pixels, draw_until, thick_line


def random_walks(height: int, width: int, coverage: float, rng: np.random.Generator) -> Field:
    """The challenge's losses, with hard edges."""
    return random_walk_mask(height, width, coverage, rng).astype(np.float32)


def flakes(height: int, width: int, coverage: float, rng: np.random.Generator) -> Field:
    """Paint that came off in islands, with edges about a pixel soft."""
    scale = float(np.exp(rng.uniform(np.log(10), np.log(60))))
    field = fractal_noise(height, width, scale, rng, roughness=0.55)
    return _soft(highest(field, coverage))


def cracks(height: int, width: int, coverage: float, rng: np.random.Generator) -> Field:
    """Branching lines that wander and fork."""
    drawn: list[tuple[float, float, float]] = []

    def crack() -> Pixels:
        if drawn and rng.random() < 0.6:  # a fork
            y, x, heading = drawn[rng.integers(len(drawn))]
            heading += rng.choice([-1, 1]) * rng.uniform(0.5, 1.3)
        else:
            y, x = rng.uniform(0, height), rng.uniform(0, width)
            heading = rng.uniform(0, 2 * np.pi)
        length = int(np.exp(rng.uniform(np.log(20), np.log(240))))
        turns = heading + np.cumsum(rng.normal(0, 0.16, length)) + rng.normal(0, 0.35, length)
        ys, xs = y + np.cumsum(np.sin(turns)) * 0.8, x + np.cumsum(np.cos(turns)) * 0.8
        forks = rng.integers(0, length, 2)
        drawn.extend((float(ys[at]), float(xs[at]), float(turns[at])) for at in forks)
        return thick_line(ys, xs, float(rng.choice([0.5, 0.5, 1.0, 1.5])), height, width)

    return _soft(draw_until(height, width, coverage, crack, rng), floor=0.6)


def scratches(height: int, width: int, coverage: float, rng: np.random.Generator) -> Field:
    """Bundles of long, thin, almost straight lines."""
    main = rng.uniform(0, np.pi)
    centre = rng.uniform(0, height), rng.uniform(0, width)

    def scratch() -> Pixels:
        nonlocal main, centre
        if rng.random() < 0.2:
            main, centre = rng.uniform(0, np.pi), (rng.uniform(0, height), rng.uniform(0, width))
        heading = main + rng.normal(0, 0.12)
        length = rng.uniform(0.1, 0.7) * max(height, width)
        t = np.arange(-length / 2, length / 2, 0.7)
        bend = rng.normal(0, 0.06) * t**2 / max(length, 1)
        y, x = np.asarray(centre) + rng.normal(0, 0.08, 2) * (height, width)
        ys = y + t * np.sin(heading) + bend * np.cos(heading)
        xs = x + t * np.cos(heading) - bend * np.sin(heading)
        return thick_line(ys, xs, float(rng.choice([0.5, 0.5, 1.0])), height, width)

    faint = np.float32(rng.uniform(0.55, 1.0))
    return _soft(draw_until(height, width, coverage, scratch, rng), floor=0.6) * faint


def dust(height: int, width: int, coverage: float, rng: np.random.Generator) -> Field:
    """Specks, and a fibre here and there."""

    def speck() -> Pixels:
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        if rng.random() < 0.04:
            length = int(rng.integers(8, 40))
            turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25, length))
            ys, xs = y + np.cumsum(np.sin(turns)), x + np.cumsum(np.cos(turns))
            return thick_line(ys, xs, 0.5, height, width)
        radius = float(min(rng.exponential(0.9) + 0.4, 4))
        return thick_line(np.array([y]), np.array([x]), radius, height, width)

    return _soft(draw_until(height, width, coverage, speck, rng), floor=0.5)


def areas(height: int, width: int, coverage: float, rng: np.random.Generator) -> Field:
    """Places with clean outlines: infills, labels, tape, missing corners; half with soft edges."""

    def area() -> Pixels:
        largest = 0.5 * max(height, width, 20)
        high, wide = np.exp(rng.uniform(np.log(5), np.log(largest), 2))
        outline = rng.choice(["ellipse", "polygon", "rectangle", "band"], p=[0.3, 0.2, 0.3, 0.2])
        if outline == "ellipse":
            angles, reach = np.linspace(0, 2 * np.pi, 48, endpoint=False), np.ones(48)
        elif outline == "polygon":
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
            reach = rng.uniform(0.4, 1, angles.size)
        else:
            angles, reach = np.pi * np.array([0.25, 0.75, 1.25, 1.75]), np.full(4, np.sqrt(2))
        if outline == "band":
            high, wide = rng.uniform(3, 20), rng.uniform(0.4, 3) * largest
        y, x = high / 2 * reach * np.sin(angles), wide / 2 * reach * np.cos(angles)
        turn = 0.0 if rng.random() < 0.4 else rng.uniform(0, np.pi)
        rows, columns = polygon(
            rng.uniform(0, height) + y * np.cos(turn) + x * np.sin(turn),
            rng.uniform(0, width) - y * np.sin(turn) + x * np.cos(turn),
            (height, width),
        )
        return rows.astype(np.int64) * width + columns

    mask = draw_until(height, width, coverage, area, rng)
    return _soft(mask) if rng.random() < 0.5 else mask.astype(np.float32)


def highest(field: Field, coverage: float) -> NDArray[np.bool_]:
    """True where a field has its highest values, on the share ``coverage`` of it, to the pixel."""
    wanted = round(coverage * field.size)
    mask = np.zeros(field.size, dtype=bool)
    if wanted:
        mask[np.argpartition(field.ravel(), field.size - wanted)[field.size - wanted :]] = True
    return mask.reshape(field.shape)


def _soft(mask: NDArray[np.bool_], floor: float = 0.35) -> Field:
    """The mask with its border pixels partly transparent, but never below ``floor``."""
    blurred = uniform_filter(mask.astype(np.float32), 3, mode="nearest")
    return np.where(mask, blurred.clip(floor, 1), 0).astype(np.float32)


SOFT_EDGES = (0.35, 2.0)
"""What training shows, in pixels."""
FAINTEST = 0.1
"""Where a softened loss covers less than this the paint counts as sound, and stays."""


def draw_softness(
    rng: np.random.Generator, between: tuple[float, float], probability: float
) -> float:
    """The standard deviation in pixels of a picture's edges, drawn evenly on a logarithmic scale.

    Args:
        rng: source of randomness.
        between: the least and the most; both 0 for edges as they were drawn.
        probability: of others than these.
    """
    if between[1] == 0 or rng.random() >= probability:
        return 0.0
    least, most = (max(end, 1e-3) for end in between)
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def soften(amount: Field, softness: float) -> Field:
    """How much (H, W) a loss covers, seen by a lens that spreads points by so many pixels."""
    if softness == 0:
        return amount
    spread = gaussian_filter(amount, softness, mode="nearest")
    return np.where(spread < FAINTEST, np.float32(0), spread)

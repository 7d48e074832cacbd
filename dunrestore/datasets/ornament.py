"""Motifs of the mural painter: ribbons, clouds, flames, haloes, figures and bands of ornament.

All of them draw on a canvas in pixels of the canvas; ``size`` is a length in such pixels.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from dunrestore.datasets.pigments import Colour, Palette

Draw = ImageDraw.ImageDraw
Points = NDArray[np.float64]
"""(n, 2), x and y."""
Motif = Callable[[Draw, float, float, float, Palette, np.random.Generator], None]
"""Draws around (x, y), about ``size`` large."""


def curve(points: Points, steps: int = 24) -> Points:
    """A smooth line through the points (Catmull-Rom): (n, 2) -> ((n - 1) * steps + 1, 2)."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [
        0.5
        * (
            2 * b
            + (c - a) * t
            + (2 * a - 5 * b + 4 * c - d) * t**2
            + (3 * b - a - 3 * c + d) * t**3
        )
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.concatenate([*pieces, points[-1:]])


def stroke(line: Points, width: NDArray[np.float64], shift: float = 0.0) -> Points:
    """The outline of a brush stroke: a line (n, 2) with a width (n,), moved sideways by a share."""
    tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    centre = line + normal * (width * shift)[:, None]
    half = normal * (width / 2)[:, None]
    return np.concatenate([centre + half, (centre - half)[::-1]])


def fill(
    draw: Draw, outline: Points, colour: Colour, ink: Colour | None = None, w: float = 2
) -> None:
    """A closed shape with a drawn contour."""
    points = [(float(x), float(y)) for x, y in outline]
    draw.polygon(points, fill=colour)
    if ink is not None:
        draw.line([*points, points[0]], fill=ink, width=max(1, round(w)), joint="curve")


def disc(
    draw: Draw, x: float, y: float, r: float, colour: Colour, ink: Colour | None, w: float
) -> None:
    """A filled circle."""
    box = (x - r, y - r, x + r, y + r)
    draw.ellipse(box, fill=colour, outline=ink, width=max(1, round(w)) if ink else 0)


def ribbon(
    draw: Draw, x: float, y: float, size: float, palette: Palette, rng: np.random.Generator
) -> None:
    """A waving scarf of two or three stripes."""
    count = int(rng.integers(4, 7))
    heading = rng.uniform(0, 2 * np.pi)
    along = np.linspace(-0.9, 0.9, count)[:, None] * [np.cos(heading), np.sin(heading)]
    across = rng.normal(0, 0.28, count)[:, None] * [-np.sin(heading), np.cos(heading)]
    line = curve((along + across) * size + [x, y])
    taper = np.sin(np.linspace(0.12, np.pi - 0.05, len(line))) ** 0.6
    width = size * rng.uniform(0.06, 0.15) * taper
    fill(draw, stroke(line, width), palette.pick(rng), palette.ink, size * 0.012)
    stripes = int(rng.integers(1, 3))
    for i in range(stripes):
        shift = (i + 1) / (stripes + 1) - 0.5
        fill(draw, stroke(line, width * 0.22, shift * 3), palette.pick(rng))
    fill(draw, stroke(line, width * 0.07, rng.choice([-4.5, 4.5])), palette.white)


def scroll(
    draw: Draw, x: float, y: float, size: float, palette: Palette, rng: np.random.Generator
) -> None:
    """A cloud or flame: a comma that curls up, with an inner comma of another tone."""
    t = np.linspace(0, 1, 60)
    turn = rng.uniform(1.1, 2.0) * np.pi * rng.choice([-1, 1])
    angle = rng.uniform(0, 2 * np.pi) + turn * t**1.3
    step = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1.15 - t)[:, None] / 30
    line = np.cumsum(step, axis=0) * size + [x, y]
    width = size * 0.42 * np.sin(np.pi * np.clip(1 - t, 0, 1) ** 0.6) * rng.uniform(0.4, 1)
    outer, inner = palette.pair(rng)
    fill(draw, stroke(line, width), outer, palette.ink, size * 0.02)
    fill(draw, stroke(line, width * 0.55), inner)
    fill(draw, stroke(line, width * 0.18), palette.white)


def halo(
    draw: Draw, x: float, y: float, size: float, palette: Palette, rng: np.random.Generator
) -> None:
    """Concentric rings, some with petals or rays."""
    radius = size * rng.uniform(0.5, 0.75)
    rings = int(rng.integers(2, 5))
    for i in range(rings):
        r = radius * (1 - i / rings * rng.uniform(0.75, 0.95))
        disc(draw, x, y, r, palette.pick(rng), palette.ink, size * 0.018)
        if rng.random() < 0.45:
            _petals(draw, x, y, r, palette, rng)


def _petals(
    draw: Draw, x: float, y: float, r: float, palette: Palette, rng: np.random.Generator
) -> None:
    count = int(rng.integers(10, 22))
    colours = palette.pair(rng)
    for i, angle in enumerate(np.linspace(0, 2 * np.pi, count, endpoint=False)):
        out, side = (
            np.array([np.cos(angle), np.sin(angle)]),
            np.array([-np.sin(angle), np.cos(angle)]),
        )
        t = np.linspace(0, np.pi, 9)[:, None]
        petal = [x, y] + r * (0.97 - 0.3 * np.sin(t)) * out + r * np.cos(t) * side * 2.6 / count
        fill(draw, petal, colours[i % 2], palette.ink, r * 0.018)


def flower(
    draw: Draw, x: float, y: float, size: float, palette: Palette, rng: np.random.Generator
) -> None:
    """A small rosette, as they are scattered over the ground."""
    r, petals = size * 0.16, int(rng.integers(4, 8))
    outer, inner = palette.pair(rng)
    turn = rng.uniform(0, np.pi)
    for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False) + turn:
        disc(
            draw, x + r * np.cos(angle), y + r * np.sin(angle), r * 0.62, outer, palette.ink, r / 9
        )
    disc(draw, x, y, r * 0.6, inner, palette.ink, r / 9)


def figure(
    draw: Draw, x: float, y: float, size: float, palette: Palette, rng: np.random.Generator
) -> None:
    """A seated figure before its halo: robe with folds, neck, head, hair, a hint of a face."""
    halo(draw, x, y - 0.42 * size, size * 0.62, palette, rng)
    robe, scarf = palette.pair(rng)
    skin = (206, 164, 130) if rng.random() < 0.6 else (112, 88, 80)
    lean, line = rng.uniform(-0.06, 0.06) * size, size * 0.016
    body = [(-0.1, -0.24), (-0.3, -0.1), (-0.36, 0.26), (-0.6, 0.46), (-0.5, 0.62), (0, 0.56)]
    left = np.array(body) * size
    outline = np.concatenate([left, (left * [-1, 1])[::-1]]) + np.array([x, y])
    fill(draw, curve(np.concatenate([outline, outline[:1]]), 10), robe, palette.ink, line)
    for k in np.linspace(-0.75, 0.75, int(rng.integers(6, 12))):
        fold = np.array([(k * 0.2, -0.12), (k * 0.42 + 0.05, 0.2), (k * 0.7, 0.52)]) * size
        ink = palette.ink if rng.random() < 0.7 else palette.white
        draw.line([(x + a, y + b) for a, b in curve(fold, 10)], fill=ink, width=max(1, round(line)))
    sash = np.array([(-0.3, -0.08), (-0.05, 0.18), (0.32, 0.06), (0.4, 0.44)]) * size + [x, y]
    wide = np.full(31, size * 0.09)
    fill(draw, stroke(curve(sash, 10), wide), scarf, palette.ink, line)
    fill(draw, stroke(curve(sash, 10), wide * 0.25), palette.white)
    neck = (x - 0.07 * size + lean / 2, y - 0.34 * size, x + 0.07 * size + lean / 2, y - 0.2 * size)
    draw.rectangle(neck, fill=skin)
    _head(draw, x + lean, y - 0.44 * size, size, skin, palette)


def _head(draw: Draw, x: float, y: float, size: float, skin: Colour, palette: Palette) -> None:
    w, line = size * 0.125, max(1, round(size * 0.012))
    disc(draw, x, y - 1.15 * w, 0.5 * w, palette.ink, None, 0)
    draw.ellipse((x - w, y - 1.3 * w, x + w, y + 0.4 * w), fill=palette.ink)
    draw.ellipse(
        (x - w, y - 1.0 * w, x + w, y + 1.35 * w), fill=skin, outline=palette.ink, width=line
    )
    for side in (-1, 1):
        eye = (
            x + side * 0.45 * w - 0.3 * w,
            y - 0.1 * w,
            x + side * 0.45 * w + 0.3 * w,
            y + 0.2 * w,
        )
        draw.arc(eye, 20, 160, fill=palette.ink, width=line)
        draw.arc(
            (eye[0], eye[1] - 0.35 * w, eye[2], eye[3]), 200, 340, fill=palette.ink, width=line
        )
    draw.line([(x, y), (x - 0.1 * w, y + 0.5 * w), (x + 0.1 * w, y + 0.5 * w)], palette.ink, line)
    draw.line([(x - 0.22 * w, y + 0.85 * w), (x + 0.22 * w, y + 0.85 * w)], (150, 60, 44), 2 * line)


def band(
    draw: Draw, start: Points, end: Points, width: float, palette: Palette, rng: np.random.Generator
) -> None:
    """A border from ``start`` to ``end``, each (2,): one motif repeated between two lines."""
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length
    across = np.array([-along[1], along[0]])

    def place(local: Points) -> Points:
        """(n, 2) in units of the band's width -> canvas."""
        return start + (local[:, :1] * along + local[:, 1:] * across) * width

    repeats = int(length / width) + 1
    ground, first = palette.pair(rng)
    second, line = palette.pick(rng), width * 0.05
    box = np.array([(0, -0.62), (repeats, -0.62), (repeats, 0.62), (0, 0.62)])
    fill(draw, place(box), palette.white, palette.ink, line)
    fill(draw, place(box * [1, 0.8]), ground, palette.ink, line)
    shape = _UNITS[rng.integers(len(_UNITS))]
    for i in range(repeats):
        colours = (first, second) if i % 2 else (second, first)
        for part, scale in zip(colours, (1.0, 0.55), strict=True):
            unit = (shape - [0.5, 0]) * scale + [0.5 + i, 0]
            fill(draw, place(unit), part, palette.ink, line)


def _unit_shapes() -> tuple[Points, ...]:
    t = np.linspace(0, 2 * np.pi, 25)[:-1]
    pearl = np.stack([0.5 + 0.34 * np.cos(t), 0.34 * np.sin(t)], axis=1)
    lozenge = np.array([(0, 0), (0.5, -0.45), (1, 0), (0.5, 0.45)])
    tooth = np.array([(0, 0.45), (0.5, -0.45), (1, 0.45)])
    lotus = np.array([(0.04, 0.45), (0.1, -0.1), (0.5, -0.47), (0.9, -0.1), (0.96, 0.45)])
    s = np.linspace(0, 1, 20)
    crest = 0.30 * np.sin(2 * np.pi * s)
    wave = np.concatenate([np.stack([s, crest - 0.13], 1), np.stack([s, crest + 0.13], 1)[::-1]])
    return pearl, lozenge, tooth, curve(lotus, 8), wave


_UNITS = _unit_shapes()

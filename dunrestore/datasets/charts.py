"""What a digitisation desk lays beside a painting: colour charts, grey scales, rulers, labels.

They are flat, bright and cleanly outlined, as some losses are, and sound all the same.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

OVERSAMPLING = 2
"""Drawn so many times larger and scaled down, so that edges and script are smooth."""
PAPERS: tuple[Colour, ...] = (
    (255, 255, 255), (246, 244, 238), (235, 228, 210), (214, 196, 160), (200, 200, 200),
)  # fmt: skip
BOARDS: tuple[Colour, ...] = (
    (20, 20, 20), (20, 20, 20), (60, 60, 60), (128, 128, 128), (250, 250, 250),
)  # fmt: skip
INK: Colour = (20, 20, 20)
LETTERS = np.array(list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789abcdefghiklmnoprstuvwxyz -./:"))


def lay_charts(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Lay one to three of them on a picture; parts of them may lie outside.

    Args:
        picture: (H, W, 3) in [0, 1].
        rng: source of randomness.

    Returns:
        (H, W, 3) in [0, 1], a copy.
    """
    laid = picture.copy()
    kinds: tuple[Chart, ...] = (_colour_chart, _colour_chart, _grey_scale, _ruler, _label, _label)
    for _ in range(int(rng.integers(1, 4))):
        _lay(laid, kinds[rng.integers(len(kinds))], rng)
    return laid


Chart = Callable[[float, np.random.Generator], Image.Image]
"""Draws one whose fields or lines measure so many pixels, about."""


def _lay(picture: NDArray[np.float32], chart: Chart, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    unit = float(np.exp(rng.uniform(np.log(10), np.log(max(0.25 * min(height, width), 12)))))
    drawn = chart(unit * OVERSAMPLING, rng).convert("RGBA")
    turn = 90.0 * rng.integers(4) + (rng.normal(0, 2) if rng.random() < 0.5 else 0)
    drawn = drawn.rotate(turn, Image.Resampling.BICUBIC, expand=True).reduce(OVERSAMPLING)
    top, left = _begin(drawn.height, height, rng), _begin(drawn.width, width, rng)
    rows = slice(max(top, 0), min(top + drawn.height, height))
    columns = slice(max(left, 0), min(left + drawn.width, width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    box = (columns.start - left, rows.start - top, columns.stop - left, rows.stop - top)
    part = np.asarray(drawn.crop(box), dtype=np.float32) / np.float32(255)
    light = np.float32(rng.uniform(0.75, 1) if rng.random() < 0.7 else 1)
    shade = np.linspace(1, rng.uniform(0.9, 1), part.shape[1], dtype=np.float32)[None, :, None]
    alpha = part[..., 3:]
    below = picture[rows, columns]
    picture[rows, columns] = below + alpha * (part[..., :3] * light * shade - below)


def _begin(length: int, room: int, rng: np.random.Generator) -> int:
    """Where it begins: a quarter may lie outside, of one that is larger than the room more."""
    low, high = sorted((-0.25 * length, room - 0.75 * length))
    return int(rng.uniform(low, high))


def _colour_chart(field: float, rng: np.random.Generator) -> Image.Image:
    """Fields of many colours on a board, the last row often grey."""
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(3, 9))
    gap = field * rng.uniform(0.02, 0.3)
    image, draw = _sheet(columns * (field + gap) + gap, rows * (field + gap) + gap, BOARDS, rng)
    greys = rows > 1 and rng.random() < 0.7
    for row in range(rows):
        for column in range(columns):
            red, green, blue = rng.integers(15, 250, 3)
            colour: Colour = (int(red), int(green), int(blue))
            if greys and row == rows - 1:
                level = round(245 - 200 * column / (columns - 1))
                colour = (level, level, level)
            x, y = gap + column * (field + gap), gap + row * (field + gap)
            draw.rectangle((x, y, x + field - 1, y + field - 1), fill=colour)
    return image


def _grey_scale(field: float, rng: np.random.Generator) -> Image.Image:
    """Steps from white to black, touching each other, mostly numbered."""
    steps, tall = int(rng.integers(5, 21)), field * rng.uniform(0.6, 2)
    margin = field * rng.uniform(0, 0.6)
    image, draw = _sheet(steps * field, tall + margin, BOARDS, rng)
    for step in range(steps):
        level = round(255 * (1 - step / (steps - 1)))
        draw.rectangle((step * field, 0, (step + 1) * field - 1, tall), fill=(level,) * 3)
        if margin > 0.3 * field:
            _write(draw, (step * field + 0.1 * field, tall), str(step), 0.8 * margin)
    return image


def _ruler(step: float, rng: np.random.Generator) -> Image.Image:
    """Ticks and numbers, or bars in two colours."""
    steps, tall = int(rng.integers(4, 16)), step * rng.uniform(0.3, 0.8)
    image, draw = _sheet(steps * step, tall, (*PAPERS, (230, 200, 40), (25, 25, 25)), rng)
    ink = INK if np.asarray(image)[0, 0].sum() > 300 else (240, 240, 240)
    bars = rng.random() < 0.3
    for number in range(steps):
        x = number * step
        if bars and number % 2:
            draw.rectangle((x, 0, x + step, tall / 2), fill=ink)
        for tick in range(0 if bars else 10):
            at, deep = (
                x + step * tick / 10,
                tall * (0.5 if tick == 0 else 0.35 if tick == 5 else 0.2),
            )
            draw.line((at, 0, at, deep), fill=ink, width=max(round(step / 60), 1))
        _write(draw, (x + 0.05 * step, 0.5 * tall), str(number), min(0.4 * tall, 0.5 * step), ink)
    return image


def _label(line: float, rng: np.random.Generator) -> Image.Image:
    """Paper full of script, perhaps framed, perhaps with a bar code."""
    size = max(line * rng.uniform(0.3, 0.8), 8)
    texts = ["".join(rng.choice(LETTERS, rng.integers(3, 24))) for _ in range(rng.integers(1, 5))]
    margin, code = 0.4 * size, size if rng.random() < 0.2 else 0
    wide = max(_font(size).getlength(text) for text in texts) + 2 * margin
    tall = 1.3 * size * len(texts) + margin + code
    image, draw = _sheet(wide, tall, PAPERS, rng)
    if rng.random() < 0.3:
        draw.rectangle((3, 3, wide - 4, tall - 4), outline=INK, width=2)
    for number, text in enumerate(texts):
        _write(draw, (margin, 0.5 * margin + 1.3 * size * number), text, size)
    for x in np.cumsum(rng.integers(2, 9, round(wide / 6) if code else 0)):
        draw.line((x, tall - code, x, tall), fill=INK, width=int(rng.integers(1, 4)))
    return image


def _sheet(
    wide: float, tall: float, colours: tuple[Colour, ...], rng: np.random.Generator
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    size = max(round(wide), 4), max(round(tall), 4)
    image = Image.new("RGB", size, colours[rng.integers(len(colours))])
    return image, ImageDraw.Draw(image)


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: float,
    ink: Colour = INK,
) -> None:
    draw.text(place, text, fill=ink, font=_font(size))


def _font(size: float) -> Any:
    return ImageFont.load_default(size=max(size, 6))

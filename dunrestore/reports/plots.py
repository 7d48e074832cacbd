"""Two plots as SVG: lines over categories, and points over a logarithmic axis.

Colours are Okabe and Ito's, told apart with any colour vision; markers differ as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#888888")

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 236, 16, 52
"""Margins of the plotting area; the legend stands on the right."""


@dataclass(frozen=True)
class Series:
    """One method's values; None where it has none."""

    name: str
    values: tuple[float | None, ...]
    slot: int
    """Which colour and marker: one method has one slot in all plots."""
    dashed: bool = False


@dataclass(frozen=True)
class Point:
    """One method's place."""

    name: str
    x: float
    y: float
    slot: int


def lines(categories: Sequence[str], series: Sequence[Series], y_title: str) -> str:
    """A line for each series over evenly spaced categories."""
    values = [value for one in series for value in one.values if value is not None]
    scale = _Scale.around(values)
    step = _inner_width() / max(len(categories) - 1, 1)
    parts = [_frame(scale, y_title)]
    for index, category in enumerate(categories):
        parts.append(_text(LEFT + index * step, HEIGHT - BOTTOM + 20, category, "middle"))
    for index, one in enumerate(series):
        places = [
            (LEFT + step * i, scale.y(value))
            for i, value in enumerate(one.values)
            if value is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = ' stroke-dasharray="5 4"' if one.dashed else ""
        parts.append(
            f'<polyline fill="none" stroke="{_colour(one.slot)}" stroke-width="2"{dash}'
            f' points="{path}"/>'
        )
        parts += [_marker(one.slot, x, y) for x, y in places]
        parts.append(_legend(index, one.slot, one.name))
    return _svg(parts)


def scatter(points: Sequence[Point], x_title: str, y_title: str) -> str:
    """A marker for each point; the x axis is logarithmic."""
    scale = _Scale.around([point.y for point in points])
    logs = [math.log10(point.x) for point in points]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    high = max(high, low + 1)

    def across(value: float) -> float:
        return LEFT + (value - low) / (high - low) * _inner_width()

    parts = [_frame(scale, y_title)]
    for power in range(low, high + 1):
        x = across(power)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>'
        )
        parts.append(_text(x, HEIGHT - BOTTOM + 20, f"{10.0**power:g}", "middle"))
    parts.append(_text(LEFT + _inner_width() / 2, HEIGHT - 8, x_title, "middle"))
    for index, point in enumerate(points):
        parts.append(_marker(point.slot, across(logs[index]), scale.y(point.y)))
        parts.append(_legend(index, point.slot, point.name))
    return _svg(parts)


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Sequence[float]) -> "_Scale":
        """A scale with round steps that holds all values."""
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        spread = max(high - low, 1e-6)
        magnitude = 10 ** math.floor(math.log10(spread / 5))
        step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude * 6 >= spread)
        return cls(math.floor(low / step) * step, (math.floor(high / step) + 1) * step, step)

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [self.low + index * self.step for index in range(count + 1)]


def _inner_width() -> int:
    return WIDTH - LEFT - RIGHT


def _frame(scale: _Scale, y_title: str) -> str:
    parts: list[str] = []
    for tick in scale.ticks():
        y = scale.y(tick)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, f"{tick:g}", "end"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
        f"{escape(y_title)}</text>"
    )
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _colour(slot: int) -> str:
    return COLOURS[slot % len(COLOURS)]


def _marker(slot: int, x: float, y: float) -> str:
    colour = _colour(slot)
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>',
        f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{colour}"/>',
        f'<path d="M{x:.1f} {y - 6:.1f}l6 10h-12z" fill="{colour}"/>',
        f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z" fill="{colour}"/>',
    )
    return shapes[slot % len(shapes)]


def _legend(line: int, slot: int, name: str) -> str:
    x, y = WIDTH - RIGHT + 20, TOP + 14 + 22 * line
    return _marker(slot, x, y - 4) + _text(x + 14, y, name, "start")


def _svg(parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">'
        + "".join(parts)
        + "</svg>"
    )

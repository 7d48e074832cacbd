"""The benchmark's page: tables, plots and pictures, worst first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

TEMPLATE = Path(__file__).with_name("bench_page.html")


@dataclass(frozen=True)
class PageTable:
    """A table: rows of (text, whether it leads)."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[tuple[str, bool]]]
    note: str = ""


@dataclass(frozen=True)
class Shown:
    """One small picture."""

    label: str
    source: str
    """Address: ``data:`` or relative to the page."""


@dataclass(frozen=True)
class PictureRow:
    """One image of a block, as one method restored it."""

    title: str
    figures: str
    pictures: Sequence[Shown]


@dataclass(frozen=True)
class Section:
    """One block of the benchmark."""

    anchor: str
    title: str
    tables: Sequence[PageTable]
    rows: Sequence[PictureRow]
    failures: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """Everything that the page shows; texts are escaped, plots are SVG of ``reports.plots``."""

    title: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    legend: str
    overview: Sequence[PageTable]
    plots: Sequence[tuple[str, str]]
    """(title, SVG)."""
    sections: Sequence[Section]
    reference: Sequence[PageTable]


def render(page: Page) -> str:
    """The page as HTML; it loads nothing but the pictures that it names."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    plots = [(title, Markup(svg)) for title, svg in page.plots]
    return template.render(page=page, plots=plots)

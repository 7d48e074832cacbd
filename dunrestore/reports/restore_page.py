"""The page of a run: every picture before and after, what changed, warnings first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

TEMPLATE = Path(__file__).with_name("restore_page.html")


@dataclass(frozen=True)
class Views:
    """Addresses of the pictures of one entry: ``data:`` or relative to the page."""

    before: str
    after: str
    map: str
    """Transparent, opaque where pixels were changed."""
    input: str
    """The scan itself."""
    output: str
    """The restored file itself."""
    width: int
    """Pixels of the page of a file that is shown."""
    height: int


@dataclass(frozen=True)
class Entry:
    """One picture of a run; texts are escaped."""

    title: str
    status: Literal["restored", "skipped", "failed"]
    changed_percent: float | None = None
    changed: str = ""
    """The same in words."""
    warnings: Sequence[str] = ()
    error: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    thumbnails: tuple[str, str] | None = None
    """Addresses of small pictures, before and after."""
    views: Views | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The filters that it passes."""
        if self.status == "failed":
            return ("failed",)
        kind = "changed" if self.changed_percent else "untouched"
        return (*(("warned",) if self.warnings else ()), kind)

    @property
    def classes(self) -> str:
        """The same for CSS."""
        return " ".join(self.kinds)


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    title: str
    facts: Mapping[str, str]
    entries: Sequence[Entry]

    def count(self, kind: str) -> int:
        """Entries that a filter lets pass."""
        return sum(kind == "all" or kind in entry.kinds for entry in self.entries)

    def pictures_json(self) -> Markup:
        """The large pictures, for the script; fit for standing inside HTML."""
        values = [None if entry.views is None else vars(entry.views) for entry in self.entries]
        text = json.dumps(values)
        for letter in "<>&":
            text = text.replace(letter, f"\\u{ord(letter):04x}")
        return Markup(text)  # what could end the element is escaped


def render(page: Page) -> str:
    """The page as HTML, failures and warnings first, then what was changed most."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    worst = {"failed": 0, "warned": 1}
    ordered = sorted(
        page.entries,
        key=lambda entry: (
            worst.get(entry.kinds[0], 2),
            -(entry.changed_percent or 0),
            entry.title,
        ),
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(page=Page(page.title, page.facts, ordered))

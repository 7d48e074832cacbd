"""Web pages where a file was expected: recognised, and Google Drive's confirmation followed."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

SNIFFED = 512
"""Bytes of a response's start that tell a page from a file."""


def is_web_page(content_type: str, start: bytes) -> bool:
    """Whether a response is a page, by what it says it is or by how it starts."""
    if content_type.split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
        return True
    text = start[:SNIFFED].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head", b"<script"))


def confirmation(page: str, url: str) -> str | None:
    """The address behind a Google Drive page that asks to confirm a large download.

    Args:
        page: the page's HTML.
        url: where it came from.

    Returns:
        Where the file is, or None if the page is something else (a quota notice, a login, a 404).
    """
    parser = _Parser()
    parser.feed(page)
    if parser.action:
        separator = "&" if "?" in parser.action else "?"
        target = f"{parser.action}{separator}{urlencode(parser.values)}"
    elif parser.link:
        target = parser.link
    else:
        return None
    return urljoin(url, target)


@dataclass
class _Parser(HTMLParser):
    action: str = ""
    values: dict[str, str] = field(default_factory=dict[str, str])
    link: str = ""
    inside: bool = False

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("id") == "download-form":
            self.inside, self.action = True, given.get("action", "")
        elif tag == "input" and self.inside and given.get("name"):
            self.values[given["name"]] = given.get("value", "")
        elif tag == "a" and "confirm=" in given.get("href", ""):  # the page's older form
            self.link = given["href"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False

"""What a catalogue says of a model, and what it may not say."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from dunrestore.errors import ModelError

SCHEMES = ("https", "http", "file")
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_SHOWN_PARAMETERS = ("id", "export")


@dataclass(frozen=True)
class Entry:
    """A model in a catalogue."""

    name: str
    """What users call it; ``name@variant`` means ``name-variant``."""
    title: str
    """One line: what it is."""
    architecture: str
    """Key of ``models.architectures.ARCHITECTURES``, or ``alexnet`` for LPIPS' trunk."""
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The network's configuration; empty for an embedded model, whose file says it."""
    embedded: bool = False
    """Comes with the package; hash and size then stand in ``weights/index.json``."""
    urls: tuple[str, ...] = ()
    """Where the file is, the first that works is taken; none for what must be imported."""
    file: str = ""
    """What the downloaded file is called."""
    sha256: str = ""
    """Of the file; a prefix of 8 hexadecimal digits or more, or nothing, where no more is known."""
    size: int = 0
    """Bytes, about; 0 if not known."""
    licence: str = ""
    """Under which its publisher gives it."""
    source: str = ""
    """Page of its publisher."""
    citation: str = ""
    """The paper."""
    training: str = ""
    """What it was trained on."""
    intended_use: str = ""
    """What it is for."""
    not_for: str = ""
    """What it is not for."""
    quality: str = ""
    """Measured figures, and by whom."""
    tile: str = ""
    """How it is to be tiled."""
    steps: tuple[str, ...] = ()
    """What the user does where there is no plain download."""

    def __post_init__(self) -> None:
        check_name(self.name)
        for url in self.urls:
            check_url(url)
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise ModelError(f"the hash of {self.name} is not hexadecimal, or is too short")
        if self.urls and not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,120}", self.file, re.ASCII):
            raise ModelError(f"{self.name} needs a plain file name, not {self.file!r}")

    @property
    def card(self) -> dict[str, Any]:
        """What is known of it, for a model card."""
        names = ("title", "licence", "source", "citation", "training", "intended_use", "not_for",
                 "quality", "tile")  # fmt: skip
        known = {name: value for name in names if (value := getattr(self, name))}
        addresses = {"urls": [show_url(url) for url in self.urls]} if self.urls else {}
        return known | addresses


def check_name(name: str) -> str:
    """Return a model's name in its one spelling, ``@`` as ``-``.

    Raises:
        ModelError: if it is no name: names are folders in the cache, so nothing else gets through.
    """
    plain = name.replace("@", "-", 1)
    if len(plain) > 64 or not _NAME.fullmatch(plain):
        raise ModelError(
            f"{name!r} is not a model's name",
            next_step="use lower-case letters, digits, and single . _ or - between them",
        )
    return plain


def check_url(url: str) -> str:
    """Return an address that may be fetched.

    Raises:
        ModelError: for another scheme, or a password in it; it is then not shown.
    """
    try:
        parts = urlsplit(url)
        credentials = "@" in parts.netloc
        valid = parts.scheme in SCHEMES and bool(parts.hostname) == (parts.scheme != "file")
        _ = parts.port
    except ValueError:
        valid, credentials = False, "@" in url
    if credentials:
        raise ModelError(
            "an address with a user name or password in it is refused",
            next_step="put them into your ~/.netrc instead",
        )
    if not valid:
        raise ModelError(
            f"not an address that can be fetched: {show_url(url)}",
            next_step="use https, http or file:///...",
        )
    return url


def show_url(url: str) -> str:
    """An address as it may be printed: without user, password, and parameters that may be keys."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "(unreadable)"
    known = [f"{k}={v}" for k, v in parse_qsl(parts.query) if k in _SHOWN_PARAMETERS]
    query = f"?{'&'.join(known) or '...'}" if parts.query else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"


def parse_catalogue(text: str, *, where: str, remote: bool) -> tuple[Entry, ...]:
    """Read a catalogue in JSON: ``{"models": [{"name": ..., "urls": [...], ...}, ...]}``.

    Args:
        text: the JSON.
        where: what to call it in messages.
        remote: whether it came over the network; then it may not name files on this machine.

    Raises:
        ModelError: if it is not such a catalogue, with the reason.
    """
    try:
        listed = json.loads(text)["models"]
        made = tuple(entry_from_json(item) for item in listed)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"not a catalogue of models: {error}", path=where) from error
    except ModelError as error:
        raise error.about(where) from error
    if remote and any(url.startswith("file:") for entry in made for url in entry.urls):
        raise ModelError("a catalogue from the network may not name local files", path=where)
    return made


def entry_from_json(item: Any) -> Entry:
    """Make an entry of JSON values; the inverse of ``dataclasses.asdict``.

    Raises:
        ValueError: for an unknown or missing field, or a value of the wrong kind.
        ModelError: for a name, address or hash that is refused.
    """
    if not isinstance(item, dict):
        raise ValueError("a model is not a table")
    values = dict(cast(dict[str, Any], item))
    known = {f.name: f for f in fields(Entry)}
    if unknown := values.keys() - known.keys():
        raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
    for name, f in known.items():
        if name not in values:
            if f.default is MISSING and f.default_factory is MISSING:
                raise ValueError(f"a model without {name}")
        elif name in ("urls", "steps"):
            values[name] = _texts(values[name], name)
        elif not isinstance(values[name], _KINDS.get(name, str)):
            raise ValueError(f"{name} has the wrong kind of value")
    if values.get("embedded"):
        raise ValueError("only the built-in catalogue has embedded models")
    return Entry(**values)


_KINDS: dict[str, type] = {"config": dict, "embedded": bool, "size": int}


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{name} must be a list")
    items = cast(Sequence[Any], value)
    if not all(isinstance(item, str) for item in items):
        raise ValueError(f"{name} must be a list of texts")
    return tuple(items)

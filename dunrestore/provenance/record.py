"""The record of one restored file: what came in, what was done, what came out.

It lies beside the output as JSON (the *sidecar*) and follows ``record.schema.json``.
"""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from dunrestore.errors import InputError, file_access_error
from dunrestore.provenance.beside import beside
from dunrestore.provenance.drift import Drift
from dunrestore.provenance.regions import MOST, Box
from dunrestore.provenance.wording import deed
from dunrestore.stamps import version_of
from dunrestore.storage.atomic import write_text

SUFFIX = ".dunrestore.json"
"""Appended to an output's whole name."""
SCHEMA = Path(__file__).with_name("record.schema.json")
"""The JSON schema that every record follows."""
VERSION = 1


@dataclass(frozen=True)
class FileFacts:
    """A file at the time of the restoration."""

    name: str
    """Its name, without its folder."""
    path: str
    """Its path as it was given."""
    sha256: str
    bytes: int
    format: str


@dataclass(frozen=True)
class ModelFacts:
    """The model that restored."""

    name: str
    architecture: str
    sha256: str
    licence: str
    intended_use: str
    training: str


@dataclass(frozen=True)
class Execution:
    """How it was computed."""

    device: str
    precision: str
    tile: int
    """Side of the tiles in pixels; 0 for the whole picture at once."""
    overlap: int
    """Pixels that neighbouring tiles shared."""
    tiles_redone: int
    """Tiles that were computed again in float32."""
    seed: int | None
    """None: nothing in a restoration is drawn by chance."""
    seconds: float
    software: Mapping[str, str]


@dataclass(frozen=True)
class PageChanges:
    """What was changed on one page."""

    width: int
    height: int
    restored: bool
    """False for a page that was left as it is on request."""
    cleaned: bool
    """True if the whole page was cleaned, not only its losses."""
    changed_pixels: int
    changed_percent: float
    regions: tuple[Box, ...]
    """Of the changed pixels; of the losses if the whole page was cleaned."""
    drift: Drift | None
    """Over the pixels that were not taken for losses; None if there are none."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values; of very many regions the largest."""
        listed = [[b.left, b.top, b.width, b.height] for b in self.regions[:MOST]]
        facts = asdict(replace(self, regions=()))  # they may be a hundred thousand
        return facts | {"regions": listed, "regions_total": len(self.regions)}


@dataclass(frozen=True)
class Record:
    """Everything that is known of one restoration."""

    input: FileFacts
    output: FileFacts
    replaces_sha256: str | None
    """Hash of the older output that this one replaced."""
    model: ModelFacts
    options: Mapping[str, Any]
    execution: Execution
    pages: tuple[PageChanges, ...]
    lost_metadata: tuple[str, ...]
    """What the format could not hold, and what was left out."""
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    created: str

    @property
    def changed_percent(self) -> float:
        """Share of the pixels of all pages whose samples were changed."""
        pixels = sum(page.width * page.height for page in self.pages)
        return 100 * sum(page.changed_pixels for page in self.pages) / pixels

    @property
    def deed(self) -> str:
        """What the model did, in words."""
        changed = [page for page in self.pages if page.changed_pixels]
        return deed(
            filled=any(page.regions for page in changed),
            cleaned=any(page.cleaned for page in changed),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as ``record.schema.json`` describes them."""
        return {
            "dunrestore_record": VERSION,
            "created": self.created,
            "input": asdict(self.input),
            "output": asdict(self.output) | {"replaces_sha256": self.replaces_sha256},
            "model": asdict(self.model),
            "options": dict(self.options),
            "options_sha256": options_hash(self.options),
            "execution": asdict(self.execution),
            "changed_percent": self.changed_percent,
            "pages": [page.as_dict() for page in self.pages],
            "lost_metadata": list(self.lost_metadata),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def path_of(output: Path) -> Path:
    """Where the record of an output lies."""
    return beside(output, SUFFIX)


def write(record: Record, output: Path) -> Path:
    """Write the record of ``output`` beside it, whole or not at all.

    Raises:
        FileAccessError: if it cannot be written.
    """
    path = path_of(output)
    write_text(path, to_json(record.as_dict(), indent=2) + "\n")
    return path


def read(path: Path) -> dict[str, Any] | None:
    """A record as plain values; None if there is none.

    Raises:
        InputError: if it is no record.
        FileAccessError: if it cannot be opened.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["dunrestore_record"] != VERSION:
            raise ValueError("another version")
        known = [values[part]["sha256"] for part in ("input", "output", "model")]
        known += [values["options_sha256"], values["output"]["name"]]
        if not all(isinstance(value, str) for value in known):
            raise TypeError("a hash or a name that is no text")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise file_access_error(error, path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("this is no record that can be understood", path=path) from error
    return values


@dataclass(frozen=True)
class Summary:
    """The gist of a record that was read, for people."""

    regions: int
    drift: str
    input_sha256: str
    output_sha256: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Summary":
        """From a record's plain values."""
        pages = values.get("pages", [])
        drifts = [page["drift"]["patches"] for page in pages if page.get("drift")]
        return cls(
            regions=sum(page.get("regions_total", 0) for page in pages),
            drift=f"CIEDE2000 {max(drifts):.2f}" if drifts else "nothing is outside",
            input_sha256=values["input"]["sha256"],
            output_sha256=values["output"]["sha256"],
        )


def options_hash(options: Mapping[str, Any]) -> str:
    """SHA-256 of the options that decide what comes out."""
    plain = json.dumps(options, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


@cache
def software() -> dict[str, str]:
    """Names and versions of the programs that had a part in it."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in ("dunrestore", "torch", "numpy", "pillow", "tifffile", "imagecodecs"):
        found[name] = version_of(name) or "unknown"
    return found


def to_json(
    value: Mapping[str, Any] | Sequence[Any], *, indent: int | None = None, allow_nan: bool = True
) -> str:
    """JSON that keeps letters readable, and file names that are no valid Unicode escaped.

    Raises:
        ValueError: if it holds a NaN or an infinity that ``allow_nan`` forbids.
    """
    readable = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=allow_nan)
    try:
        readable.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return readable

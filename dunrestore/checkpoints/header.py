"""Our safetensors files from outside: what the header says, without loading a network.

A safetensors file is eight bytes with the header's length, the header (JSON), then the numbers.
Our description of the network is one JSON text under one metadata key, so that the same network
always gives the same bytes (the library keeps metadata in no particular order).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dunrestore.errors import ModelError, file_access_error

KEY = "dunrestore"
"""The metadata key that holds our description."""
VERSION = 1
"""Version of the description; a reader refuses a later one."""
MAX_HEADER = 16 * 2**20
"""Bytes; a header of ours has some 50 kB."""
MAX_NUMBER = 4096
"""No width, depth or count in a config is larger; a file that says otherwise is not believed."""


@dataclass(frozen=True)
class Description:
    """What a file says of the network in it."""

    architecture: str
    """Key of ``models.architectures.ARCHITECTURES``."""
    config: Mapping[str, Any]
    """The network's configuration as plain values."""
    card: Mapping[str, Any]
    """Title, licence, training, intended use, limits, figures: whatever its maker wrote down."""

    def to_json(self) -> str:
        """The text that goes into the metadata."""
        text = {
            "version": VERSION,
            "architecture": self.architecture,
            "config": dict(self.config),
            "card": dict(self.card),
        }
        return json.dumps(text, ensure_ascii=False, sort_keys=True)


def read_description(path: Path) -> Description:
    """Read a file's description; costs one small read however large the file.

    Raises:
        ModelError: if it is not a whole safetensors file with a description of ours.
        FileAccessError: if it cannot be opened.
    """
    header = _read_header(path)
    metadata = header.get("__metadata__")
    text = cast(dict[str, Any], metadata).get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ModelError(
            "this safetensors file does not describe its network",
            path=path,
            next_step="use a file that dunrestore wrote, or import the published one",
        )
    return _parse(text, path)


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER:
                raise ModelError(f"the header claims {length} bytes, which is absurd", path=path)
            if size < 8 + length:
                raise ModelError("cut short: the header is not all there", path=path)
            raw = file.read(length)
    except OSError as error:
        raise file_access_error(error, path) from error
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError("the header is not JSON", path=path) from error
    if not isinstance(header, dict):
        raise ModelError("the header is not a JSON object", path=path)
    return cast(dict[str, Any], header)


def _parse(text: str, path: Path) -> Description:
    try:
        said = json.loads(text)
        version = said["version"]
        made = Description(said["architecture"], said["config"], said["card"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError("the description of the network is incomplete", path=path) from error
    if version != VERSION:
        raise ModelError(
            f"the description has version {version}, this program reads {VERSION}",
            path=path,
            next_step="upgrade dunrestore",
        )
    kinds = (made.architecture, str), (made.config, dict), (made.card, dict)
    if not all(isinstance(value, kind) for value, kind in kinds) or not _sane(made.config):
        raise ModelError("the description of the network is not valid", path=path)
    return made


def _sane(values: Mapping[str, Any]) -> bool:
    # A config is built before its weights are compared, so a lie must not cost memory or hours.
    return all(
        _sane(cast(dict[str, Any], value))
        if isinstance(value, dict)
        else isinstance(value, str | bool)
        or (isinstance(value, int | float) and abs(value) < MAX_NUMBER)
        for value in values.values()
    )

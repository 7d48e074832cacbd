"""Load a model by name or path."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from dunrestore.checkpoints import formats, published
from dunrestore.checkpoints.store import locate
from dunrestore.errors import file_access_error


@dataclass(frozen=True)
class Model:
    """A network that is ready to run, and where it comes from."""

    name: str
    """Catalogue or imported name; the file's name if it was loaded by path."""
    architecture: str
    """Key of ``models.architectures.ARCHITECTURES``."""
    network: nn.Module
    """In eval mode, float32, on the CPU."""
    card: Mapping[str, Any]
    """Title, licence, training, intended use, limits, figures: what is known."""
    sha256: str
    """Of the file; for CAR's two files of what ``sha256sum kgn.pth usn.pth`` prints."""
    path: Path
    """File, or folder with CAR's two files."""


def load(model: str | Path, *, cache_dir: Path | str | None = None, offline: bool = False) -> Model:
    """Load a model; one that is in the catalogue but not here is downloaded.

    Args:
        model: catalogue name, ``name@variant``, imported name, or path: a model file of ours, a
            published HINet or EDSR file, or a folder with CAR's ``kgn.pth`` and ``usn.pth``.
        cache_dir: where downloads and imports lie; by default ``DUNRESTORE_CACHE_DIR`` or the
            user's cache folder.
        offline: never use the network.

    Raises:
        ModelError: if it is unknown, not to be had, broken, or not what its hash says.
        FileAccessError: if its file cannot be opened.
    """
    found = locate(model, cache_dir=cache_dir, offline=offline)
    checkpoint = formats.read(found.path)
    return Model(
        name=found.name,
        architecture=checkpoint.description.architecture,
        network=checkpoint.network(),
        card={**found.card, **checkpoint.description.card},
        sha256=hash_model(found.path),
        path=found.path,
    )


def hash_model(path: Path) -> str:
    """SHA-256 of a model file; of a folder with CAR's pair, of the lines that sha256sum prints."""
    if not path.is_dir():
        return _sha256(path)
    lines = (f"{_sha256(part)}  {part.name}\n" for part in published.car_files(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise file_access_error(error, path) from error

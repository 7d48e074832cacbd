"""Load a model by name or path."""

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from dunrestore.checkpoints import formats, published
from dunrestore.checkpoints.entries import check_name
from dunrestore.checkpoints.store import Located, Store, check_hash, read_catalogue
from dunrestore.errors import ModelError
from dunrestore.models.architectures import ARCHITECTURES
from dunrestore.storage.hashing import sha256_of


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


def load(
    model: str | Path,
    *,
    cache_dir: Path | str | None = None,
    offline: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    restoring: bool = False,
) -> Model:
    """Load a model; one that is in the catalogue but not here is downloaded.

    Args:
        model: catalogue name, ``name@variant``, imported name, or path: a model file of ours, a
            published HINet or EDSR file, or a folder with CAR's ``kgn.pth`` and ``usn.pth``.
        cache_dir: where downloads and imports lie; by default ``DUNRESTORE_CACHE_DIR`` or the
            user's cache folder.
        offline: never use the network.
        progress: told of a download how many bytes are here, and how many there are if known.
        restoring: refuse what restores no pictures, before a download if a catalogue says so.

    Raises:
        ModelError: if it is unknown, not to be had, broken, refused, or not what its hash says.
        FileAccessError: if its file cannot be opened.
    """
    usable = {name for name, kind in ARCHITECTURES.items() if kind.restores or not restoring}
    found = locate(
        model, cache_dir=cache_dir, offline=offline, progress=progress, architectures=usable
    )
    sha256 = hash_model(found)
    checkpoint = formats.read(found.path)
    architecture = checkpoint.description.architecture
    if architecture not in usable:
        raise _restores_nothing(found.name)
    return Model(
        name=found.name,
        architecture=architecture,
        network=checkpoint.network(),
        card={**found.card, **checkpoint.description.card},
        sha256=sha256,
        path=found.path,
    )


def locate(
    model: str | Path,
    *,
    cache_dir: Path | str | None = None,
    offline: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    architectures: Collection[str] | None = None,
) -> Located:
    """Find a model by name or path, and fetch it if it is in a catalogue but not here.

    A name comes first: a file or folder of the same name is ``./name``. An institution's own
    catalogue counts as well if ``DUNRESTORE_CATALOG`` names it. Of what a catalogue names, no other
    than the given architectures are taken, nor fetched; None takes any.

    Raises:
        ModelError: if it is unknown, not to be had, or of another architecture.
    """
    name = _name(model)
    if name is not None:
        store = Store(cache_dir)
        if not store.knows(name) and (own := os.environ.get("DUNRESTORE_CATALOG")):
            store = Store(cache_dir, read_catalogue(own, offline=offline))
        if store.knows(name) or not Path(model).exists():
            entry = store.status(name).entry
            if entry and architectures is not None and entry.architecture not in architectures:
                raise _restores_nothing(name)
            found = store.find(name)
            if found is None:
                from dunrestore.checkpoints.pull import pull  # requests takes its time

                found = pull(store, name, offline=offline, progress=progress)
            return found
    path = Path(model)
    if not path.exists():
        raise ModelError("there is no such model, file or folder", path=path)
    return Located(path.stem if path.is_file() else path.name, path, {})


def _restores_nothing(name: str) -> ModelError:
    return ModelError(
        "this model does not restore pictures",
        path=name,
        next_step="`dunrestore models list` shows the models that do",
    )


def _name(model: str | Path) -> str | None:
    if isinstance(model, Path):
        return None
    try:
        return check_name(model)
    except ModelError:
        return None


def hash_model(located: Located) -> str:
    """SHA-256 of a model file; of a folder with CAR's pair, of the lines that sha256sum prints.

    Raises:
        ModelError: if it is not the one that was written down when the file came.
    """
    if not located.path.is_dir():
        return check_hash(located)
    lines = (f"{sha256_of(p)}  {p.name}\n" for p in published.car_files(located.path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()

"""Import: a published file, CAR's folder or a training result becomes a model with a name."""

from pathlib import Path
from typing import Any

import torch

from dunrestore.checkpoints import formats
from dunrestore.checkpoints.entries import Entry, check_name
from dunrestore.checkpoints.header import Description
from dunrestore.checkpoints.load import hash_model
from dunrestore.checkpoints.pull import check_against, check_content
from dunrestore.checkpoints.record import Record
from dunrestore.checkpoints.store import Located, Store
from dunrestore.errors import ModelError, UsageError, file_access_error
from dunrestore.models.architectures import ARCHITECTURES
from dunrestore.storage.hashing import sha256_of

FILE = "model.safetensors"


def import_model(
    store: Store, path: Path, name: str, *, licence: str = "", replace: bool = False
) -> Located:
    """Convert a model to the project's format and make it usable by name.

    The weights stay float32, so that it gives exactly what it gave before.

    Args:
        store: where to.
        path: published HINet or EDSR file, folder with CAR's two files, or a file of ours.
        name: what to call it; a catalogue's name if it is that model.
        licence: under which its publisher gives it, if that is known.
        replace: take the place of an earlier import of that name.

    Raises:
        UsageError: if the name is taken.
        ModelError: if the file is no model, or not the one of that name.
        FileAccessError: if it cannot be opened or written.
    """
    name = check_name(name)
    entry = store.entries.get(name)
    _check_free(store, name, replace)
    checkpoint = formats.read(path)
    original = hash_model(Located(name, path, {}))
    if entry is not None:
        _check_is(entry, checkpoint.description, path, original)
    card = _card(checkpoint.description, entry, path, original)
    if licence:
        card["licence"] = licence
    with store.lock(name):
        _write(store.folder / name, checkpoint, card)
    found = store.find(name)
    assert found is not None, "it was put there just now"
    return found


def _check_is(entry: Entry, description: Description, path: Path, original: str) -> None:
    try:
        check_content(entry, description)
        if path.is_file():
            check_against(entry, "", original)
    except ModelError as error:
        step = f"this is not {entry.name} as published: choose another --name"
        raise ModelError(error.cause, path=path, next_step=step) from error


def _card(
    description: Description, entry: Entry | None, path: Path, original: str
) -> dict[str, Any]:
    return {
        "title": f"{ARCHITECTURES[description.architecture].title}, imported",
        "licence": "unknown: ask whoever published it before you pass it on",
        **({} if entry is None else entry.card),
        **description.card,
        "imported_from": path.resolve().name,
        "original_sha256": original,
    }


def _write(folder: Path, checkpoint: formats.Checkpoint, card: dict[str, Any]) -> None:
    target = folder / FILE
    architecture = checkpoint.description.architecture
    formats.save(target, checkpoint.network(), architecture, card, dtype=torch.float32)
    record = Record(
        name=folder.name,
        file=FILE,
        sha256=sha256_of(target),
        size=target.stat().st_size,
        origin="import",
        source=card["imported_from"],
        original_sha256=card["original_sha256"],
        card=card,
    )
    try:
        record.write(folder)
    except OSError as error:
        raise file_access_error(error, folder) from error


def _check_free(store: Store, name: str, replace: bool) -> None:
    entry = store.entries.get(name)
    if entry is not None and entry.embedded:
        raise UsageError(
            f"the name {name} belongs to a model that comes with dunrestore",
            next_step="choose another --name",
        )
    if entry is not None and entry.architecture not in ARCHITECTURES:
        raise UsageError(f"{name} is not a network of dunrestore and cannot be imported")
    try:
        taken = store.status(name).path is not None
    except ModelError:
        taken = False
    if taken and not replace:
        raise UsageError(
            f"there is a model called {name} already",
            next_step="choose another --name, or add --overwrite",
        )

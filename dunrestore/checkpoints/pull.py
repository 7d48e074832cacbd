"""Bring a model of the catalogue into the cache, proven before it gets its name."""

from pathlib import Path
from typing import Any, cast

from dunrestore.checkpoints import formats
from dunrestore.checkpoints.download import download
from dunrestore.checkpoints.entries import Entry, show_url
from dunrestore.checkpoints.header import Description
from dunrestore.checkpoints.record import Record
from dunrestore.checkpoints.store import Located, Notify, Store, check_hash
from dunrestore.checkpoints.transfer import Progress, discard
from dunrestore.errors import ModelError
from dunrestore.models.architectures import ARCHITECTURES
from dunrestore.storage.atomic import flush_folder
from dunrestore.storage.hashing import sha256_of


def pull(
    store: Store,
    name: str,
    *,
    offline: bool = False,
    accept_changed: bool = False,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> Located:
    """Make sure that a model is here: whole, and what its hash says.

    Args:
        store: where.
        name: of the model, in a catalogue or the cache.
        offline: refuse to use the network.
        accept_changed: fetch again, and take another hash than the first time's.
        progress: told how far the download is.
        notify: told in a line what is waited for.

    Raises:
        ModelError: if it cannot be had, or is not what it should be.
    """
    status = store.status(name)
    entry = status.entry
    if entry is None or not entry.urls:
        found = store.find(name)
        if found is not None:
            check_hash(found)
            return found
        assert entry is not None, "only a model of a catalogue is known without being here"
        raise _no_plain_download(entry)
    here = _whole(store, name)
    if here is not None and not accept_changed:
        _refuse_outdated(entry, status.record)
        return here
    if offline:
        raise ModelError(
            f"{entry.name} is not on this machine and --offline forbids to fetch it",
            next_step=f"`dunrestore models pull {entry.name}` with a network, or import its file",
        )
    with store.lock(entry.name, notify):
        here = _whole(store, name)  # another process may have fetched it meanwhile
        if here is None or accept_changed:
            _fetch(store, entry, accept_changed, progress)
    found = store.find(name)
    assert found is not None, "it was put there just now"
    return found


def _refuse_outdated(entry: Entry, record: Record | None) -> None:
    """Refuse to take what was downloaded for what a catalogue by now means by its name."""
    if record is None or record.origin != "download" or record.sha256.startswith(entry.sha256):
        return
    raise ModelError(
        f"the catalogue now names another file: its SHA-256 is {entry.sha256[:16]}..., that of"
        f" the one here {record.sha256[:16]}...",
        path=entry.name,
        next_step=f"`dunrestore models pull {entry.name} --accept-changed` replaces it",
    )


def _no_plain_download(entry: Entry) -> ModelError:
    steps = " ".join(f"({i}) {step}" for i, step in enumerate(entry.steps, 1))
    return ModelError(
        f"{entry.name} has no address that a program can fetch it from", next_step=steps
    )


def _whole(store: Store, name: str) -> Located | None:
    found = store.find(name)
    if found is None:
        return None
    try:
        check_hash(found)
    except ModelError:
        return None
    return found


def _fetch(store: Store, entry: Entry, accept_changed: bool, progress: Progress | None) -> None:
    folder = store.folder / entry.name
    record = store.status(entry.name).record
    if entry.architecture not in (*ARCHITECTURES, "alexnet"):
        raise ModelError(
            f"the catalogue says that it is of the architecture {entry.architecture!r}, which"
            " there is not",
            path=entry.name,
            next_step=f"known: {', '.join(ARCHITECTURES)}",
        )
    pinned = record.sha256 if record and record.origin == "download" and not accept_changed else ""

    def verify(part: Path) -> None:
        check_against(entry, pinned, sha256_of(part))
        if entry.architecture in ARCHITECTURES:  # of anything else the hash must do
            check_content(entry, formats.read(part).description)

    part = folder / f"{entry.file}.part"
    url = download(
        entry.urls, part, verify, trusted=bool(entry.sha256 or pinned), progress=progress
    )
    made = Record(
        name=entry.name,
        file=entry.file,
        sha256=sha256_of(part),
        size=part.stat().st_size,
        origin="download",
        source=show_url(url),
        card=entry.card,
    )
    try:
        made.write(folder)
        part.replace(folder / entry.file)
        discard(part)
        flush_folder(folder)
    except OSError as error:
        raise ModelError(
            (error.strerror or "cannot be written").lower(),
            path=folder,
            next_step="free some space there, or choose another folder with --cache-dir",
        ) from error


def check_against(entry: Entry, pinned: str, found: str) -> None:
    """Compare a file's SHA-256 with what the catalogue knows of it, and with the first time's.

    Args:
        entry: whose ``sha256`` may be a prefix, or empty.
        pinned: what was written down when the model first came; empty if it never did.
        found: the file's.

    Raises:
        ModelError: if they differ.
    """
    if not found.startswith(entry.sha256):
        raise ModelError(
            f"its SHA-256 is {found[:16]}..., the catalogue says {entry.sha256[:16]}",
            next_step="this is not the published file: tell whoever runs that server",
        )
    if pinned and found != pinned:
        raise ModelError(
            f"it has changed since it was first fetched: its SHA-256 was {pinned[:16]}..., now it"
            f" is {found[:16]}...",
            next_step=f"if the change is meant, `dunrestore models pull {entry.name}"
            " --accept-changed`",
        )


def check_content(entry: Entry, description: Description) -> None:
    """Make sure that a file holds the network that the catalogue announces.

    Args:
        entry: with architecture and, as far as it says, config.
        description: what is in the file.

    Raises:
        ModelError: if it does not, with the reason.
    """
    if description.architecture != entry.architecture:
        raise ModelError(f"it holds {description.architecture}, not {entry.architecture}")
    for key, value in entry.config.items():
        found: Any = description.config.get(key)
        if not _fits(value, found):
            raise ModelError(f"its {key} is {found}, not {value} as the catalogue says")


def _fits(said: Any, found: Any) -> bool:
    if isinstance(said, dict) and isinstance(found, dict):
        inner = cast(dict[str, Any], found)
        return all(_fits(v, inner.get(k)) for k, v in cast(dict[str, Any], said).items())
    return said == found

"""Where models lie: embedded in the package, in the cache, or at a path; and how they get there.

The cache holds a folder a model: its file, ``record.json`` and, while it is fetched, a ``.part``.
The record is written before the file gets its name, so that whatever is killed when, a file under
its final name is whole and proven.
"""

import difflib
import json
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

import dunrestore
from dunrestore.checkpoints.catalogue import CATALOGUE
from dunrestore.checkpoints.entries import Entry, check_name, check_url, parse_catalogue
from dunrestore.checkpoints.record import Record, read_record
from dunrestore.errors import DunrestoreError, ModelError, file_access_error
from dunrestore.storage.cache import VARIABLE, cache_root
from dunrestore.storage.hashing import sha256_of

State = Literal["embedded", "missing", "cached", "imported", "importable", "remote"]
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Located:
    """A model on this machine."""

    name: str
    path: Path
    card: Mapping[str, Any]
    """What a catalogue says of it; its own file may say more."""
    sha256: str = ""
    """What its hash must be; empty if nobody wrote it down."""
    repair: str = ""
    """What to do if it is not."""


@dataclass(frozen=True)
class Status:
    """A model that has a name: what is known of it, and whether it is here."""

    name: str
    state: State
    entry: Entry | None
    """None for an imported model that is in no catalogue."""
    record: Record | None
    """None unless it is, or once was, in the cache."""
    path: Path | None
    """Its file, if it is here."""
    size: int
    """Bytes; about, where the file is not here; 0 if not known."""


def cache_folder(cache_dir: Path | str | None = None) -> Path:
    """The folder for models, in ``storage.cache.cache_root``."""
    return cache_root(cache_dir) / "models"


def embedded_folder() -> Path:
    """The weights that come with the package: beside it in a checkout, inside it when installed."""
    package = Path(dunrestore.__file__).parent
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def embedded_index() -> dict[str, str]:
    """SHA-256 of every embedded file by its model's name, from ``weights/index.json``."""
    path = embedded_folder() / "index.json"
    try:
        return {name: str(one["sha256"]) for name, one in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "the list of embedded models is broken", path=path, next_step="install dunrestore again"
        ) from error


def read_catalogue(where: str, *, offline: bool = False) -> tuple[Entry, ...]:
    """Read an institution's own catalogue.

    Args:
        where: a JSON file, or its address (http or https).
        offline: refuse to use the network.

    Raises:
        ModelError: if it cannot be had, or is not a catalogue.
    """
    if "://" in where:
        if offline:
            raise ModelError("--offline forbids to fetch the catalogue", next_step="name a file")
        from dunrestore.checkpoints.download import fetch_text  # requests takes its time

        return parse_catalogue(fetch_text(check_url(where)), where="catalogue", remote=True)
    try:
        text = Path(where).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror or "" if isinstance(error, OSError) else "not a text"
        raise ModelError(f"the catalogue cannot be read: {cause.lower()}", path=where) from error
    return parse_catalogue(text, where=where, remote=False)


class Store:
    """Models by name.

    Args:
        cache_dir: see ``cache_folder``.
        extra: entries of other catalogues; they may not take a built-in name.
    """

    def __init__(self, cache_dir: Path | str | None = None, extra: Sequence[Entry] = ()) -> None:
        self.folder = cache_folder(cache_dir)
        self.entries: dict[str, Entry] = {}
        for entry in (*CATALOGUE, *extra):
            if entry.name in self.entries:
                raise ModelError(f"two catalogues, or one twice, name a model {entry.name}")
            self.entries[entry.name] = entry

    def knows(self, name: str) -> bool:
        """Whether there is a model of that name, in a catalogue or in the cache alone."""
        if name in self.entries:
            return True
        record = self._record(name)
        return record is not None and (self.folder / name / record.file).is_file()

    def names(self) -> list[str]:
        """Every model that has a name: of the catalogues, then of the cache alone.

        Those are left out that the catalogue means to embed, but this version comes without; those
        whose record cannot be read are not.
        """
        listed = [name for name in self.entries if not self._left_out(name)]
        if not self.folder.is_dir():
            return listed
        here = sorted(p.name for p in self.folder.iterdir() if p.is_dir())
        return [*listed, *(n for n in here if n not in self.entries and self._may_hold(n))]

    def _may_hold(self, name: str) -> bool:
        try:
            return self.knows(name)
        except DunrestoreError:  # its broken record is no reason to name no others
            return True

    def _left_out(self, name: str) -> bool:
        index = embedded_index()
        file = embedded_folder() / f"{name}.safetensors"
        return (
            self.entries[name].embedded and bool(index) and name not in index and not file.exists()
        )

    def status(self, name: str) -> Status:
        """What is known of a model.

        Raises:
            ModelError: if there is none of that name.
        """
        name = check_name(name)
        entry = self.entries.get(name)
        record = self._record(name)
        if entry is not None and entry.embedded:
            path = embedded_folder() / f"{name}.safetensors"
            if path.is_file():
                return Status(name, "embedded", entry, None, path, path.stat().st_size)
            return Status(name, "missing", entry, None, None, 0)
        if record is not None and (path := self.folder / name / record.file).is_file():
            state = "cached" if record.origin == "download" else "imported"
            return Status(name, state, entry, record, path, path.stat().st_size)
        if entry is None:
            close = difflib.get_close_matches(name, self.names(), n=3)
            raise ModelError(
                f"there is no model called {name!r}",
                next_step=f"did you mean {' or '.join(close)}?"
                if close
                else "`dunrestore models list` shows all",
            )
        return Status(
            name, "remote" if entry.urls else "importable", entry, record, None, entry.size
        )

    def find(self, name: str) -> Located | None:
        """A model that is on this machine; None if it is known but not here.

        Raises:
            ModelError: if there is none of that name, or an embedded one is missing.
        """
        status = self.status(name)
        if status.state == "missing" and self._left_out(status.name):
            raise ModelError(
                f"this version of dunrestore comes without the model {status.name}",
                next_step="`dunrestore models list` shows those that it has",
            )
        if status.state == "missing":
            raise ModelError(
                f"the model {status.name} should have come with dunrestore but is not there",
                path=embedded_folder() / f"{status.name}.safetensors",
                next_step="install dunrestore again",
            )
        if status.path is None:
            return None
        card = dict(status.record.card) if status.record else {}
        if status.entry is not None:
            card = {**status.entry.card, **card}
        if status.record is None:
            expected = embedded_index().get(status.name, "")
            repair = "install dunrestore again (in a checkout: see weights/README.md)"
        else:
            expected, how = status.record.sha256, status.record.origin
            verb = "pull" if how == "download" else "import"
            repair = f"`dunrestore models {verb}` it again"
        return Located(status.name, status.path, card, expected, repair)

    def remove(self, name: str) -> int:
        """Delete a model from the cache; return the bytes that this freed.

        What was downloaded stays known by its hash, so that it cannot change unnoticed.

        Raises:
            ModelError: if it is not in the cache.
            FileAccessError: if it cannot be deleted.
        """
        name = check_name(name)
        folder = self.folder / name
        entry = self.entries.get(name)
        if entry is not None and entry.embedded:
            raise ModelError(f"{name} comes with dunrestore and cannot be removed")
        if not folder.is_dir():
            raise ModelError(f"{name} is not in the cache", next_step="nothing to remove")
        with self.lock(name):
            files = [p for p in folder.iterdir() if p.is_file()]
            freed = sum(p.stat().st_size for p in files)
            try:
                record = read_record(folder)
            except ModelError:
                record = None
            try:
                shutil.rmtree(folder)
                if record is not None and record.origin == "download":
                    folder.mkdir()
                    record.write(folder)
            except OSError as error:
                raise file_access_error(error, folder) from error
        return freed

    @contextmanager
    def lock(self, name: str, waiting: Notify | None = None) -> Generator[None]:
        """Be the only process that changes a model's folder; it exists inside the block.

        Args:
            name: the model.
            waiting: told once, if another process has it.

        Raises:
            ModelError: if the cache cannot be written to.
        """
        try:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / f"{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                if waiting:
                    waiting(f"another process is fetching {name}; waiting for it")
                lock.acquire()
        except OSError as error:
            raise ModelError(
                f"the cache cannot be written to: {(error.strerror or str(error)).lower()}",
                path=self.folder,
                next_step=f"choose another folder with --cache-dir or {VARIABLE}",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _record(self, name: str) -> Record | None:
        return read_record(self.folder / name)


def check_hash(located: Located) -> str:
    """Return a model file's SHA-256.

    Raises:
        ModelError: if it is not the one that was written down when the file came.
    """
    found = sha256_of(located.path)
    if located.sha256 and found != located.sha256:
        raise ModelError(
            f"{located.name} is damaged or was replaced: its SHA-256 is {found[:16]}..., it should"
            f" be {located.sha256[:16]}...",
            path=located.path,
            next_step=located.repair,
        )
    return found

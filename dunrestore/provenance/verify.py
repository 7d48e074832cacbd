"""Check restored files against their records, long after they were made."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dunrestore.errors import DunrestoreError, InputError, NothingToDoError
from dunrestore.imaging.folders import files_below
from dunrestore.provenance import checksums, record
from dunrestore.storage.hashing import sha256_of

Verdict = Literal["ok", "missing", "changed", "unreadable"]


@dataclass(frozen=True)
class Checked:
    """One file, checked."""

    path: Path
    verdict: Verdict
    explanation: str = ""
    """What is wrong, in words."""


def verify(folder: Path) -> Iterator[Checked]:
    """Check every output in a folder, and below it, against its record and the list of hashes.

    Args:
        folder: where restored files lie.

    Raises:
        InputError: if there is no such folder, or a list of hashes is none.
        FileAccessError: if a folder, or a list, cannot be read.
        NothingToDoError: if nothing in it has a record.
    """
    if not folder.is_dir():
        reason = "this is no folder" if folder.exists() else "there is no such folder"
        raise InputError(reason, path=folder, next_step="check the name")
    found = sorted(files_below(folder))
    sidecars = [path for path in found if path.name.endswith(record.SUFFIX)]
    lists = {
        path.parent: checksums.read(path.parent) for path in found if path.name == checksums.NAME
    }
    if not sidecars and not any(lists.values()):
        raise NothingToDoError(
            f"no file in {folder} has a record ({record.SUFFIX}) and there is no {checksums.NAME}"
        )
    for sidecar in sidecars:
        yield _by_record(sidecar)
    for place, listed in lists.items():
        yield from _by_list(place, listed)


def _by_list(folder: Path, listed: dict[str, str]) -> Iterator[Checked]:
    for name, sha256 in sorted(listed.items()):
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            yield Checked(path, "unreadable", f"{checksums.NAME} names a file outside")
        else:
            yield _compared(path, sha256, checksums.NAME)


def _by_record(sidecar: Path) -> Checked:
    try:
        values = record.read(sidecar)
    except DunrestoreError as error:
        return Checked(sidecar, "unreadable", error.cause)
    if values is None:
        return Checked(sidecar, "missing", "its record vanished while it was checked")
    name = values["output"]["name"]
    if Path(name).name != name:
        return Checked(sidecar, "unreadable", "this record names a file elsewhere")
    return _compared(sidecar.with_name(name), values["output"]["sha256"], "its record")


def _compared(path: Path, sha256: str, source: str) -> Checked:
    if not path.is_file():
        return Checked(path, "missing", f"{source} names it, but it is not there")
    try:
        found = sha256_of(path)
    except DunrestoreError as error:
        return Checked(path, "unreadable", error.cause)
    if found != sha256:
        return Checked(path, "changed", f"its SHA-256 is not the one in {source}")
    return Checked(path, "ok")

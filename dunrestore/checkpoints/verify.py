"""Verify what is here: hashes, and with the self-test the results as well."""

import logging
from dataclasses import dataclass

from dunrestore.checkpoints import self_test
from dunrestore.checkpoints.load import Model, load
from dunrestore.checkpoints.self_test import Outcome
from dunrestore.checkpoints.store import Located, Store, check_hash, embedded_folder
from dunrestore.errors import DunrestoreError, FileAccessError
from dunrestore.models.architectures import ARCHITECTURES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """What was found of one model."""

    name: str
    sha256: str = ""
    """Of its file; empty if that could not be read or is wrong."""
    problem: str = ""
    """What is wrong with the file; empty if nothing is."""
    note: str = ""
    """What else is to be said."""
    outcomes: tuple[Outcome, ...] = ()
    """Of the self-test, one a device and precision."""

    @property
    def passed(self) -> bool:
        """Whether the file is what it was, and every result within its tolerance."""
        return not self.problem and all(outcome.passed for outcome in self.outcomes)


def names_here(store: Store) -> list[str]:
    """Every model that is embedded or in the cache, also those whose record cannot be read."""
    return [name for name in store.names() if _is_here(store, name)]


def _is_here(store: Store, name: str) -> bool:
    try:
        return store.status(name).state in ("embedded", "cached", "imported")
    except DunrestoreError:
        return True


def verify(store: Store, name: str, *, run: bool) -> Verdict:
    """Check a model's hash and, with ``run``, its results on every device and precision.

    Raises:
        ModelError: if there is none of that name on this machine.
    """
    try:
        status = store.status(name)
    except DunrestoreError as error:
        if name not in store.names():
            raise
        return Verdict(name, problem=f"{error.cause}; {error.next_step}")
    if status.path is None:
        return Verdict(status.name, problem="is not on this machine")
    found = store.find(status.name)
    assert found is not None, "its file is there"
    try:
        sha256 = check_hash(found)
        if not run:
            note = "" if found.sha256 else "no hash was written down for it"
            return Verdict(found.name, sha256, note=note)
        return _run(store, found, sha256)
    except DunrestoreError as error:
        return Verdict(found.name, problem=error.cause)


def _run(store: Store, found: Located, sha256: str) -> Verdict:
    status = store.status(found.name)
    if status.entry is not None and status.entry.architecture not in ARCHITECTURES:
        return Verdict(found.name, sha256, note="not a network of dunrestore: hash only")
    model = load(found.name, cache_dir=store.folder.parent, offline=True)
    if not ARCHITECTURES[model.architecture].restores:
        return Verdict(found.name, sha256, note="not a restoring network: hash only")
    path = self_test.reference_path(found.name, found.path)
    reference = self_test.read_reference(path, found.name, sha256)
    if reference is None and found.path.parent == embedded_folder():
        return Verdict(found.name, sha256, note="no result is stored for it: hash only")
    note = ""
    if reference is None:
        reference = remember(model, found, sha256)
        note = "its results are stored now, to be compared with next time"
    return Verdict(
        found.name, sha256, note=note, outcomes=tuple(self_test.run(model.network, reference))
    )


def remember(model: Model, found: Located, sha256: str) -> self_test.Pixels:
    """Store what a restoring model gives now, on the CPU in float32, beside its file."""
    result = self_test.restore_picture(model.network, "cpu", "fp32")
    path = self_test.reference_path(found.name, found.path)
    self_test.write_references(path, {(found.name, sha256): result})
    return result


def remember_new(store: Store, found: Located) -> None:
    """Store what a model gives on the day that it came, unless that is stored already."""
    entry = store.status(found.name).entry
    if found.path.parent == embedded_folder():
        return
    if entry is not None and entry.architecture not in ARCHITECTURES:
        return
    sha256 = check_hash(found)
    path = self_test.reference_path(found.name, found.path)
    if self_test.read_reference(path, found.name, sha256) is None:
        model = load(found.path)
        if ARCHITECTURES[model.architecture].restores:
            try:
                remember(model, found, sha256)
            except FileAccessError as error:
                log.warning("no result stored for the self-test: %s", error)

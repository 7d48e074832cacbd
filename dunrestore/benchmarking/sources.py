"""The pictures of a test set, hashed."""

from pathlib import Path

from dunrestore.benchmarking.cases import Source
from dunrestore.datasets.layouts import Pair, list_pairs
from dunrestore.storage.hashing import sha256_of


def find_sources(folder: Path, limit: int | None = None) -> tuple[list[Source], list[str]]:
    """The pictures of a set, and what was left out of it and why.

    Args:
        folder: a set of pairs in any layout that ``datasets`` reads, or clean pictures.
        limit: take only so many, evenly spread over the set.

    Raises:
        InputError: if there is no such folder.
        NothingToDoError: if there is no picture in it.
    """
    part = "test" if (folder / "test_gt").is_dir() else "train"
    listing = list_pairs(folder, part)
    left_out = [f"{one.path}: {one.reason}" for one in listing.left_out]
    pairs = {pair.name: pair for pair in listing.pairs}
    return [_source(pairs[name]) for name in spread(sorted(pairs), limit)], left_out


def _source(pair: Pair) -> Source:
    files = {"truth": pair.target, "input": pair.input, "mask": pair.mask}
    hashes = {what: sha256_of(path) for what, path in files.items() if path is not None}
    return Source(pair.name, pair.target, pair.input, pair.mask, hashes)


def spread(names: list[str], limit: int | None) -> list[str]:
    """At most ``limit`` of the names, evenly spread and always the same ones."""
    if limit is None or limit >= len(names):
        return names
    return [names[index * len(names) // limit] for index in range(limit)]

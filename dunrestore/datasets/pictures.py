"""The pictures of a set: checked once, decoded when needed, kept in memory as long as they fit."""

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from dunrestore.datasets.layouts import LeftOut, Listing, Pair
from dunrestore.errors import DunrestoreError, InputError
from dunrestore.imaging.files import read
from dunrestore.imaging.masks import marks
from dunrestore.imaging.pixels import to_rgb
from dunrestore.storage.hashing import sha256_of

T = TypeVar("T", bound=NDArray[Any])

log = logging.getLogger(__name__)

DIFFERENT = np.float32(10 / 255)
"""Where no mask is given, pixels that differ by more than this are taken as damaged."""


@dataclass(frozen=True)
class Sample:
    """A clean picture, its damaged counterpart, and where it is damaged."""

    input: NDArray[np.float32]
    """(H, W, 3) RGB in [0, 1]."""
    target: NDArray[np.float32]
    """(H, W, 3) RGB in [0, 1]."""
    mask: NDArray[np.bool_]
    """(H, W), True where the input is damaged."""


@dataclass(frozen=True)
class Checked:
    """A pair whose files were read: they are whole and of one size."""

    pair: Pair
    height: int
    width: int
    sha256: str
    """Of the clean file."""


class PictureStore:
    """Decoded pictures, the most recently used ones, up to ``capacity`` bytes; thread-safe.

    Pixels are kept as 8 or 16 bits, as they were stored, and handed out as (H, W, 3) views.
    Masks are kept beside them, as (H, W).
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[tuple[Path, object], NDArray[Any]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(H, W, 3) RGB, upright.

        Raises:
            InputError: if the file cannot be read as a picture.
            FileAccessError: if it cannot be opened.
        """
        return self._decoded(path, _decode)

    def mask(self, path: Path) -> NDArray[np.bool_]:
        """(H, W), upright, True where a mask is marked, by the rule of ``restore --mask``.

        Raises:
            InputError: if the file cannot be read as a picture, can be seen through, or is of
                zeros and ones.
            FileAccessError: if it cannot be opened.
        """
        return self._decoded(path, _decode_mask)

    def _decoded(self, path: Path, decode: Callable[[Path], T]) -> T:
        key = path, decode
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(T, self._kept[key])
        pixels = decode(path)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = pixels
                self._size += pixels.nbytes
            while self._size > self._capacity and len(self._kept) > 1:
                self._size -= self._kept.popitem(last=False)[1].nbytes
        return pixels


def _decode(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    picture = read(path).pages[0]
    rgb = to_rgb(picture)
    if picture.encoding.maximum > 255:
        return np.rint(rgb * np.float32(65535)).astype(np.uint16)
    return np.rint(rgb * np.float32(255)).astype(np.uint8)


def _decode_mask(path: Path) -> NDArray[np.bool_]:
    return marks(read(path, any_depth=True).pages[0], path)


def check(listing: Listing, store: PictureStore, *, at_most: float = 0.1) -> list[Checked]:
    """Read every pair once; see ``sift`` for what is left out.

    Args:
        listing: what the folder holds.
        store: keeps what was decoded.
        at_most: share of the files that may be left out.

    Raises:
        InputError: if more than that are unusable; the first of them is named.
    """
    good, left_out = sift(listing, store)
    considered = len(good) + len(left_out)
    if not good or len(left_out) > at_most * considered:
        first = left_out[0]
        raise InputError(
            f"{first.reason}; {len(left_out)} of {considered} pictures are unusable",
            path=first.path,
            next_step="repair or remove them",
        )
    for one in left_out:
        log.warning("%s: %s; left out", one.path, one.reason)
    if left_out:
        log.warning("%d of %d pictures left out", len(left_out), considered)
    return good


def sift(listing: Listing, store: PictureStore) -> tuple[list[Checked], list[LeftOut]]:
    """The usable pairs; and the files that match nothing, cannot be read or differ in size."""
    good: list[Checked] = []
    left_out = list(listing.left_out)
    for pair in listing.pairs:
        try:
            height, width = _common_size(pair, store)
            digest = sha256_of(pair.target)
        except DunrestoreError as error:
            at = Path(error.path) if error.path else pair.target
            left_out.append(LeftOut(at, error.cause))
            continue
        good.append(Checked(pair, height, width, digest))
    return good, left_out


def _common_size(pair: Pair, store: PictureStore) -> tuple[int, int]:
    height, width = store.get(pair.target).shape[:2]
    for path, stored in ((pair.input, store.get), (pair.mask, store.mask)):
        if path is not None and (other := stored(path).shape)[:2] != (height, width):
            raise InputError(
                f"is {other[1]} x {other[0]} pixels, its clean picture {width} x {height}",
                path=path,
            )
    return height, width


def to_float(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
    """Samples of 8 or 16 bits as RGB in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def cut(checked: Checked, store: PictureStore, window: tuple[slice, slice] | None = None) -> Sample:
    """A pair's pixels, or a window of them; without a damaged file the input is the target."""
    at = window if window is not None else (slice(None), slice(None))
    pair = checked.pair
    target = to_float(store.get(pair.target)[at])
    if pair.input is None:
        return Sample(target, target, np.zeros(target.shape[:2], dtype=bool))
    damaged = to_float(store.get(pair.input)[at])
    if pair.mask is not None:
        mask = store.mask(pair.mask)[at]
    else:
        mask = np.abs(damaged - target).max(axis=2) > DIFFERENT
    return Sample(damaged, target, mask)


def split(
    pictures: Sequence[Checked], share: float, seed: int
) -> tuple[list[Checked], list[Checked]]:
    """Training and validation pictures: whole pictures on one side or the other.

    Which side a picture falls on hangs on the seed and its content, not on its place in the list,
    and copies of one picture fall on the same side.
    """
    if not share or len(pictures) < 2:
        return list(pictures), []
    contents = sorted(
        {p.sha256 for p in pictures},
        key=lambda sha: hashlib.sha256(f"{seed} {sha}".encode()).hexdigest(),
    )
    wanted = min(max(1, round(share * len(contents))), len(contents) - 1)
    chosen = set(contents[:wanted])
    training = [p for p in pictures if p.sha256 not in chosen]
    return training, [p for p in pictures if p.sha256 in chosen]


def flipped(sample: Sample, quarter_turns: int, mirror: bool) -> Sample:
    """Turned anticlockwise by quarters, then mirrored left to right."""
    parts = [np.rot90(a, quarter_turns) for a in (sample.input, sample.target, sample.mask)]
    if mirror:
        parts = [a[:, ::-1] for a in parts]
    return replace(sample, input=parts[0], target=parts[1], mask=parts[2])

"""Restore files that are too large for memory: what is as large as a page is on the disk.

The network's change is gathered there row of tiles by row of tiles, the damage is found and the
samples are changed band by band. The bytes are those of ``pages.restore_pages``.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import torch

from dunrestore import __version__
from dunrestore.errors import (
    DunrestoreError,
    FileAccessError,
    MemoryExhaustedError,
    OutputCheckError,
    file_access_error,
)
from dunrestore.imaging.formats.segments import SegmentRows
from dunrestore.imaging.in_order import each_part
from dunrestore.imaging.limits import NAMES, check_sides, room_to_write
from dunrestore.imaging.picture import Document, Format, Picture, Samples
from dunrestore.imaging.pixels import (
    add_to_samples,
    as_samples,
    hidden_samples,
    is_colourless,
    rgb_rows,
    upright_rows,
    without_colour,
)
from dunrestore.imaging.rows import DerivedRows, Rows, StoredRows, TurnedRows, WritableRows, bands
from dunrestore.models.devices import DTYPES, choose_devices, free_memory, name_of
from dunrestore.models.facts import facts
from dunrestore.provenance.record import options_hash
from dunrestore.restoration.change import Computed, Progress, compute
from dunrestore.restoration.damage.margins import Margins, OutsideMargins, margins_of
from dunrestore.restoration.damage.noise import is_noisy
from dunrestore.restoration.damage.preserve import DamageWeight, FoundWeight
from dunrestore.restoration.damage.spoiling import spoiling_of
from dunrestore.restoration.gathered import Gathering, Scan
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.pages import RestoredPage
from dunrestore.restoration.picture import check_mask, restoring_network
from dunrestore.restoration.recording import Work, wanted_options
from dunrestore.restoration.source import Opened
from dunrestore.restoration.work_folder import WorkFolder

BYTES_PER_PIXEL = 12 + 4 + 1 + 1
"""On the disk: the change, the probability of damage or the averaged change, the damage, and what
is taken as lost. The restored samples come on top, or before them what the finder said."""


def streams(document: Document, options: RestoreOptions) -> bool:
    """Whether a file is restored band by band."""
    return in_bands((page.stays_on_disk for page in document.pages), options)


def in_bands(on_disk: Iterable[bool], options: RestoreOptions) -> bool:
    """Whether a file is restored band by band: all pages stay on the disk, and tiles are wanted."""
    return options.tile != 0 and all(on_disk)


def work_bytes(pixels: int, sample_bytes: int) -> int:
    """Disk space that the work on so many pixels takes, before the output.

    Args:
        pixels: of all pages.
        sample_bytes: of all their samples, decoded.
    """
    return pixels * BYTES_PER_PIXEL + max(sample_bytes, 3 * pixels)


def restore_large(work: Work, progress: Progress | None) -> Work:
    """Restore the pages of a large file, or go on where an earlier run was interrupted.

    Args:
        work: a file that stays on the disk, without restored pages.
        progress: told of each finished batch of tiles.

    Returns:
        The work with its restored pages, in a folder that is to be removed once they are written.

    Raises:
        FileAccessError: if there is too little room on the disk, or it fails.
        MemoryExhaustedError: if too little memory is free to write the output.
        DunrestoreError: as for small files.
    """
    opened = work.opened
    network = restoring_network(work.model)
    count = 1 if work.file_options.first_page else len(opened.document.pages)
    for page, lost in zip(opened.document.pages, opened.masks or (), strict=False):
        check_mask(network, lost, page.upright_shape)
    folder = WorkFolder(opened.job.target, _wanted(work))
    try:
        _check_room(folder, opened, count)
        large = _Large(work, folder, progress)
        restored = [large.page(number) for number in range(count)]
    except OSError as error:
        folder.release()
        raise file_access_error(error, folder.path) from error
    except OutputCheckError:  # it would end the same way again
        folder.remove()
        raise
    except BaseException:
        folder.release()
        raise
    pages = (*(new for _, new in restored), *[None] * (len(opened.document.pages) - count))
    document = replace(
        opened.document,
        pages=(*(old for old, _ in restored), *opened.document.pages[count:]),
    )
    return replace(work, opened=replace(opened, document=document), pages=pages, folder=folder)


def _wanted(work: Work) -> dict[str, Any]:
    """What decides the outcome; work for anything else is of no use."""
    options = wanted_options(work.options, work.file_options, work.opened.mask_file)
    return {
        "input": work.opened.job.source.name,
        "input_sha256": work.opened.file.sha256,
        "model_sha256": work.model.sha256,
        "options_sha256": options_hash(options),
        "software": __version__,
    }


def _check_room(folder: WorkFolder, opened: Opened, count: int) -> None:
    """Refuse what cannot be written before hours of computing."""
    pages, kind = opened.document.pages[:count], opened.image_format
    pixels = sum(page.samples.shape[0] * page.samples.shape[1] for page in pages)
    sample_bytes = sum(page.samples.nbytes * (1 + _is_copied(page)) for page in pages)
    first = pages[0].samples
    to_write = room_to_write(kind, first.shape, first.dtype.itemsize)
    try:
        check_sides(kind, *first.shape[:2])
        _check_disk(folder, work_bytes(pixels, sample_bytes) + to_write.disk + opened.file.bytes)
        _check_memory(kind, to_write.memory)
    except DunrestoreError:
        if not any(folder.notes(event="plan")):
            folder.remove()
        raise


def _check_memory(kind: Format, needed: int) -> None:
    free = _memory_to_have()
    if needed > free:
        raise MemoryExhaustedError(
            f"writing a {NAMES[kind]} of this size takes {needed / 1e9:.1f} GB of memory;"
            f" {free / 1e9:.1f} GB are free",
            next_step="write a TIFF (--format tiff), or free some memory",
        )


def _memory_to_have() -> int:
    """Bytes that are free, with those that this process holds: another file may be written now."""
    return free_memory(torch.device("cpu")) + psutil.Process().memory_info().rss


def _check_disk(folder: WorkFolder, needed: int) -> None:
    free = folder.free_bytes()
    if needed > free:
        raise FileAccessError(
            f"a picture of this size needs {needed / 1e9:.1f} GB of disk space while it is"
            f" restored; {free / 1e9:.1f} GB are free",
            path=folder.path.parent,
            next_step="free some space on that disk, or choose another output folder",
        )


def _is_copied(page: Picture) -> bool:
    """Whether a page is decoded to the disk before it is restored."""
    rows: object = page.samples
    return isinstance(rows, SegmentRows) and (rows.once or page.metadata.orientation != 1)


class _Large:
    """The work on a file's pages."""

    def __init__(self, work: Work, folder: WorkFolder, progress: Progress | None) -> None:
        self._work, self._folder, self._progress = work, folder, progress
        self._network = restoring_network(work.model)

    def page(self, number: int) -> tuple[Picture, RestoredPage]:
        """A page as it can be read band by band, and the same restored."""
        name = f"page-{number + 1}"
        page = self._readable(self._work.opened.document.pages[number], name)
        masks = self._work.opened.masks
        lost = None if masks is None else masks[number]
        scan = Scan(upright_rows(page), page.encoding, lost)
        proposed, computed = self._propose(scan, name)
        _leave_hidden(scan, proposed)
        losses, preserved, margins = self._decide(page, proposed, computed, lost, name)
        kept = self._folder.array(f"{name}-losses", losses.shape, bool)
        samples = self._folder.array(f"{name}-restored", page.samples.shape, page.samples.dtype)
        restored = replace(page, samples=as_samples(samples))
        turned = TurnedRows(samples, page.metadata.orientation)
        change = _channels(proposed)
        if is_colourless(page):
            change = DerivedRows(change, without_colour, change.shape, np.float32)
        _apply(scan, turned, change, losses, kept, margins, preserved=preserved)
        sides = margins.sides if margins else ()
        return page, RestoredPage(restored, kept, preserved, computed, sides)

    def _readable(self, page: Picture, name: str) -> Picture:
        """The page, decoded to the disk if its rows had better not be read several times."""
        rows: object = page.samples
        if not isinstance(rows, SegmentRows) or not _is_copied(page):
            return page
        stored = self._folder.array(f"{name}-samples", rows.shape, rows.dtype)
        height, width = rows.shape[:2]
        for band in rows.segment_rows() if rows.once else bands(height, width):
            rows.decode(band.start, stored[band])
        return replace(page, samples=as_samples(stored))

    def _propose(self, scan: Scan, name: str) -> tuple[StoredRows, Computed]:
        """(H, W, 3 or 4): the change of every pixel, with the probability of damage."""
        channels = 4 if facts(self._network).has_finder else 3
        options = self._work.options
        gathering = Gathering(scan, self._folder, name, channels, options.preserve)
        begun = gathering.begun()
        tile: int | None = None
        batch: int | None = None
        if begun.get("device") == choose_devices(options.device)[0].type:
            # Chosen afresh, they could come out otherwise.
            tile, batch = begun["side"], begun.get("batch")
            named = {name_of(dtype): name for name, dtype in DTYPES.items()}
            options = replace(options, precision=named[begun["precision"]])
        return compute(
            lambda runners, plan, side: gathering.run(runners, plan, side, self._progress),
            (scan.samples.shape[0], scan.samples.shape[1]),
            self._network,
            options,
            tile,
            batch,
        )

    def _decide(
        self,
        page: Picture,
        proposed: StoredRows,
        computed: Computed,
        lost: Rows | None,
        name: str,
    ) -> tuple[Rows, bool, Margins | None]:
        """The weights of what is lost, (H, W), whether all else is preserved, and the margins."""
        preserve = self._work.options.preserve
        change = _channels(proposed)
        numbers = iter(range(9))

        def make(shape: tuple[int, ...], dtype: Any) -> StoredRows:
            return self._folder.array(f"{name}-damage-{next(numbers)}", shape, dtype)

        if lost is not None and preserve != "never":
            weight = DerivedRows(lost, lambda band: band.astype(np.float32), lost.shape, np.float32)
            return weight, True, None
        if proposed.shape[2] == 4:
            probability = DerivedRows(
                proposed, lambda band: band[..., 3], proposed.shape[:2], np.float32
            )
            losses: Rows = FoundWeight(probability, change, spoiling_of(rgb_rows(page)), make)
        else:
            losses = DamageWeight(change, make=make)
        if preserve == "never":
            return losses, False, None
        picture = rgb_rows(page)
        may_be = preserve == "auto" and not computed.tiles_left
        noisy = may_be and is_noisy(picture, change, losses)
        margins = margins_of(picture, losses)
        return OutsideMargins(losses, margins) if margins else losses, not noisy, margins


def _channels(proposed: StoredRows) -> Rows:
    height, width = proposed.shape[:2]
    return DerivedRows(proposed, lambda band: band[..., :3], (height, width, 3), np.float32)


def _leave_hidden(scan: Scan, proposed: StoredRows) -> None:
    """Take back what is proposed where nobody sees the picture."""
    encoding = scan.encoding
    if not encoding.extra and encoding.transparent is None:
        return

    def leave(rows: slice, samples: Samples) -> None:
        hidden = hidden_samples(samples, encoding)
        if hidden.any():
            proposed[rows][hidden] = 0

    for _ in each_part(leave, scan.samples):
        pass


def _apply(
    scan: Scan,
    restored: WritableRows,
    change: Rows,
    losses: Rows,
    kept: StoredRows,
    margins: Margins | None,
    *,
    preserved: bool,
) -> None:
    """Add the change to the samples, and keep what was lost."""

    def apply(rows: slice, samples: Samples) -> None:
        weight = losses[rows]
        kept[rows] = weight > 0
        if not preserved:
            weight = np.ones_like(weight)
            if margins is not None:
                weight[margins[rows]] = 0
        if weight.any():
            samples = add_to_samples(samples, change[rows], weight, scan.encoding)
        restored[rows] = samples

    for _ in each_part(apply, scan.samples):
        pass

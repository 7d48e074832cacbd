"""Make the record of a restored file, and write into its XMP what was done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dunrestore.checkpoints import cards
from dunrestore.checkpoints.load import Model
from dunrestore.errors import InputError
from dunrestore.imaging import files, pixels
from dunrestore.imaging.in_order import each_part
from dunrestore.imaging.limits import NAMES
from dunrestore.imaging.metadata import xmp
from dunrestore.imaging.metadata.thumbnails import without_thumbnails
from dunrestore.imaging.picture import Picture
from dunrestore.imaging.rows import DerivedRows, Rows, any_of
from dunrestore.models.devices import kind_of
from dunrestore.provenance import drift, record
from dunrestore.provenance.change_map import Change, change_of
from dunrestore.provenance.record import Execution, FileFacts, ModelFacts, PageChanges, Record
from dunrestore.provenance.regions import CELL, ChangedRegions
from dunrestore.provenance.wording import deed
from dunrestore.restoration.damage.masks import lost_share
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.pages import RestoredPage
from dunrestore.restoration.source import FileOptions, Opened
from dunrestore.restoration.work_folder import WorkFolder
from dunrestore.stamps import now
from dunrestore.storage.hashing import Hashed, sha256_of

MOST_MARKED = 0.5
"""Share of a picture that a mask seldom marks but by mistake."""
MOST_FOUND = 0.15
"""Share of a picture that is seldom lost, but was found in sound ones."""


@dataclass(frozen=True)
class Work:
    """A restored file that is to be written, and how it came about."""

    opened: Opened
    pages: tuple[RestoredPage | None, ...]
    """None for a page that stays as it is."""
    model: Model
    options: RestoreOptions
    file_options: FileOptions
    folder: WorkFolder | None = None
    """Of pictures that stay on the disk: where they are until the file is written."""

    def restored_pages(self) -> tuple[Picture, ...]:
        """The pages as they are to be."""
        old = self.opened.document.pages
        pairs = zip(old, self.pages, strict=True)
        return tuple(new.picture if new else page for page, new in pairs)

    def changes(self) -> tuple[Change, ...]:
        """How much each pixel of each page was changed."""
        pairs = zip(self.opened.document.pages, self.restored_pages(), strict=True)
        return tuple(change_of(old, new) for old, new in pairs)


@dataclass(frozen=True)
class Finished:
    """A file that is written but has no name yet."""

    path: Path
    lost: tuple[str, ...]
    left_out: frozenset[str]
    """Of what is lost that which no format would have been given."""
    notes: tuple[str, ...]
    """What could not be done; warnings, too."""
    recompressed: tuple[str, ...]
    """Notes on the source's compression; nobody need look at them."""
    seconds: float


def wanted_options(
    options: RestoreOptions, file_options: FileOptions, mask: Hashed | None
) -> Mapping[str, Any]:
    """What decides, beside input and model, what comes out.

    Whoever changes one of these wants another output; how many devices of a kind compute, and which
    of them, does not count.

    Args:
        options: how a picture is restored.
        file_options: how files are read and written.
        mask: picture of the losses; its content counts, not its name.
    """
    return {
        **asdict(options),
        "device": kind_of(options.device),
        "format": file_options.image_format,
        "compression": file_options.compression,
        "pages": "first" if file_options.first_page else "all",
        "mask_sha256": None if mask is None else mask.sha256,
    }


def marked_pages(
    work: Work, changes: Sequence[Change]
) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """The restored pages with the change written into their XMP, those that were changed without
    their thumbnails; and what could not be done."""
    pages: list[Picture] = []
    notes: dict[str, None] = {}
    for picture, page, change in zip(work.restored_pages(), work.pages, changes, strict=True):
        if page is None or not any_of(change):
            pages.append(picture)
            continue
        picture = without_thumbnails(picture)
        model, filled = work.model, any_of(page.losses)
        done = deed(filled=filled, cleaned=not page.preserved)
        event = xmp.Event(
            action="edited",
            when=now(),
            software=f"dunrestore {record.software()['dunrestore']}",
            parameters=f"{done} by the trained model {model.name}, SHA-256 {model.sha256}",
        )
        source_type = xmp.COMPOSITE if filled else xmp.ENHANCED
        try:
            packet = xmp.record(picture.metadata.xmp, source_type, event)
        except InputError as error:
            notes[f"{error.cause}; nothing was added to it"] = None
            pages.append(picture)
            continue
        pages.append(replace(picture, metadata=replace(picture.metadata, xmp=packet)))
    return tuple(pages), tuple(notes)


def make_record(work: Work, changes: Sequence[Change], finished: Finished) -> Record:
    """Everything that is known of a restoration, once its output is written."""
    opened, model = work.opened, work.model
    source, target = opened.job.source, opened.job.target
    pages = _pages(work, changes, finished.path)
    card = model.card
    return Record(
        input=FileFacts(
            source.name,
            str(source),
            opened.file.sha256,
            opened.file.bytes,
            opened.document.format,
        ),
        output=FileFacts(
            target.name,
            str(target),
            sha256_of(finished.path),
            finished.path.stat().st_size,
            opened.image_format,
        ),
        replaces_sha256=opened.replaces_sha256,
        model=ModelFacts(
            model.name,
            model.architecture,
            model.sha256,
            licence=str(card.get("licence", "")),
            intended_use=str(card.get("intended_use", "")),
            training=cards.in_words(card.get("training", "")),
        ),
        options=wanted_options(work.options, work.file_options, opened.mask_file),
        execution=_execution(work, finished.seconds),
        pages=pages,
        lost_metadata=finished.lost,
        notes=finished.notes + finished.recompressed,
        warnings=_warnings(work, pages, finished),
        created=now(),
    )


def _pages(work: Work, changes: Sequence[Change], path: Path) -> tuple[PageChanges, ...]:
    lossy = work.opened.image_format == "jpeg"  # what stands in a JPEG is not what went in
    after = files.read(path, max_mpixels=float("inf")).pages if lossy else work.restored_pages()
    olds = work.opened.document.pages
    # Of several pages a JPEG holds the first.
    news = (*after, *olds[len(after) :])
    return tuple(
        _page_changes(old, new, page, change, lossy=lossy)
        for old, new, page, change in zip(olds, news, work.pages, changes, strict=True)
    )


def _page_changes(
    old: Picture, new: Picture, page: RestoredPage | None, change: Change, *, lossy: bool
) -> PageChanges:
    height, width = change.shape
    cleaned = page is not None and not page.preserved
    losses = page.losses if page else _like(change, lambda band: np.zeros(band.shape, bool))
    regions = ChangedRegions(height, width)

    def look(rows: slice, part: NDArray[Any]) -> tuple[int, NDArray[Any], NDArray[np.bool_]]:
        return rows.start, part > 0, losses[rows]

    count, outside, sound = 0, False, False
    for top, changed, lost in each_part(look, change, multiple=CELL):
        count += int(np.count_nonzero(changed))
        outside |= bool((changed & ~lost).any())
        sound |= not lost.all()
        regions.add(top, lost if cleaned else changed)
    if lossy or outside:
        before, after = pixels.rgb_rows(old), pixels.rgb_rows(new)
        moved = drift.colour_drift(before, after, _like(losses, np.logical_not))
    else:
        moved = drift.NONE if sound else None
    return PageChanges(
        width=width,
        height=height,
        restored=page is not None,
        cleaned=cleaned,
        changed_pixels=count,
        changed_percent=100 * count / (height * width),
        regions=regions.boxes(),
        drift=moved,
    )


def _like(rows: Rows, compute: Callable[[NDArray[Any]], NDArray[np.bool_]]) -> Rows:
    return DerivedRows(rows, compute, rows.shape, bool)


def _execution(work: Work, seconds: float) -> Execution:
    computed = [page.computed for page in work.pages if page is not None]
    first = computed[0]
    return Execution(
        device=first.device,
        precision=first.precision,
        tile=first.tile,
        overlap=first.overlap,
        tiles_redone=sum(page.tiles_redone for page in computed),
        seed=None,
        seconds=round(seconds, 3),
        software=record.software(),
    )


def _warnings(work: Work, pages: Sequence[PageChanges], finished: Finished) -> tuple[str, ...]:
    found: list[str] = []
    for number, page in enumerate(pages, 1):
        where = f"page {number}: " if len(pages) > 1 else ""
        found += [where + warning for warning in _page_warnings(page, work.options)]
        found += [where + warning for warning in _found_warnings(work, number - 1)]
    redone = sum(page.computed.tiles_redone for page in work.pages if page is not None)
    if redone:
        found.append(f"tiles computed again in float32: {redone}")
    opened = work.opened
    found += [
        warning
        for mask, brightest in zip(opened.masks or (), opened.brightest, strict=True)
        for warning in _mask_warnings(mask, brightest)
    ]
    same_name = opened.job.source.suffix.lower() == opened.job.target.suffix.lower()
    if same_name and opened.image_format != opened.document.format:
        held = NAMES[opened.document.format]
        found.append(f"the source is a {held}; written as {NAMES[opened.image_format]} by its name")
    found += files.losses_in_words(work.opened.image_format, finished.lost, finished.left_out)
    drifts = [page.drift for page in pages if page.drift is not None]
    touched = max((one.differing_percent for one in drifts), default=0.0)
    if work.opened.image_format == "jpeg" and any(page.changed_pixels for page in pages):
        again = " again" if opened.document.format == "jpeg" else ""
        found.append(f"encoded as JPEG{again}, which touched {touched:.1f} % of the sound pixels")
    return (*found, *finished.notes)


def _mask_warnings(mask: Rows, brightest: float) -> list[str]:
    share = lost_share(mask)
    if share == 0:
        why = f": its brightest value is {255 * brightest:.3g} of 255, half and more would count"
        return [f"the mask marks nothing{why if brightest else ''}"]
    return [f"the mask marks {100 * share:.0f} % of the picture"] if share > MOST_MARKED else []


def _found_warnings(work: Work, number: int) -> list[str]:
    """What to look at where the losses were found blindly."""
    page = work.pages[number]
    if page is None or work.opened.masks is not None or work.options.preserve == "never":
        return []
    found: list[str] = []
    share = lost_share(page.losses)
    if share > MOST_FOUND:
        found.append(
            f"{100 * share:.0f} % of the picture was taken for losses; look at the change map"
            " (--change-map), or mark them with --mask"
        )
    return found + _margin_warnings(page)


def _margin_warnings(page: RestoredPage) -> list[str]:
    if not page.margins:
        return []
    *most, last = page.margins
    sides = f"the {', '.join(most)} and {last}" if most else f"the {last}"
    along = "all sides" if len(most) == 3 else sides
    return [f"the margin along {along} stays as it is; a mask (--mask) would fill it"]


def _page_warnings(page: PageChanges, options: RestoreOptions) -> list[str]:
    found: list[str] = []
    if not page.restored:
        found.append("left as it is, only the first page was asked for")
    if page.cleaned and options.preserve != "never":
        found.append("noisy scan cleaned as a whole")
    if page.drift is not None and page.drift.patches > drift.LIMIT:
        found.append(
            f"colours drifted outside the losses: mean CIEDE2000 {page.drift.patches:.1f}, more"
            f" than {drift.LIMIT:g}"
        )
    return found

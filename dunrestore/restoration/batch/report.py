"""The page of a run, made from what lies on the disk: inputs, outputs and records."""

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dunrestore import __version__
from dunrestore.checkpoints.load import Model
from dunrestore.errors import DunrestoreError, FileAccessError, UsageError, file_access_error
from dunrestore.imaging import pixels
from dunrestore.imaging.rows import Rows, bands
from dunrestore.provenance import change_map, record
from dunrestore.provenance.wording import share_changed
from dunrestore.reports.restore_page import Entry, Page, Views, render
from dunrestore.restoration.batch.originals import refuse_replacing
from dunrestore.restoration.batch.run import Outcome
from dunrestore.restoration.source import Job, read_in_part
from dunrestore.stamps import now
from dunrestore.storage.atomic import write_text

EMBEDDED = 12
"""Pages of more pictures keep them in a folder beside the page."""
SIDE = 1600
"""Longest side of the large pictures, in pixels."""
THUMBNAIL = 360
_COLOUR = (255, 0, 212, 200)
_TITLE = "Restored pictures: "

Place = Callable[[str, bytes, str], str]
"""Keeps a picture (name, bytes, MIME type) and returns its address."""


@dataclass(frozen=True)
class _Shown:
    """One picture, reduced: uint8 RGB before and after, RGBA of the map."""

    before: Image.Image
    after: Image.Image
    changes: Image.Image
    width: int
    height: int
    changed_percent: float
    page: int
    """Which page of the file it is, from 1."""
    pages: int


def refuse_report(path: Path, jobs: Sequence[Job], log_file: Path | None) -> None:
    """Refuse, before any work, a page that would take another file's place.

    Args:
        path: the page; an older one is replaced.
        jobs: what is to be restored.
        log_file: where the run's log goes.

    Raises:
        UsageError: if it is called otherwise than a page, or is a file of the run.
        FileAccessError: if there is something of this name that is no such page.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError("a report is a web page", path=path, next_step="call it FILE.html")
    files = [one for job in jobs for one in (job.source, job.mask, job.target) if one]
    what = "the report would replace a file that the run reads or writes"
    others = [log_file] if log_file else []
    refuse_replacing([*files, *others], [path], what, "give the report another name")
    pictures = _folder_of(path).resolve()
    if len(jobs) > EMBEDDED and any(one.resolve().parent == pictures for one in files):
        raise UsageError(
            "the report would keep its pictures among those that are restored",
            path=pictures,
            next_step="give it another name",
        )
    if os.path.lexists(path) and not _is_report(path):
        raise FileAccessError(
            "there is something of this name that is no report",
            path=path,
            next_step="give the report another name",
        )


def _is_report(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return f"<title>{_TITLE}".encode() in file.read(1000)
    except OSError as error:
        raise file_access_error(error, path) from error


def _folder_of(page: Path) -> Path:
    return page.with_name(page.stem + "_files")


def write_report(path: Path, outcomes: Sequence[Outcome], model: Model) -> None:
    """Write the page of a run; with many pictures they lie in ``NAME_files`` beside it.

    Args:
        path: the page.
        outcomes: how the jobs ended.
        model: what they were restored with.

    Raises:
        FileAccessError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = _embed
        if len(outcomes) > EMBEDDED:
            folder = _folder_of(path)
            folder.mkdir(exist_ok=True)
            place = _in_folder(folder)
        entries = [_entry(one, number, path, place) for number, one in enumerate(outcomes)]
    except OSError as error:
        raise file_access_error(error, error.filename or path) from error
    title = f"{_TITLE}{path.stem}"
    about = {
        "model": f"{model.name}, SHA-256 {model.sha256}",
        "licence": str(model.card.get("licence", "unknown")),
        "made": f"{now()}, dunrestore {__version__}",
    }
    write_text(path, render(Page(title, about, entries)))


def _entry(outcome: Outcome, number: int, page: Path, place: Place) -> Entry:
    job = outcome.job
    title = os.fsencode(job.source).decode("utf-8", "replace")
    if outcome.error is not None:
        return Entry(title, "failed", error=f"{outcome.error.cause}; {outcome.error.next_step}")
    values = record.read(record.path_of(job.target)) or {}
    try:
        shown = _shown(job.source, job.target, _most_changed(values))
    except DunrestoreError as error:
        return Entry(title, "failed", error=f"cannot be shown: {error}")
    small = tuple(_reduced(image, THUMBNAIL) for image in (shown.before, shown.after))
    views = Views(
        before=place(f"{number:05}-before.jpg", _jpeg(shown.before), "image/jpeg"),
        after=place(f"{number:05}-after.jpg", _jpeg(shown.after), "image/jpeg"),
        map=place(f"{number:05}-map.png", _png(shown.changes), "image/png"),
        input=_link(job.source, page),
        output=_link(job.target, page),
        width=shown.width,
        height=shown.height,
    )
    thumbnails = tuple(
        place(f"{number:05}-{name}-small.jpg", _jpeg(image), "image/jpeg")
        for name, image in zip(("before", "after"), small, strict=True)
    )
    changed = float(values.get("changed_percent", shown.changed_percent))
    return Entry(
        title,
        outcome.status,
        changed_percent=changed,
        changed=share_changed(changed),
        warnings=tuple(map(str, values.get("warnings", ()))),
        facts={
            "size": f"{shown.width} x {shown.height}",
            **({"page": f"{shown.page} of {shown.pages}"} if shown.pages > 1 else {}),
            **_facts(values),
        },
        thumbnails=(thumbnails[0], thumbnails[1]),
        views=views,
    )


def _facts(values: Mapping[str, object]) -> dict[str, str]:
    if not values:
        return {"record": "none"}
    found = record.Summary.of(values)
    return {
        "regions": str(found.regions),
        "drift outside": found.drift,
        "SHA-256": f"{found.input_sha256[:12]} -> {found.output_sha256[:12]}",
    }


def _most_changed(values: Mapping[str, Any]) -> int:
    """The page of a file that its record says was changed most."""
    counts = [page["changed_pixels"] for page in values.get("pages", ())]
    return counts.index(max(counts)) if counts else 0


def _shown(source: Path, target: Path, number: int) -> _Shown:
    limit = float("inf")
    olds, news = (read_in_part(path, limit, target.parent).pages for path in (source, target))
    number = min(number, len(news) - 1)
    old, new = olds[number], news[number]
    before, after = pixels.rgb_rows(old), pixels.rgb_rows(new)
    changes: Rows | None = None
    if old.samples.dtype == new.samples.dtype and old.encoding.kind == new.encoding.kind:
        changes = change_map.change_of(old, new)
    height, width = before.shape[:2]
    # Pillow's thumbnails begin with averages of the same kind, a third of the way.
    factor = max(1, max(height, width) // (3 * SIDE))
    step = -(-max(height, width) // (factor * SIDE)) * factor
    smaller: tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]] = ([], [])
    marks: list[NDArray[np.bool_]] = []
    total = 0
    for rows in bands(height, width, multiple=step):
        pair = before[rows], after[rows]
        if changes is None:
            changed = np.abs(pair[1] - pair[0]).max(axis=2) > 1 / 510
        else:
            changed = changes[rows] > 0
        total += int(np.count_nonzero(changed))
        marks.append(_blocks(np.logical_or, changed, step))
        for parts, band in zip(smaller, pair, strict=True):
            parts.append(_averaged(band, factor))
    images = [_image(np.concatenate(parts)) for parts in smaller]
    return _Shown(
        before=_reduced(images[0], SIDE),
        after=_reduced(images[1], SIDE),
        changes=_map(np.concatenate(marks)),
        width=width,
        height=height,
        changed_percent=100 * total / (height * width),
        page=number + 1,
        pages=len(news),
    )


def _blocks(combine: np.ufunc, array: NDArray[Any], side: int) -> NDArray[Any]:
    """Blocks of ``side`` pixels (H, W, ...) made one; those at the ends may be smaller."""
    for axis, size in enumerate(array.shape[:2]):
        array = combine.reduceat(array, np.arange(0, size, side), axis=axis)
    return array


def _averaged(band: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return band
    counts = _blocks(np.add, np.ones((*band.shape[:2], 1), np.float32), factor)
    return (_blocks(np.add, band, factor) / counts).astype(np.float32)


def _image(rgb: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((rgb * 255 + 0.5).astype(np.uint8))


def _reduced(image: Image.Image, side: int) -> Image.Image:
    smaller = image.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return smaller


def _map(changed: NDArray[np.bool_]) -> Image.Image:
    """Blocks with a changed pixel in one colour: not even a single one vanishes."""
    rgba = np.zeros((*changed.shape, 4), np.uint8)
    rgba[changed] = _COLOUR
    return Image.fromarray(rgba, "RGBA").quantize(2, Image.Quantize.FASTOCTREE)


def _jpeg(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=88, subsampling=0)
    return held.getvalue()


def _png(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True)
    return held.getvalue()


def _embed(name: str, data: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def _in_folder(folder: Path) -> Place:
    def place(name: str, data: bytes, mime: str) -> str:
        (folder / name).write_bytes(data)
        return f"{quote(folder.name)}/{name}"

    return place


def _link(path: Path, page: Path) -> str:
    return quote(os.fsencode(os.path.relpath(path, page.parent)))

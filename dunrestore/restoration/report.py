"""The page of a run, made from what lies on the disk: inputs, outputs and records."""

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dunrestore import __version__
from dunrestore.errors import DunrestoreError, file_access_error
from dunrestore.imaging import files, pixels
from dunrestore.provenance import change_map, record
from dunrestore.provenance.beside import write_text
from dunrestore.reports.restore_page import Entry, Page, Views, render
from dunrestore.restoration.run import Outcome

EMBEDDED = 12
"""Pages of more pictures keep them in a folder beside the page."""
SIDE = 1600
"""Longest side of the large pictures, in pixels."""
THUMBNAIL = 360
_COLOUR = (255, 0, 212, 200)

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


def write_report(path: Path, outcomes: Sequence[Outcome], facts: Mapping[str, str]) -> None:
    """Write the page of a run; with many pictures they lie in ``NAME_files`` beside it.

    Args:
        path: the page.
        outcomes: how the jobs ended.
        facts: what the page says of the run.

    Raises:
        FileAccessError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = _embed
        if len(outcomes) > EMBEDDED:
            folder = path.with_name(path.stem + "_files")
            folder.mkdir(exist_ok=True)
            place = _in_folder(folder)
        entries = [_entry(one, number, path, place) for number, one in enumerate(outcomes)]
    except OSError as error:
        raise file_access_error(error, error.filename or path) from error
    title = f"Restored pictures: {path.stem}"
    about = {**facts, "made": f"{record.now()}, dunrestore {__version__}"}
    write_text(path, render(Page(title, about, entries)))


def _entry(outcome: Outcome, number: int, page: Path, place: Place) -> Entry:
    job = outcome.job
    title = os.fsencode(job.source).decode("utf-8", "replace")
    if outcome.error is not None:
        return Entry(title, "failed", error=f"{outcome.error.cause}; {outcome.error.next_step}")
    values = record.read(record.path_of(job.target)) or {}
    try:
        shown = _shown(job.source, job.target)
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
    return Entry(
        title,
        outcome.status,
        changed_percent=float(values.get("changed_percent", shown.changed_percent)),
        warnings=tuple(map(str, values.get("warnings", ()))),
        facts={
            "size": f"{shown.width} x {shown.height}",
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


def _shown(source: Path, target: Path) -> _Shown:
    limit = float("inf")
    old, new = (files.read(path, max_mpixels=limit).pages[0] for path in (source, target))
    before, after = pixels.to_rgb(old), pixels.to_rgb(new)
    if old.samples.dtype == new.samples.dtype and old.encoding.kind == new.encoding.kind:
        changed = change_map.change_of(old, new)[:] > 0
    else:
        changed = np.abs(after - before).max(axis=2) > 1 / 510
    height, width = before.shape[:2]
    return _Shown(
        before=_reduced(_image(before), SIDE),
        after=_reduced(_image(after), SIDE),
        changes=_map(changed),
        width=width,
        height=height,
        changed_percent=100 * float(changed.mean()),
    )


def _image(rgb: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray((rgb * 255 + 0.5).astype(np.uint8))


def _reduced(image: Image.Image, side: int) -> Image.Image:
    smaller = image.copy()
    smaller.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return smaller


def _map(changed: NDArray[np.bool_]) -> Image.Image:
    """Changed pixels in one colour; reduced so that not even a single one vanishes."""
    step = -(-max(changed.shape) // SIDE)
    for axis, size in enumerate(changed.shape):
        changed = np.logical_or.reduceat(changed, np.arange(0, size, step), axis=axis)
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

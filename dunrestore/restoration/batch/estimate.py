"""What a run would do, and about how long it would take, without doing it."""

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from dunrestore.checkpoints.load import Model
from dunrestore.errors import DunrestoreError
from dunrestore.imaging import files
from dunrestore.imaging.formats import tiff
from dunrestore.imaging.limits import room_to_write
from dunrestore.imaging.picture import Picture
from dunrestore.models.devices import DTYPES, choose_devices, choose_precision
from dunrestore.models.facts import facts
from dunrestore.models.measurements import Speed
from dunrestore.restoration import source
from dunrestore.restoration.batch.existing import Policy, in_the_way
from dunrestore.restoration.change import common_tile, plan_tiles, tile_for
from dunrestore.restoration.large import in_bands, work_bytes
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.picture import restoring_network
from dunrestore.restoration.source import FileOptions, Job
from dunrestore.restoration.speed import measure, processor_share, stored_speed

Plan = Literal["restore", "check", "replace", "refuse"]

_SECONDS = 4.0
"""About what measuring may take where no speed is stored."""


@dataclass(frozen=True)
class PlannedFile:
    """One file of a plan."""

    job: Job
    plan: Plan
    """``check``: skip it if its record says that it is what is wanted."""
    sizes: tuple[tuple[int, int], ...]
    """Rows and columns of the pages that are restored; empty if the header tells nothing."""
    bytes: int
    work_bytes: int | None
    """Disk space that the work takes until the output is written, for a file that is restored band
    by band; None for others."""
    obstacle: Path | None = None
    """A file that exists already and that making the output would replace."""

    @property
    def megapixels(self) -> float | None:
        """Of the pages that are restored; None if the header tells nothing."""
        return sum(rows * columns for rows, columns in self.sizes) / 1e6 if self.sizes else None


@dataclass(frozen=True)
class Estimate:
    """About what a run takes."""

    megapixels: float
    """Of the files whose header tells their size."""
    seconds: float
    """Computing time, all files restored anew, if the machine stays as busy as it is."""
    at_most: bool
    """Whether it is for losses everywhere, and less is computed where little is lost."""
    share: float
    """What the run would get of a processor now; 1 if that is idle, and where a GPU computes."""
    measured: str
    """When the speed was measured, ISO 8601."""
    stored: bool
    """Whether it had been measured before, by the doctor or an earlier estimate."""
    bytes: int
    """Of the inputs; the outputs take about as much."""
    free_bytes: int | None
    """On the outputs' disk."""


def plan_files(
    jobs: Sequence[Job], policy: Policy, options: RestoreOptions, file_options: FileOptions
) -> list[PlannedFile]:
    """What would be done with each file.

    Args:
        jobs: from ``plan_jobs``.
        policy: what becomes of an output that exists.
        options: whether there are tiles.
        file_options: which pages are restored, and what is written beside the outputs.
    """
    of_existing: dict[Policy, Plan] = {"abort": "refuse", "skip": "check", "overwrite": "replace"}
    planned: list[PlannedFile] = []
    for job in jobs:
        obstacle = in_the_way(job, file_options)
        plan = "restore" if obstacle is None else of_existing[policy]
        pages = _pages(job.source)
        # All pages count: they are read together.
        large = sum(page.height * page.width for page in pages) > source.IN_MEMORY
        if files.format_of(job.target) != "tiff":
            del pages[1:]  # the output cannot hold them
        restored = pages[:1] if file_options.first_page else pages
        sizes = tuple((page.height, page.width) for page in restored)
        on_disk = (large and not page.has_palette for page in pages)
        work = _work_bytes(job, restored) if pages and in_bands(on_disk, options) else None
        size = job.source.stat().st_size
        planned.append(PlannedFile(job, plan, sizes, size, work, obstacle))
    return planned


def _work_bytes(job: Job, restored: "Sequence[_Page]") -> int:
    first, kind = restored[0], files.format_of(job.target) or "tiff"
    to_write = room_to_write(kind, (first.height, first.width, 1), first.pixel_bytes)
    pixels = sum(page.height * page.width for page in restored)
    sample_bytes = sum(page.height * page.width * page.pixel_bytes for page in restored)
    return work_bytes(pixels, sample_bytes) + to_write.disk


def estimate(planned: Sequence[PlannedFile], model: Model, options: RestoreOptions) -> Estimate:
    """About how long a run takes, from the stored speed of its tiles, or one measured now.

    Args:
        planned: from ``plan_files``.
        model: what would restore.
        options: tiles, device, precision.
    """
    megapixels = sum(one.megapixels or 0.0 for one in planned)
    target = planned[0].job.target.absolute()
    folder = next((parent for parent in target.parents if parent.is_dir()), None)
    speed, stored = _speed(model, options)
    share = processor_share() if speed.device == "cpu" else 1.0
    return Estimate(
        megapixels=megapixels,
        seconds=_computed_megapixels(planned, model, options) / speed.megapixels_a_second / share,
        at_most=facts(restoring_network(model)).has_finder and options.preserve != "never",
        share=share,
        measured=speed.date,
        stored=stored,
        bytes=sum(one.bytes for one in planned),
        free_bytes=shutil.disk_usage(folder).free if folder else None,
    )


def _speed(model: Model, options: RestoreOptions) -> tuple[Speed, bool]:
    """Of the first device."""
    device, *others = choose_devices(options.device)
    dtype = choose_precision(options.precision, device, *others)
    if (stored := stored_speed(model, device, dtype)) is not None:
        return stored, True
    precision = next(name for name, one in DTYPES.items() if one == dtype)
    found, failed = measure(model, [(str(device), precision)], _SECONDS)
    if not found:
        raise DunrestoreError(f"its speed cannot be measured: {failed[0]}", path=model.name)
    return found[0], False


def _computed_megapixels(
    planned: Sequence[PlannedFile], model: Model, options: RestoreOptions
) -> float:
    """Megapixels of all tiles, which overlap and are padded; of several GPUs, of the busiest."""
    devices = choose_devices(options.device)
    # CPUs share their cores: the time is that of one.
    at_once = 1 if devices[0].type == "cpu" else len(devices)
    dtype = choose_precision(options.precision, *devices)
    network = restoring_network(model)
    given = options.tile
    largest = common_tile(network, devices, dtype, options.batch_size or 1) if given is None else 0
    pixels = 0.0
    for one in planned:
        for size in one.sizes:
            side = tile_for(size, largest) if given is None else given
            tiles, _ = plan_tiles(size, network, options, side)
            pixels += tiles.computed * -(-tiles.count // at_once) / tiles.count
    return pixels / 1e6


@dataclass(frozen=True)
class _Page:
    height: int
    width: int
    pixel_bytes: int
    has_palette: bool
    """Such pages are always read into memory."""


def _pages(path: Path) -> list[_Page]:
    """All pages by their header; none if that tells nothing."""
    try:
        with path.open("rb") as file:
            is_tiff = tiff.recognise(file.read(16))
        if is_tiff:
            return list(map(_page, files.read(path, max_mpixels=float("inf"), in_part=0).pages))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as header:
                pixel_bytes = len(header.getbands()) * (2 if header.mode.startswith("I") else 1)
                return [_Page(header.height, header.width, pixel_bytes, header.mode == "P")]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, DunrestoreError):
        return []


def _page(page: Picture) -> _Page:
    height, width, channels = page.samples.shape
    pixel_bytes = channels * page.samples.dtype.itemsize
    return _Page(height, width, pixel_bytes, page.encoding.palette is not None)

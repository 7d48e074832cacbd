"""The change that a network proposes for a whole picture, tile by tile."""

import logging
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dunrestore.errors import MemoryExhaustedError, UsageError
from dunrestore.imaging import tiling
from dunrestore.imaging.limits import LEAST_TILE
from dunrestore.models.allocation import hand_back_memory, is_out_of_memory
from dunrestore.models.colours import Evidence
from dunrestore.models.devices import choose_devices, choose_precision, free_memory, name_of
from dunrestore.models.facts import facts
from dunrestore.models.runner import in_turn, size_multiple
from dunrestore.models.several_devices import Runners
from dunrestore.restoration.observer import Advance
from dunrestore.restoration.options import Preserve, RestoreOptions
from dunrestore.restoration.sound import leaves_sound
from dunrestore.restoration.tiles import (
    changed,
    evidence_of,
    look_plan,
    looked,
    no_counts,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

WINDOW = 96
"""Side of the statistics window of tiled runs, measured in docs/decisions.md."""
ALIGNED_FROM = 480
"""Smaller tiles come out otherwise than the whole picture wherever they begin, and steps of 64
would make them dear."""
LARGEST_TILE = 1008
"""Larger tiles save little overlap; in float32 one of these takes 1.3 GB of the compact models."""
LARGEST_OF_SEVERAL = 896
"""What gathers the tiles of a larger picture takes memory, too, and what one left beside those of
other sizes."""
SMALLEST_TILE = 240
"""Below this, automatic tiles would be mostly overlap."""
LARGEST_ON_GPU = 2208
"""Where there is memory for it a GPU computes little twice, and its largest tensors keep less than
2**31 numbers, which its kernels count in 32 bits."""
LARGEST_BATCH = 4
"""Small tiles that a GPU computes together: of the compact networks one keeps it waiting for
commands. Together they have no more pixels than one of the largest."""
MEMORY_SHARE = 0.5
"""Share of the free memory that automatic tiles may take."""

AT_WORK = 2
"""Pictures for each device whose tiles are computed at the same time: one's go on while the
other's are cut. If all took turns, all would be done with their tiles together, and leave the
device idle."""

Progress = Callable[[Advance], object]
"""Told how far a page has come."""


@dataclass(frozen=True)
class Computed:
    """How a change was computed.

    Attributes:
        tile: side of the tiles in pixels, 0 for the whole picture at once.
        overlap: pixels that neighbouring tiles shared.
        device: where it was computed, such as ``cpu`` or ``cuda:0,cuda:1``.
        precision: ``float32``, ``bfloat16`` or ``float16``.
        tiles_redone: tiles that low precision spoilt and float32 did again.
        tiles_left: tiles of which all or a part was left as it is, without asking the network.
    """

    tile: int
    overlap: int
    device: str
    precision: str
    tiles_redone: int
    tiles_left: int


@dataclass(frozen=True)
class Proposal:
    """What a network proposes.

    Attributes:
        change: (H, W, 3) float32, to be added to the picture.
        damage: (H, W) float32, the probability of damage, from a network that says so itself.
        computed: how it came about.
    """

    change: NDArray[np.float32]
    damage: NDArray[np.float32] | None
    computed: Computed


def propose(
    picture: NDArray[np.float32],
    network: nn.Module,
    options: RestoreOptions,
    progress: Progress | None = None,
    *,
    complete: bool = False,
) -> Proposal:
    """Compute what ``network`` would change in ``picture``.

    Args:
        picture: (H, W, 3), RGB in [0, 1]; perhaps with a fourth channel, see ``Runner.change``.
        network: a restoring network.
        options: tiles, device and precision.
        progress: told of each finished batch of tiles.
        complete: ask it also about tiles that ``sound.leaves_sound`` would spare it.

    Raises:
        MemoryExhaustedError: if an explicit tile, or the smallest automatic one, does not fit.
    """
    size = (picture.shape[0], picture.shape[1])
    preserve: Preserve = "never" if complete else options.preserve

    def run(runners: Runners, plan: tiling.Plan, _: int) -> NDArray[np.float32]:
        with closing(_changes(picture, runners, plan, preserve, progress)) as changes:
            return tiling.blend(plan, changes)

    change, computed = compute(run, size, network, options)
    damage = change[..., 3] if change.shape[2] == 4 else None
    return Proposal(change[..., :3], damage, computed)


def compute(
    run: Callable[[Runners, tiling.Plan, int], T],
    size: tuple[int, int],
    network: nn.Module,
    options: RestoreOptions,
    tile: int | None = None,
    batch: int | None = None,
) -> tuple[T, Computed]:
    """Run a network on all tiles of a picture; with smaller ones when memory runs out.

    Args:
        run: computes the tiles of a plan that was made for tiles of so many pixels.
        size: (rows, columns) of the picture.
        network: a restoring network.
        options: tiles, device and precision.
        tile: what automatic tiles begin with; None to fit the memory.
        batch: the same for the tiles that are computed together.

    Returns:
        What ``run`` returned, and how it was computed.

    Raises:
        MemoryExhaustedError: if an explicit tile, or the smallest automatic one, does not fit,
            alone or in an explicit batch; or if the network itself does not.
    """
    devices = choose_devices(options.device)
    named = ",".join(map(str, devices))
    runners, tile = _begin(size, network, devices, options, tile)
    batch = options.batch_size or batch
    while True:
        plan, overlap = plan_tiles(size, network, options, tile)
        runners.batch_size = batch or tiles_at_once(network, devices, runners.dtype, plan.largest)
        runners.redone = runners.left = 0  # by an attempt that failed
        try:
            with _turns(devices):
                result = run(runners, plan, tile)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)  # which hold what did not fit
            if options.batch_size is None and runners.batch_size > 1:
                log.warning("out of memory; trying again with one tile at a time")
            else:
                tile = _smaller_tile(options, plan.largest, size_multiple(network), named)
                log.warning("out of memory; trying again with tiles of %d pixels", tile)
            batch = options.batch_size or 1  # several smaller ones take as much as one larger
            continue
        finally:
            hand_back_memory()
        name = name_of(runners.dtype)
        return result, Computed(tile, overlap, named, name, runners.redone, runners.left)


def _begin(
    size: tuple[int, int],
    network: nn.Module,
    devices: Sequence[torch.device],
    options: RestoreOptions,
    tile: int | None,
) -> tuple[Runners, int]:
    """The network on its devices, and the tiles to try first; arguments as in ``compute``."""
    try:
        dtype = choose_precision(options.precision, *devices)
        window = None if options.tile == 0 else WINDOW
        runners = Runners(network, devices, dtype, window)
        if options.tile is not None:
            return runners, options.tile
        if tile is None:
            tile = tile_for(size, common_tile(network, devices, dtype, options.batch_size or 1))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryExhaustedError(  # another program may have taken all of a GPU
            f"out of memory on {','.join(map(str, devices))} before the first tile",
            next_step="free some memory there, or choose another --device",
        ) from error
    return runners, tile


def _turns(devices: tuple[torch.device, ...]) -> threading.Semaphore:
    """What a picture holds while devices compute its tiles."""
    with _MAKING:
        return _TURNS.setdefault(devices, threading.Semaphore(AT_WORK * len(set(devices))))


_TURNS: dict[tuple[torch.device, ...], threading.Semaphore] = {}
_MAKING = threading.Lock()


def automatic_tile(
    network: nn.Module, device: torch.device, dtype: torch.dtype, batch_size: int
) -> int:
    """The side of the largest tile that the free memory allows, up to ``LARGEST_TILE``; on a GPU up
    to ``LARGEST_ON_GPU`` if it is computed alone, with others up to about as many pixels."""
    per_pixel = facts(network).bytes_per_pixel(dtype.itemsize)
    pixels = MEMORY_SHARE * _free_memory(device) / (per_pixel * batch_size)
    multiple = size_multiple(network)
    side = int(pixels**0.5) // multiple * multiple
    largest = LARGEST_TILE
    if device.type == "cuda":
        largest = max(largest, int(LARGEST_ON_GPU / batch_size**0.5))
    return max(SMALLEST_TILE, min(side, largest))


def common_tile(
    network: nn.Module, devices: Sequence[torch.device], dtype: torch.dtype, batch_size: int
) -> int:
    """The smallest of the devices' ``automatic_tile``, so that a tile fits whichever takes it."""
    # A CPU that is named twice holds two batches in the same memory.
    at_once = {device: batch_size * devices.count(device) for device in devices}
    return min(automatic_tile(network, device, dtype, tiles) for device, tiles in at_once.items())


def tile_for(size: tuple[int, int], largest: int) -> int:
    """What tiles of a picture of so many rows and columns are at most, if ``largest`` would fit."""
    if max(size) <= largest or largest > LARGEST_TILE:  # which only a GPU has
        return largest
    return min(largest, LARGEST_OF_SEVERAL)


def tiles_at_once(
    network: nn.Module, devices: Sequence[torch.device], dtype: torch.dtype, tile: int
) -> int:
    """How many tiles are computed together: on GPUs as many as fit up to ``LARGEST_BATCH``."""
    if any(device.type != "cuda" for device in devices):
        return 1
    per_tile = facts(network).bytes_per_pixel(dtype.itemsize) * tile**2
    room = MEMORY_SHARE * min(map(_free_memory, devices))
    return max(1, min(LARGEST_BATCH, int(room / per_tile), LARGEST_ON_GPU**2 // tile**2))


def _free_memory(device: torch.device) -> int:
    # What another file's tiles take for the moment must not decide this one's.
    return in_turn(device, lambda: free_memory(device))


def plan_tiles(
    size: tuple[int, int], network: nn.Module, options: RestoreOptions, tile: int
) -> tuple[tiling.Plan, int]:
    """The tiles of a picture, and how much they overlap at least.

    Args:
        size: (rows, columns) of the picture.
        network: a restoring network.
        options: the overlap, and whether there are tiles.
        tile: their largest side.

    Raises:
        UsageError: if the overlap leaves nothing of the tiles.
    """
    multiple = size_multiple(network)
    if options.tile == 0:
        return tiling.plan(*size, tile=None, overlap=0, multiple=multiple), 0
    side = -(-tile // multiple) * multiple
    if options.overlap is None:
        overlap = max(min(facts(network).overlap, side // 2 // multiple * multiple), 0)
    elif -(-options.overlap // multiple) * multiple >= side:
        raise UsageError(
            f"an overlap of {options.overlap} pixels leaves nothing of tiles of {tile}",
            next_step="use a smaller --tile-overlap or a larger --tile",
        )
    else:
        overlap = options.overlap
    aligned = facts(network).origin_multiple if side >= ALIGNED_FROM else None
    plan = tiling.plan(*size, tile=tile, overlap=overlap, multiple=multiple, aligned=aligned)
    return plan, overlap


def _smaller_tile(options: RestoreOptions, tile: int, multiple: int, device: str) -> int:
    smaller = max(tile // 2 // multiple * multiple, multiple)
    if options.tile is None and smaller >= SMALLEST_TILE // 2:
        return smaller
    asked = "the whole picture at once" if options.tile == 0 else f"tiles of {tile} pixels"
    named = options.tile is not None and smaller >= LEAST_TILE
    advice = f"try --tile {smaller}" if named else "free some memory"
    raise MemoryExhaustedError(
        f"out of memory on {device} with {asked}", next_step=f"{advice} or --tile auto"
    )


def _changes(
    picture: NDArray[np.float32],
    runners: Runners,
    plan: tiling.Plan,
    preserve: Preserve,
    progress: Progress | None,
) -> Generator[tuple[tiling.Tile, NDArray[np.float32]], None, None]:
    def pixels(tile: tiling.Tile) -> NDArray[np.float32]:
        return tiling.extract(picture, tile)

    looks = look_plan(runners, plan)
    done, seen = 0, 0

    def tell() -> None:
        if progress is not None:
            pixels = plan.height * plan.width
            looked_at = None if looks is None else (seen, looks.count)
            progress(Advance(done, plan.count, pixels, looked_at))

    tell()
    logits: NDArray[np.float32] | None = None
    evidence: Evidence | None = None
    if looks is not None:
        counts = no_counts(plan)
        if picture.shape[2] == 3:
            logits = np.empty((*plan.padded, 1), np.float32)
        for batch in looked(runners, looks, pixels, counts, logits):
            seen += len(batch)
            tell()
        evidence = evidence_of(counts, plan, picture[..., :3], logits)
    leaves = runners.looks_first and leaves_sound(preserve, picture[..., :3], logits)
    runners.know(evidence, leaves_sound=leaves)
    for batch, changes in changed(runners, plan, pixels, logits):
        yield from zip(batch, changes, strict=True)
        done += len(batch)
        tell()

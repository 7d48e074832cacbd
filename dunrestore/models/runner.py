"""Run a restoring network on tiles: a device, a precision, statistics; arrays in, arrays out."""

import logging
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dunrestore.errors import OutputCheckError
from dunrestore.models.allocation import keep_freed_memory
from dunrestore.models.areas import areas_of
from dunrestore.models.colours import Evidence, Part
from dunrestore.models.devices import name_of
from dunrestore.models.facts import facts
from dunrestore.models.normalisation import set_window

log = logging.getLogger(__name__)

T = TypeVar("T")

PAPER_MULTIPLE = 6
"""The paper makes every image's size a multiple of six."""


FLAT = 0.02
"""A tile of a smaller standard deviation holds nothing to judge a result by."""
WILD = 0.5
"""A result that lies further from the tile than this nearly everywhere is no restoration of it."""
DOUBTFUL = 0.15
"""The same in low precision, which is then computed again in float32."""
CHANGED = 0.05
"""A constant result is one only if it differs by more than this nearly everywhere."""
NEARLY = 0.95
"""Share of a tile's pixels; more than half of a picture may be lost."""
BLANK = 1 / 255
"""A result of a smaller range is constant."""


def size_multiple(network: nn.Module) -> int:
    """What heights and widths must be multiples of: the paper's six, and the network's own need."""
    return math.lcm(PAPER_MULTIPLE, facts(network).size_multiple)


@dataclass
class Runner:
    """A network on a device.

    Attributes:
        network: restoring network in eval mode; copied to nothing, moved to ``device``.
        device: where it runs.
        dtype: what its convolutions compute in; pictures stay float32.
        window: side of the sliding window for instance statistics in pixels, or None for the
            published statistics over the whole input.
        evidence: what the whole picture tells a network with a finder, if its tiles
            are parts of one; see ``look`` and ``know``.
        leaves_sound: whether what is not lost stays as it is, so that a network with a finder is
            asked of no more than what surrounds losses.
    """

    network: nn.Module
    device: torch.device
    dtype: torch.dtype = torch.float32
    window: int | None = None
    evidence: Evidence | None = None
    leaves_sound: bool = False

    def __post_init__(self) -> None:
        keep_freed_memory()
        with _PREPARING:  # other threads may be about to use the same network
            if not _is_ready(self.network, self.device):
                self.network.to(self.device).to(memory_format=torch.channels_last)
            set_window(self.network, self.window)

    def change(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """What ``compute`` returns first."""
        return self.compute(tiles)[0]

    @torch.inference_mode()
    def compute(
        self,
        tiles: NDArray[np.float32],
        parts: Sequence[Part] | None = None,
        found: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], int, int]:
        """The change that the network proposes, and where it found damage if it says so itself.

        Several threads may call it: on a GPU their copies to and fro overlap the computing, which
        is done one after the other.

        Args:
            tiles: (B, H, W, 3), RGB in [0, 1], H and W multiples of ``size_multiple(network)``; for
                a network with a finder perhaps (B, H, W, 4), last 1 where the picture is known to
                be lost and 0 elsewhere.
            parts: what of a picture each tile shows; None for pictures without padding.
            found: (B, H, W, 1), the logits that ``look`` returned for them.

        Returns:
            (B, H, W, 3): what to add to ``tiles``; the sum lies in [0, 1]. From a network with a
            finder (B, H, W, 4): last the probability of damage. How many of the tiles were
            computed again in float32, and of how many all or a part was left as it is.

        Raises:
            OutputCheckError: if the result is not finite, constant or wildly different from the
                tile, in float32 either.
        """
        with _copying(self.device):
            x = self._sent(tiles)
            logits = None if found is None else self._sent(found).permute(0, 3, 1, 2)
        change, redone, left = in_turn(self.device, partial(self._computed, x, parts, logits))
        with _copying(self.device):
            return self._fetched(change.permute(0, 2, 3, 1)), redone, left

    @torch.inference_mode()
    def look(
        self, tiles: NDArray[np.float32], parts: Sequence[Part]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32] | None, int]:
        """What a network with a finder must know of all parts of a picture: ``Guided.look``.

        Args:
            tiles: as in ``compute``.
            parts: as in ``compute``.

        Returns:
            The counts; the finder's logits (B, H, W, 1) if it was asked; and how many of the tiles
            were looked at again in float32.

        Raises:
            OutputCheckError: if the logits are not finite, in float32 either.
        """
        with _copying(self.device):
            x = self._sent(tiles)
        counts, logits, redone = in_turn(self.device, partial(self._looked, x, parts))
        if logits is None:
            return counts, None, redone
        with _copying(self.device):
            return counts, self._fetched(logits.permute(0, 2, 3, 1)), redone

    def know(self, evidence: Evidence | None, *, leaves_sound: bool = False) -> None:
        """Take what the colours tell of the picture whose tiles come next, None for no picture; and
        whether what is not lost stays as it is."""
        self.leaves_sound = leaves_sound
        with _copying(self.device):  # not behind the tiles that are computed now
            self.evidence = None if evidence is None else evidence.to(self.device)

    @torch.inference_mode()
    def _looked(
        self, tiles: torch.Tensor, parts: Sequence[Part]
    ) -> tuple[NDArray[np.float64], torch.Tensor | None, int]:
        look: Any = self.network.look
        x, lost = _split(tiles)
        for dtype in dict.fromkeys((self.dtype, torch.float32)):
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                counts, logits = look(x, lost, parts)
            if logits is None or torch.isfinite(logits.sum()):
                # Fetched here, where all that was computed is waited for.
                return counts.cpu().numpy(), logits, len(tiles) if dtype != self.dtype else 0
            log.info("what was found in a tile was not finite in %s", name_of(dtype))
        raise _faulty("not finite")

    @torch.inference_mode()
    def _computed(
        self, tiles: torch.Tensor, parts: Sequence[Part] | None, found: torch.Tensor | None
    ) -> tuple[torch.Tensor, int, int]:
        x, lost = _split(tiles)
        redone = 0
        change, left, fault = self._changed(x, lost, parts, found, self.dtype)
        if fault and self.dtype != torch.float32:
            # The picture's own line says how many there were.
            log.info("a tile was %s in %s; computed again in float32", fault, name_of(self.dtype))
            redone = len(tiles)
            change, left, fault = self._changed(x, lost, parts, found, torch.float32)
        if fault:
            raise _faulty(fault)
        return change, redone, left

    def _changed(
        self,
        x: torch.Tensor,
        lost: torch.Tensor | None,
        parts: Sequence[Part] | None,
        found: torch.Tensor | None,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor, int, str]:
        """The change in a precision, how many tiles were not refined as a whole, and the fault."""
        network: Any = self.network
        # Autocast leaves the additions of pictures in float32, where 8 bits of mantissa would show.
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            limit = WILD if dtype == torch.float32 else DOUBTFUL
            if not facts(network).has_finder:
                change = _step(x, network(x))
                return change, 0, fault_of(x, change, limit)
            logits, mask, ground = network.find(x, lost, parts, self.evidence, found)
            damage = torch.sigmoid(logits.float())
            change = torch.cat([torch.zeros_like(x), damage], dim=1)
            refined = torch.zeros_like(mask, dtype=torch.bool)
            faults = [""]
            for each, rows, columns in self._where(mask):
                part = x[each, :, rows, columns]
                own = None if ground is None else ground[each]
                step = _step(part, network.refine(part, mask[each, :, rows, columns], own))
                change[each, :3, rows, columns] = step
                refined[each, :, rows, columns] = True
                faults.append(fault_of(part, step, limit))
            if not torch.isfinite(damage.sum()):  # asked last: a GPU is waited for
                faults.append("not finite")
        left = (~refined).flatten(1).any(1).sum().item() if self.leaves_sound else 0
        return change, int(left), max(faults)

    def _where(self, mask: torch.Tensor) -> list[tuple[slice | torch.Tensor, slice, slice]]:
        """Which tiles (B, 1, H, W), and which rows and columns of them, are refined together."""
        everything = slice(None)
        if not self.leaves_sound:
            return [(everything, everything, everything)]
        # With the statistics of the whole picture what is far away counts, too; a GPU would plan
        # every convolution anew for each size of an area (not measured).
        if len(mask) > 1 or self.window is None or self.device.type != "cpu":
            lost_in = mask.flatten(1).any(1)
            return [(lost_in, everything, everything)] if lost_in.any() else []
        known = facts(self.network)
        cell = known.origin_multiple or size_multiple(self.network)
        return [(everything, *area) for area in areas_of(mask, cell, known.overlap // 2)]

    def _sent(self, tiles: NDArray[np.float32]) -> torch.Tensor:
        if not tiles.flags.writeable or min(tiles.strides) < 0:  # which PyTorch does not take
            tiles = tiles.copy()
        host = torch.from_numpy(tiles)
        if self.device.type != "cuda":
            return host.to(self.device)
        pinned = torch.empty(host.shape, dtype=host.dtype, pin_memory=True).copy_(host)
        sent = pinned.to(self.device, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()  # before another stream reads it
        return sent

    def _fetched(self, change: torch.Tensor) -> NDArray[np.float32]:
        if self.device.type != "cuda":
            return change.cpu().numpy()
        host = torch.empty(change.shape, dtype=change.dtype, pin_memory=True)
        host.copy_(change.contiguous(), non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()  # nor may it be freed before
        return host.numpy()


def _step(x: torch.Tensor, stages: Sequence[torch.Tensor]) -> torch.Tensor:
    """From pictures to the last of what a network makes of them, which is cut off at 0 and 1."""
    return stages[-1].float().clamp(0, 1) - x


def _split(tiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Pictures (B, 3, H, W) and where they are known to be lost, of tiles (B, H, W, 3 or 4)."""
    tiles = tiles.permute(0, 3, 1, 2)
    x = tiles[:, :3].contiguous(memory_format=torch.channels_last)
    return x, tiles[:, 3:].contiguous() if tiles.shape[1] > 3 else None


@contextmanager
def _copying(device: torch.device) -> Generator[None]:
    """Work beside the computing: on a CUDA device in a stream of its own."""
    if device.type != "cuda":
        yield
        return
    idle = _IDLE[device]
    try:
        stream = idle.pop()
    except IndexError:
        stream = torch.cuda.Stream(device)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        idle.append(stream)


_IDLE: defaultdict[torch.device, list[torch.cuda.Stream]] = defaultdict(list)
"""Streams to use again: PyTorch keeps freed memory for each by itself."""


def in_turn(device: torch.device, call: Callable[[], T]) -> T:
    """Call when no network is at work on a device: on a GPU in the one thread that computes there.

    One after the other: two would take twice the memory and no less time. And always the same
    thread: cuDNN's plans for every convolution belong to the thread that made them.
    """
    if device.type != "cuda":
        return call()
    with _PREPARING:
        if device not in _THREADS:
            _THREADS[device] = ThreadPoolExecutor(1, thread_name_prefix=str(device))
    return _THREADS[device].submit(call).result()


_PREPARING = threading.Lock()
_THREADS: dict[torch.device, ThreadPoolExecutor] = {}


def _is_ready(network: nn.Module, device: torch.device) -> bool:
    """Whether a network's parameters lie where and as a runner wants them."""
    where = torch.empty(0, device=device).device  # with its number
    return all(
        p.device == where and (p.ndim != 4 or p.is_contiguous(memory_format=torch.channels_last))
        for p in network.parameters()
    )


def _faulty(fault: str) -> OutputCheckError:
    return OutputCheckError(
        f"the network's output is {fault}", next_step="verify the model, or try another"
    )


def fault_of(x: torch.Tensor, change: torch.Tensor, limit: float) -> str:
    """What is wrong with a result that cannot be a restoration; empty if nothing is.

    Args:
        x: (B, 3, H, W), tiles in [0, 1].
        change: (B, 3 or more, H, W), what a network would add to them, and what else it says.
        limit: the largest change of a pixel that counts as near, at least ``CHANGED``.
    """
    sizes = change[:, :3].abs().amax(dim=1)
    pixels_moved = (sizes > CHANGED).sum(dim=(1, 2))
    # One pass, and one wait for a GPU; a sum of what is not finite is not finite.
    total, *moved = torch.cat([change.sum()[None], pixels_moved]).tolist()
    if not math.isfinite(total):
        return "not finite"
    for number, pixels in enumerate(moved):
        tile, size = x[number], sizes[number]
        # Wholly inside a loss, or blank: anything may come out.
        if pixels <= NEARLY * size.numel() or tile.std(dim=(1, 2), correction=0).max() < FLAT:
            continue
        restored = tile + change[number, :3]
        if restored.max() - restored.min() < BLANK:
            return "constant"
        if (size > limit).sum() > NEARLY * size.numel():
            return "wildly different from the picture"
    return ""

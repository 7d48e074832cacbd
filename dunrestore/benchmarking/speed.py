"""How fast a method runs, what memory it takes, and its network's multiply-adds."""

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

import psutil
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dunrestore.models.facts import facts

T = TypeVar("T")

SAMPLING_SECONDS = 0.01
"""How often the process's memory is looked at."""

REFERENCE_SIDE = 256
"""Multiply-adds are stated for a square picture of this side, as papers do."""


@dataclass(frozen=True)
class Timed(Generic[T]):
    """What a call returned, and what it took."""

    value: T
    seconds: float
    peak_bytes: int
    """Of the process, libraries included, on the CPU; of the device's memory on a GPU."""


def timed(call: Callable[[], T], device: str) -> Timed[T]:
    """Run ``call`` and measure it; ``device`` is where it works (``cpu``, ``cuda:0`` ...)."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        start = time.perf_counter()
        value = call()
        torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
        return Timed(value, seconds, torch.cuda.max_memory_allocated(device))
    with _ResidentPeak() as peak:
        start = time.perf_counter()
        value = call()
        seconds = time.perf_counter() - start
    return Timed(value, seconds, peak.bytes)


class _ResidentPeak:
    """The process's resident memory at its highest while the context is open."""

    def __init__(self) -> None:
        self.bytes = 0
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._stop.wait(SAMPLING_SECONDS):
            self._look()


def multiply_adds(network: nn.Module) -> int:
    """Multiply-adds of convolutions and matrix products for a 256 x 256 picture.

    The side is rounded up to what the network needs. Nothing is computed: the network is counted
    on the meta device.
    """
    needed = facts(network).size_multiple
    side = -(-REFERENCE_SIDE // needed) * needed
    shell = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shell(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() // 2

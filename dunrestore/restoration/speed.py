"""How fast a model runs on the devices of this machine: measured, and kept for estimates."""

import copy
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dunrestore.checkpoints.load import Model
from dunrestore.models import measurements
from dunrestore.models.devices import DTYPES, name_of
from dunrestore.models.measurements import Speed
from dunrestore.models.runner import Runner, size_multiple
from dunrestore.restoration.change import LARGEST_ON_GPU, WINDOW, automatic_tile
from dunrestore.restoration.picture import restoring_network
from dunrestore.stamps import now

SIDES = (96, 192, 384)
"""Sides of the tiles that are measured, one after the other while the time suffices: small ones
waste much on their borders."""
SIDES_ON_GPU = (*SIDES, 1104, LARGEST_ON_GPU)
"""There small ones only tell how long it takes to start the kernels."""
SHARE_SECONDS = 0.5
"""How long the processor is watched to see how busy it is."""
PREDICTED = 1.25
"""How much longer a pixel of the next tile takes, at most."""


def hardware(device: torch.device) -> str:
    """What a device calls itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return measurements.processor()[0]


def measure(
    model: Model, places: list[tuple[str, str]], seconds: float
) -> tuple[list[Speed], list[str]]:
    """Measure a model on devices in precisions, and keep the result.

    On the CPU the processor time of the calling thread counts, which is what an idle machine
    takes, of one thread or of all (``_best_rate``); elsewhere the time that passes.

    Args:
        model: a restoring model.
        places: (device, precision) as in ``self_test.present``.
        seconds: that all places may take together, by the clock, once their devices have started;
            of each, the smallest tile is always measured.

    Returns:
        The speeds, and a line for every place that failed.
    """
    network = restoring_network(model)
    date = now()
    speeds: list[Speed] = []
    failed: list[str] = []
    left = seconds
    for index, (device, precision) in enumerate(places):
        try:
            share = left / (len(places) - index)
            side, rate, took = _best_rate(network, device, precision, share)
        except Exception as error:  # whatever a driver raises, the other devices go on
            said = (str(error).splitlines() or [type(error).__name__])[0]
            failed.append(f"{device} {precision}: {said}")
            continue
        left -= took
        name = name_of(DTYPES[precision])
        calls_itself = hardware(torch.device(device))
        speeds.append(Speed(model.name, model.sha256, device, calls_itself, name, side, rate, date))
    measurements.store_speeds(torch.get_num_threads(), speeds)
    return speeds, failed


def _best_rate(
    network: nn.Module, place: str, precision: str, seconds: float
) -> tuple[int, float, float]:
    """As ``_rate``; of a CPU with one thread or with all, whichever is faster.

    On a busy machine all of them wait for those that are kept from running, which takes processor
    time as well: on two busy processors 80 times as much as one thread takes.
    """
    threads = torch.get_num_threads()
    if place != "cpu" or threads == 1:
        return _rate(network, place, precision, seconds)
    torch.set_num_threads(1)
    try:
        one = _rate(network, place, precision, seconds / 2)
    finally:
        torch.set_num_threads(threads)
    every = _rate(network, place, precision, seconds - one[2])
    side, rate = max(one[:2], every[:2], key=lambda measured: measured[1])
    return side, rate, one[2] + every[2]


def _rate(
    network: nn.Module, place: str, precision: str, seconds: float
) -> tuple[int, float, float]:
    """The side of the largest tile that could be measured, its megapixels a second, and the
    seconds that measuring took."""
    device, dtype = torch.device(place), DTYPES[precision]
    if device.type != "cpu":
        network = copy.deepcopy(network)
    runner = Runner(network, device, dtype, WINDOW)
    sides = _sides(network, device, dtype)
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    if device.type != "cpu":
        runner.change(painted(sides[0]))  # a driver's start and kernels' compilation take seconds
    start = time.perf_counter()
    measured, rate = 0, 0.0
    for side, following in zip(sides, [*sides[1:], None], strict=True):
        tile = painted(side)
        best = took = float("inf")
        for _ in range(3):  # kernels are chosen in the first
            begin, began = time.perf_counter(), clock()
            runner.change(tile)  # ends with a copy to the host, which waits for the device
            best, took = min(best, clock() - began), time.perf_counter() - begin
            if time.perf_counter() - start + took > seconds:
                break
        measured, rate = side, side * side / 1e6 / max(best, 1e-9)
        if following is None:
            break
        predicted = PREDICTED * (following / side) ** 2 * took
        if time.perf_counter() - start + predicted > seconds:
            break
    return measured, rate, time.perf_counter() - start


def _sides(network: nn.Module, device: torch.device, dtype: torch.dtype) -> list[int]:
    multiple = size_multiple(network)
    sides = SIDES if device.type != "cuda" else SIDES_ON_GPU
    largest = automatic_tile(network, device, dtype, 1)
    return sorted({min(-(-side // multiple) * multiple, largest) for side in sides})


def painted(side: int) -> NDArray[np.float32]:
    """A tile of shades with grain and a loss: (1, side, side, 3) in [0, 1]."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    shades = [0.5 + 0.3 * np.sin(x / 17 + y / 29), 0.45 + 0.25 * np.sin(x / 23 - y / 11)]
    tile = np.stack([*shades, 0.4 + 0.2 * np.cos(y / 31)], axis=-1)
    tile += 0.03 * np.random.default_rng(0).standard_normal(tile.shape)
    tile[side // 3 : side // 2, side // 4 : side // 3] = 1
    return tile.clip(0, 1).astype(np.float32)[None]


def processor_share() -> float:
    """Of a processor, what this thread gets now: 1 on an idle machine, above 0 on a busy one."""
    begin, began = time.perf_counter(), time.thread_time()
    while (passed := time.perf_counter() - begin) < SHARE_SECONDS:
        pass
    return min(1.0, max(0.02, (time.thread_time() - began) / passed))


def stored_speed(model: Model, device: torch.device, dtype: torch.dtype) -> Speed | None:
    """The speed that was measured here of this model's file, device and precision.

    Of the largest tile, whose speed comes closest to a picture's.
    """
    wanted = model.sha256, str(device), name_of(dtype), hardware(device)
    fitting = [
        speed
        for speed in measurements.read_speeds(torch.get_num_threads())
        if (speed.model_sha256, speed.device, speed.precision, speed.hardware) == wanted
    ]
    return max(fitting, key=lambda speed: speed.tile, default=None)

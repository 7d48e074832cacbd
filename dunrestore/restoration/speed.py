"""How fast a model runs on the devices of this machine: measured, and kept for estimates."""

import copy
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dunrestore.checkpoints.load import Model
from dunrestore.models import measurements
from dunrestore.models.devices import DTYPES
from dunrestore.models.measurements import Speed
from dunrestore.models.runner import Runner
from dunrestore.restoration.change import WINDOW
from dunrestore.restoration.picture import restoring_network

TILE = 192
"""Side of the tile that is measured."""
ROUNDS = 5
"""The best of so many counts, if the time suffices."""


def hardware(device: torch.device) -> str:
    """What a device calls itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return measurements.processor()[0]


def measure(
    model: Model, places: list[tuple[str, str]], seconds: float
) -> tuple[list[Speed], list[str]]:
    """Measure a model on devices in precisions, one after the other in turn, and keep the result.

    Args:
        model: a restoring model.
        places: (device, precision) as in ``self_test.present``.
        seconds: after these no further round is begun; the first is always finished.

    Returns:
        The speeds, and a line for every place that failed.
    """
    tile = np.random.default_rng(0).random((1, TILE, TILE, 3), np.float32)
    network = restoring_network(model)
    best: dict[tuple[str, str], float] = {}
    failed: dict[tuple[str, str], str] = {}
    start = time.perf_counter()
    for turn in range(1 + ROUNDS):  # the first turn warms up, and counts if there is no other
        for place in places:
            if place in failed or (turn and time.perf_counter() - start > seconds):
                continue
            try:
                took = _once(network, place, tile)
            except Exception as error:  # whatever a driver raises, the other devices go on
                said = (str(error).splitlines() or [type(error).__name__])[0]
                failed[place] = f"{place[0]} {place[1]}: {said}"
                continue
            best[place] = min(best.get(place, took), took)
    date = measurements.now()
    speeds = [
        Speed(
            model.name,
            model.sha256,
            device,
            hardware(torch.device(device)),
            str(DTYPES[precision]).removeprefix("torch."),
            TILE,
            TILE * TILE / 1e6 / took,
            date,
        )
        for (device, precision), took in best.items()
    ]
    measurements.store_speeds(torch.get_num_threads(), speeds)
    return speeds, list(failed.values())


def _once(network: nn.Module, place: tuple[str, str], tile: NDArray[np.float32]) -> float:
    device = torch.device(place[0])
    if device.type != "cpu":
        network = copy.deepcopy(network)
    runner = Runner(network, device, DTYPES[place[1]], WINDOW)
    if device.type != "cpu":
        runner.change(tile)  # kernels are chosen in the first run
    start = time.perf_counter()
    runner.change(tile)  # ends with a copy to the host, which waits for the device
    return time.perf_counter() - start


def stored_speed(model: Model, device: torch.device, dtype: torch.dtype) -> Speed | None:
    """The speed that was measured here last, of this model's file, device and precision."""
    where = device if device.type != "cuda" else torch.device("cuda", device.index or 0)
    precision = str(dtype).removeprefix("torch.")
    for speed in reversed(measurements.read_speeds(torch.get_num_threads())):
        if (speed.model_sha256, speed.device, speed.precision, speed.hardware) == (
            model.sha256, str(where), precision, hardware(where),
        ):  # fmt: skip
            return speed
    return None

"""Which device and precision a network runs in."""

import logging
import time
from functools import cache
from typing import Literal

import torch
from torch.nn import functional as F

from dunrestore import resources
from dunrestore.errors import UsageError
from dunrestore.models import measurements
from dunrestore.stamps import now

log = logging.getLogger(__name__)

Precision = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def name_of(dtype: torch.dtype) -> str:
    """What a precision is called in records: ``float32``, ``bfloat16`` or ``float16``."""
    return str(dtype).removeprefix("torch.")


def choose_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; a GPU with its number.

    Raises:
        UsageError: if it is unknown or not present, or a list of devices.
    """
    if "," in name:
        raise UsageError(
            f"{name!r} is more than one device", next_step="name one; only `restore` takes several"
        )
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"unknown device {name!r}", next_step="use auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= found:
            raise UsageError(
                f"device {name} is not present ({found} CUDA devices found)",
                next_step="use --device auto or cpu",
            )
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device mps is not present", next_step="use --device auto or cpu")
    return device


def choose_devices(names: str) -> tuple[torch.device, ...]:
    """The devices of a list such as ``cuda:0,cuda:1``, or the one that ``choose_device`` takes.

    The CPU may be named several times, though its cores are shared; any other device once.

    Raises:
        UsageError: if one is unknown, not present, named twice, or of another kind than the others.
    """
    if "," not in names:
        return (choose_device(names),)
    listed = [name.strip() for name in names.split(",")]
    if "auto" in listed:
        raise UsageError(f"{names!r} does not say which devices", next_step="use auto alone")
    devices = tuple(choose_device(name) for name in listed)
    if len({device.type for device in devices}) > 1:
        raise UsageError(
            f"{names!r} mixes kinds of devices", next_step="name the CPU alone, or GPUs alone"
        )
    if devices[0].type != "cpu" and len(set(devices)) < len(devices):
        raise UsageError(f"{names!r} names a device twice", next_step="name each device once")
    return devices


def kind_of(names: str) -> str:
    """``auto``, ``cpu``, ``cuda`` or ``mps``: what a list of devices has in common."""
    return names.partition(",")[0].partition(":")[0].strip()


def choose_precision(name: Precision, *devices: torch.device) -> torch.dtype:
    """The dtype that convolutions run in; ``auto`` takes the faster of float32 and bfloat16.

    Args:
        name: the precision asked for.
        devices: of one kind; ``auto`` takes what all of them support.

    Raises:
        UsageError: if the devices do not support it.
    """
    device = devices[0]
    if name != "auto":
        if name == "fp16" and device.type == "cpu":
            raise UsageError(
                "float16 is not supported on the CPU", next_step="use --precision auto or bf16"
            )
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if all(map(_has_bfloat16, devices)) else torch.float16
    if device.type == "cpu" and _bfloat16_pays_on_cpu():
        return torch.bfloat16
    return torch.float32


def _has_bfloat16(device: torch.device) -> bool:
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(False)


@cache
def _bfloat16_pays_on_cpu() -> bool:
    threads = torch.get_num_threads()
    stored = measurements.read_section(threads).get("seconds_of_one_thread")
    try:
        seconds = {name: float(stored[name]) for name in ("float32", "bfloat16")}  # pyright: ignore[reportOptionalSubscript]
    except (TypeError, KeyError, ValueError):
        seconds = measure_convolutions()
    return seconds["bfloat16"] < 0.8 * seconds["float32"]


@torch.inference_mode()
def measure_convolutions() -> dict[str, float]:
    """Seconds that one thread takes for a convolution by precision; kept for this machine.

    Measured, not looked up: processors without matrix units emulate bfloat16 slowly. One thread,
    and the best of interleaved runs, so that a busy machine does not decide: several would wait
    for the one that is kept from running, in either precision.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        best = _best_of_convolutions()
    finally:
        torch.set_num_threads(threads)
    log.debug("a convolution takes %s s", best)
    measurements.store(threads, seconds_of_one_thread=best, convolution_date=now())
    return best


def _best_of_convolutions() -> dict[str, float]:
    best = {"float32": float("inf"), "bfloat16": float("inf")}
    for _ in range(8):
        for name in best:
            dtype = getattr(torch, name)
            x = torch.rand(1, 64, 96, 96).to(dtype).to(memory_format=torch.channels_last)
            weight = torch.rand(64, 64, 3, 3).to(dtype).to(memory_format=torch.channels_last)
            start = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def free_memory(device: torch.device) -> int:
    """Bytes that a run may still take on ``device``."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + reusable
    return resources.memory().free

"""Self-test: does a model still give, on this machine, what it gave when it was made?

A small picture that this module paints itself is restored on every device and precision present,
and compared with a stored result of the CPU in float32. Meant to be run after every update of a
driver or of PyTorch.
"""

import copy
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dunrestore.checkpoints.store import embedded_folder
from dunrestore.errors import DunrestoreError, ModelError
from dunrestore.models.devices import DTYPES
from dunrestore.storage.atomic import write_bytes

NAME = "self-test.npz"
SIDE = 96
"""Height and width of the picture in pixels; a multiple of what every network needs."""

TOLERANCE: Mapping[str, tuple[float, float]] = {
    "fp32": (1 / 255, 0.1 / 255),
    "bf16": (16 / 255, 0.5 / 255),
    "fp16": (4 / 255, 0.25 / 255),
}
"""Deviation that 99.8 % of the samples stay within, and mean deviation, in [0, 1], by precision.

The remaining samples are for networks that decide pixel by pixel what is lost, where rounding may
tip a decision at the edge of a loss. Several times what a trained
HINet showed on a processor (``docs/decisions.md``), with room for TensorFloat-32 in fp32."""

WITHIN = 0.998
"""Share of the samples that the first limit is for."""

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Outcome:
    """A model on one device in one precision, against the stored result."""

    device: str
    precision: str
    deviation: float
    """What 99.8 % of the samples stay within, in [0, 1]."""
    largest: float
    """Largest deviation of a sample, in [0, 1]."""
    mean: float
    """Mean absolute deviation, in [0, 1]."""
    error: str = ""
    """Why it could not be run, if it could not."""

    @property
    def passed(self) -> bool:
        """Whether it is within the tolerance of its precision."""
        deviation, mean = TOLERANCE[self.precision]
        return not self.error and self.deviation <= deviation and self.mean <= mean


def picture() -> Pixels:
    """A damaged picture (SIDE, SIDE, 3) in [0, 1], the same to the last bit everywhere.

    Ochre and green waves with lines, and white losses. Integers only, since sines and random
    numbers differ between platforms and versions.
    """
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.int64)
    wave = np.abs((x * x + 3 * x * y + 2 * y * y) // 40 % 128 - 64)
    lines = np.where((x + y) % 24 < 3, -50, 0)
    channels = [150 + wave + lines, 110 + wave // 2 + lines + y // 4, 60 + x // 2 + lines]
    rgb = np.clip(np.stack(channels, axis=-1), 0, 255)
    losses = [(20, 24, 9), (30, 33, 7), (66, 20, 6), (70, 70, 11), (58, 78, 6), (12, 80, 4)]
    for row, column, radius in losses:
        lost = np.maximum(abs(y - row), abs(x - column)) + (7 * x + 5 * y) % 4 < radius
        rgb[lost] = 255
    return rgb.astype(np.float32) / np.float32(255)


@torch.inference_mode()
def restore_picture(network: nn.Module, device: str, precision: str) -> Pixels:
    """Restore the picture with a copy of a restoring network; (SIDE, SIDE, 3) in [0, 1].

    Not with the runner, which computes again in float32 what went wrong in low precision.

    Raises:
        ModelError: if the result is not finite.
    """
    place, dtype = torch.device(device), DTYPES[precision]
    copied = copy.deepcopy(network).to(place).to(memory_format=torch.channels_last)
    x = torch.from_numpy(picture().transpose(2, 0, 1)[None].copy()).to(place)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(place.type, dtype, enabled=dtype != torch.float32):
        result = copied(x)[-1]
    if not torch.isfinite(result).all():
        raise ModelError("its result is not finite")
    return result.float().clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy()


def run(network: nn.Module, reference: Pixels) -> Iterator[Outcome]:
    """Restore the picture on every device and precision present, and compare."""
    for device, precision in present():
        try:
            difference = np.abs(restore_picture(network, device, precision) - reference)
        except (RuntimeError, DunrestoreError) as error:  # a driver's fault is a result as well
            cause = (str(error).splitlines() or [type(error).__name__])[0]
            yield Outcome(device, precision, 1.0, 1.0, 1.0, cause)
        else:
            within = float(np.quantile(difference, WITHIN))
            largest, mean = float(difference.max()), float(difference.mean())
            yield Outcome(device, precision, within, largest, mean)


def present() -> list[tuple[str, str]]:
    """Devices and the precisions that ``restore`` offers on them."""
    found = [("cpu", "fp32"), ("cpu", "bf16")]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found += [(f"cuda:{index}", precision) for precision in ("fp32", "bf16", "fp16")]
    if torch.backends.mps.is_available():
        found += [("mps", precision) for precision in ("fp32", "fp16")]
    return found


def reference_path(name: str, model_file: Path) -> Path:
    """Where a model's stored result lies: all embedded ones together, others beside the model."""
    folder = model_file.parent
    return folder / NAME if folder == embedded_folder() else folder / f"{name}.{NAME}"


def read_reference(path: Path, name: str, sha256: str) -> Pixels | None:
    """The stored result for the model file of that hash; None if there is none.

    Raises:
        ModelError: if the file is broken.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = file[f"{name}@{sha256[:16]}"]
            if stored.shape != (SIDE, SIDE, 3) or stored.dtype != np.uint16:
                raise ValueError("wrong shape")
    except KeyError:
        return None
    except (OSError, ValueError, EOFError) as error:
        raise ModelError("the stored results of the self-test are broken", path=path) from error
    return stored.astype(np.float32) / 65535


def write_references(path: Path, results: Mapping[tuple[str, str], Pixels]) -> None:
    """Store results by (name, SHA-256 of the model file), in 16 bits."""
    arrays = {
        f"{name}@{sha256[:16]}": np.round(np.clip(pixels, 0, 1) * 65535).astype(np.uint16)
        for (name, sha256), pixels in results.items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    write_bytes(path, buffer.getvalue())

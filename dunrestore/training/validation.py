"""How well a network restores whole pictures that it was not trained on."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dunrestore.datasets.patches import PatchOptions, damaged_by
from dunrestore.datasets.pictures import Checked, PictureStore, Sample, cut
from dunrestore.degradations.seeds import generator_for
from dunrestore.metrics.fidelity import compare
from dunrestore.models.facts import facts


@dataclass(frozen=True)
class Figures:
    """Means over the validation pictures."""

    psnr: float
    """dB, whole pictures; 99 stands for no error at all."""
    ssim: float | None
    """None if all of them are smaller than its window."""
    psnr_inside: float | None
    """dB, damaged pixels only; None if nothing is damaged."""
    psnr_input: float
    """dB, of the damaged pictures themselves."""
    pictures: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Rounded plain values."""
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Restored:
    """One validation picture, and what the network made of it."""

    name: str
    sample: Sample
    result: NDArray[np.float32]
    """(H, W, 3) RGB in [0, 1]."""


def validation_set(
    pictures: Sequence[Checked],
    store: PictureStore,
    options: PatchOptions,
    *,
    count: int,
    side: int,
) -> list[tuple[str, Sample]]:
    """Whole pictures, damaged in the same way every time.

    Args:
        pictures: to choose from; spread evenly over them.
        store: of the decoded pictures.
        options: recipe or task, and the seed.
        count: how many at most.
        side: larger pictures are cut to their middle.
    """
    ordered = sorted(pictures, key=lambda p: p.pair.name)
    chosen = [ordered[i * len(ordered) // count] for i in range(min(count, len(ordered)))]
    if len(ordered) < count:
        chosen = ordered
    samples: list[tuple[str, Sample]] = []
    for picture in chosen:
        window = (_middle(picture.height, side), _middle(picture.width, side))
        rng = generator_for(options.seed, "validation", picture.sha256)
        sample = cut(picture, store, window)
        if picture.pair.input is None:
            sample = damaged_by(sample.target, options, rng)
        samples.append((picture.pair.name, sample))
    return samples


def _middle(length: int, side: int) -> slice:
    start = max(0, (length - side) // 2)
    return slice(start, start + min(length, side))


@torch.no_grad()
def validate(
    network: nn.Module,
    samples: Sequence[tuple[str, Sample]],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Figures, list[Restored]]:
    """Restore the pictures, whole, and compare them with the truth."""
    multiple = facts(network).size_multiple
    was_training = network.training
    network.eval()
    restored: list[Restored] = []
    for name, sample in samples:
        result = _restore(network, sample.input, multiple, device, dtype)
        restored.append(Restored(name, sample, result))
    network.train(was_training)
    return figures(restored), restored


def figures(restored: Sequence[Restored]) -> Figures:
    """The means over restored pictures."""
    compared = [compare(r.result, r.sample.target, r.sample.mask) for r in restored]
    before = [compare(r.sample.input, r.sample.target) for r in restored]
    inside = [c.inside.psnr for c in compared if c.inside is not None]
    similar = [c.whole.ssim for c in compared if c.whole.ssim is not None]
    return Figures(
        psnr=_mean([c.whole.psnr for c in compared]),
        ssim=_mean(similar) if similar else None,
        psnr_inside=_mean(inside) if inside else None,
        psnr_input=_mean([c.whole.psnr for c in before]),
        pictures=len(restored),
    )


def _mean(values: Sequence[float]) -> float:
    finite = [min(v, 99.0) if not math.isnan(v) else v for v in values]
    return float(np.mean(finite)) if finite else math.nan


def _restore(
    network: nn.Module,
    picture: NDArray[np.float32],
    multiple: int,
    device: torch.device,
    dtype: torch.dtype,
) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    padding = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    padded = np.pad(picture, padding, mode="symmetric")
    x = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)))[None].to(device)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        stages = network(x)
    result = stages[-1][0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(result[:height, :width])

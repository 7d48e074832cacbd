"""From rows to results: with versions, hashes and seeds, so that the figures can be had again."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

import dunrestore
from dunrestore.benchmarking.cases import Source, make_case
from dunrestore.benchmarking.protocol import Protocol
from dunrestore.benchmarking.results import Image, Results, Row
from dunrestore.benchmarking.run import Run, speeds
from dunrestore.errors import DunrestoreError
from dunrestore.stamps import now, version_of

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "pillow", "opencv-python-headless")


def environment(device: str) -> dict[str, str]:
    """Versions and hardware that figures may depend on."""
    found = {
        "dunrestore": dunrestore.__version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": _device(device),
        "threads": str(torch.get_num_threads()),
    }
    for library in _LIBRARIES:
        found[library] = version_of(library) or "not installed"
    return found


def _device(device: str) -> str:
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device


def images_of(sources: Sequence[Source], protocol: Protocol) -> list[Image]:
    """Sizes, hashes and coverage; pictures that cannot be read are not listed."""
    found: list[Image] = []
    block = next((b for b in protocol.blocks if b.damage is not None), protocol.blocks[0])
    for source in sources:
        try:
            case = make_case(source, block, protocol)
        except DunrestoreError:
            continue  # its rows say why
        height, width = case.truth.shape[:2]
        coverage = None if case.mask is None else float(case.mask.mean())
        found.append(Image(source.name, width, height, source.sha256, coverage))
    return found


def assemble(
    run: Run,
    rows: Iterable[Row],
    *,
    data: str,
    options: Mapping[str, Any],
    left_out: Sequence[str],
    notes: Sequence[str],
    device: str,
) -> Results:
    """Everything that a run found.

    Args:
        run: what was measured.
        rows: what it gave.
        data: the set's name.
        options: how pictures were restored.
        left_out: files of the set that were not used, and why.
        notes: lines for the reader.
        device: where the models ran.
    """
    kept = tuple(rows)
    images = tuple(images_of(run.sources, run.protocol))
    pixels = {image.name: image.width * image.height for image in images}
    return Results(
        created=now(),
        environment=environment(device),
        protocol=run.protocol,
        options=options,
        data=data,
        images=images,
        left_out=tuple(left_out),
        methods=tuple(method for c in run.contestants for method in c.methods),
        rows=kept,
        speed=tuple(speeds(kept, run.contestants, pixels)),
        notes=tuple(notes),
    )

"""Networks in files: our own safetensors format, and what every file must prove to be loaded."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from dunrestore.checkpoints import published
from dunrestore.checkpoints.header import KEY, Description, read_description
from dunrestore.errors import ModelError, file_access_error
from dunrestore.models.architectures import ARCHITECTURES, build
from dunrestore.storage.atomic import write_bytes

SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: a description, and weights that fit it."""

    description: Description
    tensors: Mapping[str, Tensor]
    """The whole state dict, float32 on the CPU, every number finite."""

    def network(self) -> nn.Module:
        """The network, float32, on the CPU, in eval mode."""
        network = _build(self.description, "cpu")
        network.load_state_dict(dict(self.tensors), assign=True)
        return network.eval()


def save(
    path: Path | str,
    network: nn.Module,
    architecture: str,
    card: Mapping[str, Any],
    *,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a network so that the file alone rebuilds it.

    The file appears whole or not at all. Vectors (biases, norms) stay float32: they weigh nothing.

    Args:
        path: where to; an existing file is replaced.
        network: with a ``config`` dataclass.
        architecture: key of ``ARCHITECTURES``.
        card: plain JSON values: title, licence, training, intended_use, limits, figures ...
        dtype: what matrices are stored in.

    Raises:
        ModelError: if a weight is not finite, or the card is not plain JSON.
        FileAccessError: if the file cannot be written.
    """
    path = Path(path)
    if architecture not in ARCHITECTURES:
        raise ModelError(f"unknown architecture {architecture!r}", path=path)
    config: Any = network.config
    try:
        description = Description(architecture, asdict(config), card).to_json()
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card is not plain JSON: {error}", path=path) from error
    tensors = {name: _stored(t, dtype) for name, t in network.state_dict().items()}
    if bad := [name for name, t in tensors.items() if not torch.isfinite(t).all()]:
        raise ModelError(f"weights are not finite: {_some(bad)}", path=path)
    write_bytes(path, to_bytes(tensors, metadata={KEY: description}))


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    whole = tensor.detach().cpu().float()
    if tensor.ndim < 2:
        return whole.contiguous()
    short = whole.to(dtype)
    overflows = torch.isfinite(whole).all() and not torch.isfinite(short).all()
    return (whole if overflows else short).contiguous()


def read(path: Path | str) -> Checkpoint:
    """Read a model file of ours, a published one, or a folder with CAR's two files.

    Raises:
        ModelError: if it is none of these, or is not whole, with the reason.
        FileAccessError: if it cannot be opened.
    """
    path = Path(path)
    if not path.exists():
        raise ModelError("there is no such file or folder", path=path)
    if path.is_dir() or not _is_safetensors(path):
        description, tensors = published.read(path)
    else:
        description = read_description(path)
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"broken: {error}", path=path) from error
    _check(description, tensors, path)
    return Checkpoint(description, {name: t.float() for name, t in tensors.items()})


def _is_safetensors(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise file_access_error(error, path) from error
    return path.suffix == SAFETENSORS or start[8:] == b"{"


def _build(description: Description, device: str) -> nn.Module:
    with torch.device("meta"):  # drawing weights that are replaced at once would take seconds
        network = build(description.architecture, description.config)
    if device != "meta" and any(buffer.is_meta for buffer in network.buffers()):
        return build(description.architecture, description.config)  # constants outside the file
    return network


def _check(description: Description, tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        network = _build(description, "meta")
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ModelError(f"no network can be built from it: {error}", path=path) from error
    expected = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    title = ARCHITECTURES[description.architecture].title
    if missing := sorted(expected.keys() - found.keys()):
        raise ModelError(f"lacks {_some(missing)}, which {title} needs", path=path)
    if surplus := sorted(found.keys() - expected.keys()):
        raise ModelError(f"holds {_some(surplus)}, which {title} does not have", path=path)
    for name, shape in expected.items():
        if found[name] != shape:
            raise ModelError(
                f"{name} has the shape {found[name]}, {title} needs {shape}", path=path
            )
    if bad := [n for n, t in tensors.items() if not t.is_floating_point()]:
        raise ModelError(f"{_some(bad)} is not floating-point", path=path)
    # In NumPy, without threads, which on a busy machine cost more than so many small checks.
    if bad := [n for n, t in tensors.items() if not np.isfinite(t.float().numpy()).all()]:
        raise ModelError(f"{_some(bad)} holds numbers that are not finite", path=path)


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest

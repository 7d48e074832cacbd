"""A run's state on disk: all that is needed to go on as if nothing had happened."""

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dunrestore.errors import ModelError, file_access_error
from dunrestore.storage.atomic import write_bytes

FILE = "state.pt"
VERSION = 1


@dataclass(frozen=True)
class State:
    """What a run is made of between two steps."""

    config: Mapping[str, Any]
    """The configuration as plain values."""
    iteration: int
    """Steps done; with the seed it also says which sample comes next."""
    network: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] | None
    """The averaged weights, if there are any."""
    optimizers: Sequence[Mapping[str, Any]]
    scaler: Mapping[str, Any]
    """Of float16's gradients; empty in other precisions."""
    generator: Tensor
    """State of PyTorch's random generator."""
    best: float | None
    """Highest validation PSNR so far."""
    data: str
    """Hash of the training set."""
    validated_on: str = ""
    """Hash of what ``best`` was measured on; empty in states of before it was written down."""
    dimensions: Mapping[str, Any] | None = None
    """The network's, as plain values; None in states of before they were written down."""


def save_state(folder: Path, state: State) -> Path:
    """Write the state; the previous one is replaced only by a whole new one.

    Raises:
        FileAccessError: if it cannot be written; there is a whole state then, the previous or this.
    """
    memory = io.BytesIO()
    parts = dict(vars(state)) | {"version": VERSION, "config": json.dumps(dict(state.config))}
    torch.save(parts, memory)
    path = folder / FILE
    write_bytes(path, memory.getvalue())
    return path


def load_state(folder: Path) -> State:
    """Read the state of a run.

    Raises:
        ModelError: if there is none, or it is broken.
        FileAccessError: if it cannot be opened.
    """
    path = folder / FILE
    if not path.is_file():
        raise ModelError(
            "there is no state to resume from", path=path, next_step="start without --resume"
        )
    try:
        parts: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        version = parts.pop("version")
        parts["config"] = json.loads(parts["config"])
        state = State(**parts)
    except OSError as error:
        raise file_access_error(error, path) from error
    except (RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError, EOFError) as e:
        raise ModelError("the saved state is broken", path=path) from e
    if version != VERSION:
        raise ModelError(f"the saved state has version {version}", path=path)
    return state

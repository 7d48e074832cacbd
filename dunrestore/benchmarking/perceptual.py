"""LPIPS with its trunk from the project's own download cache, or a line that says why not."""

import pickle
from pathlib import Path
from typing import Any, cast

import torch

from dunrestore.checkpoints.load import locate
from dunrestore.errors import DunrestoreError, ModelError
from dunrestore.metrics.lpips import LPIPS, load_heads

TRUNK = "lpips-alexnet"


def load_lpips(cache_dir: Path | None = None, *, offline: bool = False) -> tuple[LPIPS | None, str]:
    """The metric, or None and one line that says how to get it.

    Args:
        cache_dir: where downloads lie; by default the user's cache folder.
        offline: never use the network.
    """
    try:
        found = locate(TRUNK, cache_dir=cache_dir, offline=offline)
        return LPIPS(_read(found.path), load_heads()), ""
    except DunrestoreError as error:
        cause = " ".join(error.cause.split())
        return None, (
            f"LPIPS is n/a: {cause}; get its weights with `dunrestore models pull {TRUNK}`"
            " on a machine with a network, then run this again"
        )


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ModelError("LPIPS' trunk cannot be read", path=path) from error
    if not isinstance(state, dict):
        raise ModelError("LPIPS' trunk is not a state dict", path=path)
    return cast(dict[str, torch.Tensor], state)

"""The Python interface: restore an array or a file with a loaded model."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dunrestore.checkpoints.load import Model, load
from dunrestore.errors import InputError
from dunrestore.imaging import files
from dunrestore.imaging.picture import Encoding, Picture
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.pages import restored_picture
from dunrestore.restoration.picture import restore_picture, restoring_network

_LEEWAY = 0.1
"""How far beyond [0, 1] floats may lie: a filter overshoots, another scale goes farther."""

_MAXIMUM = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def restore(
    picture: NDArray[Any] | Path | str,
    model: Model | str | Path,
    options: RestoreOptions | None = None,
    *,
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[Any]:
    """Restore one picture and return it as an array.

    Args:
        picture: a path, or an array (H, W) or (H, W, C) of uint8, uint16 or floats in [0, 1] with
            C 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
        model: from ``dunrestore.load``, or what that takes.
        options: tiles, device, precision, preserve; the command's defaults if None.
        mask: (H, W) of bool (such as ``mask > 127``), True where the picture, upright, is known to
            be lost; None to find the losses.

    Returns:
        An array of the picture's own shape and dtype; for a path the first page's samples, as
        stored (H, W, C). What was not damaged keeps its samples, alpha always does.

    Raises:
        InputError: an array of another shape, dtype or scale, or an unreadable file; a mask of
            another shape, not of bool, or that marks the whole picture.
        UsageError: a mask for a model that takes none.
        DunrestoreError: see ``dunrestore.errors``.
    """
    if mask is not None and mask.dtype == np.bool_ and mask.all():
        raise InputError("the mask leaves nothing to restore from")
    loaded = model if isinstance(model, Model) else load(model)
    options = options or RestoreOptions()
    if isinstance(picture, str | Path):
        page = files.read(Path(picture)).pages[0]
        return restored_picture(page, loaded, options, lost=mask)[0].samples
    samples = picture[..., None] if picture.ndim == 2 else picture
    if samples.ndim != 3 or samples.shape[2] not in (1, 2, 3, 4) or not samples.size:
        raise InputError(f"an array of shape {picture.shape} is not a picture")
    if np.issubdtype(picture.dtype, np.floating):
        return _restore_floats(samples, loaded, options, mask).reshape(picture.shape)
    if picture.dtype not in _MAXIMUM:
        raise InputError(
            f"an array of {picture.dtype} is not supported", next_step="use uint8, uint16 or floats"
        )
    channels = samples.shape[2]
    encoding = Encoding(
        "grey" if channels < 3 else "rgb",
        maximum=_MAXIMUM[picture.dtype],
        extra=1 - channels % 2,
    )
    restored, _ = restored_picture(Picture(samples, encoding), loaded, options, lost=mask)
    return restored.samples.reshape(picture.shape)


def _restore_floats(
    samples: NDArray[np.floating[Any]],
    model: Model,
    options: RestoreOptions,
    mask: NDArray[np.bool_] | None,
) -> NDArray[np.floating[Any]]:
    colours = 3 if samples.shape[2] >= 3 else 1
    low, high = samples.min(), samples.max()  # not a number if one sample is not
    if not (low >= -_LEEWAY and high <= 1 + _LEEWAY):
        raise InputError(
            f"floats from {low:g} to {high:g} are not in [0, 1]",
            next_step="divide them by their white, such as picture / 255",
        )
    rgb = np.ascontiguousarray(np.broadcast_to(samples[..., :colours], (*samples.shape[:2], 3)))
    network = restoring_network(model)
    hidden = None if samples.shape[2] % 2 else samples[..., -1] == 0
    restoration = restore_picture(
        rgb.astype(np.float32), network, options, lost=mask, hidden=hidden
    )
    change = restoration.proposal.change * restoration.weight[..., None]
    if (rgb == rgb[..., :1]).all():  # what is grey stays so
        change = change.mean(axis=2, keepdims=True)
    restored = samples.copy()
    restored[..., :colours] += change.astype(samples.dtype)
    return restored

"""How many files are computed at the same time."""

from collections.abc import Sequence

import torch

from dunrestore.models.devices import free_memory
from dunrestore.resources import processors

MOST_AT_ONCE = 8
"""Files computed at once for each GPU where nothing else is said."""
MEMORY_AT_ONCE = 3e9
"""Bytes of free memory for each of them: the largest that are not restored band by band take 1.4
GB, and others are read and written meanwhile."""


def files_at_once(
    devices: Sequence[torch.device], asked: int | None, time_limit: float | None
) -> int:
    """How many files are computed at the same time on devices.

    Args:
        devices: from ``choose_devices``.
        asked: how many; None for as many as there are processors and memory, up to
            ``MOST_AT_ONCE`` a device.
        time_limit: of a file; with one they are computed one after the other, since waiting for
            others would count.
    """
    if devices[0].type != "cuda" or time_limit is not None:
        return 1
    memory = int(free_memory(torch.device("cpu")) / MEMORY_AT_ONCE)
    return asked or max(1, min(MOST_AT_ONCE * len(set(devices)), processors(), memory))

"""How a picture is restored."""

from dataclasses import dataclass
from typing import Literal

from dunrestore.errors import UsageError
from dunrestore.models.devices import Precision

Preserve = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class RestoreOptions:
    """Options of one restoration; the defaults are the command's."""

    tile: int | None = None
    """Side of a tile in pixels; 0 for the whole picture at once with the network exactly as
    published; None to fit the memory that is free."""
    overlap: int | None = None
    """Pixels that neighbouring tiles share; None for the measured default."""
    batch_size: int | None = None
    """Tiles that are computed together; None for one, on GPUs for as many as pay and fit."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps; several of one kind as in ``cuda:0,cuda:1``."""
    precision: Precision = "auto"
    """auto, fp32, bf16 or fp16."""
    preserve: Preserve = "auto"
    """Whether what was not damaged keeps its samples: always, never, or auto, which cleans the
    whole picture only where the whole scan is noisy."""

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile < 0:
            raise UsageError(f"a tile of {self.tile} pixels makes no sense")
        if self.overlap is not None and self.overlap < 0:
            raise UsageError(f"an overlap of {self.overlap} pixels makes no sense")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"a batch of {self.batch_size} tiles makes no sense")

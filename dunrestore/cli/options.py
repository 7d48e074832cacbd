"""Options that several commands have, and what callbacks refuse."""

from pathlib import Path
from typing import Annotated

import typer

from dunrestore.imaging.limits import LEAST_TILE
from dunrestore.storage.cache import VARIABLE


def above_zero(value: float) -> float:
    """Refuse numbers that are not above 0; of an option."""
    if not value > 0:  # nor NaN
        raise typer.BadParameter("must be above 0")
    return value


def least_tile(value: int) -> int:
    """Return the side of a tile; one that is too small is a usage error."""
    if 0 < value < LEAST_TILE:
        raise typer.BadParameter(f"must be 0, or at least {LEAST_TILE} pixels")
    return value


CacheDir = Annotated[
    Path | None,
    typer.Option("--cache-dir", metavar="DIR", envvar=VARIABLE, help="Where models are kept."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say errors only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar.")]

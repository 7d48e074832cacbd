"""Where models lie: embedded in the package, in the cache, or at a path."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dunrestore
from dunrestore.errors import ModelError

EMBEDDED = ("arin", "arin-guided", "arin-joint", "car", "car-base", "hinet-db", "hinet-dr")


@dataclass(frozen=True)
class Located:
    """A model on this machine."""

    name: str
    path: Path
    card: Mapping[str, Any] = field(default_factory=dict[str, Any])


def embedded_folder() -> Path:
    """The weights that come with the package: beside it in a checkout, inside it when installed."""
    package = Path(dunrestore.__file__).parent
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


def locate(model: str | Path, *, cache_dir: Path | str | None, offline: bool) -> Located:
    """Find a model by name or path."""
    del cache_dir, offline
    name = str(model).replace("@", "-")
    if isinstance(model, str) and name in EMBEDDED:
        path = embedded_folder() / f"{name}.safetensors"
        if not path.is_file():
            raise ModelError(
                f"the model {name} should have come with dunrestore but is not there",
                path=path,
                next_step="install dunrestore again",
            )
        return Located(name, path)
    path = Path(model)
    if not path.exists():
        raise ModelError(
            f"unknown model {str(model)!r}, and no such file",
            next_step=f"use a path or one of {', '.join(EMBEDDED)}",
        )
    return Located(path.stem, path)

"""Restore scanned murals: blind inpainting that never touches what was not damaged.

    import dunrestore

    model = dunrestore.load("arin")
    restored = dunrestore.restore("mural.png", model)

Nothing heavy is imported until one of these is used.
"""

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it; the import of ``typing`` takes as long as Python

if TYPE_CHECKING:
    from dunrestore.checkpoints.load import load
    from dunrestore.restoration.api import restore

__version__ = "0.1.0"
__all__ = ["__version__", "load", "restore"]

_HOMES = {"load": "dunrestore.checkpoints.load", "restore": "dunrestore.restoration.api"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

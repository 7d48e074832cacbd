"""The folder for what can be had again: downloaded models, measurements of this machine."""

import os
from pathlib import Path

VARIABLE = "DUNRESTORE_CACHE_DIR"


def cache_root(chosen: Path | str | None = None) -> Path:
    """The folder that was chosen, or ``DUNRESTORE_CACHE_DIR``, or the user's cache folder."""
    import platformdirs  # takes its time, and --help needs the variable's name alone

    named = chosen or os.environ.get(VARIABLE)
    return Path(named or platformdirs.user_cache_path("dunrestore")).expanduser()

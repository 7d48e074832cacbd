"""Files that lie beside an output and carry its name."""

import hashlib
import os
import sys
from pathlib import Path

_LONGEST = 255
"""Bytes that a file name may have on the file systems in use."""


def beside(output: Path, suffix: str) -> Path:
    """The path of the file with ``suffix`` that belongs to ``output``.

    It is the output's whole name and the suffix; a name that would be too long is cut, and a hash
    keeps it unique.
    """
    name = os.fsencode(output.name)
    if len(name) + len(suffix) <= _LONGEST:
        return output.with_name(output.name + suffix)
    mark = f"~{hashlib.sha256(name).hexdigest()[:12]}"
    short = name[: _LONGEST - len(mark) - len(suffix)].decode(sys.getfilesystemencoding(), "ignore")
    return output.with_name(short + mark + suffix)

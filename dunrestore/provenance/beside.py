"""Files that lie beside an output and carry its name."""

import hashlib
import os
from pathlib import Path

from dunrestore.imaging.atomic import write_atomically

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
    short = name[: _LONGEST - len(mark) - len(suffix)].decode("utf-8", "ignore")
    return output.with_name(short + mark + suffix)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in place of one of the same name.

    Raises:
        FileAccessError: if it cannot be written.
    """
    content = text.encode("utf-8", "surrogateescape")  # as file names that are no Unicode
    write_atomically(path, lambda file: file.write(content), overwrite=True)

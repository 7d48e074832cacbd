"""What a set consists of, for the record: names, hashes, sizes and licences."""

import csv
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dunrestore.datasets.pictures import Checked
from dunrestore.errors import InputError, file_access_error

log = logging.getLogger(__name__)

SOURCES = "sources.csv"


def describe(folder: Path, pictures: Sequence[Checked]) -> dict[str, Any]:
    """Plain JSON values: every clean picture's name, SHA-256 and licence, and a hash of them all.

    Licences come from a ``sources.csv`` in the folder or beside it, with the columns ``file`` and
    ``licence``; the file is named relative to where the table lies.

    Raises:
        InputError: if that table is none.
        FileAccessError: if it cannot be opened.
    """
    licences = _licences(folder)
    rows = [
        {
            "name": p.pair.name,
            "sha256": p.sha256,
            "licence": licences.get(p.pair.target.resolve(), "not stated"),
        }
        for p in sorted(pictures, key=lambda p: p.pair.name)
    ]
    whole = hashlib.sha256("\n".join(f"{r['sha256']} {r['name']}" for r in rows).encode())
    return {"pictures": len(rows), "sha256": whole.hexdigest(), "files": rows}


def _licences(folder: Path) -> dict[Path, str]:
    for place in (folder, folder.parent):
        table = place / SOURCES
        if table.is_file():
            try:
                return _read(table)
            except OSError as error:
                raise file_access_error(error, table) from error
            except (ValueError, csv.Error) as error:  # a UnicodeDecodeError is a ValueError
                raise InputError(
                    f"it cannot be read as a table ({error})",
                    path=table,
                    next_step="save it as comma-separated values in UTF-8",
                ) from error
    return {}


def _read(table: Path) -> dict[Path, str]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not {"file", "licence"} <= set(rows.fieldnames or ()):
            log.warning("%s: has no columns 'file' and 'licence', so no licence is known", table)
        return {
            (table.parent / row["file"]).resolve(): row["licence"]
            for row in rows
            if row.get("file") and row.get("licence")
        }

"""What is written beside a model in the cache: where it came from, and its hash on that day."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dunrestore.errors import ModelError, file_access_error
from dunrestore.stamps import now

NAME = "record.json"


@dataclass(frozen=True)
class Record:
    """One model of the cache."""

    name: str
    """What users call it."""
    file: str
    """What its file is called, beside the record."""
    sha256: str
    """Of the file, when it came; a file that differs from it is not loaded."""
    size: int
    """Bytes."""
    origin: Literal["download", "import"]
    """How it came."""
    source: str
    """The address, or what the imported file or folder was called."""
    original_sha256: str = ""
    """Of what was imported, before its conversion."""
    card: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the catalogue said of it."""
    date: str = field(default_factory=now)
    """When it came, UTC."""

    def write(self, folder: Path) -> None:
        """Write ``record.json``, whole or not at all, and on the disk when this returns.

        Raises:
            OSError: if it cannot be written.
        """
        temporary = folder / f"{NAME}.new"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, ensure_ascii=False, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / NAME)


def read_record(folder: Path) -> Record | None:
    """The record in a model's folder; None if there is none.

    Raises:
        ModelError: if there is one that cannot be understood.
        FileAccessError: if it cannot be opened.
    """
    path = folder / NAME
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
        if Path(record.file).name != record.file or record.name != folder.name:
            raise ValueError("a name that does not belong here")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise file_access_error(error, path) from error
    except (ValueError, TypeError) as error:
        raise ModelError(
            "the record of this model is broken",
            path=path,
            next_step=f"dunrestore models remove {folder.name}, then pull or import it again",
        ) from error
    return record

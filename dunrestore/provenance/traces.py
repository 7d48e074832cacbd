"""What the records say of an output that exists: made from which input, model and options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dunrestore.errors import InputError
from dunrestore.provenance import manifest, record


@dataclass(frozen=True)
class Traces:
    """The hashes that decide whether an output is the one that is wanted."""

    input_sha256: str
    model_sha256: str
    options_sha256: str
    output_sha256: str
    replaces_sha256: str | None = None
    """Of the output that was there before."""

    def of_the_same(self, input_sha256: str, model_sha256: str, options_sha256: str) -> bool:
        """Whether input, model and options are these."""
        ours = (self.input_sha256, self.model_sha256, self.options_sha256)
        return ours == (input_sha256, model_sha256, options_sha256)

    @classmethod
    def from_record(cls, values: dict[str, Any]) -> "Traces":
        """From a record's plain values."""
        return cls(
            values["input"]["sha256"],
            values["model"]["sha256"],
            values["options_sha256"],
            values["output"]["sha256"],
            values["output"].get("replaces_sha256"),
        )


class KnownOutputs:
    """Looks up what was made before: in an output's record, else in the run's manifest.

    Args:
        folder: where the manifest lies; None without one.
    """

    def __init__(self, folder: Path | None) -> None:
        self._lines: dict[str, dict[str, Any]] = {}
        if folder is None:
            return
        for line in manifest.events(folder / manifest.NAME):
            if line.get("event") == "writing":
                self._lines[str(line.get("output"))] = dict(line.get("traces", {}))

    def find(self, output: Path, name: str) -> Traces | None:
        """What is known of an output; None if nothing is.

        Args:
            output: its path.
            name: what the manifest calls it: its path inside the folder.

        Raises:
            FileAccessError: if its record cannot be opened.
        """
        try:
            values = record.read(record.path_of(output))
            if values is not None:
                return Traces.from_record(values)
            return Traces(**self._lines[name]) if name in self._lines else None
        except (InputError, TypeError):
            return None

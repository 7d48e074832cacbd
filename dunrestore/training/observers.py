"""Who is told how a run goes on: the terminal, a file, TensorBoard."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dunrestore.errors import ConfigError, file_access_error
from dunrestore.training.validation import Figures, Restored

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Step:
    """What one step of the optimiser gave."""

    iteration: int
    """Steps done, this one among them."""
    loss: float
    lr: float
    gradient: float
    """Norm of the gradient before clipping."""
    images_per_second: float
    """Since the run began."""


class Observer(Protocol):
    """Told what happens."""

    def stepped(self, step: Step) -> None:
        """A step was made."""

    def validated(self, iteration: int, figures: Figures, pictures: Sequence[Restored]) -> None:
        """Whole pictures were restored and measured."""

    def close(self) -> None:
        """The run is over."""


class MetricsFile:
    """One JSON object a line: means over ``every`` steps, and every validation.

    A resumed run drops the lines beyond the state it resumes from.
    """

    def __init__(self, folder: Path, every: int, start: int) -> None:
        self._path = folder / METRICS
        self._every = every
        self._losses: list[float] = []
        try:
            kept = self._path.read_text(encoding="utf-8").splitlines() if start else []
            lines = [line for line in kept if json.loads(line)["iteration"] <= start]
            self._path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        except (OSError, ValueError, KeyError):  # a damaged record is no reason not to train
            self._path.unlink(missing_ok=True)

    def stepped(self, step: Step) -> None:
        """Collect, and write now and then."""
        self._losses.append(step.loss)
        if step.iteration % self._every == 0:
            self._write(
                {
                    "iteration": step.iteration,
                    "loss": float(np.mean(self._losses)),
                    "lr": step.lr,
                    "gradient": step.gradient,
                    "images_per_second": round(step.images_per_second, 2),
                }
            )
            self._losses.clear()

    def validated(self, iteration: int, figures: Figures, pictures: Sequence[Restored]) -> None:
        """Write the figures."""
        del pictures
        self._write({"iteration": iteration, "validation": figures.as_dict()})

    def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, line: dict[str, Any]) -> None:
        stamped = line | {"time": round(time.time(), 1)}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(stamped) + "\n")
        except OSError as error:
            raise file_access_error(error, self._path) from error


class TensorBoard:
    """Scalars, and the first validation pictures: damaged, restored, clean side by side."""

    def __init__(self, folder: Path, every: int, start: int, *, pictures: int = 4) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "TensorBoard is not installed",
                next_step="pip install 'dunrestore[tensorboard]', or leave out --tensorboard",
            ) from error
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=start or None)
        self._every, self._pictures = every, pictures

    def stepped(self, step: Step) -> None:
        """Write scalars now and then."""
        if step.iteration % self._every == 0:
            for name in ("loss", "lr", "gradient", "images_per_second"):
                self._writer.add_scalar(f"training/{name}", getattr(step, name), step.iteration)

    def validated(self, iteration: int, figures: Figures, pictures: Sequence[Restored]) -> None:
        """Write the figures and some pictures."""
        for name, value in figures.as_dict().items():
            if value is not None and name != "pictures":
                self._writer.add_scalar(f"validation/{name}", value, iteration)
        for restored in pictures[: self._pictures]:
            row = np.hstack([restored.sample.input, restored.result, restored.sample.target])
            self._writer.add_image(restored.name, row, iteration, dataformats="HWC")

    def close(self) -> None:
        """Flush."""
        self._writer.close()

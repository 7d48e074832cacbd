"""What a run leaves: states, models, figures."""

import hashlib
import logging
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dunrestore.checkpoints.formats import SAFETENSORS, save
from dunrestore.models.devices import name_of
from dunrestore.stamps import version_of
from dunrestore.training.config import as_values
from dunrestore.training.data import RunData
from dunrestore.training.distributed import World
from dunrestore.training.loop import Trainer
from dunrestore.training.observers import Observer
from dunrestore.training.stages import STAGES
from dunrestore.training.state import save_state
from dunrestore.training.validation import Figures, validate, validation_set

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a finished run leaves."""

    model: Path
    """The model file; the best one so far lies beside it."""
    figures: Figures | None
    """Of the last validation; None without validation pictures."""
    iterations: int


class Keeper:
    """Writes states and models, validates, remembers the figures."""

    def __init__(
        self,
        trainer: Trainer,
        data: RunData,
        folder: Path,
        world: World,
        observers: Sequence[Observer],
    ) -> None:
        self.observers = observers
        self._trainer, self._data, self._folder, self._world = trainer, data, folder, world
        self._figures: Figures | None = None
        config = trainer.config
        self._samples = validation_set(
            data.validation,
            data.store,
            data.options,
            count=config.validation_images,
            side=config.validation_side,
        )
        self._begin_best_anew()

    def _begin_best_anew(self) -> None:
        """Forget the best PSNR so far if it was measured on other samples than now."""
        digest = hashlib.sha256()
        for _, sample in self._samples:
            for part in (sample.input, sample.target, sample.mask):
                digest.update(part.tobytes())
        now, before = digest.hexdigest(), self._trainer.validated_on
        if before and before != now and self._trainer.best is not None:
            log.warning("validated on other pictures than before: the best model is found anew")
            self._trainer.best = None
        self._trainer.validated_on = now

    def save(self) -> None:
        """Write the state, and the model as it is.

        Raises:
            ConfigError: if its weights are not finite; the previous state stays.
        """
        self._trainer.check()
        if self._world.leads:
            save_state(self._folder, self._trainer.state(self._data.description["sha256"]))
            self._write("last")
        self._world.wait()

    def validate(self) -> None:
        """Measure the model; keep it if it is the best so far.

        Raises:
            ConfigError: if its weights are not finite.
        """
        self._trainer.check()
        trainer = self._trainer
        if self._world.leads and self._samples:
            self._figures, pictures = validate(
                trainer.result, self._samples, trainer.device, trainer.dtype
            )
            for observer in self.observers:
                observer.validated(trainer.iteration, self._figures, pictures)
            if trainer.best is None or self._figures.psnr > trainer.best:
                trainer.best = self._figures.psnr
                self._write("best")
        self._world.wait()

    def finish(self) -> Result:
        """Write the final model."""
        model = self._folder / f"{self._trainer.config.stage}{SAFETENSORS}"
        if self._world.leads:
            save(model, self._trainer.result, self._architecture, self._card())
        return Result(model, self._figures, self._trainer.iteration)

    @property
    def _architecture(self) -> str:
        return STAGES[self._trainer.config.stage].architecture

    def _write(self, name: str) -> None:
        path = self._folder / f"{name}{SAFETENSORS}"
        save(path, self._trainer.result, self._architecture, self._card())

    def _card(self) -> dict[str, Any]:
        config = self._trainer.config
        return {
            "title": f"{config.stage}, {config.size}",
            "licence": "as its training pictures allow; see training.data",
            "training": {
                "config": as_values(config),
                "iterations": self._trainer.iteration,
                "data": self._data.description,
                "device": str(self._trainer.device),
                "precision": name_of(self._trainer.dtype),
                "processes": self._world.size,
                "versions": _versions(),
            },
            "figures": {"validation": self._figures.as_dict() if self._figures else None},
        }


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("dunrestore", "torch", "numpy", "pillow"):
        if found := version_of(package):
            versions[package] = found
    return versions

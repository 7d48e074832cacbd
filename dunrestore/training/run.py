"""A whole run: pictures, network, loop, model file."""

import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import torch

from dunrestore.checkpoints.formats import SAFETENSORS, save
from dunrestore.datasets.description import describe
from dunrestore.datasets.layouts import list_pairs
from dunrestore.datasets.patches import PatchOptions, PatchStream
from dunrestore.datasets.pictures import Checked, PictureStore, check, split
from dunrestore.datasets.prefetch import prefetched
from dunrestore.errors import InputError, ModelError, UsageError, file_access_error
from dunrestore.models.devices import DTYPES, Precision, choose_device, choose_precision
from dunrestore.training.config import TrainConfig, as_values
from dunrestore.training.distributed import World
from dunrestore.training.interruption import stop_requests
from dunrestore.training.loop import Occasions, Part, Trainer, run_loop
from dunrestore.training.observers import MetricsFile, Observer, TensorBoard
from dunrestore.training.stages import STAGES, make_network
from dunrestore.training.state import FILE, State, load_state, save_state
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


@dataclass(frozen=True)
class _Data:
    training: PatchStream
    validation: list[Checked]
    store: PictureStore
    options: PatchOptions
    description: dict[str, Any]


def saved_config(folder: Path) -> Mapping[str, Any]:
    """The configuration of the run whose state lies in ``folder``."""
    return load_state(folder).config


def train(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    observers: Callable[[int], Sequence[Observer]] = lambda start: (),
    world: World | None = None,
) -> Result:
    """Train a network and write it as a model file.

    Args:
        config: what to do.
        folder: for the state, ``metrics.jsonl``, ``best`` and ``last`` and the final model.
        resume: go on from the state in ``folder``.
        observers: makes those who are told how it goes on, given the iterations already done.
        world: this process among several.

    Raises:
        DunrestoreError: unusable data, configuration, models or disk.
        KeyboardInterrupt: asked to stop; the state is saved.
    """
    world = world or World()
    state = _prepare_folder(folder, resume, world)
    if config.threads:
        torch.set_num_threads(config.threads)
    data = _load_data(config)
    device = _device(config, world)
    config, dtype = _settle_precision(config, device, state)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
    trainer = Trainer(config, make_network(config), device, dtype, world)
    if state is not None:
        _resume(trainer, state, data, folder)
    told = list(observers(trainer.iteration))
    if world.leads:
        told.append(MetricsFile(folder, config.log_every, trainer.iteration))
        if config.tensorboard:
            told.append(TensorBoard(folder, config.log_every, trainer.iteration))
    keeper = _Keeper(trainer, data, folder, world, told)
    try:
        _run(trainer, data, keeper, world)
    finally:
        for observer in told:
            observer.close()
    return keeper.finish()


def _run(trainer: Trainer, data: _Data, keeper: "_Keeper", world: World) -> None:
    config = trainer.config

    def batch(iteration: int) -> list[Part]:
        ranges = world.share(iteration, config.batch, config.accumulate)
        parts = (data.training.batch(indices) for indices in ranges)
        return [
            (torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(m)) for x, y, m in parts
        ]

    world.share(0, config.batch, config.accumulate)  # complains before anything is computed
    occasions = Occasions(keeper.save, keeper.validate, keeper.observers)
    with (
        stop_requests() as stop,
        prefetched(batch, trainer.iteration, config.iterations) as batches,
    ):
        run_loop(trainer, batches, occasions, world, stop)


class _Keeper:
    """Writes states and models, validates, remembers the figures."""

    def __init__(
        self,
        trainer: Trainer,
        data: _Data,
        folder: Path,
        world: World,
        observers: Sequence[Observer],
    ) -> None:
        self.observers = observers
        self._trainer, self._data, self._folder, self._world = trainer, data, folder, world
        self._figures: Figures | None = None
        self._begun = time.time()
        config = trainer.config
        self._samples = validation_set(
            data.validation,
            data.store,
            data.options,
            count=config.validation_images,
            side=config.validation_side,
        )

    def save(self) -> None:
        if self._world.leads:
            save_state(self._folder, self._trainer.state(self._data.description["sha256"]))
            self._write("last")
        self._world.wait()

    def validate(self) -> None:
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
                "precision": str(self._trainer.dtype).removeprefix("torch."),
                "processes": self._world.size,
                "versions": _versions(),
            },
            "figures": {"validation": self._figures.as_dict() if self._figures else None},
        }


def _prepare_folder(folder: Path, resume: bool, world: World) -> State | None:
    if resume:
        return load_state(folder)
    if (folder / FILE).exists():
        raise UsageError(
            "holds the state of another run",
            path=folder,
            next_step="go on with --resume, or choose another --output",
        )
    if world.leads:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_access_error(error, folder) from error
    world.wait()
    return None


def _load_data(config: TrainConfig) -> _Data:
    if not config.data:
        raise UsageError("no training pictures", next_step="give a folder with --data")
    folder = Path(config.data)
    store = PictureStore(config.cache_mb * 2**20)
    pictures = check(list_pairs(folder), store, at_most=config.max_left_out)
    if config.validation_data:
        listing = list_pairs(Path(config.validation_data), "test")
        validation = check(listing, store, at_most=config.max_left_out)
    else:
        pictures, validation = split(pictures, config.validation_share, config.seed)
    options = PatchOptions(
        side=config.patch,
        overlap=config.overlap,
        min_detail=config.min_detail,
        flips=config.flips,
        turns=config.turns,
        colours=config.colours,
        inversion=config.inversion,
        painted=config.painted,
        sound=config.sound,
        recipe=config.damage(),
        task=config.task,
        seed=config.seed,
    )
    stream = PatchStream(pictures, store, options)
    for picture in stream.too_small:
        log.warning("%s: smaller than a patch, left out", picture.pair.target)
    description = describe(folder, stream.pictures) | {
        "painted": config.painted,
        "validation": [p.pair.name for p in validation],
    }
    return _Data(stream, validation, store, options, description)


def _device(config: TrainConfig, world: World) -> torch.device:
    device = choose_device(config.device)
    if device.type == "cuda" and world.size > 1:
        device = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(device)
    return device


def _settle_precision(
    config: TrainConfig, device: torch.device, state: State | None
) -> tuple[TrainConfig, torch.dtype]:
    """Replace ``auto``, which is measured, by what it came to: a resumed run must not differ."""
    if config.precision == "auto" and state is not None:
        config = replace(config, precision=state.config["precision"])
    dtype = choose_precision(config.precision, device)
    named = next(name for name, known in DTYPES.items() if known == dtype)
    return replace(config, precision=cast(Precision, named)), dtype


def _resume(trainer: Trainer, state: State, data: _Data, folder: Path) -> None:
    try:
        trainer.restore(state)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            "the saved state is of another network",
            path=folder / FILE,
            next_step="leave out the options that change the network",
        ) from error
    if state.data != data.description["sha256"]:
        log.warning("%s: other pictures than before", trainer.config.data)
    if state.iteration >= trainer.config.iterations:
        raise InputError(
            f"the run has made its {state.iteration} iterations",
            path=folder,
            next_step="give more --iterations to go on",
        )


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("dunrestore", "torch", "numpy", "pillow"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions

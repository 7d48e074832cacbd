"""A whole run: pictures, network, loop, model file."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from dunrestore.datasets.prefetch import prefetched
from dunrestore.errors import ConfigError, InputError, ModelError, UsageError
from dunrestore.models.devices import DTYPES, Precision, choose_device, choose_precision
from dunrestore.models.facts import facts
from dunrestore.storage.atomic import make_folder
from dunrestore.training.config import TrainConfig, as_values
from dunrestore.training.data import RunData, load_data
from dunrestore.training.distributed import World
from dunrestore.training.interruption import stop_requests
from dunrestore.training.keeper import Keeper, Result
from dunrestore.training.loop import Occasions, Part, Trainer, run_loop
from dunrestore.training.observers import MetricsFile, Observer, TensorBoard
from dunrestore.training.stages import make_network
from dunrestore.training.state import FILE, State, load_state

log = logging.getLogger(__name__)

_KEPT = (
    "stage", "preset", "size", "init", "freeze", "optimizer", "hinet_width", "hinet_depth",
    "finder_width", "finder_depth", "car_width", "car_blocks", "edsr_blocks", "edsr_features",
)  # fmt: skip
"""What made the network, its optimiser and the other values: of no effect later."""


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
    state = _state(folder, resume)
    if config.threads:
        torch.set_num_threads(config.threads)
    data = load_data(config)
    device = _device(config, world)
    config, dtype = _settle_precision(config, device, state)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
    trainer = Trainer(config, _network(config, state), device, dtype, world)
    if world.leads:
        make_folder(folder)
    world.wait()
    if state is not None:
        _resume(trainer, state, data, folder)
    told: list[Observer] = []
    try:  # from the first on: a progress bar hides the cursor
        told += observers(trainer.iteration)
        if world.leads:
            told.append(MetricsFile(folder, config.log_every, trainer.iteration))
            if config.tensorboard:
                told.append(TensorBoard(folder, config.log_every, trainer.iteration))
        keeper = Keeper(trainer, data, folder, world, told)
        _run(trainer, data, keeper, world)
    finally:
        for observer in told:
            observer.close()
    return keeper.finish()


def _network(config: TrainConfig, state: State | None) -> nn.Module:
    if state is not None:
        now = as_values(config)
        for name in _KEPT:
            if now[name] != state.config.get(name, now[name]):
                raise UsageError(
                    f"a run that goes on keeps its {name}",
                    next_step="leave that option out, or start another run in another --output",
                )
    network = make_network(config, state.dimensions if state else None)
    multiple = facts(network).size_multiple
    # Of a patch no larger than that the deepest level would see a single pixel.
    if config.patch % multiple or config.patch < 2 * multiple:
        raise ConfigError(
            f"this network takes patches of {2 * multiple} pixels, or of a larger multiple of"
            f" {multiple}, not of {config.patch}",
            next_step="change patch, or hinet_depth if there is one",
        )
    return network


def _run(trainer: Trainer, data: RunData, keeper: Keeper, world: World) -> None:
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
        prefetched(batch, trainer.iteration, config.iterations, workers=config.workers) as batches,
    ):
        run_loop(trainer, batches, occasions, world, stop)


def _state(folder: Path, resume: bool) -> State | None:
    if resume:
        return load_state(folder)
    if (folder / FILE).exists():
        raise UsageError(
            "holds the state of another run",
            path=folder,
            next_step="go on with --resume, or choose another --output",
        )
    return None


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


def _resume(trainer: Trainer, state: State, data: RunData, folder: Path) -> None:
    try:
        trainer.restore(state)
    except (RuntimeError, ValueError) as error:
        raise ModelError("the saved state is of another network", path=folder / FILE) from error
    if state.data != data.description["sha256"]:
        log.warning("%s: other pictures than before", trainer.config.data)
    if state.iteration >= trainer.config.iterations:
        raise InputError(
            f"the run has made its {state.iteration} iterations",
            path=folder,
            next_step="give more --iterations to go on",
        )

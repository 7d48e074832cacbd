"""The training loop: batches in, better weights out."""

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dunrestore.degradations.seeds import generator_for
from dunrestore.errors import ConfigError
from dunrestore.models.facts import facts
from dunrestore.training.config import TrainConfig, as_values
from dunrestore.training.distributed import World
from dunrestore.training.interruption import StopRequest
from dunrestore.training.losses import stages_loss
from dunrestore.training.observers import Observer, Step
from dunrestore.training.optimisation import AveragedWeights, make_optimizers, set_learning_rate
from dunrestore.training.stages import clipped_parts, supervised
from dunrestore.training.state import State

log = logging.getLogger(__name__)

Part = tuple[Tensor, Tensor, Tensor]
"""Inputs (B, 3, S, S), targets (B, 3, S, S), masks (B, 1, S, S) of a part of a batch."""


class Trainer:
    """A network on its way: weights, their average, the optimiser, how far it has come.

    Attributes:
        network: learns.
        ema: its averaged weights, or None.
        iteration: steps done.
        best: highest validation PSNR so far, or None.
        validated_on: hash of what that was measured on.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: nn.Module,
        device: torch.device,
        dtype: torch.dtype,
        world: World | None = None,
    ) -> None:
        self.config, self.device, self.dtype = config, device, dtype
        self._world = world or World()
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self._layout = layout
        self.network = network.to(device).to(memory_format=layout)
        self._wrapped = self._world.wrap(self.network, device)
        self.ema = AveragedWeights(self.network, config.ema) if config.ema else None
        self._optimizers = make_optimizers(config, self.network, dtype)
        half = dtype == torch.float16
        self._scaler = torch.amp.GradScaler(device.type, enabled=half)
        learning = [[p for p in n.parameters() if p.requires_grad] for n in clipped_parts(network)]
        self._clipped = [parameters for parameters in learning if parameters]
        self.iteration = 0
        self.best: float | None = None
        self.validated_on = ""

    @property
    def result(self) -> nn.Module:
        """The network that is validated and kept: the averaged one, if there is one."""
        return self.network if self.ema is None else self.ema.network

    def step(self, parts: Sequence[Part]) -> tuple[float, float, float]:
        """One step of the optimiser over a batch in parts: loss, learning rate, gradient norm.

        Raises:
            ConfigError: if the loss or its gradient is not finite; the weights stay as they were.
        """
        rate = set_learning_rate(self._optimizers, self.config, self.iteration)
        self.network.zero_grad(set_to_none=True)
        loss = sum(
            self._backward(part, len(parts), last=number == len(parts) - 1)
            for number, part in enumerate(parts)
        )
        loss = self._world.mean(float(loss), self.device)
        for optimizer in self._optimizers:
            self._scaler.unscale_(optimizer)
        limit = self.config.clip or math.inf
        norms = [nn.utils.clip_grad_norm_(part, limit) for part in self._clipped]
        norm = math.hypot(*map(float, norms))
        # float16's scaler skips a step whose gradient overflows, and scales less from then on.
        if not math.isfinite(loss) or not (math.isfinite(norm) or self._scaler.is_enabled()):
            raise _not_finite("loss is", self.iteration + 1)
        for optimizer in self._optimizers:
            self._scaler.step(optimizer)
        self._scaler.update()
        self.iteration += 1
        if self.ema is not None:
            self.ema.update(self.iteration)
        return loss, rate, norm

    def _backward(self, part: Part, parts: int, *, last: bool) -> float:
        inputs, targets, masks = (t.to(self.device, non_blocking=True) for t in part)
        inputs = inputs.contiguous(memory_format=self._layout)
        # Only the last part's gradients travel between the processes.
        alone = last or self._world.size == 1
        with nullcontext() if alone else self._wrapped.no_sync():  # pyright: ignore[reportCallIssue]
            mixed = self.dtype != torch.float32
            with torch.autocast(self.device.type, self.dtype, enabled=mixed):
                stages = self._wrapped(inputs, *self._given_mask(masks))
            loss = stages_loss(supervised(stages), targets, masks, self.config) / parts
            self._scaler.scale(loss).backward()
        return float(loss.detach())

    def _given_mask(self, masks: Tensor) -> tuple[Tensor, ...]:
        """The true mask, for a network with a finder in some of the steps."""
        if not facts(self.network).has_finder:
            return ()
        rng = generator_for(self.config.seed, "given mask", self.iteration)
        return (masks,) if rng.random() < self.config.given_mask else ()

    def check(self) -> None:
        """Look at the weights: a finite loss may have made them what no later step can mend.

        Raises:
            ConfigError: if they are not finite.
        """
        if not all(bool(weights.isfinite().all()) for weights in self.network.parameters()):
            raise _not_finite("weights are", self.iteration)

    def state(self, data: str) -> State:
        """All of it, as it is now; ``data`` is the training set's hash."""
        config: Any = self.network.config
        return State(
            config=as_values(self.config),
            iteration=self.iteration,
            network=self.network.state_dict(),
            ema=None if self.ema is None else self.ema.network.state_dict(),
            optimizers=[optimizer.state_dict() for optimizer in self._optimizers],
            scaler=self._scaler.state_dict(),
            generator=torch.get_rng_state(),
            best=self.best,
            data=data,
            validated_on=self.validated_on,
            dimensions=asdict(config),
        )

    def restore(self, state: State) -> None:
        """Take a state over."""
        self.network.load_state_dict(dict(state.network))
        if self.ema is not None:
            self.ema.network.load_state_dict(dict(state.ema or state.network))
        for optimizer, saved in zip(self._optimizers, state.optimizers, strict=True):
            _load_moments(optimizer, saved)
        if state.scaler:
            self._scaler.load_state_dict(dict(state.scaler))
        torch.set_rng_state(state.generator)
        self.iteration = state.iteration
        self.best, self.validated_on = state.best, state.validated_on


def _not_finite(what: str, iteration: int) -> ConfigError:
    return ConfigError(
        f"the {what} no longer finite at iteration {iteration}",
        next_step="go on from the last good state with --resume and a smaller --lr",
    )


def _load_moments(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Take over what the optimiser remembers; rates and decays stay as now configured."""
    now = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(copy.deepcopy(dict(saved)))
    for group, configured in zip(optimizer.param_groups, now, strict=True):
        group.update(configured)


@dataclass(frozen=True)
class Occasions:
    """What the loop does at intervals."""

    save: Callable[[], None]
    """Writes the state."""
    validate: Callable[[], None]
    """Measures the result, keeps it if it is the best."""
    observers: Sequence[Observer] = field(default=())


def run_loop(
    trainer: Trainer,
    batches: Iterator[Sequence[Part]],
    occasions: Occasions,
    world: World,
    stop: StopRequest,
) -> None:
    """Train to the configured iteration, or until asked to stop.

    Raises:
        KeyboardInterrupt: if asked to stop; the state is saved.
        ConfigError: if the loss or a weight is no longer finite; the last good state is saved.
    """
    config, begun, first = trainer.config, time.perf_counter(), trainer.iteration
    while trainer.iteration < config.iterations:
        try:
            loss, rate, norm = trainer.step(next(batches))
        except ConfigError:
            occasions.save()
            raise
        done = trainer.iteration
        speed = (done - first) * config.batch / (time.perf_counter() - begun)
        for observer in occasions.observers:
            observer.stepped(Step(done, loss, rate, norm, speed))
        last = done == config.iterations
        if last or done % config.validate_every == 0:
            occasions.validate()
        stopping = world.any(stop.made, trainer.device)
        if stopping or last or done % config.save_every == 0:
            occasions.save()
        if stopping and not last:
            raise KeyboardInterrupt

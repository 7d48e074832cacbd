"""Several processes as one: what ``torchrun`` started, or a single process."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed import (
    all_reduce,
    barrier,
    destroy_process_group,
    init_process_group,
)
from torch.nn.parallel import DistributedDataParallel

from dunrestore.errors import ConfigError


@dataclass(frozen=True)
class World:
    """This process among all."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks to the user."""
        return self.rank == 0

    def share(self, iteration: int, batch: int, parts: int) -> list[range]:
        """The numbers of this process's samples in a step, in ``parts`` equal parts.

        Together the processes' samples are those of a single process with the same batch.

        Raises:
            ConfigError: if the batch cannot be shared out equally.
        """
        each, rest = divmod(batch, self.size * parts)
        if rest or not each:
            raise ConfigError(
                f"a batch of {batch} cannot be shared by {self.size} processes in {parts} parts",
                next_step="choose a --batch that is a multiple of both",
            )
        first = iteration * batch + self.rank * each * parts
        return [range(first + i * each, first + (i + 1) * each) for i in range(parts)]

    def mean(self, value: float, device: torch.device) -> float:
        """The mean of a number over all processes."""
        if self.size == 1:
            return value
        total = torch.tensor([value], dtype=torch.float64 if device.type == "cpu" else None)
        total = total.to(device)
        all_reduce(total)
        return float(total.item()) / self.size

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it holds in any process."""
        return self.mean(float(flag), device) > 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            barrier()

    def wrap(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with its gradients averaged over the processes."""
        if self.size == 1:
            return network
        ids = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=ids)


@contextmanager
def joined_world() -> Generator[World]:
    """Join the processes that ``torchrun`` started, and leave them at the end."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    world = World(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))
    init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield world
    finally:
        destroy_process_group()

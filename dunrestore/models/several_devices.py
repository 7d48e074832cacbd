"""One network at work on one device or on several, beside what prepares and uses its tiles."""

import copy
import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dunrestore.imaging.in_order import in_order
from dunrestore.models.colours import Evidence, Part
from dunrestore.models.facts import facts
from dunrestore.models.runner import Runner

S = TypeVar("S")
T = TypeVar("T")

Stack = tuple[NDArray[np.float32], Sequence[Part], NDArray[np.float32] | None]
"""What ``Runner.compute`` takes: tiles that are computed together, what of a picture each shows,
and what the network found in them when it looked at the whole."""

LANES = 2
"""Threads that feed a GPU: while one's tiles are computed the other's are copied."""


class Runners:
    """A network on devices of one kind, each with a copy of its own.

    Args:
        network: restoring network in eval mode; moved to the first device, copied to the others.
        devices: from ``choose_devices``.
        dtype: what convolutions compute in.
        window: of the instance statistics, as in ``Runner``.

    Attributes:
        batch_size: tiles that make up a stack, for those who stack them.
        redone: tiles that were computed again in float32, of the changes handed out so far.
    """

    def __init__(
        self,
        network: nn.Module,
        devices: Sequence[torch.device],
        dtype: torch.dtype = torch.float32,
        window: int | None = None,
    ) -> None:
        self.devices, self.dtype, self.batch_size, self.redone = tuple(devices), dtype, 1, 0
        networks = [network, *_copies(network, len(self.devices) - 1)]
        pairs = zip(networks, self.devices, strict=True)
        self._runners = [Runner(network, device, dtype, window) for network, device in pairs]

    def changes(self, stacks: Iterable[Stack]) -> Generator[NDArray[np.float32], None, None]:
        """The changes that the network proposes, in the order of the tiles.

        Close it (``contextlib.closing``): then no device is at work any more, however it ended.

        Args:
            stacks: each as ``Runner.compute`` takes it; taken in the calling thread as ``in_order``
                says, from a single CPU one by one.

        Raises:
            OutputCheckError, RuntimeError, MemoryError: as ``Runner.change``, when the turn of the
                failed tiles comes.
        """
        with closing(
            self._each(lambda runner: lambda stack: runner.compute(*stack), stacks)
        ) as results:
            for change, redone in results:
                self.redone += redone
                yield change

    def looks(
        self, stacks: Iterable[Stack]
    ) -> Generator[tuple[NDArray[np.float64], NDArray[np.float32] | None], None, None]:
        """What the network must know of all tiles of a picture, as ``Runner.look`` returns it.

        Args:
            stacks: as in ``changes``.
        """
        call = closing(self._each(lambda runner: lambda stack: runner.look(*stack[:2]), stacks))
        with call as results:
            for counts, logits, redone in results:
                self.redone += redone
                yield counts, logits

    @property
    def looks_first(self) -> bool:
        """Whether the network must look at the whole picture before it restores a part."""
        return facts(self._runners[0].network).has_finder

    def know(self, evidence: Evidence | None) -> None:
        """Let the network know of the picture whose tiles come next.

        Args:
            evidence: what its colours tell; None for a picture of a single tile.
        """
        for runner in self._runners:
            runner.know(evidence)

    def _each(
        self, call_of: Callable[[Runner], Callable[[S], T]], items: Iterable[S]
    ) -> Generator[T, None, None]:
        """What a call of the runners returns for each item, in the order of the items."""
        # Another device begins every time, or one would compute all pictures of a single tile.
        first = next(_BEGUN) % len(self._runners)
        runners = self._runners[first:] + self._runners[:first]
        workers = [call_of(runner) for runner in runners]
        if self.devices[0].type == "cuda":
            workers *= LANES
        if len(workers) == 1 and self.devices[0].type == "cpu":
            # A thread would only compete with the network for the same cores.
            return (workers[0](item) for item in items)
        return in_order(workers, items)


_BEGUN = itertools.count()
"""Numbers the rounds over a picture's tiles, for all runners."""
_made: WeakKeyDictionary[nn.Module, list[nn.Module]] = WeakKeyDictionary()
_making = threading.Lock()


def _copies(network: nn.Module, count: int) -> list[nn.Module]:
    """As many copies of a network, made once."""
    with _making:
        copies = _made.setdefault(network, [])
        copies += [copy.deepcopy(network) for _ in range(count - len(copies))]
        return copies[:count]

"""One network at work on one device or on several, beside what prepares and uses its tiles."""

import copy
import itertools
import threading
from collections import Counter
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
        left: tiles of which all or a part was left as it is, nothing being lost there, of the same.
    """

    def __init__(
        self,
        network: nn.Module,
        devices: Sequence[torch.device],
        dtype: torch.dtype = torch.float32,
        window: int | None = None,
    ) -> None:
        self.devices, self.dtype, self.batch_size = tuple(devices), dtype, 1
        self.redone = self.left = 0
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
        with closing(self._each(lambda runner, stack: runner.compute(*stack), stacks)) as results:
            for change, redone, left in results:
                self.redone += redone
                self.left += left
                yield change

    def looks(
        self, stacks: Iterable[Stack]
    ) -> Generator[tuple[NDArray[np.float64], NDArray[np.float32] | None], None, None]:
        """What the network must know of all tiles of a picture, as ``Runner.look`` returns it.

        Args:
            stacks: as in ``changes``.
        """
        call = self._each(lambda runner, stack: runner.look(*stack[:2]), stacks)
        with closing(call) as results:
            for counts, logits, redone in results:
                self.redone += redone
                yield counts, logits

    @property
    def looks_first(self) -> bool:
        """Whether the network must look at the whole picture before it restores a part."""
        return facts(self.network).has_finder

    @property
    def network(self) -> nn.Module:
        """The one on the first device."""
        return self._runners[0].network

    def know(self, evidence: Evidence | None, *, leaves_sound: bool = False) -> None:
        """Let the network know of the picture whose tiles come next.

        Args:
            evidence: what it tells.
            leaves_sound: whether what is not lost stays as it is.
        """
        for runner in self._runners:
            runner.know(evidence, leaves_sound=leaves_sound)

    def _each(self, call: Callable[[Runner, S], T], items: Iterable[S]) -> Generator[T, None, None]:
        """What a call with a runner returns for each item, in the order of the items."""
        workers = self._workers(call, LANES if self.devices[0].type == "cuda" else 1)
        if len(workers) == 1 and self.devices[0].type == "cpu":
            # A thread would only compete with the network for the same cores.
            return (workers[0](item) for item in items)
        return in_order(workers, items)

    def _workers(self, call: Callable[[Runner, S], T], lanes: int) -> list[Callable[[S], T]]:
        """So many for each device. Which one a worker has is decided when it begins, for many a
        picture needs but one worker: that with the fewest stacks."""
        # Of those with as many another one comes first every time.
        first = next(_BEGUN) % len(self._runners)
        left = (self._runners[first:] + self._runners[:first]) * lanes

        def worker() -> Callable[[S], T]:
            own: list[Runner] = []

            def work(item: S) -> T:
                with _COUNTING:
                    if not own:
                        stacks = [_IN_FLIGHT[runner.device] for runner in left]
                        own.append(left.pop(stacks.index(min(stacks))))
                    _IN_FLIGHT[own[0].device] += 1
                try:
                    return call(own[0], item)
                finally:
                    with _COUNTING:
                        _IN_FLIGHT[own[0].device] -= 1

            return work

        return [worker() for _ in left]


_BEGUN = itertools.count()
"""Numbers the rounds over a picture's tiles, for all runners."""
_IN_FLIGHT: Counter[torch.device] = Counter()
"""Stacks that each device computes or has waiting, of all pictures."""
_COUNTING = threading.Lock()
_made: WeakKeyDictionary[nn.Module, list[nn.Module]] = WeakKeyDictionary()
_making = threading.Lock()


def _copies(network: nn.Module, count: int) -> list[nn.Module]:
    """As many copies of a network, made once."""
    with _making:
        copies = _made.setdefault(network, [])
        copies += [copy.deepcopy(network) for _ in range(count - len(copies))]
        return copies[:count]

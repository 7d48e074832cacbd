"""Steps that run beside each other: one call in a thread of its own, awaited with a limit."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from dunrestore.errors import TimeLimitError

T = TypeVar("T")

_POLL = 0.1
"""Seconds after which a waiting run looks whether it was asked to stop."""


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The run was asked to stop."""


class Clock:
    """How long one file may still take; only the time that is worked on it counts.

    Args:
        limit: seconds; None for no limit.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.used = 0.0
        """Seconds used by the steps that are over."""
        self.given_up = threading.Event()
        """Set when nobody waits for the file any more: a late step must not finish it."""

    def check(self, since: float = 0.0) -> None:
        """Raise TimeLimitError once the limit is passed ``since`` seconds into a step."""
        if self.limit is not None and self.used + since > self.limit:
            self.given_up.set()
        if self.given_up.is_set():
            raise TimeLimitError(
                f"it took longer than {self.limit:g} s", next_step="allow more with --timeout"
            )


class Step(Generic[T]):
    """A call in a thread that dies with the program.

    Args:
        call: what is to be done.
        clock: the file's.
    """

    def __init__(self, call: Callable[[], T], clock: Clock) -> None:
        self._future: Future[T] = Future()
        self._clock = clock
        self._start = time.perf_counter()
        self._seconds = 0.0
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            result = call()
        except BaseException as error:
            self._seconds = time.perf_counter() - self._start
            self._future.set_exception(error)
        else:
            self._seconds = time.perf_counter() - self._start
            self._future.set_result(result)

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self._future.done()

    def result(self, stop: threading.Event | None = None) -> T:
        """What the call returned; raises what it raised.

        Args:
            stop: asks to stop waiting.

        Raises:
            TimeLimitError: if the file's time is up.
            Stopped: if ``stop`` was set first.
        """
        while not wait([self._future], timeout=_POLL).done:
            self._clock.check(time.perf_counter() - self._start)
            if stop is not None and stop.is_set():
                self._clock.given_up.set()
                raise Stopped
        self._clock.used += self._seconds
        return self._future.result()

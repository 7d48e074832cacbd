"""Ctrl-C and the system's request to end: first finish cleanly, the second time stop at once."""

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from dunrestore.cli import console

_noted = threading.Event()

_PATIENCE = 0.05
"""Seconds from one look whether an import has ended to the next."""


@contextmanager
def stopping(stop: threading.Event) -> Generator[None]:
    """Set ``stop`` at the first SIGINT or SIGTERM; raise KeyboardInterrupt at the second.

    Only the main thread may listen to signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        console.say("stopping after the tile in hand; once more to stop at once")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def noting() -> Generator[None]:
    """Raise KeyboardInterrupt at SIGINT, which ``was_noted`` tells of from then on.

    Whoever imports may catch it, make another error of it, or abort: an import ends first, unless
    the user insists.
    """
    _noted.clear()
    before = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()
        or before is not signal.default_int_handler
    ):
        yield
        return
    main = threading.get_ident()
    reminded = threading.Event()
    timers: list[threading.Timer] = []

    def remind() -> None:
        reminded.set()
        signal.pthread_kill(main, signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        insisted = _noted.is_set() and not reminded.is_set()
        reminded.clear()
        _noted.set()
        if insisted or not _imports(frame) or sys.platform == "win32":
            raise KeyboardInterrupt
        timers[:] = [threading.Timer(_PATIENCE, remind)]
        timers[0].daemon = True
        timers[0].start()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGINT, before)


def _imports(frame: FrameType | None) -> bool:
    """Whether an import is going on in this frame, or in one that called it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def was_noted() -> bool:
    """Whether ``noting`` saw an interrupt, the last time that it was entered."""
    return _noted.is_set()

"""Ctrl-C and the system's request to end: first finish cleanly, the second time stop at once."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from dunrestore.cli import console

_noted = threading.Event()


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
def noting() -> Generator[threading.Event]:
    """Raise KeyboardInterrupt at SIGINT, as ever, and set the event that is handed out.

    What is interrupted in the middle of an import may make any other exception of it, or none.
    """
    _noted.clear()
    before = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()
        or before is not signal.default_int_handler
    ):
        yield _noted
        return

    def handle(number: int, frame: FrameType | None) -> None:
        _noted.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    try:
        yield _noted
    finally:
        signal.signal(signal.SIGINT, before)


def raise_noted() -> None:
    """Raise the KeyboardInterrupt that a library caught, if ``noting`` saw one."""
    if _noted.is_set():
        raise KeyboardInterrupt

"""Ctrl-C and SIGTERM: finish the step in hand, then save."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the user or the system wants the run to end."""

    def __init__(self) -> None:
        self.made = False


@contextmanager
def stop_requests() -> Generator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a request; a second Ctrl-C interrupts at once."""
    request = StopRequest()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if request.made and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.made = True

    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread may handle signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

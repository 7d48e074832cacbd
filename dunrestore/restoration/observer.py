"""Who is told how far a run has come."""

import threading
from typing import Protocol


class Observer(Protocol):
    """Who watches a run, such as a progress bar."""

    def start_picture(self, name: str) -> None:
        """Another file is in hand."""
        ...

    def tiles(self, done: int, total: int, pixels: int) -> None:
        """So many tiles of a page of ``pixels`` pixels are done."""
        ...


class Relay:
    """Tells the observer of a picture's progress once the picture is in front.

    Until then its progress is kept: several pictures at once would make no sense on one bar.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._kept: list[tuple[int, int, int]] = []
        self._in_front = False
        self._lock = threading.Lock()

    def to_front(self, name: str) -> None:
        """The pictures before it are done."""
        with self._lock:
            self._observer.start_picture(name)
            for event in self._kept:
                self._observer.tiles(*event)
            self._in_front = True

    def tiles(self, done: int, total: int, pixels: int) -> None:
        """See ``Observer``."""
        with self._lock:
            if self._in_front:
                self._observer.tiles(done, total, pixels)
            else:
                self._kept.append((done, total, pixels))

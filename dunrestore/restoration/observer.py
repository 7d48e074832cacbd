"""Who is told how far a run has come."""

import threading
from dataclasses import dataclass
from typing import Protocol

LOOKING = 1 / 6
"""Share of the time that looking at a page takes, measured with ``arin-guided``."""


@dataclass(frozen=True)
class Advance:
    """How far a page has come.

    Attributes:
        done: tiles that are restored.
        total: tiles in all.
        pixels: of the page.
        looked: tiles that are looked at, and how many there are to be, where the page must be
            looked at before the first one is restored.
    """

    done: int
    total: int
    pixels: int
    looked: tuple[int, int] | None = None

    @property
    def share(self) -> float:
        """Of the whole work, from 0 to 1."""
        restored = self.done / self.total
        if self.looked is None:
            return restored
        seen, all_to_be_seen = self.looked
        return LOOKING * seen / all_to_be_seen + (1 - LOOKING) * restored


class Observer(Protocol):
    """Who watches a run, such as a progress bar."""

    def start_picture(self, name: str) -> None:
        """Another file is in hand."""
        ...

    def advance(self, advance: Advance) -> None:
        """The page in hand has come so far; first told before its first tile."""
        ...


class Relay:
    """Tells the observer of a picture's progress once the picture is in front.

    Until then its progress is kept: several pictures at once would make no sense on one bar.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._kept: list[Advance] = []
        self._in_front = False
        self._lock = threading.Lock()

    def to_front(self, name: str) -> None:
        """The pictures before it are done."""
        with self._lock:
            self._observer.start_picture(name)
            for advance in self._kept:
                self._observer.advance(advance)
            self._in_front = True

    def advance(self, advance: Advance) -> None:
        """See ``Observer``."""
        with self._lock:
            if self._in_front:
                self._observer.advance(advance)
            else:
                self._kept.append(advance)

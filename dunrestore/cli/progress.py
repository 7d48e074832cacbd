"""The progress bar of a restoration: picture, tiles, megapixels a second, time left."""

import time

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from dunrestore.cli.bar import Bar
from dunrestore.restoration.observer import Advance


class RestoreProgress(Bar):
    """A bar on stderr while stderr is a terminal; silent otherwise."""

    def __init__(self, pictures: int, *, enabled: bool) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[tiles]} {task.fields[speed]}"),
            TimeRemainingColumn(),
            enabled=enabled,
        )
        self._pictures = pictures
        self._started = 0
        self._finished = 0
        self._task = self._bar.add_task("", total=pictures, tiles="", speed="")
        self._pixels = 0.0
        self._there = 0.0
        self._begins = True
        self._start = time.perf_counter()

    def start_picture(self, name: str) -> None:
        """Say which picture is in hand."""
        self._started += 1
        self._begins = True
        shown = f"{self._started}/{self._pictures} {name}"
        self._bar.update(self._task, description=shown, tiles="", speed="")

    def advance(self, advance: Advance) -> None:
        """Say how far the page in hand has come.

        The first call for a page says how far an earlier run had come.
        """
        share, megapixels = advance.share, advance.pixels / 1e6
        seen, to_be_seen = advance.looked or (0, 0)
        at = f"tile {advance.done}/{advance.total}"
        if seen < to_be_seen:
            at = f"looking {seen}/{to_be_seen}"
        if self._begins:
            self._there, self._begins = share, False
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        speed = (self._pixels + megapixels * (share - self._there)) / elapsed
        self._bar.update(
            self._task,
            completed=self._finished + share,
            tiles=at,
            speed=f"{speed:.2f} MP/s",
        )
        if advance.done == advance.total:
            self._pixels += megapixels * (1 - self._there)
            self._begins = True

    def finish_picture(self) -> None:
        """Count the picture in hand as done, however it ended."""
        self._finished += 1
        self._bar.update(self._task, completed=self._finished)

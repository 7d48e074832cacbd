"""The progress bar of a download."""

from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from dunrestore.cli.bar import Bar


class DownloadBar(Bar):
    """A bar on stderr while stderr is a terminal; silent otherwise."""

    def __init__(self, name: str, *, enabled: bool = True) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            enabled=enabled,
        )
        self._task = self._bar.add_task(name, total=None)

    def __enter__(self) -> Self:
        return self  # it shows with the first byte: most models are here already

    def __call__(self, done: int, total: int | None) -> None:
        """Say how many bytes are here."""
        self._bar.start()
        self._bar.update(self._task, completed=done, total=total)

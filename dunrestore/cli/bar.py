"""What all progress bars share: on stderr, only on a terminal, gone when done."""

from types import TracebackType
from typing import Self

from rich.progress import Progress, ProgressColumn

from dunrestore.cli import console


class Bar:
    """A bar on stderr while stderr is a terminal; silent otherwise.

    Args:
        columns: what it shows, from left to right.
        enabled: False for a bar that never shows.
    """

    def __init__(self, *columns: ProgressColumn, enabled: bool) -> None:
        self._bar = Progress(
            *columns,
            console=console.messages,
            transient=True,
            disable=not (enabled and console.messages.is_terminal),
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

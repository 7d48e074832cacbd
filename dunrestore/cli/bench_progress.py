"""The progress bar of a benchmark: step, block, picture, method, time left."""

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dunrestore.cli import console


class BenchProgress:
    """A bar on stderr while stderr is a terminal; silent otherwise."""

    def __init__(self, *, enabled: bool) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console.messages,
            transient=True,
            disable=not (enabled and console.messages.is_terminal),
        )
        self._task = self._bar.add_task("")
        self._done = 0

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

    def start(self, steps: int) -> "BenchProgress":
        """Say how many steps there will be, at most."""
        self._bar.update(self._task, total=steps)
        return self

    def __call__(self, block: str, image: str, method: str) -> None:
        """Say what is measured next."""
        self._bar.update(
            self._task, description=f"{block}: {image}: {method}", completed=self._done
        )
        self._done += 1

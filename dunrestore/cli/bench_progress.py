"""The progress bar of a benchmark: step, block, picture, method, time left."""

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from dunrestore.cli.bar import Bar


class BenchProgress(Bar):
    """A bar on stderr while stderr is a terminal; silent otherwise."""

    def __init__(self, *, enabled: bool) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            enabled=enabled,
        )
        self._task = self._bar.add_task("")
        self._done = 0

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

"""The progress bar of a training: step, loss, speed, time left; and a line for every validation."""

from collections.abc import Sequence

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from dunrestore.cli import console
from dunrestore.cli.bar import Bar
from dunrestore.training.observers import Step
from dunrestore.training.validation import Figures, Restored


class TrainingProgress(Bar):
    """A bar on stderr while stderr is a terminal, from now until ``close``; and lines.

    Args:
        iterations: steps of the whole run.
        start: those that are done already.
        bar: whether to show the bar.
        lines: whether to say the figures of every validation.
    """

    def __init__(self, iterations: int, start: int, *, bar: bool, lines: bool) -> None:
        super().__init__(
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[speed]} images/s{task.fields[val]}"),
            TimeRemainingColumn(),
            enabled=bar,
        )
        self._lines = lines
        self._task = self._bar.add_task(
            "", total=iterations, completed=start, loss="-", speed="-", val=""
        )
        self._smooth: float | None = None
        self._bar.start()

    def stepped(self, step: Step) -> None:
        """Move the bar."""
        before = step.loss if self._smooth is None else self._smooth
        self._smooth = 0.98 * before + 0.02 * step.loss
        self._bar.update(
            self._task,
            completed=step.iteration,
            loss=f"{self._smooth:.4f}",
            speed=f"{step.images_per_second:.1f}",
        )

    def validated(self, iteration: int, figures: Figures, pictures: Sequence[Restored]) -> None:
        """Print the figures."""
        del pictures
        self._bar.update(self._task, val=f"  PSNR {figures.psnr:.2f}")
        if self._lines:
            console.say(f"{iteration}: {_as_line(figures)}")

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def _as_line(figures: Figures) -> str:
    inside = "" if figures.psnr_inside is None else f", {figures.psnr_inside:.2f} dB inside"
    ssim = "n/a" if figures.ssim is None else f"{figures.ssim:.4f}"
    return (
        f"PSNR {figures.psnr:.2f} dB{inside} (damaged {figures.psnr_input:.2f}),"
        f" SSIM {ssim}, {figures.pictures} picture{'s' * (figures.pictures != 1)}"
    )

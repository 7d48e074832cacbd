"""Restore many files, one after the other; a bad one costs itself alone."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from dunrestore.checkpoints.load import Model
from dunrestore.errors import DunrestoreError, ExitCode, file_access_error
from dunrestore.restoration.file import FileOptions, FileResult, restore_file
from dunrestore.restoration.jobs import Job
from dunrestore.restoration.options import RestoreOptions


class Observer(Protocol):
    """Who watches a run, such as a progress bar."""

    def start_picture(self, name: str) -> None:
        """Another file is in hand."""
        ...

    def tiles(self, done: int, total: int, pixels: int) -> None:
        """So many tiles of a page of ``pixels`` pixels are done."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How one job ended: with a result, or with an error."""

    job: Job
    seconds: float
    result: FileResult | None = None
    error: DunrestoreError | None = None


def run_jobs(
    jobs: Sequence[Job],
    model: Model,
    options: RestoreOptions,
    file_options: FileOptions,
    observer: Observer,
) -> Iterator[Outcome]:
    """Restore ``jobs`` in order, yielding each outcome as it comes.

    Args:
        jobs: what to restore and where to.
        model: a restoring model.
        options: how a picture is restored.
        file_options: how a file is read and written.
        observer: told of each picture and of each finished batch of tiles.
    """
    for job in jobs:
        start = time.perf_counter()
        observer.start_picture(job.source.name)
        try:
            result = restore_file(job, model, options, file_options, observer.tiles)
        except DunrestoreError as error:
            yield Outcome(job, time.perf_counter() - start, error=error)
        except OSError as error:
            shown = file_access_error(error, error.filename or job.target)
            yield Outcome(job, time.perf_counter() - start, error=shown)
        else:
            yield Outcome(job, time.perf_counter() - start, result=result)


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """A single job's own code; for many, whether a part failed."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return ExitCode.OK
    return errors[0].exit_code if len(outcomes) == 1 else ExitCode.PARTIAL

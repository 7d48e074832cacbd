"""Restore one file as the command does, for the benchmarks."""

from dunrestore.checkpoints.load import Model
from dunrestore.restoration.batch.run import BatchOptions, Run
from dunrestore.restoration.file import FileResult
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.source import FileOptions, Job


class Silent:
    """Watches a run and says nothing."""

    def start_picture(self, name):
        pass

    def advance(self, advance):
        pass


def restore_file(job: Job, model: Model, options: RestoreOptions) -> FileResult:
    """Restore one file; an output that exists is replaced."""
    batch = BatchOptions(existing="overwrite")
    with Run(model, options, FileOptions(), batch, None, Silent()) as run:
        (outcome,) = run.restore([job])
    if outcome.error is not None:
        raise outcome.error
    return outcome.result

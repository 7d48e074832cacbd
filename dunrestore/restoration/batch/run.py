"""Restore many files: reading, computing and writing overlap; a bad file costs itself alone."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from dunrestore.checkpoints.load import Model
from dunrestore.errors import DunrestoreError, ExitCode, as_ours
from dunrestore.provenance import checksums
from dunrestore.provenance.manifest import NAME, Manifest
from dunrestore.provenance.record import Record, options_hash
from dunrestore.provenance.traces import KnownOutputs
from dunrestore.restoration.batch.existing import Policy, Wanted, decide
from dunrestore.restoration.batch.folder import claimed, clear_unfinished
from dunrestore.restoration.batch.steps import Clock, Step, Stopped
from dunrestore.restoration.file import FileResult, restore_opened, write_file
from dunrestore.restoration.large import streams
from dunrestore.restoration.observer import Advance, Observer, Relay
from dunrestore.restoration.options import RestoreOptions
from dunrestore.restoration.recording import Work, wanted_options
from dunrestore.restoration.source import ALL_BESIDE, FileOptions, Job, Opened, open_file
from dunrestore.storage.hashing import Hashed


@dataclass(frozen=True)
class BatchOptions:
    """How a run deals with many files."""

    existing: Policy = "abort"
    """What becomes of an output that exists."""
    max_failures: int | None = None
    """Stop after so many failures; None never."""
    time_limit: float | None = None
    """Seconds that one file may take; None for any."""
    ahead: int = 1
    """Files that are read ahead, and that may wait to be written."""
    at_once: int = 1
    """Files that are computed at the same time. A GPU's network takes their tiles in turns, and
    goes on while what surrounds it is computed for others."""


@dataclass(frozen=True)
class Outcome:
    """How one job ended: with a result, skipped, or with an error."""

    job: Job
    seconds: float
    result: FileResult | None = None
    error: DunrestoreError | None = None

    @property
    def status(self) -> Literal["restored", "skipped", "failed"]:
        """In a word."""
        if self.error is not None:
            return "failed"
        return "skipped" if self.result is None else "restored"


@dataclass
class _InHand:
    job: Job
    clock: Clock
    reading: Step[Opened | None]
    relay: Relay
    computing: Step[bool] | None = None
    writing: Step[Record] | None = None
    outcome: Outcome | None = None


class Run:
    """A run over many files, entered with ``with``.

    Args:
        model: a restoring model.
        options: how a picture is restored.
        file_options: how a file is read and written.
        batch: how many files are dealt with.
        folder: the output folder, where ``manifest.jsonl`` is kept; None for a run without one.
        observer: told of each picture and of each finished batch of tiles.
    """

    def __init__(
        self,
        model: Model,
        options: RestoreOptions,
        file_options: FileOptions,
        batch: BatchOptions,
        folder: Path | None,
        observer: Observer,
    ) -> None:
        self.model = model
        self.options = options
        self.file_options = file_options
        self.batch = batch
        self.folder = folder
        self.observer = observer
        self.stop = threading.Event()
        """Set it, and the run ends as soon as the files in hand are written or dropped."""
        self.failed_too_often = False
        """Whether it was the failures that ended the run."""
        self._large = threading.Lock()
        """Held for a file that is restored band by band: its work takes disk space, and one at a
        time asks how much is free."""
        self._turns = threading.Semaphore(batch.at_once)
        """Of the files in hand, so many are computed; whichever are read, so that none that takes
        long holds up the others."""
        self._known = KnownOutputs(None)
        self._manifest: Manifest | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Claim the output folder and open its manifest.

        Raises:
            FileAccessError: if that is not possible, or another run has claimed it.
        """
        if self.folder is not None:
            with ExitStack() as stack:
                stack.enter_context(claimed(self.folder))
                self._known = KnownOutputs(self.folder)
                self._manifest = Manifest(self.folder / NAME)
                stack.callback(self._manifest.close)
                self._open = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._manifest = None
        self._open.close()

    def restore(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Restore ``jobs``, yielding the outcomes in their order; fewer if the run is stopped."""
        if self.folder is not None:
            clear_unfinished(job.target.parent for job in jobs)
        self._note("run", files=len(jobs), model=self.model.name, model_sha256=self.model.sha256)
        todo = iter(jobs)
        reading: deque[_InHand] = deque()
        writing: deque[_InHand] = deque()
        failures = 0
        try:
            while True:
                self._fill(reading, todo)
                if reading:
                    one = reading.popleft()
                    one.relay.to_front(one.job.source.name)
                    # One at a time is computed in this thread: the processor's networks want it
                    # for themselves.
                    done = self._compute(one) if one.computing is None else one.computing.result()
                    if done:
                        writing.append(one)
                while writing and self._is_due(writing, reading):
                    outcome = self._finish(writing.popleft())
                    failures += outcome.error is not None
                    if self.batch.max_failures is not None and failures >= self.batch.max_failures:
                        self.failed_too_often = not self.stop.is_set()
                        self.stop.set()
                    yield outcome
                if not reading and not writing:
                    break
        except BaseException:  # what goes on in threads must not name an output any more
            self.stop.set()
            for one in (*reading, *writing):
                one.clock.given_up.set()
            raise
        self._note("end", stopped=self.stop.is_set())

    def write_checksums(self, outcomes: Sequence[Outcome], *, wanted: bool) -> None:
        """Write into ``manifest-sha256.txt`` the hashes of outputs and of what lies beside them.

        Args:
            outcomes: how the jobs ended.
            wanted: if not, an older list is brought up to date with what stands on it, so that
                what was made again does not pass for changed.

        Raises:
            InputError: if there is something else of that name, and the list is wanted.
            FileAccessError: if a file cannot be read, or the list not written.
        """
        if self.folder is None:
            return
        made, there = list[Path](), list[Path]()
        for outcome in outcomes:
            if outcome.error is None:
                files = made if outcome.status == "restored" else there
                files += [outcome.job.target, *ALL_BESIDE.files_beside(outcome.job.target)]
        if wanted:
            checksums.update(self.folder, made, there)
        else:
            checksums.refresh(self.folder, made)

    def _fill(self, reading: deque[_InHand], todo: Iterator[Job]) -> None:
        most = self.batch.ahead + self.batch.at_once
        while not self.stop.is_set() and len(reading) < most:
            job = next(todo, None)
            if job is None:
                break
            clock = Clock(self.batch.time_limit)
            step = Step(lambda job=job: self._read(job), clock)
            one = _InHand(job, clock, step, Relay(self.observer))
            reading.append(one)
            if self.batch.at_once > 1:
                one.computing = Step(lambda one=one: self._compute(one), Clock(None))

    def _is_due(self, writing: deque[_InHand], reading: deque[_InHand]) -> bool:
        """Whether the oldest file that is being written must be waited for, or is written."""
        one = writing[0]
        over = one.outcome is not None or (one.writing is not None and one.writing.over)
        return over or not reading or len(writing) > self.batch.ahead

    def _read(self, job: Job) -> Opened | None:
        """The source, or None if the output is there already; in a thread."""
        file = Hashed.of(job.source)
        mask_file = None if job.mask is None else Hashed.of(job.mask)
        wanted, known = self._wanted(mask_file), self._known
        name, policy = self._name(job.target), self.batch.existing
        decision = decide(job, self.file_options, name, file.sha256, wanted, known, policy)
        if decision.skip:
            return None
        opened = open_file(job, file, mask_file, self.file_options)
        return replace(
            opened,
            replaces_sha256=decision.replaces_sha256,
            outdated=decision.outdated,
            replaces_mask=decision.replaces_mask,
        )

    def _compute(self, one: _InHand) -> bool:
        """Restore a picture and begin to write it; False if the run was stopped meanwhile."""
        start = time.perf_counter()

        def progress(advance: Advance) -> None:
            one.relay.advance(advance)
            one.clock.check(time.perf_counter() - start)
            if self.stop.is_set() and advance.done < advance.total:
                raise Stopped

        try:
            if self.stop.is_set():
                raise Stopped
            opened = one.reading.result(self.stop)
            if opened is None:
                one.outcome = Outcome(one.job, one.clock.used)
                return True
            large = streams(opened.document, self.options)
            with self._large if large else nullcontext(), self._turns:
                start = time.perf_counter()
                work = restore_opened(opened, self.model, self.options, self.file_options, progress)
            one.clock.used += time.perf_counter() - start
            one.clock.check()
        except Stopped:
            return False
        except Exception as error:  # whatever it is, it costs this file alone
            one.outcome = self._failed(one, error)
            return True
        one.writing = Step(lambda: self._write(work, one.clock), one.clock)
        return True

    def _write(self, work: Work, clock: Clock) -> Record:
        def before_naming(made: Record) -> None:
            clock.check()
            traces = {
                "input_sha256": made.input.sha256,
                **asdict(self._wanted(work.opened.mask_file)),
                "output_sha256": made.output.sha256,
                "replaces_sha256": made.replaces_sha256,
            }
            self._note("writing", output=self._name(work.opened.job.target), traces=traces)

        return write_file(work, clock.used, before_naming, clock.check)

    def _finish(self, one: _InHand) -> Outcome:
        if one.outcome is None:
            assert one.writing is not None
            try:
                made = one.writing.result()
                one.outcome = Outcome(one.job, one.clock.used, result=FileResult.of(made))
            except Exception as error:  # likewise
                one.outcome = self._failed(one, error)
        outcome = one.outcome
        described = {} if outcome.error is None else {"error": str(outcome.error)}
        name = self._name(outcome.job.target)
        try:
            self._note(outcome.status, input=str(outcome.job.source), output=name, **described)
        except DunrestoreError as error:  # the file is done, but the manifest does not say so
            outcome = replace(outcome, result=None, error=outcome.error or error)
        return outcome

    def _failed(self, one: _InHand, error: Exception) -> Outcome:
        ours = as_ours(error, one.job.source, one.job.target)
        return Outcome(one.job, one.clock.used, error=ours)

    def _name(self, target: Path) -> str:
        if self.folder is None:
            return str(target)
        return target.relative_to(self.folder).as_posix()

    def _wanted(self, mask: Hashed | None) -> Wanted:
        options = wanted_options(self.options, self.file_options, mask)
        return Wanted(self.model.sha256, options_hash(options))

    def _note(self, event: str, **values: Any) -> None:
        if self._manifest is not None:
            self._manifest.append(event, **values)


def exit_code(outcomes: Sequence[Outcome], jobs: int) -> ExitCode:
    """A single job's own code; for many, whether a part failed.

    Args:
        outcomes: how the jobs ended.
        jobs: how many there were.
    """
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return ExitCode.OK
    return errors[0].exit_code if jobs == 1 else ExitCode.PARTIAL

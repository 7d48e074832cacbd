"""Every error a user can cause or meet, and the exit code each ends in.

    DunrestoreError                  UNEXPECTED
    ├── UsageError                   USAGE
    ├── InputError                   INPUT          unreadable or unsupported input
    ├── OutputCheckError             OUTPUT_CHECK   output failed its own verification
    ├── FileAccessError              FILE_ACCESS    permission, disk full, vanished folder
    ├── NothingToDoError             NOTHING_TO_DO
    ├── MemoryExhaustedError         MEMORY         out of memory after retries
    ├── TimeLimitError               MEMORY         a file took longer than allowed
    ├── ModelError                   MODEL          model unavailable, broken or with a wrong hash
    └── ConfigError                  CONFIG         configuration invalid

The exit codes are a documented interface (``docs/exit-codes.md``).
"""

import errno
import logging
from enum import IntEnum
from pathlib import Path
from typing import Self

log = logging.getLogger(__name__)


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    INPUT = 3
    OUTPUT_CHECK = 4
    FILE_ACCESS = 5
    NOTHING_TO_DO = 6
    MEMORY = 7
    MODEL = 8
    CONFIG = 9
    PARTIAL = 10
    INTERRUPTED = 130


class DunrestoreError(Exception):
    """An error with one line for the user: which file, what happened, what to do next.

    Args:
        cause: what happened, without a full stop.
        path: the file or folder concerned, if there is one.
        next_step: what the user can do about it, without a full stop.
    """

    exit_code = ExitCode.UNEXPECTED

    def __init__(self, cause: str, *, path: Path | str | None = None, next_step: str = "") -> None:
        self.cause = cause
        self.path = None if path is None else str(path)
        self.next_step = next_step
        super().__init__(cause)

    def about(self, path: Path | str) -> Self:
        """The same error, naming a file."""
        return type(self)(self.cause, path=path, next_step=self.next_step)

    def __str__(self) -> str:
        where = "" if self.path is None else f"{self.path}: "
        then = f"; {self.next_step}" if self.next_step else ""
        # One line whatever the file is called.
        return f"{where}{self.cause}{then}".replace("\n", "\\n").replace("\r", "\\r")


class UsageError(DunrestoreError):
    """Options or arguments that contradict each other."""

    exit_code = ExitCode.USAGE


class InputError(DunrestoreError):
    """An input that cannot be read or is of a kind that is not supported."""

    exit_code = ExitCode.INPUT


class OutputCheckError(DunrestoreError):
    """An output that, read back, is not what was to be written."""

    exit_code = ExitCode.OUTPUT_CHECK


class FileAccessError(DunrestoreError):
    """A file or folder that cannot be opened, written or renamed."""

    exit_code = ExitCode.FILE_ACCESS


class NothingToDoError(DunrestoreError):
    """A run that found no work."""

    exit_code = ExitCode.NOTHING_TO_DO


class MemoryExhaustedError(DunrestoreError):
    """Out of memory, also after retries with less."""

    exit_code = ExitCode.MEMORY


class TimeLimitError(DunrestoreError):
    """A file that took longer than it was allowed to."""

    exit_code = ExitCode.MEMORY


class ModelError(DunrestoreError):
    """A model that is not to be had, is broken, or has another hash than expected."""

    exit_code = ExitCode.MODEL


class ConfigError(DunrestoreError):
    """A configuration with an unknown field or an invalid value."""

    exit_code = ExitCode.CONFIG


_NEXT_STEPS = {
    errno.ENOSPC: "free some space on that disk, or choose another output folder",
    errno.EDQUOT: "free some of your quota, or choose another output folder",
    errno.EACCES: "check the permissions, or choose another folder",
    errno.EPERM: "check the permissions, or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOENT: "check the path; a part of it does not exist, or no longer",
    errno.EEXIST: "choose another name, or move away what bears it",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "choose another path; what should be a folder in it is a file",
    errno.EPIPE: "whoever read it has stopped; run the command again for the rest",
    errno.ENAMETOOLONG: "choose a shorter file name",
}


def file_access_error(error: OSError, path: Path | str) -> FileAccessError:
    """Translate an operating-system error on ``path`` into one line for the user."""
    cause = (error.strerror or str(error)).lower()
    next_step = _NEXT_STEPS.get(error.errno or 0, "check the disk, then run the command again")
    return FileAccessError(cause, path=path, next_step=next_step)


def as_ours(
    error: Exception, path: Path | str | None = None, written: Path | str | None = None
) -> DunrestoreError:
    """Any failure as an error of ours.

    Args:
        error: what happened.
        path: the file that was in hand, if there was one.
        written: the file that the operating system speaks of where it names none.
    """
    if isinstance(error, DunrestoreError):
        return error if path is None or error.path is not None else error.about(path)
    if isinstance(error, OSError):
        return file_access_error(error, str(error.filename or written or "file"))
    if isinstance(error, MemoryError):
        return MemoryExhaustedError(
            "out of memory", path=path, next_step="free some memory, or try a smaller --tile"
        )
    log.debug("unexpected error", exc_info=error)
    return DunrestoreError(  # the last resort: our own bugs, as one line
        f"unexpected error: {type(error).__name__}: {error}",
        path=path,
        next_step="please report it, with the output of the same command with -v",
    )


def one_line(error: BaseException) -> str:
    """Any error's kind and first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__

"""The only place that talks to the terminal: data on stdout, every message on stderr."""

import json
import logging
import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from dunrestore.errors import DunrestoreError, FileAccessError, UsageError, file_access_error


class _Piped(Console):
    """Lets ``print`` see a broken pipe, where rich itself would end the program without a word."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise


class Messages(_Piped):
    """Standard error; that nobody reads it any more, or its disk is full, ends no batch."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print as any console, while that is possible."""
        try:
            super().print(*objects, **settings)
        except OSError:
            _silence(sys.stderr)


messages = Messages(stderr=True, highlight=False, soft_wrap=True)
"""Messages, progress bars and logs."""


class Output(_Piped):
    """Standard output; that nobody reads it is an error of ours."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print as any console.

        Raises:
            FileAccessError: if nobody reads it any more, or the disk it goes to is full.
        """
        try:
            super().print(*objects, **settings)
        except OSError as error:
            raise not_written(error) from error


data = Output(highlight=False, soft_wrap=True)
"""Tables and results that a user may pipe elsewhere."""

_LOG_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LOG_BEGINS = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")


class _ToTerminal(logging.Handler):
    """Log records through the console, which prints them above a progress bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        messages.print(self.format(record), markup=False)


class _ToFile(logging.FileHandler):
    """Log records into a file; that its disk is full ends no batch, and is said once."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Keep no more of the log."""
        messages.print(f"WARNING: {self.baseFilename}: the log cannot be written", markup=False)
        self.setLevel(logging.CRITICAL + 1)

    def close(self) -> None:
        """Close it; what it still held back is lost if the disk is full."""
        with suppress(OSError):
            super().close()


_said = logging.getLogger("dunrestore.said")
"""What is said on the terminal, for the file alone."""
_said.propagate = False


def set_up(*, quiet: bool = False, verbose: bool = False, log_file: Path | None = None) -> None:
    """Send the package's log records to stderr and, if asked, to a file.

    Raises:
        UsageError: if that file is called like a picture, or is something else than a log.
    """
    if log_file is not None:
        _refuse_log(log_file)
    logger = logging.getLogger("dunrestore")
    logger.setLevel(logging.DEBUG)
    for one in (logger, _said):
        for handler in one.handlers:
            handler.close()
        one.handlers.clear()
    to_terminal = _ToTerminal()
    to_terminal.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    to_terminal.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING)
    logger.addHandler(to_terminal)
    if log_file is not None:
        to_file = _ToFile(log_file, encoding="utf-8")
        to_file.setFormatter(logging.Formatter(_LOG_LINE))
        logger.addHandler(to_file)
        _said.addHandler(to_file)


def _refuse_log(path: Path) -> None:
    """Refuse what would no longer be what it was with a log at its end."""
    from dunrestore.imaging.files import IMAGE_SUFFIXES  # imports numpy

    cause = ""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        cause = "a log is no picture"
    elif path.is_file():
        with path.open("rb") as file:
            start = file.read(64)
        if start and _LOG_BEGINS.match(start) is None:
            cause = "this file is no log of this program"
    if cause:
        raise UsageError(cause, path=path, next_step="name another file for --log-file")


def take_any_text() -> None:
    """Let standard output write as an escape what its encoding has no letter for."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def say(message: str, *, quiet: bool = False) -> None:
    """One line for the user on stderr, printed as it is (no markup), and into the log.

    Args:
        message: the line.
        quiet: keep it in the log alone.
    """
    _said.info(message)
    if not quiet:
        messages.print(message, markup=False)


def one_line(text: str) -> str:
    """Text with file names, which may hold line breaks and bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def error_as_json(error: DunrestoreError) -> dict[str, Any]:
    """What went wrong, for programs: the keys that ``docs/exit-codes.md`` promises."""
    return {
        "status": "failed",
        "error": str(error),
        "cause": error.cause,
        "next_step": error.next_step,
        "exit_code": int(error.exit_code),
    }


def print_json(value: Any) -> None:
    """One JSON value on one line on stdout.

    Raises:
        FileAccessError: if nobody reads it any more, or the disk it goes to is full.
    """
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # file names may be bytes that are no text, stdout may be ASCII
        line = json.dumps(value)
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise not_written(error) from error


def not_written(error: OSError) -> FileAccessError:
    """What went wrong with standard output, which takes nothing more then."""
    _silence(sys.stdout)
    return file_access_error(error, "standard output")


def _silence(stream: TextIO) -> None:
    # What is left in the buffer would fail again when the program ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)

"""Fetch one file whatever the network does: mirrors in turn, attempts with pauses, then the proof.

Nothing here gives the file its final name: that is for ``store``, once it is proven.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from dunrestore.checkpoints.entries import show_url
from dunrestore.checkpoints.http import (
    CHUNK,
    GiveUpError,
    Patience,
    TryAgainError,
    open_url,
    read_limited,
)
from dunrestore.checkpoints.transfer import (
    LARGEST_PAGE,
    DiskError,
    Job,
    Progress,
    check_space,
    discard,
    fetch,
)
from dunrestore.checkpoints.webpage import is_web_page
from dunrestore.errors import ModelError

log = logging.getLogger(__name__)

PATIENCE = Patience()


def download(
    urls: Sequence[str],
    part: Path,
    verify: Callable[[Path], None],
    *,
    trusted: bool,
    progress: Progress | None = None,
) -> str:
    """Fetch a file into ``part``: whole, proven by ``verify``, and flushed to the disk.

    Args:
        urls: mirrors, tried in turn; http, https or file.
        part: where to; what an earlier run left there is continued if it is the same file.
        verify: raises ModelError if the file is not what it should be; it is then discarded, and
            the next mirror is tried.
        trusted: ``verify`` knows the hash, so that a file may be continued which the server does
            not identify.
        progress: told how far it is.

    Returns:
        The address that it came from.

    Raises:
        ModelError: if no address gave it, with what each said.
    """
    job = Job(part, trusted, progress or _silent, PATIENCE)
    said: list[str] = []
    advice = "check the network and run it again, or fetch the file by other means and use" + (
        " `dunrestore models import`"
    )
    for url in urls:
        try:
            _fetch_proven(url, job, verify)
        except GiveUpError as error:
            said.append(f"{show_url(url)}: {error}")
            log.warning("%s", said[-1])
        except ModelError as error:
            said.append(f"{show_url(url)}: {error.cause}")
            advice = error.next_step or advice
            log.warning("%s", said[-1])
        except DiskError as error:
            raise ModelError(
                str(error), path=part.parent, next_step="free some space there, or use --cache-dir"
            ) from error
        else:
            return url
    raise ModelError(f"{part.stem} could not be downloaded ({'; '.join(said)})", next_step=advice)


def fetch_text(url: str) -> str:
    """Fetch a small text over HTTP.

    Raises:
        ModelError: if it cannot be had, is larger than a megabyte, or is a web page.
    """
    try:
        with requests.Session() as session, open_url(session, url, PATIENCE, {}) as response:
            if response.status_code != requests.codes.ok:
                raise GiveUpError(f"HTTP {response.status_code}")
            raw = read_limited(b"", response.iter_content(CHUNK), LARGEST_PAGE)
            if is_web_page(response.headers.get("Content-Type", ""), raw):
                raise GiveUpError("a web page, not a catalogue")
        return raw.decode("utf-8")
    except (GiveUpError, TryAgainError, UnicodeDecodeError, requests.RequestException) as error:
        ours = isinstance(error, GiveUpError | TryAgainError)
        raise ModelError(
            str(error) if ours else "cannot be read",
            path=show_url(url),
            next_step="check the address and the network",
        ) from error


def _silent(done: int, total: int | None) -> None:
    del done, total


def _fetch_proven(url: str, job: Job, verify: Callable[[Path], None]) -> None:
    for _ in range(2):
        if urlsplit(url).scheme == "file":
            continued = _copy(url, job)
        else:
            continued = _fetch_patiently(url, job)
        try:
            verify(job.part)
            return
        except ModelError:
            discard(job.part)
            if not continued:
                raise
            log.warning("what an earlier run left was of another file; starting again")


def _fetch_patiently(url: str, job: Job) -> bool:
    failures, before = 0, _size(job.part)
    while True:
        try:
            return fetch(url, job)
        except TryAgainError as error:
            failures = 1 if _size(job.part) > before else failures + 1
            before = _size(job.part)
            if failures >= job.patience.attempts:
                raise GiveUpError(f"{error}, {failures} times in a row") from error
            pause = job.patience.pause * 2 ** (failures - 1)
            if error.pause is not None:
                pause = error.pause
            if pause > job.patience.longest_pause:
                raise GiveUpError(f"{error}, and asks to wait {pause:.0f} s") from error
            log.warning("%s: %s; again in %.0f s", show_url(url), error, pause)
            time.sleep(pause)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _copy(url: str, job: Job) -> bool:
    source = Path(unquote(urlsplit(url).path))
    try:
        if not source.is_file():
            raise GiveUpError("there is no such file")
        total = source.stat().st_size
        check_space(job.part, total, 0)
        with source.open("rb") as reader, job.part.open("wb") as writer:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
                job.progress(writer.tell(), total)
            writer.flush()
            os.fsync(writer.fileno())
    except OSError as error:
        raise DiskError((error.strerror or "cannot be written").lower()) from error
    return False

"""One attempt to fetch one file from one address, going on where an earlier one broke off.

What has arrived lies in ``NAME.part``; beside it ``NAME.part.json`` says where it came from and how
much of it is on the disk for certain.
"""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from dunrestore.checkpoints.http import (
    GiveUpError,
    Patience,
    TryAgainError,
    check_status,
    chunks,
    open_url,
    read_limited,
    redirected,
)
from dunrestore.checkpoints.webpage import confirmation, is_web_page

SYNC_EVERY = 1 << 22
SPARE = 1 << 26
"""Bytes that stay free on the disk."""
LARGEST = 8 << 30
"""Bytes; no model is larger, so that a server cannot fill the disk."""
LARGEST_PAGE = 1 << 20

Progress = Callable[[int, int | None], None]
"""Called with bytes here so far, and bytes in all if that is known."""


class DiskError(Exception):
    """The disk's fault: no address will do."""


@dataclass(frozen=True)
class Job:
    """What is to be fetched where to."""

    part: Path
    """Where the bytes go."""
    trusted: bool
    """The hash is known: a file may be continued which the server does not identify."""
    progress: Progress
    patience: Patience


@dataclass
class PartState:
    """What is here of a file, and what the server called it."""

    url: str = ""
    validator: str = ""
    """Strong ETag or Last-Modified: an answer with another one is another file."""
    flushed: int = 0
    """Bytes that are on the disk for certain."""
    total: int | None = None

    @staticmethod
    def read(part: Path) -> "PartState":
        """What an earlier run left; nothing if that is not certain."""
        try:
            state = PartState(**json.loads(_beside(part).read_text(encoding="utf-8")))
            return state if 0 <= state.flushed <= part.stat().st_size else PartState()
        except (OSError, ValueError, TypeError):
            return PartState()

    def write(self, part: Path) -> None:
        """Say so on the disk, whole or not at all."""
        temporary = part.with_name(part.name + ".new")
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(_beside(part))


def discard(part: Path) -> None:
    """Remove what is here of a file."""
    for path in (_beside(part), part):
        path.unlink(missing_ok=True)


def _beside(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def fetch(url: str, job: Job) -> bool:
    """Fetch a file over HTTP into ``job.part``, flushed to the disk.

    Returns:
        Whether a part of it was here from an earlier attempt.
    """
    known = PartState.read(job.part)
    have = known.flushed if known.url == url and (known.validator or job.trusted) else 0
    if have and have == known.total:
        return True
    with requests.Session() as session:
        target, confirmed = url, False
        while True:
            with open_url(session, target, job.patience, _range(have, known)) as response:
                status = response.status_code
                if have and status in (206, 416) and not _continues(response, known, have):
                    have = 0  # not the file that we have the start of: all of it, please
                    continue
                if status == requests.codes.ok:
                    have = 0  # the server sends all of it, whatever it was asked for
                check_status(response, have)
                pieces = chunks(response)
                first = next(pieces, b"")
                if not have and is_web_page(response.headers.get("Content-Type", ""), first):
                    if confirmed:
                        raise GiveUpError("sent a web page, not the file")
                    target, confirmed = _confirmed(first, pieces, response.url), True
                    continue
                state = PartState(url, _validator(response), have, _total(response, have))
                _receive(first, pieces, job, state)
                return have > 0


def _range(have: int, known: PartState) -> dict[str, str]:
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and known.validator:
        headers["If-Range"] = known.validator
    return headers


def _continues(response: requests.Response, known: PartState, have: int) -> bool:
    given = _validator(response)
    same = not (given and known.validator) or given == known.validator
    total = _total(response, have)
    return (
        response.status_code == requests.codes.partial_content
        and same
        and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        and known.total in (None, total)
    )


def _validator(response: requests.Response) -> str:
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _total(response: requests.Response, have: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) + have if length.isdecimal() else None


def _confirmed(first: bytes, chunks: Iterator[bytes], url: str) -> str:
    page = read_limited(first, chunks, LARGEST_PAGE).decode("utf-8", "replace")
    target = confirmation(page, url)
    if target is None:
        raise GiveUpError("sent a web page, not the file")
    return redirected(url, target)


def _receive(first: bytes, chunks: Iterator[bytes], job: Job, state: PartState) -> None:
    check_space(job.part, state.total, state.flushed)
    try:
        with job.part.open("r+b" if state.flushed else "wb") as file:
            file.truncate(state.flushed)
            file.seek(state.flushed)
            state.write(job.part)

            def settle() -> None:
                file.flush()
                os.fsync(file.fileno())
                state.flushed = file.tell()
                state.write(job.part)

            try:
                for chunk in itertools.chain([first], chunks):
                    file.write(chunk)
                    job.progress(file.tell(), state.total)
                    if file.tell() > LARGEST:
                        raise GiveUpError("sends more than any model has")
                    if file.tell() - state.flushed >= SYNC_EVERY:
                        settle()
            finally:
                settle()
    except OSError as error:
        raise DiskError((error.strerror or "cannot be written").lower()) from error
    if state.total is not None and state.flushed != state.total:
        raise TryAgainError(f"the connection was cut after {state.flushed} of {state.total} bytes")


def check_space(part: Path, total: int | None, have: int) -> None:
    """Refuse a file that the disk has no room for.

    Raises:
        GiveUpError: if its size is absurd.
        DiskError: if there is not enough room.
    """
    if total is None:
        return
    if total > LARGEST:
        raise GiveUpError(f"claims to be {total / 1e9:.0f} GB, which no model is")
    free = shutil.disk_usage(part.parent).free
    if free < total - have + SPARE:
        raise DiskError(
            f"not enough room on the disk: {(total - have) / 1e6:.0f} MB needed,"
            f" {free / 1e6:.0f} MB free"
        )

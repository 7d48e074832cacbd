"""Asking for an address over HTTP: redirects, refusals, and causes that show no secrets."""

from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NoReturn
from urllib.parse import urljoin, urlsplit

import requests

from dunrestore import __version__
from dunrestore.checkpoints.entries import check_url, show_url
from dunrestore.errors import ModelError

REDIRECTS = 8
CHUNK = 1 << 15
"""Bytes; what of a chunk had arrived when the connection was cut is lost."""


class GiveUpError(Exception):
    """This address will not do, another may."""


class TryAgainError(Exception):
    """It broke; the same address may do in a while.

    Args:
        cause: what broke.
        pause: seconds that the server asks to wait, if it does.
    """

    def __init__(self, cause: str, pause: float | None = None) -> None:
        super().__init__(cause)
        self.pause = pause


@dataclass(frozen=True)
class Patience:
    """How long to keep trying."""

    attempts: int = 4
    """Attempts at one address, as long as none brings anything new."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled each time."""
    connect: float = 10.0
    """Seconds to wait for a connection."""
    stall: float = 30.0
    """Seconds without a byte that count as a broken connection."""
    longest_pause: float = 60.0
    """A server that asks for a longer pause than this many seconds is left alone."""


def open_url(
    session: requests.Session, url: str, patience: Patience, headers: dict[str, str]
) -> requests.Response:
    """Ask for an address and follow its redirects, but never to another scheme.

    Raises:
        GiveUpError, TryAgainError: with a cause that shows no address, which may hold a key.
    """
    asked = {
        "User-Agent": f"dunrestore/{__version__}",
        "Accept-Encoding": "identity",
        **headers,
    }
    for _ in range(REDIRECTS + 1):
        try:
            response = session.get(
                url,
                headers=asked,
                stream=True,
                allow_redirects=False,
                timeout=(patience.connect, patience.stall),
            )
        except requests.RequestException as error:
            _raise_ours(error)
        if not response.is_redirect:
            return response
        response.close()
        url = redirected(url, response.headers["Location"])
    raise GiveUpError(f"redirects more than {REDIRECTS} times")


def redirected(url: str, location: str) -> str:
    """Where ``url`` sends us.

    Raises:
        GiveUpError: if that is not to be followed: a password in it, or another scheme.
    """
    try:
        target = check_url(urljoin(url, location))
    except (ModelError, ValueError) as error:
        raise GiveUpError("redirects to an address that is refused") from error
    old, new = urlsplit(url).scheme, urlsplit(target).scheme
    if new != old:
        raise GiveUpError(f"redirects from {old} to {new}, which is refused ({show_url(target)})")
    return target


def _raise_ours(error: requests.RequestException) -> NoReturn:
    # The exceptions' own texts show addresses and proxies, with the keys in them.
    if isinstance(error, requests.exceptions.SSLError):
        why = "has expired" if "expired" in str(error) else "cannot be verified"
        raise GiveUpError(f"its certificate {why}") from error
    if isinstance(error, requests.exceptions.ProxyError):
        raise TryAgainError("the proxy gives no connection") from error
    if isinstance(error, requests.exceptions.Timeout):
        raise TryAgainError("no answer in time") from error
    if isinstance(error, requests.exceptions.ConnectionError):
        raise TryAgainError("no connection") from error
    raise GiveUpError(f"cannot be asked for ({type(error).__name__})") from error


def check_status(response: requests.Response, have: int) -> None:
    """Accept an answer that brings the file, or what is missing of it after ``have`` bytes.

    Raises:
        GiveUpError: if asking again would be no use.
        TryAgainError: if the server says that it is busy or out of order.
    """
    status = response.status_code
    expected = requests.codes.partial_content if have else requests.codes.ok
    if status in (408, 425, 429) or status >= 500:
        raise TryAgainError(f"HTTP {status}", _retry_after(response))
    if status != expected:
        raise GiveUpError(f"HTTP {status} {response.reason or ''}".strip())
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise GiveUpError("sent the file in an encoding that was not asked for")


def _retry_after(response: requests.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        now = parsedate_to_datetime(response.headers.get("Date", ""))
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def chunks(response: requests.Response) -> Iterator[bytes]:
    """The answer's body, piece by piece.

    Raises:
        TryAgainError: if it breaks off.
    """
    try:
        yield from response.iter_content(CHUNK)
    except requests.RequestException as error:
        # urllib3 reports a stall while reading as a connection error.
        stalled = "timed out" in str(error)
        raise TryAgainError("stalled" if stalled else "the connection was cut") from error


def read_limited(first: bytes, chunks: Iterator[bytes], limit: int) -> bytes:
    """Join chunks up to ``limit`` bytes.

    Raises:
        GiveUpError: if there are more.
    """
    content = bytearray(first)
    for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise GiveUpError("is too large")
    return bytes(content)

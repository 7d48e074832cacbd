"""A real HTTP server on the loopback that misbehaves as it is told."""

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Page:
    """What one address gives. Lists are used up one a request; their last item stays."""

    content: bytes = b""
    statuses: Sequence[int] = (200,)
    headers: dict[str, str] = field(default_factory=dict)
    etags: Sequence[str] = ('"one"',)
    cuts: Sequence[int | None] = (None,)
    """Close the connection after so many bytes of the body."""
    stalls: Sequence[int | None] = (None,)
    """Go silent after so many bytes of the body."""
    ranges: bool = True
    minds_if_range: bool = True
    length_error: int = 0
    """How much more the Content-Length says than there is."""
    says_length: bool = True
    chunk_pause: float = 0.0
    """Seconds between pieces of 8 KiB."""
    hook: Callable[[int], None] | None = None
    """Called with the number of the request, from 0."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of every request so far."""


class Site(ThreadingHTTPServer):
    """Pages by path; use it in a ``with``."""

    daemon_threads = True

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.closing = threading.Event()
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        page = self.server.pages.get(self.path.split("?")[0])
        if page is None:
            self.send_error(404)
            return
        number = len(page.asked)
        page.asked.append(dict(self.headers.items()) | {"path": self.path})
        if page.hook:
            page.hook(number)
        pick = lambda items: items[min(number, len(items) - 1)]  # noqa: E731
        status, etag = pick(page.statuses), pick(page.etags)
        start = self._start(page, etag) if status == 200 else 0
        body = page.content[start:]
        self.send_response(206 if start else status)
        if start:
            total = len(page.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if etag:
            self.send_header("ETag", etag)
        if page.says_length:
            self.send_header("Content-Length", str(len(body) + page.length_error))
        self.send_header("Connection", "close")
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(body, page, pick(page.cuts), pick(page.stalls))

    def _start(self, page: Page, etag: str) -> int:
        wanted = self.headers.get("Range", "")
        if not page.ranges or not wanted.startswith("bytes="):
            return 0
        if page.minds_if_range and self.headers.get("If-Range", etag) != etag:
            return 0
        start = int(wanted.removeprefix("bytes=").split("-")[0])
        return start if start < len(page.content) else 0

    def _send(self, body: bytes, page: Page, cut: int | None, stall: int | None) -> None:
        end = len(body) if cut is None else cut
        for position in range(0, end, 8192):
            if stall is not None and position >= stall:
                self.server.closing.wait(30)
                return
            self.wfile.write(body[position : min(position + 8192, end)])
            if page.chunk_pause:
                time.sleep(page.chunk_pause)

    def log_message(self, *_) -> None:
        pass

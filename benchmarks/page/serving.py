"""Serve a page on this machine alone, with the headers that a careful web host would send."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from frism.errors import UserError

HOST = "127.0.0.1"
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; base-uri 'none';"
          " form-action 'none'; frame-ancestors 'none'")  # fmt: skip


class PageHandler(SimpleHTTPRequestHandler):
    """Answers for the files of a page, whatever else lies on the disk."""

    def end_headers(self) -> None:
        """Add the headers of every answer."""
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """Refuse to list folders."""
        self.send_error(404)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing of single requests."""


def open_server(page: Path, port: int = 0) -> ThreadingHTTPServer:
    """Open a server for a page on the loopback address; port 0 takes a free one.

    Raises UserError when the folder is no page, or the port is taken.
    """
    if not (page / "index.html").is_file():
        raise UserError(f"{page / 'index.html'} is missing: make the page first with frism page.")
    try:
        return ThreadingHTTPServer((HOST, port), partial(PageHandler, directory=str(page)))
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port} cannot be opened ({error}): choose another with --port.") from None

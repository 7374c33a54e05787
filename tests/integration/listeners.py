# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server that keeps what it receives, for apprise's json:// URLs."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: In place of a status: the server answers byte by byte, for ever.
TRICKLE = -1


@dataclass
class Got:
    """A request as it came in."""

    path: str
    body: Any


class Web:
    """Answers every request with one status, or never to the end."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.got: list[Got] = []
        self.stopping = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                web._answer(self)

            def log_message(self, *_: Any) -> None:
                """Stays silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that goes away is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def url(self, path: str = "/hook") -> str:
        """The URL as apprise takes it."""
        return f"json://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.got.append(Got(handler.path, json.loads(raw)))
        if self.status == TRICKLE:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
            while not self.stopping.wait(0.1):
                handler.wfile.write(b"x")
            return
        handler.send_response(self.status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]

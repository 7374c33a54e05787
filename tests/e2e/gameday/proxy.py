# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network between operators and the server: a relay that can be slow, and can be cut."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
import typing as t

from psycopg.conninfo import conninfo_to_dict, make_conninfo

CHUNK: t.Final = 65536
ASK_SECONDS: t.Final = 0.1
#: Where libpq looks for a server that was given none.
PORT: t.Final = 5432


class Network:
    """Relays connections to a server from its own address; a context manager, at whose end all of them are closed."""

    def __init__(self, dsn: str) -> None:
        """Opens its address; `dsn` is how the server itself is reached."""
        parameters = conninfo_to_dict(dsn)
        self._host = str(parameters.get("hostaddr") or parameters["host"])
        self._port = int(str(parameters.get("port") or PORT))
        self._delay = 0.0
        self._cut = threading.Event()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._door = socket.create_server(("127.0.0.1", 0))

    def dsn(self, dsn: str) -> str:
        """The same database by way of this network."""
        return make_conninfo(dsn, host="127.0.0.1", port=self._door.getsockname()[1], hostaddr=None)

    def slow(self, seconds: float) -> None:
        """Each message takes so much longer, in both directions; 0 for no delay."""
        self._delay = seconds

    def cut(self, seconds: float) -> None:
        """All connections are gone, and there are no new ones for so long."""
        self._cut.set()
        for end in list(self._open):
            self._close(end)
        timer = threading.Timer(seconds, self._cut.clear)
        timer.daemon = True
        timer.start()

    def __enter__(self) -> t.Self:
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._door.close()
        for end in list(self._open):
            self._close(end)
        for thread in self._threads:
            thread.join(timeout=5)

    def _begin(self, work: t.Callable[..., None], *given: t.Any) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True, name="network")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            if not select.select([self._door], [], [], ASK_SECONDS)[0]:
                continue
            with contextlib.suppress(OSError):
                near, _ = self._door.accept()
                if self._cut.is_set():
                    near.close()
                    continue
                self._begin(self._relay, near, self._reach())

    def _reach(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port), timeout=5)
        far = socket.socket(socket.AF_UNIX)
        far.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return far

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        ends = {near: far, far: near}
        self._open |= set(ends)
        try:
            while not self._over.is_set():
                for end in select.select(list(ends), [], [], ASK_SECONDS)[0]:
                    data = end.recv(CHUNK)
                    if not data:
                        return
                    if self._delay:
                        time.sleep(self._delay)
                    ends[end].sendall(data)
        except (OSError, ValueError):
            # One end is gone, so is the other.
            return
        finally:
            for end in ends:
                self._close(end)

    def _close(self, end: socket.socket) -> None:
        self._open.discard(end)
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

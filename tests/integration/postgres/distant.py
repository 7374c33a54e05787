# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of a server: counts the round trips of a client, and delays them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

#: As from one region of a cloud to a neighbouring one.
ROUND_TRIP_SECONDS = 0.04


class Distant:
    """A way to a server on which everything takes half a round trip each way: to its socket without a password and TLS, or, where
    the connection string names a host, by TCP with whatever that has to say of both."""

    def __init__(self, dsn: str, round_trip_seconds: float = ROUND_TRIP_SECONDS) -> None:
        self._to = conninfo_to_dict(dsn)
        self._half = round_trip_seconds / 2
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        #: How many connections there were, and how often a client spoke after the server had.
        self.sessions = self.round_trips = 0
        self.dsn = ""

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._connected, "127.0.0.1", 0), self._loop)
        self._server = starting.result(10)
        port = self._server.sockets[0].getsockname()[1]
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        self.dsn = make_conninfo(**plain | self._to | {"host": "127.0.0.1", "port": port})
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        # The way there and back is gone once before anybody can speak.
        await asyncio.sleep(2 * self._half)
        host, port = str(self._to["host"]), self._to["port"]
        if host.startswith("/"):
            back, forth = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            back, forth = await asyncio.open_connection(host, int(str(port)))
        spoke_last: list[str] = ["server"]
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await asyncio.gather(
                    self._pass_on("client", reader, forth, spoke_last),
                    self._pass_on("server", back, writer, spoke_last),
                )
        finally:
            for each in (forth, writer):
                each.close()
                with contextlib.suppress(ConnectionError):
                    await each.wait_closed()

    async def _pass_on(
        self, who: str, source: asyncio.StreamReader, target: asyncio.StreamWriter, spoke_last: list[str]
    ) -> None:
        """Everything in its order, each part half a round trip late, however much is on the way."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, part = await queue.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not part:
                    target.close()
                    return
                target.write(part)
                await target.drain()

        delivering = self._loop.create_task(deliver())
        while part := await source.read(1 << 16):
            if who == "client" and spoke_last[0] == "server":
                self.round_trips += 1
            spoke_last[0] = who
            queue.put_nowait((self._loop.time() + self._half, part))
        queue.put_nowait((self._loop.time() + self._half, b""))
        await delivering

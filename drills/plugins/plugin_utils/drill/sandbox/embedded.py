# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded sandbox: a throwaway PostgreSQL server with a reference pipeline."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import psycopg
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting

from ...reference import builder
from ...reference.server.binaries import account, bin_dir, environment
from ...reference.server.local import Server
from .base import Sandbox, Unavailable

if t.TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

DATABASE: t.Final = "scout_drill"
RESTART_SECONDS: t.Final = 30.0
SEED: t.Final = 1


class DrillServer(Server):
    """A throwaway server that can be restarted with its data; it ignores SCOUT_TEST_SERVER."""

    def __init__(self) -> None:
        """Prepares the server without starting it."""
        # The oracle counts what was committed, even if the server crashes immediately afterwards.
        super().__init__(settings={"synchronous_commit": "on"})
        self.external = ""

    def restart(self, *, immediate: bool = False) -> None:
        """Restarts it with the same data at the same address; `immediate` is a crash."""
        if self._process is None or self._root is None:
            raise RuntimeError("the server is not running")
        self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            self._process.wait(RESTART_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._begin(self._root)

    def _begin(self, root: Path) -> None:
        runner = account()
        with (root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(bin_dir(runner) / "postgres"), "-D", str(root / "data"), *self._options(root, int(self._params["port"]))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment(),
                **runner.options,
            )  # fmt: skip
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as e:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        "the server of the sandbox did not come back", said=str(e), next_step="run the drill again"
                    ) from e
                time.sleep(0.05)
            else:
                return


class Embedded(Sandbox):
    """A database on a server of the drill's own."""

    def __init__(self, server: DrillServer, dsn: str) -> None:
        """A sandbox on the server, which the caller stops."""
        super().__init__(dsn)
        self._server = server

    def restart_server(self, *, immediate: bool = False) -> None:
        """Returns when the server answers again."""
        self._server.restart(immediate=immediate)


@contextlib.contextmanager
def open_embedded(progress: Progress, *, events: int, variant: str = "faithful") -> Generator[Sandbox]:
    """A healthy reference pipeline on a server of its own, both gone after the block."""
    server = DrillServer()
    try:
        try:
            server.start()
        except RuntimeError as e:
            raise Unavailable("could not start the embedded PostgreSQL", said=str(e)) from e
        dsn = server.create_database(DATABASE)
        with attempting("could not build a pipeline in the sandbox"):
            builder.build(dsn, variant, events, SEED)
            with psycopg.connect(dsn, autocommit=True) as connection:
                # A scheduler that has never run anything looks like one that stands still.
                if builder.has_scheduler(connection):
                    connection.execute(builder.HISTORY)
        yield Embedded(server, dsn)
    finally:
        with progress.unbroken():
            server.stop()

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded sandbox: a server of its own for each scenario, gone with it, which may be restarted, fail over and have a slow
standby."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import threading
import time
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import psycopg

from ...reference.server.binaries import account, bin_dir, environment
from ...reference.server.local import Server
from .base import Sandbox, Unavailable, await_answer

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUPERUSER: t.Final = "postgres"
STANDBY: t.Final = "slow_standby"
SUCCESSOR: t.Final = "successor"
#: How long a standby that is allowed to catch up gets for it, and how often it is asked.
CATCH_UP_SECONDS: t.Final = 10.0
ASK_SECONDS: t.Final = 0.1
RESTART_SECONDS: t.Final = 30.0

#: From now on a commit is one only where the standby has it too.
SYNCHRONOUS: t.Final = ("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
FOLLOWS: t.Final = """
SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync' AND replay_lsn >= pg_current_wal_insert_lsn()
"""
CAUGHT_UP: t.Final = "SELECT pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()"


class DrillServer(Server):
    """A throwaway server that can be restarted where it stands; no setting of the environment puts another in its place."""

    def __init__(self, settings: Mapping[str, str] | None = None, superuser: str = SUPERUSER) -> None:
        """Prepare it; starts nothing."""
        # What was committed is counted as written, also where the server ends at once after that.
        super().__init__(settings={"synchronous_commit": "on", **(settings or {})})
        self.external = ""
        self.superuser = superuser

    def restart(self, *, immediate: bool = False) -> None:
        """Stop it and start it again with the same data at the same address; `immediate` leaves it no time to end well."""
        self.end(immediate=immediate)
        self._begin()

    def fail_over(self, standby: Standby) -> None:
        """Ends at once, as a machine that loses power; the standby is promoted and gets its address."""
        self.end(immediate=True)
        with psycopg.connect(standby.dsn("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        standby.end()
        shutil.rmtree(self.data)
        standby.data.rename(self.data)
        self._begin()

    @property
    def data(self) -> Path:
        """Its data directory."""
        if self._root is None:
            raise RuntimeError("the server is not running")
        return self._root / "data"

    def await_follower(self) -> None:
        """Returns when a standby has all that was committed, and will have what is."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            for statement in SYNCHRONOUS:
                connection.execute(statement)
            deadline = time.monotonic() + RESTART_SECONDS
            while connection.execute(FOLLOWS).fetchone() != (True,):
                if time.monotonic() > deadline:
                    raise Unavailable("the standby does not follow", next_step="run the drill again")
                time.sleep(ASK_SECONDS)

    def end(self, *, immediate: bool = False) -> None:
        """Stop it; its data stay."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            self._process.wait(RESTART_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def _begin(self) -> None:
        """Start it with the data and at the address that it had."""
        assert self._root is not None
        runner = account()
        with (self._root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(bin_dir(runner) / "postgres"), "-D", str(self.data),
                    *self._options(self._root, int(self._params["port"])),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment(),
                **runner.options,
            )  # fmt: skip
        await_answer(self.dsn("postgres"))


class Standby(DrillServer):
    """A streaming standby of a server."""

    def __init__(self, primary: Server, name: str) -> None:
        """Prepare it; starts nothing."""
        self._primary = primary
        address = primary.dsn("postgres", application_name=name)
        super().__init__({"primary_conninfo": address, "hot_standby": "on"}, primary.superuser)

    def __enter__(self) -> t.Self:
        return self

    def close(self) -> None:
        """Ends it; its data are gone when this returns, unless they are its primary's by now."""
        self.stop()

    def _initdb(self, root: Path) -> None:
        """Its data are a copy of the primary's."""
        runner = account()
        command = [
            str(bin_dir(runner) / "pg_basebackup"), "--pgdata", str(root / "data"), "--dbname",
            self._primary.dsn("postgres"), "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
            "--no-password",
        ]  # fmt: skip
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, **runner.options)
        if done.returncode:
            raise Unavailable(
                "could not make a standby", said=done.stderr, next_step="see that pg_basebackup is beside the server"
            )


class SlowStandby(Standby):
    """One whose replay stands still for so many seconds, catches up, and stands still again."""

    def __init__(self, primary: Server, seconds: float) -> None:
        """Copies the primary and starts; its replay stands still when this returns."""
        super().__init__(primary, STANDBY)
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._stumble, daemon=True, name=STANDBY)
        try:
            self.start()
            self._pause()
        except BaseException:
            self.stop()
            raise
        self._thread.start()

    def close(self) -> None:
        """Ends it; its data are gone when this returns."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(CATCH_UP_SECONDS)
        self.stop()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stumble(self) -> None:
        """Until it is over: still for a while, then on until it has caught up."""
        while not self._over.wait(self._seconds):
            with contextlib.suppress(psycopg.Error):
                self._catch_up()
                self._pause()

    def _catch_up(self) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_wal_replay_resume()")
            for _ in range(round(CATCH_UP_SECONDS / ASK_SECONDS)):
                if self._over.wait(ASK_SECONDS) or connection.execute(CAUGHT_UP).fetchone() == (True,):
                    return

    def _pause(self) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")


class Embedded(Sandbox):
    """A database of a server that is the drill's own."""

    kind = "embedded"

    def __init__(self, server: DrillServer, dsn: str, lacks: tuple[str, ...] = ()) -> None:
        """A sandbox on the server, which somebody else stops."""
        super().__init__(dsn, lacks)
        self._server = server
        self._successor: Standby | None = None

    def restart_server(self, *, immediate: bool = False) -> None:
        """Returns when the server answers again."""
        self._server.restart(immediate=immediate)

    def standby(self) -> Standby:
        """Its own to close, before the sandbox goes."""
        self._successor = Standby(self._server, SUCCESSOR)
        self._successor.start()
        self._server.await_follower()
        return self._successor

    def fail_over(self) -> None:
        """Returns when the promoted standby answers at the same address."""
        if self._successor is None:
            raise Unavailable("there is no standby to fail over to", next_step="name standby among the faults")
        self._server.fail_over(self._successor)
        self._successor = None

    def slow_standby(self, seconds: float) -> SlowStandby:
        """Its own to close, before the sandbox goes."""
        return SlowStandby(self._server, seconds)

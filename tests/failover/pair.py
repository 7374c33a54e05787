# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers with one reference Scout: a primary and its streaming standby, each made of files that are copied."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.binaries import (
    account,
    bin_dir,
    environment,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

DATABASE = "scout"
CAUGHT_UP: LiteralString = """
SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_insert_lsn()
"""
#: As the fixtures of all tests have it, but so that nothing that was committed is lost with the process.
SETTINGS = {"synchronous_commit": "on", "wal_keep_size": "256MB", "hot_standby": "on", "wal_receiver_timeout": "2s"}


class Copied(Server):
    """A throwaway server whose data are a copy of a folder, or whatever `make` puts there."""

    def __init__(self, make: Callable[[Path], None], settings: Mapping[str, str], folder: Path | None) -> None:
        self._make = make
        super().__init__(settings=SETTINGS | dict(settings), folder=folder)

    def _initdb(self, root: Path) -> None:
        self._make(root / "data")

    @property
    def data(self) -> Path:
        """Its data directory."""
        assert self._root
        return self._root / "data"

    def kill(self) -> None:
        """Ends it as a machine that loses power does; its data stay until it is stopped."""
        assert self._process
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def revive(self) -> None:
        """Starts what was killed, with the data and the address it had."""
        assert self._root
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
        until(self.running)

    def promote(self) -> None:
        """Has a standby become a primary; returns once it takes writes."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

    def copy_of(self) -> Callable[[Path], None]:
        """Makes a copy of its data, of a server that is killed or stopped."""
        return lambda into: _copy(self.data, into)


def alone(template: Path, folder: Path | None, **settings: str) -> Copied:
    """One server with a copy of these files, started."""
    made = Copied(lambda into: _copy(template, into), settings, folder)
    made.start()
    return made


class Pair:
    """A primary and its standby; `dsn` names both, and whichever takes writes is meant."""

    def __init__(self, template: Path, folder: Path | None, *, synchronous: bool) -> None:
        """Starts both from the files of a server that was stopped; the standby streams when this returns."""
        self._folder = folder
        wanted = {"synchronous_standby_names": "*", "synchronous_commit": "remote_apply"} if synchronous else {}
        self.first = Copied(lambda into: _copy(template, into), wanted, folder).start()
        self.second = self.standby(template)
        self.settle()

    def standby(self, template: Path, **settings: str) -> Copied:
        """One more standby of the first, from the same files."""

        def make(into: Path) -> None:
            _copy(template, into)
            made = into / "standby.signal"
            made.touch()
            account().own(made)

        source = self.first.dsn("postgres", application_name="standby")
        return Copied(make, {"primary_conninfo": source, **settings}, self._folder).start()

    def follower(self) -> Copied:
        """A standby of the second, from a copy that is made while it runs."""
        runner = account()
        source = self.second.dsn("postgres")

        def make(into: Path) -> None:
            command = [
                str(bin_dir(runner) / "pg_basebackup"), "--pgdata", str(into), "--dbname", source, "--wal-method=stream",
                "--checkpoint=fast", "--no-sync", "--no-password",
            ]  # fmt: skip
            subprocess.run(command, env=environment(), capture_output=True, check=True, **runner.options)
            (into / "standby.signal").touch()
            runner.own(into / "standby.signal")

        return Copied(make, {"primary_conninfo": source}, self._folder).start()

    def turned(self) -> Pair:
        """After a failover: the new primary and a new standby of it, which takes the place of the old primary."""
        made = Pair.__new__(Pair)
        made._folder = self._folder
        made.first, made.second = self.second, self.follower()
        self.first.stop()
        self.first, self.second = made.second, made.first
        made.settle()
        return made

    def settle(self) -> None:
        """Returns once the standby has all that was written."""
        with psycopg.connect(self.first.dsn(), autocommit=True) as connection:
            until(lambda: connection.execute(CAUGHT_UP).fetchone() is not None)

    def fail_over(self) -> None:
        """The first is killed, and the standby becomes the primary."""
        self.first.kill()
        self.second.promote()

    def dsn(self, *, turned: bool = False) -> str:
        """One of both servers, the first named first, or last."""
        servers = [conninfo_to_dict(server.dsn(DATABASE)) for server in (self.first, self.second)]
        servers = servers[::-1] if turned else servers
        named = {name: ",".join(str(each[name]) for each in servers) for name in ("host", "port")}
        return psycopg.conninfo.make_conninfo(
            user="postgres", dbname=DATABASE, target_session_attrs="read-write", **named
        )

    def stop(self) -> None:
        """Ends both."""
        self.second.stop()
        self.first.stop()


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Returns once that is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def files(folder: Path | None, variant: str = "faithful", events: int = 300) -> Iterator[Path]:
    """The data of a server with one reference Scout, as they are once it was stopped cleanly."""
    with Server(folder=folder, settings=SETTINGS) as server:
        builder.build(server.create_database(DATABASE), events=events, variant=variant)
        assert server._root
        assert server._process
        server._process.send_signal(signal.SIGINT)
        server._process.wait()
        yield server._root / "data"


def _copy(source: Path, into: Path) -> None:
    """With owners and rights, as PostgreSQL wants them."""
    subprocess.run(["cp", "-a", str(source), str(into)], check=True)
    (into / "postmaster.pid").unlink(missing_ok=True)

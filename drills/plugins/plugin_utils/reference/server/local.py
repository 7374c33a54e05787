# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL for tests and demonstrations, from a wheel, without installation.

``Server()`` is a throwaway: it dies and its data go with the process that started it, however that one ends.
``persistent()`` is the one behind ``python -m`` of this module. ``SCOUT_TEST_SERVER`` replaces both.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from . import places
from .binaries import account, bin_dir, environment, private_dir, temp_dir

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "max_prepared_transactions": "4",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # It visits every database, of which there are many here, and none lives for long.
    "autovacuum_naptime": "10min",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# Runs beside a throwaway server as its account. The end of the pipe means that our process is gone, whatever killed it.
WATCHER = """
read -r word || kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null
tries=0
while [ -e "$1/data/postmaster.pid" ] && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf "$1"
"""


def uri(params: Mapping[str, Any]) -> str:
    """The connection parameters as one libpq URI that a shell takes unquoted."""
    rest = {name: str(value) for name, value in params.items()}
    user, password, host, port, dbname = (
        quote(rest.pop(name, ""), safe="") for name in ("user", "password", "host", "port", "dbname")
    )
    login = f"{user}{':' if password else ''}{password}{'@' if user else ''}"
    query = urlencode(rest, quote_via=quote, safe="/")
    return f"postgresql://{login}{host}{':' if port else ''}{port}/{dbname}{'?' if query else ''}{query}"


class Server:
    """One PostgreSQL server with superuser access; a context manager that starts and stops it."""

    def __init__(
        self, state: Path | None = None, settings: Mapping[str, str] | None = None, *, folder: Path | None = None,
        superuser: str = "postgres",
    ) -> None:  # fmt: skip
        """Prepare a throwaway server with its data in `folder`, or one whose data stay in the state folder; starts nothing."""
        self.external = os.environ.get("SCOUT_TEST_SERVER", "")
        self.settings = SETTINGS | dict(settings or {})
        self.superuser = str(conninfo_to_dict(self.external).get("user", "postgres")) if self.external else superuser
        self._state = state
        self._folder = folder
        self._root: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._params: dict[str, Any] = {}
        self._password = ""

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Server:
        """Have the server accept connections; nothing to do where it already does."""
        if self.external:
            self._params = {name: value for name, value in conninfo_to_dict(self.external).items() if name != "dbname"}
        elif self._state:
            self._state.parent.mkdir(parents=True, exist_ok=True)
            with self._state.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._start_persistent(self._state)
        elif self._process is None:
            self._start_throwaway()
        return self

    def stop(self) -> None:
        """Stop the server; a throwaway's data are gone when this returns."""
        if self.external:
            return
        if self._state:
            self._pg_ctl("stop", "-m", "fast", check=False)
            return
        if self._process:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None
        if self._watcher:
            assert self._watcher.stdin
            self._watcher.stdin.write(b"stopped\n")
            self._watcher.stdin.close()
            self._watcher.wait()
            self._watcher = None

    def remove(self) -> None:
        """Stop the server and delete everything it kept."""
        self.stop()
        if self._state and not self.external:
            for folder in (self._find_root(self._state, create=False), self._state, self._sockets()):
                shutil.rmtree(folder, ignore_errors=True)
            self._state.with_suffix(".lock").unlink(missing_ok=True)
            self._params = {}

    def running(self) -> bool:
        """Whether the server accepts connections."""
        if not self._params and not self._recall():
            return False
        try:
            psycopg.connect(self.dsn("postgres", connect_timeout=3)).close()
        except psycopg.OperationalError:
            return False
        return True

    def dsn(self, dbname: str = "postgres", **params: object) -> str:
        """A URI for the database through the private socket; parameters override, e.g. user="loader"."""
        if not self._params and not self._recall():
            raise RuntimeError("the server is not running")
        return uri(self._params | {"dbname": dbname} | params)

    def tcp_dsn(self, dbname: str = "postgres", **params: object) -> str:
        """A URI for the database through 127.0.0.1 with a password, as a remote client would come."""
        local = {} if self.external else {"host": "127.0.0.1", "password": self._password}
        return self.dsn(dbname, **(local | params))

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create the database, empty or as a copy of the template, and return its URI."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            if template:
                statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
                # A copy that is written as WAL, the default, takes half as long again.
                statement += sql.SQL(" STRATEGY file_copy" if connection.info.server_version >= 150000 else "")
            connection.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop the database with every session in it; nothing to do where it does not exist."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _start_throwaway(self) -> None:
        runner = account()
        binaries = bin_dir(runner)
        self._root = Path(tempfile.mkdtemp(prefix="scout-", dir=self._folder or temp_dir(runner)))
        runner.own(self._root)
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", WATCHER, "sh", str(self._root)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            **runner.options,
        )
        self._initdb(self._root)
        for _ in range(5):
            port = _free_port()
            with (self._root / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [str(binaries / "postgres"), "-D", str(self._root / "data"), *self._options(self._root, port)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=environment(),
                    **runner.options,
                )
            self._params = {"user": self.superuser, "host": str(self._root), "port": port}
            while self._process.poll() is None:
                if self.running():
                    return
                time.sleep(0.02)
            # Somebody else may have taken the port in the meantime.
            self._process = None
        message = (self._root / "server.log").read_text()
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start: {message[-2000:]}")

    def _start_persistent(self, state: Path) -> None:
        if self.running():
            return
        root = self._find_root(state, create=True)
        if not (root / "data" / "PG_VERSION").exists():
            shutil.rmtree(root / "data", ignore_errors=True)
            self._initdb(root)
        remembered = root / "port"
        port = int(remembered.read_text()) if remembered.exists() else 0
        if not port or not _is_free(port):
            port = _free_port()
            remembered.write_text(str(port))
        sockets = private_dir(self._sockets().name, account())
        options = shlex.join(self._options(sockets, port))
        # Both streams go nowhere: a daemon holding a pipe of its caller would keep that caller waiting for ever.
        done = self._pg_ctl("start", "-w", "-t", "60", "-l", str(root / "server.log"), "-o", options, check=False)
        if done.returncode:
            raise RuntimeError(f"PostgreSQL did not start: {(root / 'server.log').read_text()[-2000:]}")
        self._recall()

    def _recall(self) -> bool:
        """Take the address of a persistent server from its state folder."""
        root = self._find_root(self._state, create=False) if self._state and not self.external else None
        if self.external:
            self.start()
        elif root and (root / "port").exists():
            self._params = {"user": self.superuser, "host": str(self._sockets()), "port": (root / "port").read_text()}
            self._password = (root / "password").read_text()
        return bool(self._params)

    def _sockets(self) -> Path:
        """Where a persistent server has its socket: the same short path for the same checkout and user."""
        assert self._state
        return temp_dir(account()) / _short_name(self._state)

    def _find_root(self, state: Path, *, create: bool) -> Path:
        """The state folder, or a private one outside when the server's account cannot reach it."""
        runner = account()
        if create:
            state.mkdir(exist_ok=True)
            runner.own(state)
        if not state.exists() or runner.may("-w", state):
            return state
        return private_dir(f"{_short_name(state)}-data", runner)

    def _initdb(self, root: Path) -> None:
        runner = account()
        self._password = secrets.token_urlsafe(18)
        secret = root / "password"
        secret.write_text(self._password)
        runner.own(secret)
        command = [
            str(bin_dir(runner) / "initdb"), "-D", str(root / "data"), "-U", self.superuser, "--pwfile", str(secret),
            "--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, **runner.options)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr.strip()}")

    def _options(self, sockets: Path, port: int) -> list[str]:
        values = self.settings | {"unix_socket_directories": str(sockets), "port": str(port)}
        return [part for name, value in values.items() for part in ("-c", f"{name}={value}")]

    def _pg_ctl(self, action: str, *arguments: str, check: bool) -> subprocess.CompletedProcess[bytes]:
        assert self._state
        runner = account()
        data = self._find_root(self._state, create=False) / "data"
        return subprocess.run(
            [str(bin_dir(runner) / "pg_ctl"), action, "-D", str(data), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment(), check=check, **runner.options,
        )  # fmt: skip


def persistent() -> Server:
    """The server of this checkout, or of this user, whose data stay."""
    return Server(places.state() / "postgres")


def major() -> int:
    """The major version of the server that `Server()` gives, without starting it; raises RuntimeError where there is none."""
    if named := os.environ.get("SCOUT_TEST_SERVER"):
        with psycopg.connect(named) as connection:
            return connection.info.server_version // 10000
    command = [str(bin_dir(account()) / "postgres"), "--version"]
    said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout
    return int(said.split()[2].partition(".")[0])


def psql() -> str:
    """The psql that came with the server, else the system's."""
    try:
        bundled = bin_dir(account()) / "psql"
    except RuntimeError:
        bundled = Path("psql")
    found = str(bundled) if bundled.is_file() else shutil.which("psql")
    if not found:
        raise RuntimeError("psql is not installed")
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command line: start, stop, remove (with all data), status, dsn, psql."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {places.PACKAGE}.server.local",
        description="A PostgreSQL that stays: start it, reach it, stop it.",
    )
    parser.add_argument("action", choices=["start", "stop", "remove", "status", "dsn", "psql"])
    parser.add_argument("database", nargs="?", default="postgres")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="arguments for psql")
    given = parser.parse_args(arguments)
    try:
        return _act(persistent(), given)
    except (RuntimeError, psycopg.Error) as error:
        print(f"server: {error}", file=sys.stderr)
        return 1


def _act(server: Server, given: argparse.Namespace) -> int:
    if given.action == "stop":
        server.stop()
    elif given.action == "remove":
        server.remove()
    elif given.action == "status":
        up = server.running()
        print(server.dsn(given.database) if up else "not running")
        return 0 if up else 3
    else:
        server.start()
        if given.action == "psql":
            os.execv(psql(), ["psql", "-d", server.dsn(given.database), *given.rest])
        print(server.dsn(given.database))
    return 0


def _short_name(state: Path) -> str:
    """A name that is the same for the same state folder and user."""
    return f"scout-{os.geteuid()}-{hashlib.sha256(str(state).encode()).hexdigest()[:8]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pooler in transaction mode, as it stands before hosted databases: every transaction may get another session."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.binaries import Account, account, temp_dir
from tests import debian
from tests.integration.modules import Result, call, connect

#: The pooler and the libraries that not every Debian has.
PACKAGES = ("pgbouncer", "libcares2", "libevent-2.1-7t64")

SESSIONS = 2
CONFIG = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {root}
auth_type = trust
auth_file = {root}/users
pool_mode = transaction
default_pool_size = {sessions}
server_round_robin = 1
"""

#: What a transaction may not leave in its session; the pooler itself sets the name of whoever comes next.
STATE = """
SELECT pg_backend_pid(), current_user,
       ARRAY(SELECT name || ' ' || setting FROM pg_settings WHERE setting <> reset_val AND name <> 'application_name' ORDER BY name),
       (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
"""


@dataclass
class Pooler:
    """A pooler in transaction mode in front of a database; each transaction gets the session that was idle longest."""

    dsn: str
    direct: str
    command: list[str]
    environment: dict[str, str] | None
    runner: Account
    process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Returns once it has opened all of its sessions."""
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.runner.options
        )  # fmt: skip
        _wait_for(self.dsn)
        with ExitStack() as stack:
            for _ in range(SESSIONS):
                stack.enter_context(psycopg.connect(self.dsn)).execute("SELECT")

    def stop(self) -> None:
        """Whoever is connected is cut off."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def run(self, module: str, **options: Any) -> Result:
        """The result of a module that has to come to a good end, and to say that it went through a pooler."""
        result = call(module, self.dsn, **options)
        assert not result.get("failed"), result
        assert any("pooler" in warning for warning in result["warnings"])
        return result

    def states(self) -> dict[int, tuple[Any, ...]]:
        """What is set and kept in each of its sessions, by the pid."""
        with connect(self.dsn, prepare_threshold=None) as client:
            found = {row[0]: row[1:] for row in (client.execute(STATE).fetchone() for _ in range(SESSIONS)) if row}
        assert len(found) == SESSIONS, "a transaction did not get another session"
        return found


@contextlib.contextmanager
def opened(dsn: str, direct: str) -> Generator[Pooler]:
    """A pooler for the role of a dsn; `direct` is a superuser's. Skips where the program cannot be had."""
    try:
        found = debian.program("pgbouncer", *PACKAGES)
    except debian.Unavailable as e:
        pytest.skip(str(e))
    runner = account()
    root = Path(tempfile.mkdtemp(prefix="scout-pooler-", dir=temp_dir(runner)))
    role = str(conninfo_to_dict(dsn)["user"])
    (root / "users").write_text(f'"{role}" ""\n')
    (root / "pgbouncer.ini").write_text(CONFIG.format(root=root, sessions=SESSIONS, **conninfo_to_dict(direct)))
    # Where it runs as somebody else, that one may not look into the checkout.
    program = Path(shutil.copy(found.path, root / "pgbouncer"))
    for folder in found.environment.get("LD_LIBRARY_PATH", "").split(os.pathsep):
        for library in Path(folder).glob("*.so.*") if folder else ():
            shutil.copy(library, root)
    for path in (root, *root.iterdir()):
        runner.own(path)
    program.chmod(0o700)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(root)} if found.environment else None
    command = [str(program), "-q", str(root / "pgbouncer.ini")]
    pooler = Pooler(make_conninfo(dsn, host=str(root), port=6432), direct, command, environment, runner)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
        shutil.rmtree(root)


def _wait_for(dsn: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            connect(dsn).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A staging server as a team has one: a database somebody works with, and a role that may make databases and roles."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.production_guard import Host
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump, program
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import places
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.binaries import environment
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

DATABASES = "SELECT datname::text FROM pg_database WHERE NOT datistemplate"
ROLES = "SELECT rolname::text FROM pg_roles WHERE NOT starts_with(rolname, 'pg_')"
PASSWORD = "drill p@ss/wörd 4711"


@dataclass(frozen=True)
class Staging:
    """A server, and the name of the database that its dsn names."""

    server: Server
    database: str

    def dsn(self, role: str = "drillmaster") -> str:
        """As that role, by a password."""
        return self.server.tcp_dsn(self.database, user=role, password=PASSWORD)

    @property
    def hosts(self) -> list[Host]:
        """An inventory that marks it."""
        return [Host("staging_a", self.dsn(), marked=True)]

    def rows(self, query: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """What a superuser sees."""
        with psycopg.connect(self.server.dsn(database), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall() if connection else []

    def do(self, *statements: str, database: str = "postgres") -> None:
        """What a superuser does."""
        with psycopg.connect(self.server.dsn(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def names(self) -> tuple[set[object], set[object]]:
        """Its databases and its roles."""
        return {row[0] for row in self.rows(DATABASES)}, {row[0] for row in self.rows(ROLES)}

    def fingerprint(self, database: str = "") -> str:
        """Of the database with every row, and of the roles of the server with their passwords and memberships."""
        whole = ["pg_dumpall", "--globals-only", "-d", self.server.dsn("postgres")]
        done = subprocess.run(
            [program(whole[0]), *whole[1:]], env=environment(), capture_output=True, text=True, check=True
        )
        roles = "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("\\"))
        return hashlib.sha256((dump(self.server.dsn(database or self.database)) + roles).encode()).hexdigest()


def prepare(server: Server, database: str) -> Staging:
    """The database, empty, and the role."""
    server.create_database(database)
    found = Staging(server, database)
    quoted = PASSWORD.replace("'", "''")
    found.do(
        f"CREATE ROLE drillmaster LOGIN CREATEDB CREATEROLE PASSWORD '{quoted}'",
        "GRANT pg_read_all_stats, pg_signal_backend TO drillmaster WITH ADMIN OPTION",
    )
    return found


DRILL = """
import sys, time
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.factory import Host, open_sandbox
kind, dsn = sys.argv[1:3]
hosts = [Host("staging", dsn, marked=True)] if dsn else []
with open_sandbox(kind, sandbox_dsn=dsn or None, pipeline={"events": 50}, name="killed", hosts=hosts) as sandbox:
    sandbox.operator_dsn("least_privileged")
    print(sandbox.dsn, flush=True)
    time.sleep(120)
"""


def drill(kind: str, dsn: str = "") -> tuple[subprocess.Popen[str], str]:
    """Another process with an open sandbox, and the dsn of that."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRILL, kind, dsn], env=places.environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, process.stdout.readline().strip()


def until(condition: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether it came to be so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def cmdlines() -> str:
    """The arguments of every process there is."""
    found: list[bytes] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return b"\n".join(found).decode(errors="replace")

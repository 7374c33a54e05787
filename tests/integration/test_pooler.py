# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Through a pooler that gives every transaction another session: everything works, nothing is left behind, and it is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.recovery.plugins.module_utils.recovery import ingestion
from tests import debian
from tests.integration.modules import call, connect, gone, job_in_flight, jobs, operator
from tests.scout import faults
from tests.scout.binaries import account, temp_dir
from tests.scout.server import Server

#: The pooler and the libraries that not every Debian has.
PACKAGES = ("pgbouncer", "libcares2", "libevent-2.1-7t64")

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
default_pool_size = 2
"""

STATE = "SELECT current_user, current_setting('TimeZone'), current_setting('statement_timeout'), pg_backend_pid()"


@pytest.fixture
def pooled_db(pg_server: Server, scout_db: str) -> Iterator[tuple[str, str]]:
    """The database through a pooler in transaction mode, as an operator, and directly."""
    try:
        pooler = debian.program("pgbouncer", *PACKAGES)
    except debian.Unavailable as e:
        pytest.skip(str(e))
    runner = account()
    root = Path(tempfile.mkdtemp(prefix="scout-pooler-", dir=temp_dir(runner)))
    parts = conninfo_to_dict(scout_db)
    with operator(scout_db) as dsn:
        role = str(conninfo_to_dict(dsn)["user"])
        (root / "users").write_text(f'"{role}" ""\n')
        (root / "pgbouncer.ini").write_text(CONFIG.format(root=root, **parts))
        # Where it runs as somebody else, that one may not look into the checkout.
        program = Path(shutil.copy(pooler.path, root / "pgbouncer"))
        for folder in pooler.environment.get("LD_LIBRARY_PATH", "").split(os.pathsep):
            for library in Path(folder).glob("*.so.*") if folder else ():
                shutil.copy(library, root)
        for path in (root, *root.iterdir()):
            runner.own(path)
        program.chmod(0o700)
        process = subprocess.Popen(
            [str(program), "-q", str(root / "pgbouncer.ini")],
            env={**os.environ, "LD_LIBRARY_PATH": str(root)} if pooler.environment else None,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **runner.options,
        )  # fmt: skip
        pooled = make_conninfo(dsn, host=str(root), port=6432)
        try:
            _wait_for(pooled)
            yield pooled, scout_db
        finally:
            process.terminate()
            process.wait()
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


def test_pause_resume_and_clear(pooled_db: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "TICK_SECONDS", 0.05)
    pooled, direct = pooled_db
    before = jobs(direct)

    def run(module: str, **options: Any) -> dict[str, Any]:
        result = call(module, pooled, **options)
        assert not result.get("failed"), result
        assert any("pooler" in warning for warning in result["warnings"])
        return result

    with connect(pooled, prepare_threshold=None) as other:
        own = other.execute(STATE).fetchone()
        token = run("scout_lease", state="held")["token"]
        with job_in_flight(direct, seconds=0.5):
            paused = run("scout_ingestion", state="paused", lease_token=token)
            assert paused["state"] == "paused"
            assert len(paused["sessions_in_flight"]) == 1
        with operator(direct) as holder, connect(holder) as session:
            session.execute("SELECT pg_advisory_lock(%s)", [faults.REFRESH_LOCK])
            time.sleep(0.2)
            cleared = run("scout_sessions", stuck_after_seconds=0.1, lease_token=token)
            assert [s["pid"] for s in cleared["cleared"]] == [session.info.backend_pid]
            assert gone(direct, session.info.backend_pid)
        assert run("scout_ingestion", state="running", lease_token=token)["state"] == "running"
        assert run("scout_lease", state="released", lease_token=token)["summary"] == "lease released"
        assert jobs(direct) == before
        assert own
        # Sessions are handed on, so nothing of ours may stay in them.
        assert other.execute(STATE).fetchone()[:3] == own[:3]  # type: ignore[index]
        with connect(direct) as connection:
            assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)

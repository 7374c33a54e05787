# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a role, a database or the server that are really reached: the cause and the statement that changes it are said."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import Result, call, connect, operator
from tests.integration.waiting import until

HEALTH, EVIDENCE = "scout_health_info", "scout_evidence"


@pytest.fixture
def limited(scout_db: str) -> Iterator[tuple[str, str]]:
    """The dsn of an operator of this test alone, and the name of their role."""
    with operator(scout_db) as dsn:
        yield dsn, str(conninfo_to_dict(dsn)["user"])


def refused(name: str, dsn: str, **options: Any) -> str:
    """What a module that failed says, cause and next step."""
    result: Result = call(name, dsn, **options)
    assert result["failed"], result
    assert "report it" not in result["msg"]
    return result["msg"]


def cure(dsn: str, said: str, statement: str) -> None:
    """Types what was said."""
    assert statement in said, said
    with connect(dsn) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize("limit", [0, 1])
def test_a_role_without_a_connection_left(scout_db: str, limited: tuple[str, str], limit: int) -> None:
    dsn, role = limited
    with connect(scout_db) as connection, contextlib.ExitStack() as others:
        if limit:
            others.enter_context(psycopg.connect(dsn))
        connection.execute(f"ALTER ROLE {role} CONNECTION LIMIT {limit}".encode())
        said = refused(HEALTH, dsn)
        assert f'too many connections for role "{role}"' in said
        cure(scout_db, said, f'ALTER ROLE "{role}" CONNECTION LIMIT -1')
        assert not call(HEALTH, dsn).get("failed")


@pytest.mark.parametrize("limit", [0, 1])
def test_a_database_without_a_connection_left(scout_db: str, limited: tuple[str, str], limit: int) -> None:
    dsn, _ = limited
    name = str(conninfo_to_dict(scout_db)["dbname"])
    with connect(scout_db) as connection, contextlib.ExitStack() as others:
        if limit:
            others.enter_context(psycopg.connect(scout_db, user="loader"))
        connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(sql.Identifier(name), limit))
        said = refused(HEALTH, dsn)
        assert f'too many connections for database "{name}"' in said
        cure(scout_db, said, f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        assert not call(HEALTH, dsn).get("failed")


def test_the_role_of_the_jobs_without_a_connection_left(scout_db: str) -> None:
    """By the proof and by the check of the jobs' rights."""
    name = str(conninfo_to_dict(scout_db)["dbname"])
    worker = f"w_{name}"
    with connect(scout_db) as connection:
        connection.execute(f"CREATE ROLE {worker} LOGIN IN ROLE loader CONNECTION LIMIT 1".encode())
        connection.execute("UPDATE cron.job SET username = %s", [worker])
        try:
            assert call("scout_proof_info", scout_db)["status"] == "proved", "it is there for the job"
            with psycopg.connect(make_conninfo(scout_db, user=worker), application_name="app"):
                tried = call("scout_proof_info", scout_db)
                said = f"{tried['jobs']} {tried['error']['next_step']}"
                hindered = call("scout_preflight_info", scout_db, job_rights=True)["hindered"]
                problem = f"role {worker} has CONNECTION LIMIT 1, and 1 session of it is open"
                assert problem in said
                found = [each for each in hindered if problem in each["problem"]]
                assert len(found) == 1, hindered
                cure(scout_db, said, f'ALTER ROLE "{worker}" CONNECTION LIMIT -1')
                assert found[0]["statement"] in said
                assert call("scout_proof_info", scout_db)["status"] == "proved"
        finally:
            connection.execute("UPDATE cron.job SET username = 'loader'")
            connection.execute(f"DROP OWNED BY {worker}".encode())
            connection.execute(f"DROP ROLE {worker}".encode())


def test_a_server_without_a_connection_left() -> None:
    """Whoever ends one of the sessions that were shown can go on."""
    with Server(settings={"max_connections": "8", "superuser_reserved_connections": "3"}) as server:
        template = builder.template(server, events=60)
        dsn = template.clone("full")
        with operator(dsn) as working, contextlib.ExitStack() as others:
            taken: list[psycopg.Connection[tuple[object, ...]]] = []
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    taken.append(others.enter_context(psycopg.connect(dsn, user="loader", autocommit=True)))
            said = refused(HEALTH, working)
            assert "connection slots" in said or "too many clients" in said
            shown = "SELECT pid, usename, application_name, state_change FROM pg_stat_activity WHERE state = 'idle' ORDER BY state_change"
            assert f"as a superuser: {shown};" in said, said
            assert "max_connections" in said
            with connect(dsn) as superuser:
                pids = {row[0] for row in superuser.execute(shown).fetchall()}
            assert {session.info.backend_pid for session in taken} <= pids
            taken[0].close()
            # Its process takes a moment to end.
            assert until(lambda: not call(HEALTH, working).get("failed"))


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        # Too little even to open a session.
        (HEALTH, "64kB"),
        (EVIDENCE, "64kB"),
        ("scout_drain", "64kB"),
        ("scout_proof_info", "64kB"),
        ("scout_quarantine", "64kB"),
        # Too little for its plan.
        ("scout_quarantine", "256kB"),
    ],
)
def test_a_limit_on_temporary_files(
    scout_db: str, limited: tuple[str, str], name: str, tmp_path: Path, memory: str
) -> None:
    dsn, role = limited
    database = conninfo_to_dict(scout_db)["dbname"]
    options: dict[str, dict[str, Any]] = {
        EVIDENCE: {"folder": str(tmp_path)},
        "scout_quarantine": {"window_start": "2000-01-01T00:00Z"},
    }
    library.backlog(scout_db, 2000)
    with connect(scout_db) as connection:
        connection.execute(f"ALTER ROLE {role} SET temp_file_limit = 0".encode())
        connection.execute(f"ALTER DATABASE {database} SET work_mem = '{memory}'".encode())
    said = refused(name, dsn, **options.get(name, {}))
    assert "temporary file size exceeds temp_file_limit" in said
    cure(scout_db, said, f'ALTER ROLE "{role}" IN DATABASE "{database}" SET temp_file_limit = -1')
    assert not call(name, dsn, check=True, **options.get(name, {})).get("failed")

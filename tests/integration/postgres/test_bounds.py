# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds in each of our transactions, whatever the server, the database or the role is set to."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from tests.integration.modules import call, connect, operator

SETTING = "SELECT current_setting(%(name)s) AS value"


def transaction(session: Session, kind: str) -> AbstractContextManager[Session]:
    """One of the three kinds."""
    return session.move(closed=["scout.etl_processed"]) if kind == "move" else getattr(session, kind)()


def limit(owner_dsn: str, dsn: str, statement: str) -> None:
    """Sets something for the role, or the database, of this connection string."""
    said = conninfo_to_dict(dsn)
    names = {"role": sql.Identifier(str(said["user"])), "database": sql.Identifier(str(said["dbname"]))}
    with connect(owner_dsn) as connection:
        connection.execute(sql.SQL(statement).format(**names))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["read", "write", "move"])
def test_nothing_is_compiled(scout_db: str, kind: str) -> None:
    """Compiling the query of the alerts cost ten times what it takes to run."""
    with connect(scout_db) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET jit = on").format(name))
    with open_session(Settings(scout_db)) as session:
        with transaction(session, kind):
            assert session.row(SETTING, name="jit")["value"] == "off"
        assert session.row(SETTING, name="jit")["value"] == "on", (
            "through a pooler it would stay with a session of others"
        )


@pytest.mark.parametrize("whose", ["ROLE {role}", "ROLE {role} IN DATABASE {database}"])
def test_a_role_that_is_set_to_a_millisecond_can_work_all_the_same(scout_db: str, whose: str) -> None:
    with operator(scout_db) as dsn:
        limit(scout_db, dsn, f"ALTER {whose} SET statement_timeout = '1ms'")
        with open_session(Settings(dsn)) as session:
            session.rows("SELECT FROM pg_sleep(0.05)")
            with session.read():
                session.rows("SELECT FROM pg_sleep(0.05)")
        assert not call("scout_health_info", dsn).get("failed")
        assert call("scout_ingestion", dsn, state="paused")["state"] == "paused"


@pytest.mark.parametrize("name", ["transaction_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout"])
@pytest.mark.parametrize("whose", ["ROLE {role} IN DATABASE {database}", "DATABASE {database}"])
def test_limits_that_end_sessions_do_not_end_ours(scout_db: str, name: str, whose: str) -> None:
    with operator(scout_db) as dsn:
        limit(scout_db, dsn, f"ALTER {whose} SET {name} = '150ms'")
        with open_session(Settings(dsn)) as session:
            time.sleep(0.3)
            with session.read():
                session.rows("SELECT FROM pg_sleep(0.3)")
                time.sleep(0.3)
                assert session.row("SELECT 1 AS one")["one"] == 1
            with session.connection.pinned():
                session.rows("SELECT FROM pg_sleep(0.3)")
                time.sleep(0.3)
                assert session.row("SELECT 1 AS one")["one"] == 1


@pytest.mark.parametrize("name", ["transaction_timeout", "idle_session_timeout"])
def test_a_limit_that_leaves_no_time_to_begin_is_named_with_what_lifts_it(scout_db: str, name: str) -> None:
    with operator(scout_db) as dsn:
        said = conninfo_to_dict(dsn)
        with connect(scout_db) as connection:
            connection.execute(f'ALTER ROLE "{said["user"]}" IN DATABASE "{said["dbname"]}" SET {name} = 1'.encode())
        # Some sessions are quick enough.
        refused = next(
            (
                done["msg"]
                for done in (call("scout_health_info", dsn) for _ in range(20))
                if "terminating" in str(done.get("msg"))
            ),
            "",
        )
        lifts = f'ALTER ROLE "{said["user"]}" IN DATABASE "{said["dbname"]}" SET {name} = 0'
        if refused:
            assert lifts in refused
            assert "report it" not in refused
        with connect(scout_db) as connection:
            connection.execute(lifts.encode())
        assert not call("scout_health_info", dsn).get("failed")


@pytest.mark.parametrize("style", ["SQL, DMY", "German", "Postgres, MDY"])
def test_times_are_read_whatever_way_the_database_writes_them(scout_db: str, style: str, tmp_path: Path) -> None:
    with operator(scout_db) as dsn:
        with connect(scout_db) as connection:
            name = sql.Identifier(connection.info.dbname)
            for setting, value in (("DateStyle", style), ("TimeZone", "Asia/Kathmandu")):
                connection.execute(
                    sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
                )
        with open_session(Settings(dsn)) as session:
            assert (
                session.row("SELECT timestamptz '2026-01-31 12:00+00' AS at")["at"].isoformat()
                == "2026-01-31T12:00:00+00:00"
            )
        for done in (
            call("scout_health_info", dsn),
            call("scout_evidence", dsn, folder=str(tmp_path)),
            call("scout_proof_info", dsn),
        ):
            assert not done.get("failed"), done

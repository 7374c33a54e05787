# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a connection string comes from, what of it may be said, and which values are refused."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import conninfo

from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import failures, session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.dsn import (
    UNSET,
    choose_dsn,
    completed,
    connection_advice,
    describe,
    parse_dsn,
    with_login,
)

PASSWORD = "s3cr3t-w0rd"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (psycopg.errors.CannotConnectNow("nicht jetzt"), "run the same command again as soon as it answers"),
        (psycopg.OperationalError("FATAL:  the database system is shutting down"), "as soon as it answers"),
        (psycopg.OperationalError('no pg_hba.conf entry for host "10.0.0.1"'), "allow this user"),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), "end unneeded sessions"),
        (
            psycopg.OperationalError("FATAL:  remaining connection slots are reserved for roles"),
            "end unneeded sessions",
        ),
        (
            psycopg.OperationalError('FATAL:  too many connections for role "on call"'),
            'ALTER ROLE "on call" CONNECTION LIMIT -1',
        ),
        (
            psycopg.OperationalError('FATAL:  too many connections for database "scout"'),
            'ALTER DATABASE "scout" CONNECTION LIMIT -1',
        ),
        (psycopg.OperationalError("connection refused"), "came from SCOUT_DSN. If the server was only restarting, run"),
        (psycopg.OperationalError("password authentication failed"), "check scout_password"),
        (psycopg.OperationalError('role "x" does not exist'), "check the database and role names in SCOUT_DSN"),
    ],
)
def test_what_to_do_where_no_session_can_be_opened(error: psycopg.Error, says: str) -> None:
    assert says in connection_advice(error, "SCOUT_DSN")


@pytest.mark.parametrize(
    ("dsn", "environment", "expected"),
    [
        ("host=a", {"SCOUT_DSN": "host=b", "PGURI": "host=c"}, ("host=a", "scout_dsn")),
        (None, {"SCOUT_DSN": "host=b", "PGURI": "host=c"}, ("host=b", "SCOUT_DSN")),
        ("", {"SCOUT_DSN": "", "PGURI": "host=c"}, ("host=c", "PGURI")),
        (None, {"PGHOST": "d"}, ("", "libpq's environment")),
        (None, {"PGUSER": "d"}, ("", UNSET)),
    ],
)
def test_choose_dsn(dsn: str | None, environment: dict[str, str], expected: tuple[str, str]) -> None:
    assert choose_dsn(dsn, environment) == expected


def test_login_options_take_precedence_over_the_connection_string_and_the_environment() -> None:
    options = {"dsn": "postgresql://me:hers@a:6/scout?sslmode=require", "login_host": "b", "login_port": 7}
    dsn, source = with_login(options, {"SCOUT_DSN": "host=c user=you"})
    expected = {"host": "b", "port": "7", "dbname": "scout", "user": "me", "password": "hers", "sslmode": "require"}
    assert (conninfo.conninfo_to_dict(dsn), source) == (expected, "scout_login_host")
    assert with_login({"login_db": "scout"}, {"SCOUT_DSN": "host=c"})[0] == "dbname=scout"


MAIN = "host=a port=6 dbname=scout user=me password=hers sslmode=require"


@pytest.mark.parametrize(
    ("dsn", "expected", "same"),
    [
        ("dbname=postgres", "host=a port=6 dbname=postgres user=me password=hers sslmode=require", True),
        # Named whole, as it is the same role of the same server.
        ("postgresql://me@a:6/postgres", "host=a port=6 dbname=postgres user=me password=hers", True),
        ("postgresql://me:own@a:6/postgres", "host=a port=6 dbname=postgres user=me password=own", True),
        ("dbname=postgres user=other", "host=a port=6 dbname=postgres user=other sslmode=require", False),
        ("port=7 user=me", "port=7 user=me password=''", False),
        ("host=b user=me password=own", "host=b user=me password=own", False),
    ],
)
def test_the_second_connection_is_as_the_first_and_no_other_server_gets_its_password(
    dsn: str, expected: str, same: bool
) -> None:
    assert completed(dsn, "scout_cron_dsn", MAIN, "scout_dsn", {}) == (conninfo.conninfo_to_dict(expected), same)


@pytest.mark.parametrize(
    "dsn",
    [
        "scout",
        f"postgresql://scout:{PASSWORD}@x@db/scout",
        f"postgresql://scout:{PASSWORD}/x@db/scout",
        f"postgresql://scout:12/{PASSWORD}@db/scout",
        f"postgresql://sc@ut:{PASSWORD}@db/scout",
        f"postgresql://scout:{PASSWORD}%@db/scout",
        f"host=db password={PASSWORD} x dbname=scout",
        f"host=db password={PASSWORD}'x' y=z dbname=scout",
        f"host=db\0 password={PASSWORD}",
        f"postgresql://db/scout?password={PASSWORD}&x",
        f"host=db password={PASSWORD}\udcff",
    ],
)
def test_a_malformed_string_is_refused_and_never_quoted(dsn: str) -> None:
    with pytest.raises(errors.BadInput) as refused:
        parse_dsn(dsn, "SCOUT_DSN")
    assert PASSWORD not in str(refused.value)
    assert "SCOUT_DSN" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "service=scout",
        f"postgresql://scout:{PASSWORD}@db1:5432,db2:5433/scout?target_session_attrs=read-write&sslmode=verify-full",
        f"host=db user=scout password='{PASSWORD} x@y/z' dbname=a@b",
        "postgresql:///scout?host=/tmp&port=5432",
    ],
)
def test_where_a_string_leads_is_told_without_its_secrets(dsn: str) -> None:
    assert PASSWORD not in describe(parse_dsn(dsn, "PGURI"), "PGURI")


@pytest.mark.parametrize("incident", ["", "a b", "x" * 65, "-x", "'; DROP TABLE scout.alerts; --", "a\nb", "é", "../x"])
def test_an_incident_that_cannot_be_a_name_is_refused(incident: str) -> None:
    with pytest.raises(errors.BadInput, match="incident"):
        session.check_incident(incident)


def test_secrets_are_known_in_every_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCOUT_DSN", "PGURI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGPASSWORD", "from the environment")
    found = invoke.secrets({"dsn": "postgresql://u:p%40ss%2Fword@db/scout", "password": "an/other"})
    assert {"p@ss/word", "p%40ss%2Fword", "an/other", "an%2Fother", "from the environment"} <= found


def test_a_message_is_one_line_however_long_and_odd_its_parts() -> None:
    said = str(errors.NotConverged("tried\nto", on="a\r\nb", said="x" * 10_000, next_step="again"))
    assert "\n" not in said
    assert len(said) < 11_000
    assert said.endswith("Next: again")


@pytest.mark.parametrize(
    ("error", "kind", "next_step"),
    [
        (psycopg.errors.AdminShutdown("x"), errors.ConnectionLost, "run the same command again"),
        (psycopg.OperationalError("server closed the connection"), errors.ConnectionLost, "run the same command again"),
        (psycopg.errors.IdleInTransactionSessionTimeout("x"), errors.ConnectionLost, "run the same command again"),
        (psycopg.errors.InsufficientPrivilege("x"), errors.MissingPrivilege, "GRANT"),
        (psycopg.errors.LockNotAvailable("x"), errors.DatabaseError, "terminate_sessions"),
        (psycopg.errors.QueryCanceled("x"), errors.DatabaseError, "statement_timeout_seconds"),
        (psycopg.errors.DivisionByZero("x"), errors.DatabaseError, ""),
    ],
)
def test_translate(error: psycopg.Error, kind: type[errors.RecoveryError], next_step: str) -> None:
    translated = failures.translate(error, "tried")
    assert type(translated) is kind
    assert next_step in translated.next_step


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (psycopg.errors.DiskFull("could not extend file"), "pg_drop_replication_slot"),
        (psycopg.errors.OutOfMemory("out of memory"), "work_mem"),
        (psycopg.errors.TooManyConnections("sorry"), "CONNECTION LIMIT -1"),
        (psycopg.errors.ConfigurationLimitExceeded("temporary file size exceeds"), "temp_file_limit"),
    ],
)
def test_what_no_session_of_ours_can_change_is_said_with_what_does(error: psycopg.Error, says: str) -> None:
    assert says in failures.translate(error, "it stopped").next_step

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's errors as ours, with the server's own words and what comes next."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import ConnectionLost, DatabaseError, MissingPrivilege, RecoveryError
from ..core.text import first_line
from .driver import errors, psycopg, sql
from .without_values import message

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping

#: The limit on the temporary files of a session, and others that are set.
TEMPORARY_FILES: t.Final = "53400"
OUT_OF_MEMORY: t.Final = "53200"
#: Those that a session of ours can be freed of, by SQLSTATE: who may, the setting, and its value without a limit.
LIFTED: t.Final = {
    TEMPORARY_FILES: ("as a superuser: ", "temp_file_limit", "-1"),
    "25P04": ("", "transaction_timeout", "0"),
    "57P05": ("", "idle_session_timeout", "0"),
}
#: A limit that has ended a session.
ENDED: t.Final = ("25P03", "25P04", "57P05")

#: What no session of ours can change, by SQLSTATE: the statement that shows it, and the one that does.
ADVICE: t.Final = {
    "53100": (
        "the disk of the server is full: free space on it; SELECT slot_name FROM pg_replication_slots WHERE NOT active shows slots "
        "that keep WAL, which pg_drop_replication_slot(slot_name) frees. Then run the same command again: it continues"
    ),
    OUT_OF_MEMORY: "the server is out of memory: end large sessions, or lower work_mem (ALTER SYSTEM SET work_mem), then run it again",
    "53300": (
        "end unneeded sessions (pg_stat_activity), or ALTER ROLE or ALTER DATABASE … CONNECTION LIMIT -1; "
        "then run the same command again"
    ),
    TEMPORARY_FILES: (
        "a limit of the role or the server was reached: SELECT name, setting, source FROM pg_settings "
        "WHERE name = 'temp_file_limit' shows it, and ALTER ROLE changes it"
    ),
}


def words_of(error: psycopg.Error) -> str:
    """Return the message of an error with the names of objects, but without values of rows."""
    return message(error.diag.message_primary or first_line(str(error)) or type(error).__name__)


def translate(error: psycopg.Error, attempted: str, *, on: str = "", next_step: str = "") -> RecoveryError:
    """Return our error for one of psycopg's, with the server's message without values, and its SQLSTATE. If the session
    is lost, the next step is to run the same command again, whatever `next_step` says."""
    said = words_of(error)
    # The detail of these two is the failing row, in the server's language.
    if error.diag.message_detail and not isinstance(error, (errors.NotNullViolation, errors.CheckViolation)):
        said += f" ({message(error.diag.message_detail)})"
    kind: type[RecoveryError] = DatabaseError
    if isinstance(error, errors.InsufficientPrivilege):
        kind = MissingPrivilege
        next_step = next_step or "docs/privileges.md lists what the role needs; preflight.yml names each missing GRANT"
    elif (
        isinstance(error, (errors.AdminShutdown, errors.CrashShutdown))
        or error.sqlstate in ENDED
        or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None)
    ):
        kind = ConnectionLost
        next_step = "run the same command again: it continues from the last commit"
    elif isinstance(error, errors.LockNotAvailable):
        next_step = next_step or "terminate_sessions.yml --check shows who holds the lock; run the same command again"
    elif is_lock_table(error):
        next_step = (
            "the server has no room left for locks: SELECT pid, count(*) FROM pg_locks GROUP BY pid ORDER BY 2 DESC shows who has them; "
            "end that session, or raise max_locks_per_transaction (ALTER SYSTEM, then a restart), then run the same command again"
        )
    elif error.sqlstate in ADVICE:
        next_step = ADVICE[error.sqlstate]
    elif isinstance(error, errors.QueryCanceled):
        next_step = next_step or "raise statement_timeout_seconds, or find what is slowing the server, and run it again"
    return kind(attempted, on=on, said=said, sqlstate=error.sqlstate, next_step=next_step)


@contextlib.contextmanager
def limits_named(role: str, database: str, attempted: str, *, on: str) -> Generator[None]:
    """Raises what ended because of a limit of our sessions with the statement that lifts it for them alone."""
    try:
        yield
    except (psycopg.Error, RecoveryError) as e:
        if e.sqlstate not in LIFTED:
            raise
        who, setting, value = LIFTED[e.sqlstate]
        error = e if isinstance(e, RecoveryError) else translate(e, attempted, on=on)
        whose, where = (sql.Identifier(name).as_string(None) for name in (role, database))
        error.next_step = (
            f"{who}ALTER ROLE {whose} IN DATABASE {where} SET {setting} = {value}; "
            "then run the same command again: it continues"
        )
        raise error from e


@contextlib.contextmanager
def attempting(attempted: str, *, on: str = "") -> Generator[None]:
    """Raises each PostgreSQL error from inside it as a RecoveryError that says what was attempted and on what."""
    try:
        yield
    except psycopg.Error as e:
        raise translate(e, attempted, on=on) from e


def is_lock_table(error: psycopg.Error) -> bool:
    """Whether no lock can be had for want of room in the server's memory for locks. It has the SQLSTATE of any memory, and its words
    are translated: the part of the server that says so is not."""
    return error.sqlstate == OUT_OF_MEMORY and error.diag.source_file in ("lock.c", "predicate.c")


#: Where a setting comes from, by pg_settings.source.
SET_BY: t.Final = {
    "client": "by this connection",
    "user": "for this role",
    "database": "for this database",
    "database user": "for this role in this database",
}


def writable_again(found: Mapping[str, t.Any]) -> str:
    """How to reset, where it was set, the setting that makes all transactions read-only."""
    role, database = (sql.Identifier(found[name]).as_string(None) for name in ("role", "database"))
    where = {
        "user": f"ROLE {role}",
        "database": f"DATABASE {database}",
        "database user": f"ROLE {role} IN DATABASE {database}",
    }.get(found["read_only_by"])
    if where:
        return f"ALTER {where} RESET default_transaction_read_only"
    if found["read_only_by"] == "client":
        return "remove default_transaction_read_only from the connection's options, or from PGOPTIONS"
    return "ALTER SYSTEM SET default_transaction_read_only = off, and SELECT pg_reload_conf()"

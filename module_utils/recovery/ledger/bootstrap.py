# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of a database: used where it exists, created and upgraded on first use where the role may."""

from __future__ import annotations

import typing as t

from ..core.errors import DatabaseError, LedgerVersion, MissingPrivilege
from ..postgres.driver import sql
from ..postgres.failures import attempting
from ..postgres.session import check_incident
from ..scout import at_commit
from .ledger import Ledger
from .schema import ADDED_LAST, TABLES, VERSIONS
from .trust import ownership

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.errors import RecoveryError
    from ..postgres.session import Row, Session
    from .controller import Controller

APPLIED: t.Final = "SELECT count(*) AS applied FROM scout_ops.versions"
#: Of two first uses, the one that came second: another transaction has made the schema meanwhile.
CAME_SECOND: t.Final = ("42P06", "23505")
#: Serialises two that create or upgrade: nobody but its owner can keep this lock, as anybody could an advisory one.
COMMENT: t.Final[t.LiteralString] = (
    "COMMENT ON SCHEMA scout_ops IS 'Ledger of Scout Recovery: runs, the lease, pauses. Safe to read; do not edit.'"
)

#: ready: all tables are there and ours to use; creatable: whatever is missing may be created by us.
STATE = """
WITH tables AS (
    SELECT count(*) AS there,
           count(*) FILTER (WHERE NOT (pg_catalog.has_table_privilege(c.oid, 'SELECT')
                                       AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
                                       AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
                                       AND (c.relname NOT IN ('related_events', 'todo')
                                            OR pg_catalog.has_table_privilege(c.oid, 'DELETE')))) AS closed
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'scout_ops' AND c.relname = ANY(%(tables)s::text[])
)
SELECT n.oid IS NOT NULL AS present,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false) AND EXISTS (
           SELECT FROM pg_catalog.pg_class AS c
           WHERE c.relnamespace = n.oid AND c.relname = 'versions' AND pg_catalog.has_table_privilege(c.oid, 'SELECT')) AS dated,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false)
           AND there = cardinality(%(tables)s::text[]) AND closed = 0 AS ready,
       closed = 0 AND CASE WHEN n.oid IS NULL THEN pg_catalog.has_database_privilege(current_database(), 'CREATE')
                           ELSE pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                                AND pg_catalog.has_schema_privilege(n.oid, 'CREATE') END AS creatable
FROM tables LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'scout_ops'
"""


def look(
    session: Session, *, incident: str, controller: Controller, mode: str = "auto", upgrade: bool = False
) -> Ledger:
    """The ledger for reading: used where it exists, never created. Where it is required, raises MissingPrivilege where the
    role may not use it, and ForeignLedger where it is not ours; else the latter is a warning.

    One of the version before is read as it is. Whoever is about to write has it upgraded first: what an even earlier one paused
    would not be resumed, and what it lacks may be asked for.
    """
    check_incident(incident)
    if mode == "off":
        return Ledger(session, False, controller, incident)
    if foreign := ownership.foreign(session):
        if mode == "required":
            raise foreign
        return Ledger(session, False, controller, incident, [f"the ledger was not read: {foreign}"], unread=True)
    state = _state(session)
    if upgrade and session.connection.is_idle and state["present"] and not _is_current(state):
        _create_or_upgrade(session)
        state = _state(session)
    if newer := _newer(session, state):
        if mode == "required":
            raise newer
        return Ledger(session, False, controller, incident, [_not_read(newer)], unread=True)
    if not state["ready"]:
        state = _state(session, [name for name in TABLES if name not in ADDED_LAST])
    if not state["ready"] and (older := _older(session, state)):
        return Ledger(session, False, controller, incident, [_not_read(older)], unread=True)
    if mode == "required" and not (state["ready"] or state["creatable"]):
        raise _cannot_use(session, present=state["present"])
    return Ledger(session, state["ready"], controller, incident)


def ensure(session: Session, *, incident: str, controller: Controller, mode: str = "auto") -> Ledger:
    """The ledger for writing: created on first use where permitted. Raises ForeignLedger where the one that is there is not
    ours, LedgerVersion for one of a later version, MissingPrivilege where it is required and cannot be created or used, and
    NotConverged where commits wait for a standby that does not answer."""
    check_incident(incident)
    ledger = Ledger(session, mode != "off" and _create_or_upgrade(session), controller, incident)
    if mode != "off" and not ledger.present:
        with session.read():
            problem = _cannot_use(session, present=_state(session)["present"])
        if mode == "required":
            raise problem
        ledger.warnings.append(f"working without the ledger: {problem.said}. {problem.next_step}")
    return ledger


def _create_or_upgrade(session: Session) -> bool:
    """Whether the ledger can be used, after creating what is missing of it where permitted."""
    at_commit.require_none(session)
    with session.read():
        ownership.require(session)
        state = _state(session)
        if newer := _newer(session, state):
            raise newer
        if _is_current(state):
            return True
        if not state["creatable"]:
            return False
    there: list[Row] = []
    try:
        with attempting("could not create the ledger", on=session.where), session.write():
            there = session.rows(OWNER)
            if not there:
                session.execute("CREATE SCHEMA scout_ops")
                ownership.revoke_all(session)
            # Members of the role that keeps it have it keep all of it.
            owner = there[0]["owner"] if there else session.facts.role
            _become(session, owner)
            session.execute(COMMENT)
            # Between the look and the lock somebody may have come first.
            _become(session, session.facts.role)
            ownership.require(session)
            _become(session, owner)
            applied = _applied(session)
            for number, statements in enumerate(VERSIONS[applied:], applied + 1):
                session.connection.execute(statements)
                session.execute("INSERT INTO scout_ops.versions (version) VALUES (%(number)s)", number=number)
            _become(session, session.facts.role)
            ownership.revoke_all(session)
    except MissingPrivilege:
        return False
    except DatabaseError as e:
        if e.sqlstate not in CAME_SECOND or there:
            raise
        return _create_or_upgrade(session)
    return True


def _become(session: Session, role: str) -> None:
    session.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))


OWNER = "SELECT pg_catalog.pg_get_userbyid(nspowner)::text AS owner FROM pg_catalog.pg_namespace WHERE nspname = 'scout_ops'"


def _state(session: Session, tables: Sequence[str] = TABLES) -> Row:
    """What STATE says, and `applied`: how many versions of the schema are in place, as far as that can be read."""
    state = session.row(STATE, tables=list(tables))
    return state | {"applied": session.row(APPLIED)["applied"] if state["dated"] else 0}


def _is_current(state: Row) -> bool:
    """Whether the ledger is of this version, and ours to use."""
    return state["ready"] and state["applied"] >= len(VERSIONS)


def _newer(session: Session, state: Row) -> LedgerVersion | None:
    """What is wrong with a ledger of a later version, whose rows may mean what we do not know; None for any other."""
    if state["applied"] <= len(VERSIONS):
        return None
    return LedgerVersion(
        "could not use the ledger scout_ops",
        on=session.where,
        said=f"it is of version {state['applied']}, and this release of scout.recovery knows {len(VERSIONS)}",
        next_step="install the release of scout.recovery that wrote it, or a later one, and run the same command again; pausing and "
        "resuming also work with -e scout_ledger=off, which records nothing",
    )


def _older(session: Session, state: Row) -> LedgerVersion | None:
    """What keeps a ledger of an earlier version from being read as it is; None where it can be, or where there is none."""
    if not state["dated"] or state["applied"] >= len(VERSIONS):
        return None
    return LedgerVersion(
        "could not read the ledger scout_ops",
        on=session.where,
        said=f"it is of version {state['applied']}, and this release of scout.recovery has {len(VERSIONS)}",
        next_step="whatever changes something upgrades it first, with all that stands in it: run that, without --check",
    )


def _not_read(problem: LedgerVersion) -> str:
    """A warning that is short enough for a screen to show all of it."""
    return f"the ledger was not read: {problem.said}; {problem.next_step}"


def _applied(session: Session) -> int:
    """How many versions of the schema are in place."""
    if not session.row("SELECT to_regclass('scout_ops.versions') IS NOT NULL AS there")["there"]:
        return 0
    return session.row(APPLIED)["applied"]


def _cannot_use(session: Session, *, present: bool) -> MissingPrivilege:
    role = sql.Identifier(session.facts.role).as_string()
    database = sql.Identifier(session.facts.database).as_string()
    grants = f"GRANT CREATE ON DATABASE {database} TO {role}"
    if present:
        owner = sql.Identifier(session.row(OWNER)["owner"]).as_string()
        grants = (
            f"GRANT USAGE, CREATE ON SCHEMA scout_ops TO {owner}; "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA scout_ops TO {owner}"
        )
    return MissingPrivilege(
        "could not use the ledger scout_ops",
        on=session.where,
        said=f"role {session.facts.role} may {'not use it' if present else 'neither use nor create it'}",
        next_step=grants,
    )


def problem(session: Session) -> RecoveryError | None:
    """Why this role could not use the ledger, or None when it could; inside the caller's transaction."""
    if foreign := ownership.foreign(session):
        return foreign
    state = _state(session)
    if newer := _newer(session, state):
        return newer
    return None if state["ready"] or state["creatable"] else _cannot_use(session, present=state["present"])


def readable(session: Session) -> bool:
    """Whether there is a ledger of this version that this role may read; inside the caller's transaction."""
    return _is_current(_state(session))


def hidden(session: Session) -> RecoveryError | None:
    """Why nothing is seen of a ledger that is there, or None; inside the caller's transaction."""
    state = _state(session)
    return (problem(session) or _older(session, state)) if state["present"] else None

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incidents on record: reading them with all that was done and said, and writing what is new."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t
import uuid

from ..core.errors import BadInput, NotConverged
from ..ledger import history, lease
from ..ledger.controller import holder_is_dead
from ..ledger.open_incident import ADHOC
from ..ledger.pauses import open_pause
from ..postgres.driver import Jsonb, psycopg
from ..postgres.failures import attempting
from .plans import Look
from .timeline import Record

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Generator, Sequence

    from ..ledger.ledger import Ledger
    from ..postgres.session import Row, Session
    from .plans import Todo

INCIDENTS = """
SELECT incident, title, severity, opened_at, opened_by, closed_at, closed_by, root_cause, next_update_at
FROM scout_ops.incidents
"""
NAMED = f"{INCIDENTS} WHERE incident = %(incident)s"
IN_FORCE = f"{INCIDENTS} WHERE closed_at IS NULL"
LATEST = f"{INCIDENTS} ORDER BY closed_at DESC NULLS FIRST LIMIT 1"

ENTRIES = """
SELECT entry, at, actor, kind, text, details FROM scout_ops.incident_entries
WHERE incident = %(incident)s ORDER BY entry
"""

#: Samples that earlier versions kept, where the verdict changed.
LOOKS = """
SELECT run_id::text AS run_id, number, at, verdict, reason, state
FROM (SELECT s.*, lag(s.verdict) OVER (PARTITION BY s.run_id ORDER BY s.number) AS before
      FROM scout_ops.samples AS s JOIN scout_ops.runs AS r USING (run_id) WHERE r.incident = %(incident)s) AS seen
WHERE before IS DISTINCT FROM verdict ORDER BY at, number
"""

#: The next name of today; one that was only typed for some run counts as taken.
FREE_NAME = """
WITH today AS (SELECT 'INC-' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD') || '-' AS prefix)
SELECT prefix || coalesce(max(substr(taken.incident, length(prefix) + 1)::bigint), 0) + 1 AS name
FROM today LEFT JOIN (SELECT incident FROM scout_ops.incidents UNION SELECT incident FROM scout_ops.runs) AS taken
  ON taken.incident ~ ('^' || prefix || '[0-9]{1,9}$')
GROUP BY prefix
"""

LOCK = "SELECT FROM scout_ops.incidents WHERE incident = %(incident)s FOR UPDATE"

INSERT_INCIDENT = """
INSERT INTO scout_ops.incidents (incident, title, severity, opened_at, opened_by, next_update_at)
VALUES (%(incident)s, %(title)s, %(severity)s, clock_timestamp(), %(actor)s, %(next_update_at)s)
"""

UPDATE_INCIDENT = """
UPDATE scout_ops.incidents
SET title = %(title)s, severity = %(severity)s, root_cause = %(root_cause)s, next_update_at = %(next_update_at)s,
    closed_at = CASE WHEN %(closes)s THEN clock_timestamp() ELSE closed_at END,
    closed_by = CASE WHEN %(closes)s THEN %(actor)s ELSE closed_by END
WHERE incident = %(incident)s
"""

INSERT_ENTRY = """
INSERT INTO scout_ops.incident_entries (incident, actor, kind, text, details)
VALUES (%(incident)s, %(actor)s, %(kind)s, %(text)s, %(details)s)
"""

#: A playbook's run is named by its own id or by that of the lease its runs have in common.
NAMED_RUNS = """
SELECT run_id::text AS run_id, parent_run_id::text AS parent_run_id, action, incident, started_at FROM scout_ops.runs
WHERE action <> 'lease' AND (run_id = ANY(%(ids)s::uuid[]) OR parent_run_id = ANY(%(ids)s::uuid[])) ORDER BY started_at
"""
RUNS_SINCE = """
SELECT run_id::text AS run_id, parent_run_id::text AS parent_run_id, action, incident, started_at FROM scout_ops.runs
WHERE action <> 'lease' AND incident = 'adhoc' AND started_at >= %(since)s ORDER BY started_at
"""
ADOPT_RUNS = """
UPDATE scout_ops.runs SET incident = %(incident)s WHERE run_id = ANY(%(ids)s::uuid[]) AND incident = 'adhoc'
"""
ADOPT_PAUSES = """
UPDATE scout_ops.pauses SET incident = %(incident)s WHERE run_id = ANY(%(ids)s::uuid[]) AND incident = 'adhoc'
"""

MOST_RUNS: t.Final = 100_000


def read(session: Session, incident: str) -> Record | None:
    """One incident with its whole story, or None where it was never opened; inside the caller's transaction."""
    found = session.rows(NAMED, incident=incident)
    if not found:
        return None
    done = session.rows(history.RUNS, incident=incident, action=None, run_id=None, limit=MOST_RUNS)
    return Record(
        found[0],
        session.rows(ENTRIES, incident=incident),
        done[::-1],
        session.rows(LOOKS, incident=incident),
        session.row("SELECT clock_timestamp() AS now")["now"],
    )


def meant(session: Session, given: str, *, latest: bool = False) -> str | None:
    """The incident that is meant: the one named, else the open one, else, if so wanted, the one closed last."""
    if given != ADHOC:
        return given
    found = session.rows(IN_FORCE) or (session.rows(LATEST) if latest else [])
    return found[0]["incident"] if found else None


def look(
    ledger: Ledger,
    given: str,
    *,
    latest: bool = False,
    ids: Sequence[str] = (),
    since: datetime.datetime | None = None,
) -> Look:
    """What there is; inside the caller's transaction. Raises BadInput for a run the ledger does not have."""
    session = ledger.session
    name = meant(session, given, latest=latest)
    wanted = session.rows(NAMED_RUNS, ids=list(ids)) if ids else []
    known = {run[column] for run in wanted for column in ("run_id", "parent_run_id")}
    if unknown := [run_id for run_id in ids if run_id not in known]:
        raise BadInput(
            f"the ledger has no run {unknown[0]}", on=session.where, next_step="runs.yml lists the runs and their ids"
        )
    in_force = session.rows(IN_FORCE)
    pause = open_pause(ledger)
    return Look(
        read(session, name) if name else None,
        in_force[0] if in_force else None,
        session.row(FREE_NAME)["name"],
        session.row("SELECT clock_timestamp() AS now")["now"],
        wanted + (session.rows(RUNS_SINCE, since=since) if since else []),
        pause.incident if pause else None,
    )


def lock(session: Session, incident: str) -> None:
    """From now on until the transaction ends nobody else writes this incident's line."""
    session.rows(LOCK, incident=incident)


def apply(ledger: Ledger, todo: Todo) -> None:
    """Writes what was planned; last in the caller's transaction."""
    session, actor = ledger.session, ledger.controller.actor
    values = {"incident": todo.incident, "actor": actor}
    if todo.opens:
        session.execute(INSERT_INCIDENT, **values, **_only(todo.line, "title", "severity", "next_update_at"))
    else:
        line = _only(todo.line, "title", "severity", "next_update_at", "root_cause")
        session.execute(UPDATE_INCIDENT, **values, **line, closes=todo.closes)
    if todo.adopts:
        for statement in (ADOPT_RUNS, ADOPT_PAUSES):
            session.execute(statement, incident=todo.incident, ids=list(todo.adopts))
    for entry in todo.entries:
        session.execute(INSERT_ENTRY, **values, kind=entry.kind, text=entry.text, details=Jsonb(dict(entry.details)))


def _only(line: Row, *names: str) -> Row:
    return {name: line[name] for name in names}


@contextlib.contextmanager
def under_lease(ledger: Ledger, incident: str, *, token: int | None, takeover: bool) -> Generator[list[str]]:
    """Nobody else is working within it; gives warnings to add to."""
    session = ledger.session
    own: lease.Lease | None = None
    if token is None:
        holder = ledger.controller.process(os.getpid())
        named = dataclasses.replace(ledger, incident=incident)
        own = lease.acquire(named, str(uuid.uuid4()), takeover=takeover, holder=holder)
        token = own.token if own else None
    if token is not None:
        lease.fence_with(session, token)
    try:
        yield [*own.notes] if own else []
    finally:
        if own is not None and not session.connection.closed:
            with contextlib.suppress(psycopg.Error):
                lease.release(ledger, own.token)


def refuse_lease_held(ledger: Ledger, *, token: int | None, takeover: bool) -> None:
    """Raises LeaseHeld where taking the lease would, without taking it; inside the caller's transaction."""
    seen = lease.read(ledger) if token is None and not takeover else None
    if seen and seen["held"] and not holder_is_dead(seen, ledger.controller):
        raise lease.held_by(seen, ledger.session.where)


def write(ledger: Ledger, todo: Todo) -> None:
    """Writes what was planned, last in the transaction. Raises NotConverged where another incident was opened at the same moment."""
    session = ledger.session
    with attempting(f"could not write to the record of {todo.incident}", on=session.where):
        try:
            apply(ledger, todo)
        except psycopg.errors.UniqueViolation as e:
            raise NotConverged(
                f"could not open {todo.incident}",
                on=session.where,
                said="another incident was opened at the same moment",
                next_step="assess.yml names the incident that is open",
            ) from e

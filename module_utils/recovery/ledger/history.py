# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs of the ledger, to find the one to undo."""

from __future__ import annotations

import contextlib
import re
import typing as t
import uuid

from ..core.errors import BadInput
from ..core.results import ModuleResult
from ..core.text import count
from ..postgres.failures import attempting
from . import bootstrap, lease
from .actions import MOVES, UNDOABLE
from .trust import ownership

if t.TYPE_CHECKING:
    import datetime

    from ..postgres.session import Row, Session
    from .ledger import Ledger

#: The lease's own lines say nothing that those of its actions do not.
#: Whether there is a ledger that can be read; to_regclass fails where the schema may not be used.
READABLE = """
SELECT coalesce((SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'scout_ops' AND c.relname = 'runs'), false) AS readable
"""

OF_INCIDENT = """
SELECT run_id::text AS run_id FROM scout_ops.runs WHERE incident = %(incident)s AND action <> 'lease' ORDER BY started_at
"""

KNOWS_RUN = "SELECT EXISTS (SELECT FROM scout_ops.runs WHERE run_id = %(run_id)s::uuid) AS known"

RUNS = """
SELECT r.run_id::text AS run_id, r.parent_run_id::text AS parent_run_id, r.action, r.status, r.incident, r.actor,
       r.started_at, r.finished_at, extract(epoch FROM r.finished_at - r.started_at)::float8 AS seconds,
       r.effects, r.error, r.undoes::text AS undoes, r.undone_by::text AS undone_by
FROM scout_ops.runs AS r
WHERE r.action <> 'lease'
  AND (%(incident)s::text IS NULL OR r.incident = %(incident)s)
  AND (%(action)s::text IS NULL OR r.action = %(action)s)
  AND (%(run_id)s::uuid IS NULL OR r.run_id = %(run_id)s OR r.parent_run_id = %(run_id)s)
ORDER BY r.started_at DESC LIMIT %(limit)s
"""

MOVED_DAYS = """
SELECT DISTINCT day FROM (
    SELECT jsonb_array_elements_text(effects -> %(days)s) AS day FROM scout_ops.runs
    WHERE jsonb_typeof(effects -> %(days)s) = 'array' AND coalesce(finished_at, 'infinity') > %(since)s::timestamptz
    ORDER BY started_at DESC LIMIT 400) AS latest
"""
#: When the latest repair within the last hour began to refresh, and until when the pause lasted in which it did.
BY_A_REPAIR = """
SELECT r.effects -> 'since' AS since, (
    SELECT extract(epoch FROM coalesce(p.resumed_at, clock_timestamp()))::float8 FROM scout_ops.pauses AS p
    WHERE p.paused_at < r.started_at AND coalesce(p.resumed_at, 'infinity') > r.started_at
    ORDER BY p.paused_at DESC LIMIT 1) AS paused_until
FROM scout_ops.runs AS r
WHERE r.action = 'refresh_gold' AND r.effects ? 'since' AND r.started_at > clock_timestamp() - interval '1 hour'
ORDER BY r.started_at DESC LIMIT 1
"""

REFRESHED = """
SELECT DISTINCT ON (name) e.entry ->> 'name' AS name, (e.entry ->> 'seconds')::float8 AS seconds
FROM (SELECT r.effects, r.started_at FROM scout_ops.runs AS r
      WHERE r.action = 'refresh_gold' AND jsonb_typeof(r.effects -> 'refreshed') = 'array' ORDER BY r.started_at DESC LIMIT 20) AS r
CROSS JOIN LATERAL jsonb_array_elements(r.effects -> 'refreshed') AS e (entry)
WHERE jsonb_typeof(e.entry -> 'seconds') = 'number' AND e.entry ->> 'error' IS NULL ORDER BY name, r.started_at DESC
"""

#: In place of a run's identifier: the latest one that can be undone.
LAST: t.Final = "last"
SHORTEST: t.Final = 8
SHORT: t.Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f-]{0,27})?")
LISTED: t.Final = "runs.yml lists the runs with their ids"
#: A few of what begins with the same digits say enough.
BEGINS_SO = """
SELECT run_id::text AS run_id FROM scout_ops.runs WHERE action <> 'lease' AND run_id::text LIKE %(begins)s
ORDER BY started_at DESC LIMIT 5
"""
UNDOABLE_RUNS = """
SELECT run_id::text AS run_id, action, effects, undone_by::text AS undone_by FROM scout_ops.runs
WHERE action = ANY(%(actions)s) AND undone_by IS NULL ORDER BY started_at DESC LIMIT 100
"""

#: Runs that moved something, did not come to their end, and were neither gone on with nor undone. A run that is at work holds
#: the lease, or its playbook does; one that has nothing to show changed nothing.
BROKEN_OFF = f"""
SELECT r.run_id::text AS run_id, r.action, r.status, r.actor, r.incident, r.asked, r.parameters, r.effects,
       r.error ->> 'said' AS said,
       extract(epoch FROM clock_timestamp() - r.started_at)::float8 AS seconds
FROM scout_ops.runs AS r
WHERE r.action = ANY(%(actions)s) AND r.status <> 'succeeded' AND r.effects <> '{{}}' AND r.undone_by IS NULL
  AND r.asked IS NOT NULL AND r.started_at > coalesce(%(since)s::timestamptz, clock_timestamp() - interval '7 days')
  AND NOT (r.status = 'running' AND EXISTS (
      SELECT FROM scout_ops.leases AS l
      WHERE {lease.HELD} AND l.run_id IN (r.run_id, r.parent_run_id)))
  AND NOT EXISTS (SELECT FROM scout_ops.runs AS o WHERE o.action = r.action AND o.asked = r.asked AND o.started_at > r.started_at)
ORDER BY r.started_at DESC LIMIT 3
"""  # noqa: S608  # made of literals alone

MOVED: t.Final = (
    *("moved", "put_back", "taken", "requeued", "redriven", "already_there", "failed", "parked", "loaded"),
    *("objects", "protected_rows"),
)


class RunsResult(ModuleResult):
    """What scout_runs_info returns."""

    runs: list[dict[str, t.Any]]


def list_runs(
    ledger: Ledger, *, off: bool, incident: str | None, action: str | None, run_id: str | None, limit: int
) -> RunsResult:
    """A module's result with the latest runs, each with what it did, whether it can be undone and else why not.

    Raises BadInput for a limit or a run_id that cannot be used, and MissingPrivilege where a ledger that is not `off` may
    not be read.
    """
    if limit < 1:
        raise BadInput(f"limit {limit} is not usable", next_step="give at least 1")
    session, found = ledger.session, list["Row"]()
    with attempting("could not read the ledger", on=session.where), session.read():
        if ledger.present:
            of_run = run_named(session, run_id) if run_id else None
            found = read(session, incident=incident, action=action, run_id=of_run, limit=limit)
        elif not off and (problem := bootstrap.hidden(session)):
            raise problem
    undoable = sum(entry["can_be_undone"] for entry in found)
    summary = f"{count(len(found), 'run')}, of which {undoable} can be undone" if found else "no runs"
    return {"changed": False, "runs": found, "summary": summary}


def run_named(session: Session, text: str) -> str:
    """The identifier that a text means, as PostgreSQL writes it: a whole one, also of no run; the first eight of its digits or
    more; or `last` for the latest run that can be undone. Inside a transaction that may read the ledger.

    Raises BadInput for anything else, where no run begins so, and where several do."""
    given = text.strip().lower()
    with contextlib.suppress(ValueError):
        return str(uuid.UUID(given))
    if given != LAST and not SHORT.fullmatch(given):
        raise BadInput(
            f"run_id {text[:80]!r} is not a run id",
            said=f"nor its first {SHORTEST} digits, nor {LAST}",
            next_step=LISTED,
        )
    if not readable(session):
        raise BadInput(f"run {given} is unknown", on=session.where, said="there is no ledger here", next_step=LISTED)
    if given == LAST:
        latest = session.rows(UNDOABLE_RUNS, actions=list(UNDOABLE))
        found = [
            row["run_id"] for row in latest if _why_not(row, row["effects"], row["effects"].get("poison") or []) is None
        ]
        if not found:
            raise BadInput("no run can be undone", on=session.where, next_step=LISTED)
        return found[0]
    found = [row["run_id"] for row in session.rows(BEGINS_SO, begins=f"{given}%")]
    if len(found) != 1:
        said = f"{len(found)} runs begin so: {', '.join(found)}" if found else "no run begins so"
        raise BadInput(f"run_id {given!r} names no run", on=session.where, said=said, next_step=LISTED)
    return found[0]


def read(session: Session, *, incident: str | None, action: str | None, run_id: str | None, limit: int) -> list[Row]:
    """The latest runs first, each with what it did and whether it can be undone; inside the caller's transaction."""
    rows = session.rows(RUNS, incident=incident, action=action, run_id=run_id, limit=limit)
    return [described(row) for row in rows]


def described(row: Row) -> Row:
    """A run as results show it; pure."""
    effects: dict[str, t.Any] = row["effects"]
    poison: list[t.Any] = effects.get("poison") or []
    counts = {name: effects[name] for name in MOVED if effects.get(name)}
    if poison:
        counts["quarantined"] = len(poison)
    why_not = _why_not(row, effects, poison)
    shown = {name: value for name, value in row.items() if name != "effects"}
    times = {name: row[name].isoformat() if row[name] else None for name in ("started_at", "finished_at")}
    named = {"release": effects["release"]} if "release" in effects else {}
    return {**shown, **times, **named, "counts": counts, "can_be_undone": why_not is None, "why_not": why_not}


def _why_not(row: Row, effects: dict[str, t.Any], poison: list[t.Any]) -> str | None:
    """Why a run cannot be undone, or None when it can."""
    if row["undone_by"]:
        return f"undone by {row['undone_by']}"
    if row["action"] not in UNDOABLE or (row["action"] == "drain" and not poison):
        return "moved no data"
    return None if effects else "moved nothing"


def broken_off(ledger: Ledger, since: datetime.datetime | None = None) -> list[Row]:
    """Runs that moved rows and were broken off, and that nobody went on with or undid, the latest first: those of the last seven
    days, or since a moment. Inside the caller's transaction."""
    return ledger.session.rows(BROKEN_OFF, actions=list(MOVES), since=since) if ledger.present else []


def readable(session: Session) -> bool:
    """Whether there is a ledger that is ours and may be read. Inside the caller's transaction."""
    return session.row(READABLE)["readable"] and ownership.foreign(session) is None


def moved_days(session: Session, since: datetime.datetime | None = None) -> frozenset[str]:
    """Days of gold that the latest moves have changed, or all since a moment; none where no ledger can be read. Inside the caller's
    transaction."""
    if not readable(session):
        return frozenset()
    return frozenset(row["day"] for row in session.rows(MOVED_DAYS, days="gold_days", since=since or "-infinity"))


def by_a_repair(session: Session) -> Row | None:
    """When the latest repair within the last hour began to refresh gold, `since`, which has the moment `at` in seconds and the transaction
    `xid`, and until when ingestion was paused then, `paused_until`, in seconds; None where none did. Inside the caller's transaction."""
    found = session.rows(BY_A_REPAIR) if readable(session) else []
    return found[0] if found else None


def refresh_seconds(session: Session) -> dict[str, float]:
    """How long our own latest refresh of each gold view took, by its name; none where no ledger can be read. Inside the caller's
    transaction."""
    if not readable(session):
        return {}
    return {row["name"]: row["seconds"] for row in session.rows(REFRESHED)}


def of_incident(session: Session, incident: str) -> tuple[str, ...]:
    """The runs that were done for it; none where no ledger can be read. Inside the caller's transaction."""
    if not readable(session):
        return ()
    return tuple(row["run_id"] for row in session.rows(OF_INCIDENT, incident=incident))


def knows_run(session: Session, run_id: str) -> bool:
    """Whether the ledger has a run of this id. Inside the caller's transaction."""
    return readable(session) and session.row(KNOWS_RUN, run_id=run_id)["known"]

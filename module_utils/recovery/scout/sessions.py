# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the pipeline's sessions, what they hold and who blocks them, and which of them are stuck."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.errors import MissingPrivilege
from ..core.text import in_words
from ..postgres import without_values
from . import contract, cron_jobs, cron_runs
from .judging import roles

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Iterable

    from ..postgres.session import Known, Row, Session

#: Which roles of sessions cannot write the pipeline's tables at all: neither themselves, nor as a role that they may become, nor
#: through a view, a rule or a foreign key that writes them, nor through a function that runs as somebody who can. What strangers have
#: in the schema is none of these tables, whatever its name.
UNABLE: t.LiteralString = f"""
WITH RECURSIVE written AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s
      AND (c.relkind IN ('r', 'p') AND (c.relname = ANY(%(written)s) OR pg_catalog.starts_with(c.relname, %(silver)s))
           OR c.relkind = 'm')
      AND c.relowner NOT IN ({roles.STRANGERS})
    UNION
    SELECT through.oid FROM written AS w CROSS JOIN LATERAL (
        SELECT r.ev_class AS oid FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
        JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class AND v.relkind IN ('r', 'p', 'v')
        WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
          AND d.refobjid = w.oid
        UNION ALL
        SELECT f.confrelid FROM pg_catalog.pg_constraint AS f
        WHERE f.contype = 'f' AND f.conrelid = w.oid AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))
    ) AS through
), able AS MATERIALIZED (
    SELECT r.oid FROM pg_catalog.pg_roles AS r
    WHERE r.rolsuper OR EXISTS (
        SELECT FROM written AS w WHERE pg_catalog.has_table_privilege(r.oid, w.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
), deputies AS MATERIALIZED (
    SELECT p.oid, p.pronamespace AS schema, p.prorettype = 'pg_catalog.trigger'::regtype AS fires FROM pg_catalog.pg_proc AS p
    WHERE p.prosecdef AND p.proowner IN (SELECT oid FROM able)
)
SELECT r.rolname::text AS role
FROM pg_catalog.pg_roles AS r
WHERE r.oid IN (SELECT DISTINCT a.usesysid FROM pg_catalog.pg_stat_activity AS a WHERE a.datname = current_database())
  AND NOT EXISTS (SELECT FROM able AS b WHERE pg_catalog.pg_has_role(r.oid, b.oid, 'MEMBER'))
  AND NOT EXISTS (SELECT FROM deputies AS d
                  WHERE d.fires OR pg_catalog.has_schema_privilege(r.oid, d.schema, 'USAGE')
                    AND pg_catalog.has_function_privilege(r.oid, d.oid, 'EXECUTE'))
"""  # noqa: S608  # made of literals alone

#: Sessions of this database besides ours. Ages are of the transaction; an idle holder's, of its idleness.
ACTIVITY = """
SELECT a.pid, a.backend_start, a.usename::text AS role, a.application_name AS application, a.backend_type,
       coalesce(host(a.client_addr), 'local') AS client, coalesce(a.state, 'unknown') AS state,
       a.wait_event_type, a.wait_event, a.xact_start,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change, a.backend_start))::float8 AS seconds,
       left(a.query, 1024) AS query,
       a.xact_start IS NOT NULL AS in_transaction,
       a.query = '<insufficient privilege>' AS hidden,
       CASE WHEN a.wait_event_type = 'Lock' OR a.query = '<insufficient privilege>'
            THEN pg_catalog.pg_blocking_pids(a.pid) ELSE '{}' END AS blocked_by,
       coalesce((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = a.usename), false) AS superuser
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.leader_pid IS NULL
  AND coalesce(a.backend_type, 'hidden') NOT IN ('autovacuum worker', 'walsender', 'parallel worker', 'pg_cron launcher')
"""

#: What sessions hold: Scout's advisory keys, had or awaited; write locks, had or awaited, on its ETL ledger, silver and gold; and rows
#: locked by FOR UPDATE or a foreign key, and what was read of a view that cannot be refreshed beside its readers, which count
#: only while their holder sits idle in its transaction; and locks of a whole table that no writer gets past.
LOCKS = """
SELECT l.pid, CASE WHEN l.granted THEN 'advisory' ELSE 'awaited' END AS kind, (l.classid::bigint << 32 | l.objid::bigint)::text AS object
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'advisory' AND l.pid IS NOT NULL AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = ANY(%(keys)s)
UNION ALL
SELECT l.pid,
       CASE WHEN l.mode = 'RowShareLock' THEN 'rows'
            WHEN c.relkind = 'm' AND l.mode = 'AccessShareLock' THEN 'reads'
            WHEN c.relkind <> 'm' AND l.mode <> 'RowExclusiveLock' THEN 'locks' WHEN c.relname = %(ledger)s THEN 'etl'
            WHEN c.relkind = 'm' THEN 'gold' ELSE 'silver' END,
       n.nspname || '.' || c.relname
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.pid IS NOT NULL
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND n.nspname = %(schema)s
  AND ((c.relkind IN ('r', 'p') AND (c.relname = ANY(%(written)s) OR pg_catalog.starts_with(c.relname, %(silver)s))
        AND l.mode = 'RowExclusiveLock')
       OR (c.relkind IN ('r', 'p') AND l.mode = 'RowShareLock'
           AND (c.relname = %(bronze)s OR c.relname = ANY(%(written)s) OR pg_catalog.starts_with(c.relname, %(silver)s)))
       OR (c.relkind IN ('r', 'p') AND l.granted
           AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
           AND (c.relname = %(bronze)s OR c.relname = ANY(%(written)s) OR pg_catalog.starts_with(c.relname, %(silver)s)))
       OR (c.relkind = 'm' AND l.mode IN ('ExclusiveLock', 'AccessExclusiveLock'))
       OR (c.relkind = 'm' AND l.granted AND l.mode = 'AccessShareLock'
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i
                           WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                             AND i.indexprs IS NULL)))
"""

HOLDS_KEY = "holds advisory key"
#: The age from which a session counts as stuck, unless another one is given: the runbook's.
STUCK_AFTER_SECONDS: t.Final = 600.0
#: How often as long as such runs usually take a run may.
LONG_TIMES: t.Final = 3.0


@dataclasses.dataclass(frozen=True)
class Activity:
    """A session of the database and what makes it the pipeline's, if anything does."""

    pid: int
    backend_start: datetime.datetime | None
    role: str | None
    application: str | None
    client: str
    state: str
    wait: str | None
    seconds: float
    query: str
    superuser: bool
    hidden: bool
    blocked_by: tuple[int, ...]
    job: str | None
    #: Why it counts: 'holds advisory key …', 'waits for …', 'writes …' (a table), 'runs job …', 'calls …'.
    reasons: tuple[str, ...]
    #: Whether it is loading silver or refreshing gold (a barrier waits for it).
    writing: bool
    #: Whether it is an ETL or refresh session or holds one of Scout's keys (may be ended when stuck).
    pipeline: bool
    #: Whether the ledger knows it as a session of a run under way.
    ours: bool = False
    #: Whether its role can write anything of the pipeline.
    able: bool = True
    #: From which age it counts as stuck where that is longer than usual: runs of its job take long by nature. Seconds.
    patience: float = 0.0

    @property
    def holds_key(self) -> bool:
        """Whether it holds one of Scout's advisory keys."""
        return any(reason.startswith(HOLDS_KEY) for reason in self.reasons)

    @property
    def at_work(self) -> bool:
        """Whether it loads or refreshes something this very moment, and waits for nobody."""
        return self.writing and self.state == "active" and not self.blocked_by

    def stuck_after(self, usual: float) -> float:
        """From which age it counts as stuck, in seconds: the usual one, unless it is a run at work of a job whose runs usually take long,
        and no other age was asked for."""
        return max(usual, self.patience) if usual == STUCK_AFTER_SECONDS and self.at_work else usual

    def is_stuck(self, after_seconds: float) -> bool:
        """Whether it is as old as that."""
        return self.seconds >= self.stuck_after(after_seconds)

    @property
    def identity(self) -> tuple[int, datetime.datetime | None]:
        """A pid alone is reused; with the start of the process it is not."""
        return self.pid, self.backend_start

    def as_dict(self) -> dict[str, t.Any]:
        """For results, evidence and the ledger."""
        shown = dataclasses.asdict(self)
        shown["backend_start"] = self.backend_start.isoformat() if self.backend_start else None
        shown["seconds"] = round(self.seconds, 1)
        shown["blocked_by"] = list(self.blocked_by)
        shown["reasons"] = list(self.reasons)
        return shown

    def describe(self) -> str:
        """`pid 4711 (etl_user, psql, idle in transaction for 14 min 3 s): holds advisory key 4711`."""
        who = ", ".join(part for part in (self.role, self.application) if part)
        why = "; ".join(self.reasons) or "blocks the pipeline"
        return f"pid {self.pid} ({who or 'unknown'}, {self.state} for {in_words(self.seconds)}): {why}"


def read(session: Session, counted: Iterable[cron_jobs.Job] = ()) -> list[Activity]:
    """Every other session of this database, with what it holds and whom it waits for."""
    jobs = {job.jobid: job.jobname for job in counted}
    running = {run.pid: jobs[run.jobid] for run in cron_runs.runs_in_flight(session, counted)} if jobs else {}
    held: dict[int, list[Row]] = {}
    for lock in _locks(session):
        held.setdefault(lock["pid"], []).append(lock)
    known = session.known() if session.known else frozenset["Known"]()
    unable = {row["role"] for row in session.rows(UNABLE, **_tables(), **roles.owned())}
    found = [
        classify(row, held.get(row["pid"], []), running.get(row["pid"]), known, able=row["role"] not in unable)
        for row in session.rows(ACTIVITY)
    ]
    old = {each.job for each in found if each.job and each.seconds >= STUCK_AFTER_SECONDS}
    usual = cron_runs.usual_seconds(session, [job for job in counted if job.jobname in old])
    by_name = {jobs[jobid]: LONG_TIMES * seconds for jobid, seconds in usual.items()}
    return [dataclasses.replace(each, patience=by_name.get(each.job or "", 0.0)) for each in found]


def _locks(session: Session) -> list[Row]:
    names, tables = contract.names(), _tables()
    ledger, bronze = tables["written"][0], contract.bare(names.bronze)
    return session.rows(LOCKS, keys=[names.gold_lock], ledger=ledger, bronze=bronze, schema=names.schema, **tables)


def _tables() -> dict[str, t.Any]:
    names = contract.names()
    written = [contract.bare(name) for name in (names.etl_ledger, names.transactions, names.line_items)]
    return {"written": written, "silver": names.silver_prefix}


def classify(
    row: Row, locks: list[Row], job: str | None, known: Collection[Known] = (), *, able: bool = True
) -> Activity:
    """What a session is to the pipeline, from its locks, its job and its statement; mere mentions do not count.

    Who is not `able` to write silver or gold loads nothing, whatever he calls a function of his, and whatever lock he took
    without a right to write.
    """
    reasons: list[str] = []
    kinds = {lock["kind"] for lock in locks}
    reasons += [f"{HOLDS_KEY} {lock['object']}" for lock in locks if lock["kind"] == "advisory"]
    # He has it as soon as who holds it is ended.
    reasons += [f"waits for advisory key {lock['object']}" for lock in locks if lock["kind"] == "awaited"]
    idle = row["state"].startswith("idle in transaction")
    words = {"etl": "writes", "silver": "writes", "gold": "refreshes", "locks": "locks"} | (
        {"rows": "holds rows of", "reads": "has read, and keeps from being refreshed,"} if idle else {}
    )
    reasons += [
        f"{words[lock['kind']]} {lock['object']}"
        for lock in sorted(locks, key=lambda lock: (lock["object"], lock["kind"]))
        if lock["kind"] in words
    ]
    if job is not None:
        reasons.append(f"runs job {job}")
    called = None
    if able and row["in_transaction"]:
        called = cron_jobs.calls(
            row["query"] or "", (*contract.names().etl_functions, *contract.names().gold_functions)
        )
    if called and row["state"] == "active":
        reasons.append(f"calls {called}")
    busy = job is not None or (called is not None and row["state"] == "active")
    return Activity(
        pid=row["pid"],
        backend_start=row["backend_start"],
        role=row["role"],
        application=row["application"],
        client=row["client"],
        state=row["state"],
        wait=f"{row['wait_event_type']}: {row['wait_event']}" if row["wait_event_type"] else None,
        seconds=max(0.0, row["seconds"] or 0.0),
        query=" ".join(without_values.statement(row["query"] or "").split()),
        superuser=row["superuser"],
        hidden=bool(row["hidden"]),
        blocked_by=tuple(row["blocked_by"]),
        job=job,
        reasons=tuple(reasons),
        writing=busy or (able and bool(kinds & {"etl", "silver", "gold"})),
        # Nobody comes back to a transaction left open on what the pipeline needs, and nothing may yet wait for it.
        pipeline=busy
        or bool(kinds & {"etl", "gold", "advisory", "awaited", "locks"})
        or (idle and bool(kinds & {"rows", "reads", "silver"})),
        ours=(row["pid"], row["backend_start"], row["role"]) in known,
        able=able,
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to end, root blockers first, and what is only reported, each with the reason."""

    end: tuple[Activity, ...]
    leave: tuple[tuple[Activity, str], ...]
    waiting: tuple[Activity, ...]


def plan(
    activities: list[Activity],
    *,
    stuck_after_seconds: float,
    protected_roles: Iterable[str] = contract.PROTECTED_ROLES,
    we_are_superuser: bool = False,
) -> Plan:
    """Who is stuck: pipeline sessions older than the limit, and the roots of whatever blocks any of them."""
    by_pid = {activity.pid: activity for activity in activities}
    stuck = [a for a in activities if a.pipeline and a.is_stuck(stuck_after_seconds)]
    blocking: dict[int, Activity] = {}
    for activity in stuck:
        for root in roots(activity, by_pid):
            if root.pid != activity.pid:
                blocking[root.pid] = root
    candidates = list(blocking.values()) + [a for a in stuck if a.pid not in blocking]
    end: list[Activity] = []
    leave: list[tuple[Activity, str]] = []
    for activity in candidates:
        reason = untouchable(activity, protected_roles, we_are_superuser=we_are_superuser)
        if reason is None and not activity.is_stuck(stuck_after_seconds):
            reason = f"it has blocked the pipeline for less than {in_words(activity.stuck_after(stuck_after_seconds))}"
        if reason is None:
            end.append(activity)
        else:
            leave.append((activity, reason))
    chosen = {a.pid for a in end} | {a.pid for a, _ in leave}
    waiting = [a for a in activities if a.blocked_by and a.pid not in chosen and set(a.blocked_by) & chosen]
    return Plan(tuple(end), tuple(leave), tuple(waiting))


def roots(activity: Activity, by_pid: dict[int, Activity]) -> list[Activity]:
    """The ends of the chains of blockers of a session; of a mere cycle, none."""
    found: list[Activity] = []
    seen, todo = {activity.pid}, [activity]
    while todo:
        here = todo.pop()
        blockers = [by_pid[pid] for pid in here.blocked_by if pid in by_pid]
        if not blockers:
            found.append(here)
        todo += [blocker for blocker in blockers if blocker.pid not in seen]
        seen.update(blocker.pid for blocker in blockers)
    return found


def end_by_themselves(working: Iterable[Activity], among: Iterable[Activity], waited_seconds: float) -> bool:
    """Whether whoever has been waited for so long is at work still: active, waits for nobody who is not, and is a run of a job or has been
    there all the time; of those who come and go in turn there is no end."""
    by_pid = {activity.pid: activity for activity in among}
    return all(
        (activity.job or activity.seconds >= waited_seconds)
        and all(each.state == "active" for each in [activity, *roots(activity, by_pid)])
        for activity in working
    )


def untouchable(activity: Activity, protected_roles: Iterable[str], *, we_are_superuser: bool) -> str | None:
    """Why we may not end a session, if so."""
    if activity.ours:
        return "it is a session of this toolkit"
    if activity.role in set(protected_roles):
        return f"role {activity.role} is protected"
    if activity.superuser and not we_are_superuser:
        return f"role {activity.role} is a superuser, and only a superuser may end its sessions"
    return None


def may_be_ended(activity: Activity, *, we_are_superuser: bool) -> bool:
    """Whether a session that is in the way may be ended whatever its age: its role can write nothing of the pipeline."""
    return (
        not activity.able and untouchable(activity, contract.PROTECTED_ROLES, we_are_superuser=we_are_superuser) is None
    )


def in_flight(activities: Iterable[Activity]) -> list[Activity]:
    """Sessions that load silver or refresh gold now, by evidence."""
    return [activity for activity in activities if activity.writing]


def require_visibility(session: Session, activities: Iterable[Activity]) -> None:
    """Raises MissingPrivilege rather than judge sessions whose state PostgreSQL hides from this role."""
    if any(activity.hidden for activity in activities):
        raise MissingPrivilege(
            "cannot tell which sessions are working or stuck",
            on=session.where,
            said=f"role {session.facts.role} may not see other roles' sessions",
            next_step=roles.membership(session, "pg_read_all_stats"),
        )


def tree(activities: list[Activity]) -> list[str]:
    """Who waits for whom: each root of a chain, then, indented, those it blocks; nobody twice."""
    blocked: dict[int, list[Activity]] = {}
    for activity in activities:
        for pid in activity.blocked_by:
            blocked.setdefault(pid, []).append(activity)
    lines: list[str] = []
    shown: set[int] = set()

    def add(activity: Activity, depth: int) -> None:
        if activity.pid not in shown:
            shown.add(activity.pid)
            lines.append("  " * depth + activity.describe())
            for waiter in blocked.get(activity.pid, []):
                add(waiter, depth + 1)

    for activity in sorted(activities, key=lambda activity: bool(activity.blocked_by)):
        if activity.pipeline or activity.pid in blocked:
            add(activity, 0)
    return lines

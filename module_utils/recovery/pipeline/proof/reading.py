# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database says of the scheduler, its runs, and the role of a job: what that is set to, and what it may do."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ...core.errors import MissingPrivilege, RecoveryError
from ...core.text import count
from ...postgres import lexer
from ...postgres.driver import psycopg, sql
from ...scout import contract, cron_jobs, cron_runs, event_queue
from ...scout.judging import functions
from . import judgement

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from ...postgres.session import Row, Session
    from ...scout.cron_jobs import Job

NEWEST_RUN = "SELECT coalesce(max(runid), 0) AS runid FROM cron.job_run_details WHERE jobid = ANY(%(jobids)s)"

#: A run that could not even connect has no time.
RUNS = """
SELECT runid, jobid, status, coalesce(return_message, '') AS message, start_time AS started, end_time AS ended,
       xmin::text AS xid
FROM cron.job_run_details WHERE jobid = ANY(%(jobids)s) AND runid > %(after)s ORDER BY runid DESC LIMIT 500
"""

#: The strongest setting comes last.
SETTINGS = """
SELECT lower(split_part(setting, '=', 1)) AS name, substr(setting, strpos(setting, '=') + 1) AS value,
       s.setrole <> 0 AS of_role, s.setdatabase <> 0 AS of_database
FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS setting
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
  AND (s.setrole = 0 OR r.rolname = %(owner)s)
ORDER BY s.setrole <> 0, s.setdatabase <> 0
"""

#: What this session has of its own, and the job's has not; what the transaction has set hides where the value before came
#: from.
OURS = """
SELECT lower(name) AS name,
       CASE WHEN name = ANY(%(own)s) THEN boot_val
            WHEN source IN ('user', 'database user', 'client', 'session') AND name <> ALL(%(hidden)s) THEN boot_val
            ELSE reset_val END AS value
FROM pg_catalog.pg_settings
WHERE context IN ('user', 'superuser') AND (source IN ('user', 'database user', 'client') OR name = ANY(%(bounded)s))
"""
LIMITED: t.Final = "SET LOCAL statement_timeout = '10s'"
HIDDEN_BY_OURS: t.Final = ("statement_timeout", "search_path")
BOUNDED: t.Final = ("TimeZone", "DateStyle", "IntervalStyle", "search_path", "statement_timeout", "lock_timeout")
#: What would end this session, is meant for others, or cannot be set within a transaction.
NOT_TRIED: t.Final = frozenset({
    *("application_name", "client_encoding", "role", "session_authorization", "session_preload_libraries"),
    *("local_preload_libraries", "idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"),
    *("client_connection_check_interval", "statement_timeout", "default_transaction_read_only", "default_transaction_isolation"),
    *("transaction_isolation", "transaction_read_only", "default_transaction_deferrable", "transaction_deferrable"),
    "extra_float_digits", "search_path",
})  # fmt: skip

#: How many connections of role `r` others than its jobs and we have.
TAKEN: t.LiteralString = """
(SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.usesysid = r.oid AND a.application_name <> 'pg_cron'
 AND NOT pg_catalog.starts_with(a.application_name, 'scout-recovery/'))
"""
#: Connection limits are not those of the background workers of pg_cron.
LOGIN: t.LiteralString = f"""
SELECT %(real)s AND coalesce(
           (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'cron.use_background_workers'), 'on') = 'on' AS workers,
       r.rolcanlogin AS logs_in, r.rolsuper AS superuser, r.rolconnlimit AS role_limit, d.datconnlimit AS database_limit,
       d.datallowconn AS connects, pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT') AS may_connect,
       d.datname::text AS database,
       {TAKEN} AS taken
FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.pg_database AS d
WHERE r.rolname = %(owner)s AND d.datname = current_database()
"""  # noqa: S608  # made of literals alone

GRANTS = """
SELECT p.oid::regprocedure::text AS function, p.prosecdef AS definer, pg_catalog.pg_get_userbyid(p.proowner)::text AS owner,
       pg_catalog.has_function_privilege(%(owner)s, p.oid, 'EXECUTE') AS execute,
       pg_catalog.has_schema_privilege(%(owner)s, n.oid, 'USAGE') AS usage
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = ANY(%(names)s)
ORDER BY 1
"""

SAMPLE = """
SELECT b.event_id::text AS event_id FROM {bronze} AS b WHERE {pending} ORDER BY b.ingested_at LIMIT %(most)s
"""
#: One statement cannot upsert a row twice.
REPEATED = """
SELECT b.event_data ->> 'transaction_id' AS transaction_id, count(*) AS events FROM {bronze} AS b
WHERE {pending} AND jsonb_typeof(b.event_data) = 'object' GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT 1
"""
#: Where it may not, the session begins all the same.
BECOMES = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles AS r
               WHERE r.rolname = %(role)s AND pg_catalog.pg_has_role(%(owner)s, r.oid, 'MEMBER')) AS may
"""
STILL = "SELECT count(*) AS events FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[]) AND {pending}"
#: Neither in bronze, nor loaded, nor set aside with its event.
VANISHED = """
SELECT count(*) AS events FROM unnest(%(ids)s::uuid[]) AS id
WHERE NOT EXISTS (SELECT FROM {bronze} AS b WHERE b.event_id = id) AND NOT EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = id)
  AND NOT EXISTS (SELECT FROM {dead_letters} AS d WHERE d.error_details #>> '{{event,event_id}}' = id::text)
"""
ARRIVED = """
SELECT EXISTS (SELECT FROM {bronze} WHERE event_type = {transaction_event} AND ingested_at >= %(start)s AND ingested_at < %(end)s) AS any
"""
#: The longest that an event waited, on most of the days before the last one; 0 where that is not known.
USUAL_WAIT = """
SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY longest), 0) AS seconds
FROM generate_series(1, %(days)s) AS nth CROSS JOIN LATERAL (
    SELECT extract(epoch FROM max(p.processed_at - b.ingested_at))::float8 AS longest, count(*) AS events
    FROM (SELECT event_id, processed_at FROM {etl_ledger}
          WHERE processed_at >= now() - (nth + 1) * interval '1 day' AND processed_at < now() - nth * interval '1 day'
          LIMIT %(most)s) AS p JOIN {bronze} AS b ON b.event_id = p.event_id) AS of_day
WHERE events > 0
"""
DAYS: t.Final = 7
EVENTS_A_DAY: t.Final = 20_000
SAMPLE_EVENTS: t.Final = 100


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is to prove: the jobs with what each is for, those of other databases, and who starts them."""

    jobs: tuple[tuple[Job, str], ...]
    elsewhere: tuple[Row, ...]
    scheduler: judgement.Scheduler
    newest: int = 0
    #: All jobs of the pipeline, where only a part of them was named.
    whole: tuple[tuple[Job, str], ...] = ()

    @property
    def running(self) -> bool:
        """Whether any of them can start."""
        return any(job.active and not job.parked for job, purpose in self.jobs if purpose != judgement.BESIDE)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of a role or a database, and the statement that resets it."""

    name: str
    value: str
    place: str
    reset: str


def read(session: Session, names: list[str] | None) -> Found:
    """What there is to prove, on one snapshot."""
    with session.read():
        cron_jobs.require(session)
        starter = cron_runs.scheduler(session)
        every = cron_jobs.ingestion_jobs(session, names, required=False)
        if not names:
            every += [job for job in _removers(session) if job not in every]
        jobs = judgement.purposes(every, _functions(session, every), names or ())
        newest, unseen, unknown = _newest(session, [job for job, _ in jobs], starter)
        scheduler = judgement.Scheduler(
            starter.now, real=starter.installed, timezone=starter.timezone or "GMT", unseen=unseen, unknown=unknown
        )
        load = contract.names().load_job
        loads = any(purpose == judgement.LOAD for _, purpose in jobs)
        elsewhere = [] if loads else cron_runs.elsewhere(session, [load])
        whole: list[tuple[Job, str]] = []
        if names and judgement.is_a_part(jobs):
            every = cron_jobs.ingestion_jobs(session, required=False)
            whole = judgement.purposes(every, _functions(session, every))
    return Found(tuple(jobs), tuple(elsewhere), scheduler, newest, tuple(whole))


def _functions(session: Session, jobs: Iterable[Job]) -> functions.Functions:
    """Those that the jobs may come to; none where they cannot be judged, so that a job is for what it calls itself."""
    try:
        with session.savepoint():
            return functions.read(session, [job.owner for job in jobs])
    except (lexer.Intricate, psycopg.Error):
        return functions.Functions(())


def _newest(
    session: Session, jobs: list[Job], starter: cron_runs.Scheduler
) -> tuple[int, judgement.Hidden | None, judgement.Hidden | None]:
    """The newest run of these jobs; why runs cannot be seen; and why, where there is none, that is no sign of it."""
    if not starter.installed:
        return 0, None, None
    try:
        newest = max((row["runid"] for row in cron_runs.as_owners(session, jobs, NEWEST_RUN)), default=0)
    except MissingPrivilege as e:
        return 0, judgement.Hidden(e.said, e.next_step), None
    if starter.records == "off":
        problem = cron_runs.unrecorded(session)
        return newest, judgement.Hidden(problem.said, problem.next_step), None
    if newest == 0 and not starter.shown:
        problem = cron_runs.unknown(session)
        return newest, None, judgement.Hidden(problem.said, problem.next_step)
    return newest, None, None


def runs(session: Session, jobs: Iterable[Job], after: int) -> tuple[list[judgement.JobRun], datetime.datetime]:
    """The runs of these jobs that came after one, the oldest first, and the database's clock."""
    with session.read():
        found = [judgement.JobRun(**row) for row in cron_runs.as_owners(session, jobs, RUNS, after=after)]
        now: datetime.datetime = session.row("SELECT clock_timestamp() AS now")["now"]
    return sorted(found, key=lambda run: run.runid), now


def latest(session: Session, job: Job) -> list[judgement.JobRun]:
    """The latest runs of a job, the latest first; none where they may not be seen. Inside a transaction."""
    with contextlib.suppress(MissingPrivilege):
        return [judgement.JobRun(**row) for row in cron_runs.as_owners(session, [job], RUNS, after=0)]
    return []


def why_silent(session: Session, *, certain: bool = False) -> str:
    """Why the scheduler starts nothing, where that can be told; with `certain`, not by who seems to be there."""
    with session.read():
        found = cron_runs.scheduler(session)
    if found.launches == "off":
        return "cron.launch_active_jobs is off"
    if found.database not in (None, found.here):
        return f"pg_cron starts the jobs of database {found.database}"
    return "no pg_cron launcher is running" if found.gone and not certain else ""


def waiting(session: Session) -> list[str]:
    """The oldest pending events, some of them."""
    with session.read():
        return [row["event_id"] for row in session.rows(event_queue.of_pending(SAMPLE), most=SAMPLE_EVENTS)]


def repeated(session: Session) -> Row | None:
    """The transaction with the most pending events, if any has several; inside a transaction."""
    return next(iter(session.rows(event_queue.of_pending(REPEATED))), None)


def still_waiting(session: Session, event_ids: list[str]) -> int:
    """How many of these events are pending."""
    with session.read():
        return session.row(event_queue.of_pending(STILL), ids=event_ids)["events"]


def vanished(session: Session, event_ids: list[str]) -> int:
    """How many of these events are gone without having been loaded."""
    with session.read():
        return session.row(contract.compose(VANISHED), ids=event_ids)["events"]


def removers(session: Session) -> list[Job]:
    """The jobs that may have taken them; none where nobody can tell."""
    with session.read():
        return _removers(session)


def _removers(session: Session) -> list[Job]:
    with contextlib.suppress(RecoveryError):
        return cron_jobs.removers(session)
    return []


def arrived(session: Session, start: datetime.datetime, end: datetime.datetime) -> bool:
    """Whether events that the ETL loads arrived between these moments."""
    return session.row(contract.compose(ARRIVED), start=start, end=end)["any"]


def usual_wait(session: Session) -> float:
    """For how many seconds at most an event waited on most of the last days, but for the last one; 0 where that is not known."""
    return session.row(contract.compose(USUAL_WAIT), days=DAYS, most=EVENTS_A_DAY)["seconds"]


def settings(session: Session, owner: str) -> dict[str, Setting]:
    """What the sessions of a job have set for their role and this database, by name; inside a transaction."""
    role, database = sql.Identifier(owner).as_string(), sql.Identifier(session.facts.database).as_string()
    found: dict[str, Setting] = {}
    for row in session.rows(SETTINGS, owner=owner):
        place = f"role {owner}" if row["of_role"] else f"database {session.facts.database}"
        whose = f"ROLE {role}" if row["of_role"] else f"DATABASE {database}" if row["of_database"] else "ROLE ALL"
        if row["of_role"] and row["of_database"]:
            place, whose = f"{place} in database {session.facts.database}", f"{whose} IN DATABASE {database}"
        found[row["name"]] = Setting(row["name"], row["value"], place, f"ALTER {whose} RESET {row['name']}")
    return found


def plain(session: Session) -> dict[str, str]:
    """What a session has of its settings that nobody set for this role; in a transaction of its own, without our bounds."""
    with session.connection.pinned(LIMITED):
        ours = settings(session, session.facts.role)
        own = [name for name in HIDDEN_BY_OURS if name in ours or session.connection.opened_with(name)]
        rows = session.rows(OURS, bounded=list(BOUNDED), hidden=list(HIDDEN_BY_OURS), own=own)
    return {row["name"]: row["value"] for row in rows if row["value"] is not None}


def becomes(session: Session, owner: str) -> Setting | None:
    """The role that the sessions of a job become when they begin, where it is set to another one; inside a transaction."""
    found = settings(session, owner).get("role")
    if found is None or found.value in ("none", owner):
        return None
    row = session.row(BECOMES, owner=owner, role=found.value)
    return found if row["may"] else None


def obstacle(session: Session, owner: str) -> tuple[str, str] | None:
    """Why the scheduler cannot open a session as this role, and the statement that changes it; inside a transaction."""
    found = session.rows(LOGIN, owner=owner, real=cron_runs.scheduler(session).installed)
    if not found:
        return f"role {owner} does not exist", f"CREATE ROLE {sql.Identifier(owner).as_string()} LOGIN"
    row = found[0]
    role, database = sql.Identifier(owner).as_string(), sql.Identifier(row["database"]).as_string()
    if not row["logs_in"]:
        return f"role {owner} may not log in", f"ALTER ROLE {role} LOGIN"
    if not row["connects"]:
        return f"database {row['database']} allows no connections", f"ALTER DATABASE {database} ALLOW_CONNECTIONS true"
    if row["superuser"]:
        return None
    if not row["may_connect"]:
        step = f"GRANT CONNECT ON DATABASE {database} TO {role}"
        return f"role {owner} may not connect to database {row['database']}", step
    if row["workers"]:
        return None
    if 0 <= row["role_limit"] <= row["taken"]:
        problem = f"role {owner} has CONNECTION LIMIT {row['role_limit']}{others(row['taken'])}"
        return problem, f"ALTER ROLE {role} CONNECTION LIMIT -1"
    if row["database_limit"] == 0:
        return f"database {row['database']} has CONNECTION LIMIT 0", f"ALTER DATABASE {database} CONNECTION LIMIT -1"
    return None


def others(taken: int) -> str:
    """How many sessions of a role are open, beside those of its jobs."""
    return f", and {count(taken, 'session')} of it {'is' if taken == 1 else 'are'} open" if taken else ""


def grants(session: Session, owner: str, functions: Iterable[str]) -> list[str]:
    """The GRANTs that the role of a job lacks for the functions it calls; inside a transaction."""
    role = sql.Identifier(owner).as_string()
    schema = sql.Identifier(contract.names().schema).as_string()
    missing: list[str] = []
    for row in session.rows(GRANTS, owner=owner, schema=contract.names().schema, names=list(functions)):
        missing += [] if row["usage"] else [f"GRANT USAGE ON SCHEMA {schema} TO {role}"]
        missing += [] if row["execute"] else [f"GRANT EXECUTE ON FUNCTION {row['function']} TO {role}"]
    return list(dict.fromkeys(missing))


def definers(session: Session, owner: str, functions: Iterable[str]) -> list[str]:
    """The owners as whom those functions run that run as their owner; inside a transaction."""
    rows = session.rows(GRANTS, owner=owner, schema=contract.names().schema, names=list(functions))
    return sorted({row["owner"] for row in rows if row["definer"]})

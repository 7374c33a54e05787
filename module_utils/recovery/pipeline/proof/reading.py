# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database says of the scheduler, its runs, and the role of a job: what that is set to, and what it may do."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import typing as t

from ...core.errors import MissingPrivilege, RecoveryError
from ...core.text import count
from ...postgres import lexer, privileges
from ...postgres.driver import psycopg, sql
from ...postgres.privileges import Need
from ...scout import contract, cron_jobs, cron_runs, event_queue
from ...scout.judging import functions
from . import judgement

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator, Mapping

    from ...postgres.session import Row, Session
    from ...scout.cron_jobs import Job

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
#: Time limits, and the switch, under which a run may not come to its end.
LIMITS: t.Final = ("statement_timeout", "transaction_timeout")
READ_ONLY: t.Final = "default_transaction_read_only"
#: With less a batch of the ETL cannot be loaded, even where a single event can.
LEAST_TIMEOUT_SECONDS: t.Final = 1.0
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

#: Connection limits are not those of the background workers of pg_cron; `taken` are others than its sessions and ours.
LOGIN = """
SELECT %(real)s AND coalesce(
           (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'cron.use_background_workers'), 'on') = 'on' AS workers,
       r.rolcanlogin AS logs_in, r.rolsuper AS superuser, r.rolconnlimit AS role_limit, d.datconnlimit AS database_limit,
       d.datallowconn AS connects, pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT') AS may_connect,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.usesysid = r.oid AND a.application_name <> 'pg_cron'
        AND NOT pg_catalog.starts_with(a.application_name, 'scout-recovery/')) AS taken
FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.pg_database AS d
WHERE r.rolname = %(owner)s AND d.datname = current_database()
"""

#: What jobs may call, directly or through another function.
FUNCTIONS = """
SELECT p.proname::text AS name, pg_catalog.oidvectortypes(p.proargtypes) AS arguments, p.prosecdef AS definer,
       pg_catalog.pg_get_userbyid(p.proowner)::text AS owner
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = ANY(%(names)s)
ORDER BY p.proname, p.pronargs, 2
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

MILLISECONDS: t.Final = {"": 1.0, "us": 0.001, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
DURATION: t.Final = re.compile(
    r"(?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?)\s*+(?P<unit>us|ms|s|min|h|d|)"
)
OCTAL: t.Final = re.compile(r"0[0-7]+")


@dataclasses.dataclass(frozen=True)
class Found:
    """What there is to prove: the jobs with what each is for, those of other databases, and who starts them."""

    jobs: tuple[tuple[Job, str], ...]
    elsewhere: tuple[Row, ...]
    scheduler: cron_runs.Scheduler
    newest: int = 0
    #: Why no run can be seen; and why none may be seen although there are some, where none has been yet.
    unseen: RecoveryError | None = None
    unknown: RecoveryError | None = None
    #: All jobs of the pipeline, where only a part of them was named.
    whole: tuple[tuple[Job, str], ...] = ()

    @property
    def why_unseen(self) -> str:
        """Why no run can be seen, with what shows them."""
        return f"{self.unseen.said} ({self.unseen.next_step})" if self.unseen else ""

    @property
    def running(self) -> bool:
        """Whether any of them can start."""
        return any(job.starts for job, purpose in self.jobs if purpose != judgement.BESIDE)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting of a role or a database: where it is, in words and as ALTER names it."""

    name: str
    value: str
    place: str
    whose: str

    @property
    def reset(self) -> str:
        """The statement that resets it."""
        return f"ALTER {self.whose} RESET {self.name}"

    @property
    def on(self) -> bool:
        """Whether it is a switch that is on."""
        return self.value.lower() in ("on", "true", "yes", "1")

    @property
    def seconds(self) -> float:
        """What it comes to as a time limit; 0 for none."""
        return seconds_of(self.value)


class Obstacle(t.NamedTuple):
    """Why the scheduler cannot open a session: what the role, or the database, is or has, and the statement that changes it."""

    of_role: bool
    problem: str
    statement: str


@dataclasses.dataclass(frozen=True)
class Owner:
    """A role that jobs belong to: what its sessions have set and whom they become, what keeps the scheduler from opening one, and what
    it may not use."""

    name: str
    database: str
    superuser: bool = False
    settings: Mapping[str, Setting] = dataclasses.field(default_factory=dict[str, Setting])
    becomes: Setting | None = None
    obstacles: tuple[Obstacle, ...] = ()
    #: The GRANT that lets it into the schema, where it lacks that.
    entry: str = ""
    #: What its jobs may call, each with the GRANT to execute it that it lacks.
    functions: tuple[Row, ...] = ()

    @property
    def hindering(self) -> list[Setting]:
        """Settings under which no run can end: time limits shorter than a batch takes, and a switch that lets nothing be written."""
        limits = [
            found for name in LIMITS if (found := self.settings.get(name)) and 0 < found.seconds < LEAST_TIMEOUT_SECONDS
        ]
        return [*limits, *(found for found in [self.settings.get(READ_ONLY)] if found and found.on)]

    @property
    def role(self) -> str:
        """As whom its commands run."""
        return self.becomes.value if self.becomes else self.name

    @property
    def obstacle(self) -> tuple[str, str] | None:
        """The first of what keeps the scheduler from opening a session, and the statement that changes it."""
        for of_role, problem, statement in self.obstacles:
            return f"role {self.name} {problem}" if of_role else f"database {self.database} {problem}", statement
        return None

    def grants(self, functions: Iterable[str]) -> list[str]:
        """The GRANTs that it lacks for functions of these names."""
        wanted = [grant for row in self.functions if row["name"] in functions for grant in (self.entry, row["grant"])]
        return list(dict.fromkeys(grant for grant in wanted if grant))

    def definers(self, functions: Iterable[str]) -> list[str]:
        """The other roles as whom those of them run that run as their owner."""
        owners = {row["owner"] for row in self.functions if row["name"] in functions and row["definer"]}
        return sorted(owners - {self.name})


def read(session: Session, names: list[str] | None) -> Found:
    """What there is to prove, on one snapshot."""
    with session.read():
        cron_jobs.require(session)
        scheduler = cron_runs.scheduler(session)
        every = cron_jobs.ingestion_jobs(session, names, required=False)
        if not names:
            every += [job for job in _removers(session) if job not in every]
        jobs = judgement.purposes(every, _functions(session, every), names or ())
        newest, unseen, unknown = _newest(session, [job for job, _ in jobs], scheduler)
        load = contract.names().load_job
        loads = any(purpose == judgement.LOAD for _, purpose in jobs)
        elsewhere = [] if loads else cron_runs.elsewhere(session, [load])
        whole: list[tuple[Job, str]] = []
        if names and judgement.is_a_part(jobs):
            every = cron_jobs.ingestion_jobs(session, required=False)
            whole = judgement.purposes(every, _functions(session, every))
    return Found(tuple(jobs), tuple(elsewhere), scheduler, newest, unseen, unknown, tuple(whole))


def _functions(session: Session, jobs: Iterable[Job]) -> functions.Functions:
    """Those that the jobs may come to; none where they cannot be judged, so that a job is for what it calls itself."""
    try:
        with session.savepoint():
            return functions.read(session, [job.owner for job in jobs])
    except (lexer.Intricate, psycopg.Error):
        return functions.Functions(())


def _newest(
    session: Session, jobs: list[Job], scheduler: cron_runs.Scheduler
) -> tuple[int, RecoveryError | None, RecoveryError | None]:
    """The newest run of these jobs; why runs cannot be seen; and why, where there is none, that is no sign of it."""
    if not scheduler.installed:
        return 0, None, None
    try:
        newest = cron_runs.newest(session, jobs)
    except MissingPrivilege as e:
        return 0, e, None
    unseen = cron_runs.unrecorded(session) if scheduler.records == "off" else None
    return newest, unseen, None if unseen or newest or scheduler.shown else cron_runs.unknown(session)


def runs(session: Session, jobs: Iterable[Job], after: int) -> tuple[list[cron_runs.Run], datetime.datetime]:
    """The runs of these jobs that came after one, the oldest first, and the database's clock."""
    with session.read():
        found = cron_runs.history(session, jobs, after=after)
        now: datetime.datetime = session.row("SELECT clock_timestamp() AS now")["now"]
    return sorted(found, key=lambda run: run.runid), now


def in_flight(session: Session, job: Job) -> int | None:
    """The run of this job that is in flight; None where there is none, or runs may not be seen."""
    with session.read(), contextlib.suppress(MissingPrivilege):
        latest = next(iter(cron_runs.history(session, [job])), None)
        if latest and not latest.over and cron_runs.runs_in_flight(session, [job]):
            return latest.runid
    return None


def usual_seconds(session: Session, job: Job) -> float | None:
    """How long runs of this job usually take, in seconds; None where none can be seen."""
    with session.read():
        return cron_runs.usual_seconds(session, [job]).get(job.jobid)


def why_silent(session: Session, *, certain: bool = False) -> str:
    """Why the scheduler starts nothing, where that can be told; with `certain`, not by who seems to be there."""
    with session.read():
        return cron_runs.scheduler(session).why_silent(certain=certain)


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


def settings(session: Session, role: str) -> dict[str, Setting]:
    """What the sessions of a role have set for it and this database, by name; inside a transaction."""
    name, database = sql.Identifier(role).as_string(), sql.Identifier(session.facts.database).as_string()
    found: dict[str, Setting] = {}
    for row in session.rows(SETTINGS, owner=role):
        place = f"role {role}" if row["of_role"] else f"database {session.facts.database}"
        whose = f"ROLE {name}" if row["of_role"] else f"DATABASE {database}" if row["of_database"] else "ROLE ALL"
        if row["of_role"] and row["of_database"]:
            place, whose = f"{place} in database {session.facts.database}", f"{whose} IN DATABASE {database}"
        found[row["name"]] = Setting(row["name"], row["value"], place, whose)
    return found


def seconds_of(value: str) -> float:
    """A time limit in seconds, as PostgreSQL reads what was set; 0 for none, and where it cannot be read."""
    if not (found := DURATION.fullmatch(value.strip().strip("'").strip())):
        return 0.0
    number = found["number"].lower()
    base = 16 if number.startswith("0x") else 8 if OCTAL.fullmatch(number) else 0
    amount = int(number, base) if base else float(number)
    return round(amount * MILLISECONDS[found["unit"]]) / 1000


def plain(session: Session) -> dict[str, str]:
    """What a session has of its settings that nobody set for this role; in a transaction of its own, without our bounds."""
    with session.connection.pinned(LIMITED):
        ours = settings(session, session.facts.role)
        own = [name for name in HIDDEN_BY_OURS if name in ours or session.connection.opened_with(name)]
        rows = session.rows(OURS, bounded=list(BOUNDED), hidden=list(HIDDEN_BY_OURS), own=own)
    return {row["name"]: row["value"] for row in rows if row["value"] is not None}


def owner(session: Session, name: str, *, scheduled: bool = False) -> Owner:
    """What there is to know of a role that jobs belong to, which pg_cron itself starts where that is `scheduled`; inside a
    transaction."""
    database = session.facts.database
    found = next(iter(session.rows(LOGIN, owner=name, real=scheduled)), None)
    if found is None:
        missing = Obstacle(True, "does not exist", f"CREATE ROLE {sql.Identifier(name).as_string()} LOGIN")
        return Owner(name, database, obstacles=(missing,))
    given, names = settings(session, name), contract.names()
    called = [contract.bare(names.load_function), contract.bare(names.link_function), *names.gold_functions]
    rows = session.rows(FUNCTIONS, schema=names.schema, names=called)
    enters = Need("SCHEMA", sql.Identifier(names.schema).as_string(), "USAGE", name)
    exact = [f"{sql.Identifier(names.schema, row['name']).as_string()}({row['arguments']})" for row in rows]
    executes = [Need("FUNCTION", function, "EXECUTE", name) for function in exact]
    grants = {need: need.grant(session) for need in privileges.lacked(session, [enters, *executes])}
    role = given.get("role")
    if role and (role.value in ("none", name) or not session.row(BECOMES, owner=name, role=role.value)["may"]):
        role = None
    functions = tuple({**row, "grant": grants.get(need, "")} for row, need in zip(rows, executes, strict=True))
    obstacles = tuple(_obstacles(name, database, found))
    return Owner(name, database, found["superuser"], given, role, obstacles, grants.get(enters, ""), functions)


def _obstacles(name: str, database: str, row: Row) -> Iterator[Obstacle]:
    """Why the scheduler cannot open a session as this role."""
    role, base = sql.Identifier(name).as_string(), sql.Identifier(database).as_string()
    if not row["logs_in"]:
        yield Obstacle(True, "may not log in", f"ALTER ROLE {role} LOGIN")
    if not row["connects"]:
        yield Obstacle(False, "allows no connections", f"ALTER DATABASE {base} ALLOW_CONNECTIONS true")
    if row["superuser"]:
        return
    if not row["may_connect"]:
        yield Obstacle(True, f"may not connect to database {database}", f"GRANT CONNECT ON DATABASE {base} TO {role}")
    if row["workers"]:
        return
    if 0 <= row["role_limit"] <= (taken := row["taken"]):
        others = f", and {count(taken, 'session')} of it {'is' if taken == 1 else 'are'} open" if taken else ""
        yield Obstacle(
            True, f"has CONNECTION LIMIT {row['role_limit']}{others}", f"ALTER ROLE {role} CONNECTION LIMIT -1"
        )
    if row["database_limit"] == 0:
        yield Obstacle(False, "has CONNECTION LIMIT 0", f"ALTER DATABASE {base} CONNECTION LIMIT -1")

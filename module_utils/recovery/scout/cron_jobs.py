# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_cron's jobs of this database, seen and altered as their owner, and which of them are ingestion. Where pg_cron is in another
database of the server, which scout_cron_dsn names, its own tables and functions are reached through the session beside ours."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import typing as t

from ..core.errors import MissingPrivilege, WrongDatabase
from ..core.text import first_line, in_words, printable
from ..postgres import acting, lexer, privileges
from ..postgres.driver import conninfo, errors, psycopg, sql
from ..postgres.failures import attempting
from ..postgres.privileges import Need
from . import contract
from .judging import functions, impostors, roles, statements
from .judging.statements import calls

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from ..postgres.session import Row, Session

#: A schedule that never comes: lets a run in flight end while no new one can start.
NEVER: t.Final = "0 0 30 2 *"

#: What can be done where nobody can tell which jobs are the pipeline's.
NAME_THEM: t.Final = "name the jobs that write silver or gold, with -e '{\"scout_ingestion_jobs\": [...]}'"

#: From the catalog, because to_regclass fails on a schema one may not use.
HAS_CRON = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'cron' AND c.relname = 'job') AS there
"""

#: Which database pg_cron is in, where that may be seen.
OF_CRON = """
SELECT CASE WHEN pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
            THEN current_setting('cron.database_name', true) END AS database
"""

#: Roles whose jobs we may see and alter by SET ROLE; pg_cron shows a role only its own jobs.
OWNERS = """
SELECT r.rolname::text AS role
FROM pg_catalog.pg_roles AS r
WHERE NOT r.rolsuper AND r.oid >= 16384 AND r.rolname <> current_user
  AND pg_catalog.pg_has_role(session_user, r.oid, %(privilege)s)
ORDER BY r.rolname LIMIT 50
"""

JOBS = """
SELECT jobid, coalesce(nullif(jobname::text, ''), 'job ' || jobid) AS jobname, schedule, command, active, username::text AS owner
FROM cron.job WHERE database = %(database)s ORDER BY jobid
"""

EVERY_JOB = "SELECT jobid FROM cron.job"
#: By what is counted since the server has statistics, else as it was analyzed.
ABOUT_JOBS = """
SELECT coalesce(max(coalesce(nullif(pg_catalog.pg_stat_get_live_tuples(c.oid), 0), c.reltuples)), 0)::int AS jobs
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'cron' AND c.relname = 'job'
"""

#: Whether row security limits which jobs this role sees, and who could change that.
SIGHT = """
SELECT pg_catalog.row_security_active(c.oid) AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_policy AS p
           WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
             AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
             AND EXISTS (SELECT FROM unnest(p.polroles) AS role WHERE role = 0 OR pg_catalog.pg_has_role(role, 'USAGE'))) AS limited,
       o.rolname::text AS owner, o.rolsuper AS superuser
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid = c.relowner
WHERE n.nspname = 'cron' AND c.relname = 'job'
"""

POLICIES = "SELECT current_setting('row_security') AS mode"
SET_POLICIES = "SELECT set_config('row_security', %(mode)s, true)"

ALTER = """
SELECT cron.alter_job(job_id => %(jobid)s, schedule => %(schedule)s, active => %(active)s)
"""

#: What it takes to alter an owner's jobs besides privileges: to become the owner, and the function; and whether anybody but a
#: superuser may grant that.
GRANTS = """
SELECT pg_catalog.pg_has_role(session_user, r.oid, %(privilege)s) AS member,
       p.oid::regprocedure::text AS alter_job,
       EXISTS (SELECT FROM pg_catalog.pg_roles AS o WHERE o.oid = p.proowner AND NOT o.rolsuper)
       OR EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) AS a WHERE a.is_grantable AND a.grantee <> p.proowner) AS grantable
FROM pg_catalog.pg_roles AS r
CROSS JOIN pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'alter_job'
WHERE r.rolname = %(owner)s AND n.nspname = 'cron'
"""

#: Who owns the ETL very likely owns the jobs that one cannot see.
ETL_OWNER = """
SELECT pg_catalog.pg_get_userbyid(p.proowner)::text AS owner
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s ORDER BY p.proargtypes <> '23'::pg_catalog.oidvector LIMIT 1
"""


@dataclasses.dataclass(frozen=True)
class Job:
    """A job of pg_cron in this database."""

    jobid: int
    jobname: str
    schedule: str
    command: str
    active: bool
    owner: str

    @property
    def parked(self) -> bool:
        """Whether a pause of ours keeps it from starting while a run of it finishes."""
        return self.schedule == NEVER

    @property
    def starts(self) -> bool:
        """Whether the scheduler starts it."""
        return self.active and not self.parked

    def as_dict(self) -> dict[str, t.Any]:
        """For results and the ledger."""
        return dataclasses.asdict(self)


def silence(job: Job, seconds: float) -> str:
    """That nothing starts a job, in words that follow its name."""
    return f"has not started for {in_words(seconds)}, although its schedule is {job.schedule}"


def as_role(session: Session, role: str) -> contextlib.AbstractContextManager[None]:
    """Part of a transaction as another role; a superuser, who sees and may alter all jobs, stays as he is."""
    return contextlib.nullcontext() if session.facts.superuser else acting.as_role(session, role)


def identities(session: Session) -> list[str]:
    """The roles as whom jobs can be seen, ourselves first."""
    me = session.facts.role
    if session.facts.superuser:
        return [me]
    return [me] + [row["role"] for row in session.rows(OWNERS, privilege=_becoming(session))]


@contextlib.contextmanager
def policies(session: Session) -> Generator[None]:
    """Part of a transaction in which pg_cron shows a role what is its own: where policies are an error, as if there were
    nothing."""
    mode = "on" if session.facts.superuser else session.row(POLICIES)["mode"]
    if mode != "off":
        yield
        return
    session.execute(SET_POLICIES, mode="on")
    try:
        yield
    finally:
        if session.connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
            session.execute(SET_POLICIES, mode="off")


def _becoming(session: Session) -> str:
    """The kind of membership that SET ROLE needs."""
    return "SET" if session.facts.server_version >= 160000 else "MEMBER"


def present(session: Session) -> bool:
    """Whether pg_cron's tables are in this database; those of somebody else, who only calls them so, are not. Raises WrongDatabase
    where another one was named for them, and has none."""
    if session.beside() is not None:
        require(session)
        return True
    return bool(session.row(HAS_CRON)["there"]) and foreign(session) is None


def foreign(session: Session) -> WrongDatabase | None:
    """Why schema cron may not be used; None where all of it that is read or called is pg_cron's, or there is none."""
    with session.at_cron() as at:
        said, fix = impostors.of_cron(at)
    if not said:
        return None
    return WrongDatabase(
        "refused: schema cron is not pg_cron's, so nothing here can be paused or resumed",
        on=at.where,
        said=f"{said}, who is no superuser, and it is no part of extension pg_cron",
        next_step=f"look at it, then its owner or a superuser runs {fix}; {elsewhere(session)}",
    )


def require(session: Session) -> None:
    """Raises WrongDatabase where there is no pg_cron, here or in the database that was named for it, or a schema that only has its
    name: nothing can be paused there, and saying otherwise would be a lie."""
    if problem := foreign(session):
        raise problem
    with session.at_cron() as at:
        there = at.row(HAS_CRON)["there"]
    if there:
        return
    beside = at is not session
    raise WrongDatabase(
        f"refused: pg_cron is not installed in {f'the database that {session.settings.cron_source} names' if beside else 'this database'}, "
        "so nothing here can be paused or resumed",
        on=at.where,
        said="cron.job does not exist",
        next_step=elsewhere(session) + ("" if beside else "; else CREATE EXTENSION pg_cron"),
    )


def elsewhere(session: Session) -> str:
    """What to do where pg_cron is in another database."""
    named: str | None = session.row(OF_CRON)["database"]
    if named == session.facts.database:
        named = None
    dbname = conninfo.make_conninfo("", dbname=named or "postgres")
    known = f"as cron.database_name is {named}" if named else "where another database has it (cron.database_name)"
    return f"{known}, name it: -e scout_cron_dsn={shlex.quote(dbname)}"


def seen(session: Session, query: t.LiteralString, **values: t.Any) -> list[Row]:
    """The rows of a query of jobs that we can see, as ourselves or as a role we may become, each job once. Raises WrongDatabase where
    schema cron is somebody else's: his view would run his code with our rights."""
    if problem := foreign(session):
        raise problem
    found: dict[int, Row] = {}
    with session.at_cron() as at, policies(at):
        for role in identities(at):
            with contextlib.suppress(errors.InsufficientPrivilege), at.savepoint(), as_role(at, role):
                found = {row["jobid"]: row for row in at.rows(query, **values)} | found
    return [found[jobid] for jobid in sorted(found)]


def jobs(session: Session) -> list[Job]:
    """All jobs of this database that we can see."""
    return [Job(**row) for row in seen(session, JOBS, database=session.facts.database)]


def hidden(session: Session) -> int:
    """How many jobs, of whichever database, row security hides from us: about, as statistics lag behind."""
    known = seen(session, EVERY_JOB)
    with session.at_cron() as at:
        return max(0, at.row(ABOUT_JOBS)["jobs"] - len(known))


def explain_hidden(session: Session) -> list[str]:
    """One line saying that jobs of other roles cannot be seen, and which statement shows them; empty where all can be seen."""
    if not present(session):
        return []
    with session.at_cron() as at:
        found = at.rows(SIGHT)
        if not found or not found[0]["limited"]:
            return []
        owner, me = printable(found[0]["owner"], 63), sql.Identifier(at.facts.role).as_string()
        lacked = privileges.lacked(at, [Need("SCHEMA", "cron", "USAGE"), Need("TABLE", "cron.job", "SELECT")])
        grants = [need.grant(at) for need in lacked]
        there = "" if at is session else f" in database {at.facts.database}"
    said = "jobs of other roles cannot be seen"
    if found[0]["superuser"] and (service := roles.service(session)):
        return [f"{said}; nobody on {service} can change that, as cron.job belongs to its superuser {owner}"]
    policy = f"CREATE POLICY scout_sees_jobs ON cron.job FOR SELECT TO {me} USING (true)"
    return [f"{said}: as {owner}{there}, run {'; '.join([*grants, policy])};"]


def etl_owner(session: Session) -> str:
    """The role whose scheduler sessions usually load silver, else the owner of the ETL; its time zone decides what a naive
    time means."""
    load = contract.bare(contract.names().load_function)
    if present(session) and (found := [job for job in jobs(session) if calls(job.command, [load])]):
        return found[0].owner
    owners = session.rows(ETL_OWNER, schema=contract.names().schema, name=load)
    return owners[0]["owner"] if owners else session.facts.role


def alter(session: Session, job: Job, *, active: bool, schedule: str) -> None:
    """Sets a job's activity and schedule through cron.alter_job, as its owner; needs no superuser. Raises a
    RecoveryError that names the job."""
    with (
        session.at_cron(writing=True) as at,
        attempting(f"could not alter job {job.jobname}", on=at.where),
        as_role(at, job.owner),
    ):
        at.execute(ALTER, jobid=job.jobid, active=active, schedule=schedule)


def missing_grants(session: Session, owner: str) -> list[str]:
    """The GRANTs that are missing to see and alter the jobs of this owner; of one whom nobody may be made a member of, the
    command that gives the pipeline another; and where nobody can grant it, or pg_cron cannot do it, what is to be done instead."""
    with session.at_cron() as at:
        if at.facts.superuser:
            return []
        found = at.rows(GRANTS, owner=owner, privilege=_becoming(at))
        if not found:
            return []
        row = found[0]
        enters, executes = (
            Need("SCHEMA", "cron", "USAGE", owner),
            Need("FUNCTION", str(row["alter_job"]), "EXECUTE", owner),
        )
        lacked = privileges.lacked(at, [enters, executes])
    if not row["member"] and roles.mighty(session, [owner]):
        if at is not session:
            made = f"cron.schedule_in_database(…, '{session.facts.database}')"
            return [f"have the owner of the tables make the jobs of {owner} anew with {made}, or operate as {owner}"]
        return [roles.owner_of_its_own(session)]
    if row["alter_job"] is None:
        return ["ALTER EXTENSION pg_cron UPDATE, as its owner: it has no cron.alter_job yet"]
    if executes in lacked and not row["grantable"] and (service := roles.service(session)):
        asked = f"ask the support of {service} for EXECUTE ON FUNCTION cron.alter_job, which nobody there may grant"
        return [f"{asked}: until then only {owner} himself stops a job, with cron.unschedule"]
    becomes = [] if row["member"] else [acting.may_become(at, owner)]
    return [*becomes, *(need.grant(at) for need in lacked)]


def require_grants(session: Session, of: Iterable[Job]) -> None:
    """Raises MissingPrivilege, before anything is written, where a job could not be altered; names each missing
    GRANT."""
    for owner in sorted({job.owner for job in of}):
        if grants := missing_grants(session, owner):
            raise MissingPrivilege(
                f"cannot alter the jobs of {owner}",
                on=session.where,
                said=f"role {session.facts.role} lacks a privilege",
                next_step="; ".join(grants),
            )


class Judged(t.NamedTuple):
    """The functions that decide about jobs, and whether one writes silver or gold: by a statement of its own or by a function it calls."""

    known: functions.Functions
    writes: Callable[[Job], bool]


def judged(session: Session, of: Iterable[Job]) -> Judged:
    """What decides about these jobs. Whatever keeps that from being told, now or of one of them, raises WrongDatabase, whose next step
    is to name the jobs."""
    jobs_of = sorted({job.owner for job in of})
    with _telling(session), session.savepoint():
        found = functions.read(session, jobs_of)
        chosen = {role: found.writing(role) for role in jobs_of}

    def writes(job: Job) -> bool:
        with _telling(session, f"the command of job {job.jobname[:80]}: "):
            plain = lexer.may_run(job.command)
            return statements.writes(plain, found.views) or chosen[job.owner].called_by(plain)

    return Judged(found, writes)


def comes_to(job: Job, known: functions.Functions, names: Iterable[str]) -> bool:
    """Whether a job calls one of these functions of the pipeline (bare names), itself or, as far as that can be told, through another."""
    try:
        return bool(calls(job.command, names)) or known.reaching(job.owner, names).called_by(lexer.runs(job.command))
    except lexer.Intricate:
        return False


def removers(session: Session) -> list[Job]:
    """The active jobs, of anybody whose jobs we see, that may take events out of bronze or change them: by text, which proves nothing."""
    active = [job for job in jobs(session) if job.active]
    owners = sorted({job.owner for job in active})
    with _telling(session), session.savepoint():
        found = functions.read(session, owners)
        chosen = {role: found.removing(role) for role in owners}
        texts = {job.jobid: lexer.may_run(job.command) for job in active}
    return [
        job
        for job in active
        if statements.removes(texts[job.jobid], found.views) or chosen[job.owner].called_by(texts[job.jobid])
    ]


def strangers(session: Session, job: Job) -> list[tuple[str, str]]:
    """Functions that a job may call and that do not count, with their owners: those of roles that are not the pipeline's."""
    with _telling(session), session.savepoint():
        plain = lexer.may_run(job.command)
        return functions.read(session, [job.owner]).strangers(session, plain)


@contextlib.contextmanager
def _telling(session: Session, what: str = "") -> Generator[None]:
    """What others wrote, or what PostgreSQL says of it, keeps nobody from pausing the jobs that he names."""
    try:
        yield
    except (lexer.Intricate, psycopg.Error) as e:
        if isinstance(e, psycopg.OperationalError) and session.connection.closed:
            raise
        raise WrongDatabase(
            "could not tell which jobs are ingestion",
            on=session.where,
            said=f"{what}{first_line(str(e))}",
            next_step=NAME_THEM,
        ) from e


def ingestion_jobs(session: Session, names: list[str] | None = None, *, required: bool = True) -> list[Job]:
    """The jobs that count as ingestion: those named, else those that write silver or gold. Raises where a name is
    unknown or none is found: WrongDatabase for a superuser, who sees all jobs, else MissingPrivilege; a superuser
    need not have any."""
    all_jobs = jobs(session)
    if names:
        unknown = sorted(set(names) - {job.jobname for job in all_jobs})
        if unknown:
            raise _no_job(session, f"no job is named {', '.join(repr(name)[:80] for name in unknown)}", all_jobs)
        return [job for job in all_jobs if job.jobname in names]
    # Those that have the names of Scout's need not be judged; where one other cannot be, all have to be named.
    others = [job for job in all_jobs if job.jobname not in contract.names().purposes]
    writes = judged(session, others).writes if others else None
    chosen = [job for job in all_jobs if job not in others or (writes is not None and writes(job))]
    if not chosen and (required or not session.facts.superuser):
        raise _no_job(session, "no job that writes silver or gold is visible", all_jobs)
    return chosen


def _no_job(session: Session, said: str, all_jobs: list[Job]) -> MissingPrivilege | WrongDatabase:
    seen = ", ".join(job.jobname for job in all_jobs) or "none"
    if session.facts.superuser:
        return WrongDatabase(
            "could not tell which jobs are ingestion",
            on=session.where,
            said=f"{said} (jobs: {seen})",
            next_step=f"{NAME_THEM}; or schedule the ETL",
        )
    found = session.rows(ETL_OWNER, schema=contract.names().schema, name=contract.bare(contract.names().load_function))
    grants = missing_grants(session, found[0]["owner"]) if found else []
    return MissingPrivilege(
        "could not tell which jobs are ingestion",
        on=session.where,
        said=f"{said} to role {session.facts.role} (jobs it sees: {seen}); pg_cron shows a role only its own jobs",
        next_step="; ".join(grants)
        or f"name jobs that exist; or {roles.who_runs(session)} {roles.operator_of_its_own(session)}, with -v owner=",
    )

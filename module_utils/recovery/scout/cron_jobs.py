# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_cron's jobs of this database, seen and altered as their owner, and which of them are ingestion."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import typing as t

from ..core.errors import MissingPrivilege, WrongDatabase
from ..postgres.driver import errors, psycopg, sql
from ..postgres.failures import attempting
from . import contract

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from ..postgres.session import Session

#: A schedule that never comes: lets a run in flight end while no new one can start.
NEVER: t.Final = "0 0 30 2 *"

#: From the catalog, because to_regclass fails on a schema one may not use.
HAS_CRON = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'cron' AND c.relname = 'job') AS there
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
SELECT jobid, jobname::text AS jobname, schedule, command, active, username::text AS owner
FROM cron.job WHERE database = current_database() ORDER BY jobid
"""

POLICIES = "SELECT current_setting('row_security') AS mode"
SET_POLICIES = "SELECT set_config('row_security', %(mode)s, true)"

ALTER = """
SELECT cron.alter_job(job_id => %(jobid)s, schedule => %(schedule)s, active => %(active)s)
"""

#: What it takes to alter an owner's jobs: to become the owner, who may enter the schema and execute the function.
GRANTS = """
SELECT pg_catalog.pg_has_role(session_user, r.oid, %(privilege)s) AS member,
       pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE') AS usage,
       pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE') AS execute,
       p.oid::regprocedure::text AS alter_job
FROM pg_catalog.pg_roles AS r
CROSS JOIN pg_catalog.pg_namespace AS n
JOIN pg_catalog.pg_proc AS p ON p.pronamespace = n.oid AND p.proname = 'alter_job'
WHERE r.rolname = %(owner)s AND n.nspname = 'cron'
"""

#: Who owns the ETL very likely owns the jobs that one cannot see.
ETL_OWNER = """
SELECT pg_catalog.pg_get_userbyid(p.proowner)::text AS owner
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s LIMIT 1
"""

#: Sources of the database's own functions, for telling which of them write silver or gold.
FUNCTIONS = """
SELECT p.proname::text AS name, coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) AS source
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('c', 'internal') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'cron', 'scout_ops')
"""

#: What a statement says besides code; a comment may hold one more, and the text may have been cut anywhere.
TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*(?:/\*.*?\*/|.)*?(?:\*/|\Z))
    |(?P<literal>(?<!\w)[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z))
    |(?P<name>"[^"]*(?:"|\Z))
    |(?<!\w)\$(?P<tag>[^\W\d]\w*|)\$(?P<body>.*?)(?:\$(?P=tag)\$|\Z)""",
    re.DOTALL | re.VERBOSE,
)
DEFINITION = re.compile(r"\s*(?:create|alter|drop|comment|grant|revoke|explain)\b(?!.*\banaly[sz]e\b)", re.IGNORECASE)
#: Up to the name of what a statement writes.
WRITES: t.Final = (
    r"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|copy"
    r"|refresh\s+materialized\s+view(?:\s+concurrently)?)\s+(?:only\s+)?"
    r"(?:\"?\w+\"?\s*\.\s*)?\"?"
)


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

    def as_dict(self) -> dict[str, t.Any]:
        """For results and the ledger."""
        return dataclasses.asdict(self)


@contextlib.contextmanager
def as_role(session: Session, role: str) -> Generator[None]:
    """Part of a transaction as another role; a superuser, who sees and may alter all jobs, stays as he is."""
    if session.facts.superuser or role == session.facts.role:
        yield
        return
    session.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
    try:
        yield
    finally:
        if session.connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
            session.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(session.facts.role)))


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
    """Whether pg_cron's tables are in this database."""
    return bool(session.row(HAS_CRON)["there"])


def require(session: Session) -> None:
    """Raises WrongDatabase in a database without pg_cron: nothing can be paused there, and saying otherwise would be
    a lie."""
    if not present(session):
        raise WrongDatabase(
            "refused: pg_cron is not installed in this database, so nothing here can be paused or resumed",
            on=session.where,
            said="cron.job does not exist",
            next_step="connect to the database of cron.database_name, or CREATE EXTENSION pg_cron there",
        )


def jobs(session: Session) -> list[Job]:
    """All jobs of this database that we can see, as ourselves or as a role we may become."""
    found: dict[int, Job] = {}
    with policies(session):
        for role in identities(session):
            with contextlib.suppress(errors.InsufficientPrivilege), session.savepoint(), as_role(session, role):
                for row in session.rows(JOBS):
                    row["jobname"] = row["jobname"] or f"job {row['jobid']}"
                    found.setdefault(row["jobid"], Job(**row))
    return [found[jobid] for jobid in sorted(found)]


def etl_owner(session: Session) -> str:
    """The role whose scheduler sessions usually load silver; their time zone decides what a naive time means."""
    if not present(session):
        return session.facts.role
    found = [job for job in jobs(session) if calls(job.command, [contract.bare(contract.names().load_function)])]
    return found[0].owner if found else session.facts.role


def alter(session: Session, job: Job, *, active: bool, schedule: str) -> None:
    """Sets a job's activity and schedule through cron.alter_job, as its owner; needs no superuser. Raises a
    RecoveryError that names the job."""
    with attempting(f"could not alter job {job.jobname}", on=session.where), as_role(session, job.owner):
        session.execute(ALTER, jobid=job.jobid, active=active, schedule=schedule)


def missing_grants(session: Session, owner: str) -> list[str]:
    """The GRANTs that are missing to see and alter the jobs of this owner."""
    if session.facts.superuser:
        return []
    found = session.rows(GRANTS, owner=owner, privilege=_becoming(session))
    if not found:
        return []
    role, me = sql.Identifier(owner).as_string(), sql.Identifier(session.facts.role).as_string()
    # Becoming the owner is enough; inheriting all that he may do would be too much.
    least = " WITH INHERIT FALSE, SET TRUE" if session.facts.server_version >= 160000 else ""
    grants = {
        f"GRANT {role} TO {me}{least}": found[0]["member"],
        f"GRANT USAGE ON SCHEMA cron TO {role}": found[0]["usage"],
        f"GRANT EXECUTE ON FUNCTION {found[0]['alter_job']} TO {role}": found[0]["execute"],
    }
    return [grant for grant, there in grants.items() if not there]


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


def _code(text: str, *, literals: bool) -> str:
    """A statement without its comments, and without its literals unless they are wanted."""

    def plain(found: re.Match[str]) -> str:
        if found["comment"]:
            return " "
        if found["name"]:
            return found[0]
        if found["literal"]:
            return found[0] if literals else "''"
        return f" {_code(found['body'], literals=True)} " if literals else "''"

    return TOKEN.sub(plain, text)


def calls(text: str, functions: Iterable[str]) -> str | None:
    """The first of these functions that a statement calls; mentions in literals, comments and definitions do not count."""
    code = _code(text, literals=False)
    if DEFINITION.match(code):
        return None
    for name in functions:
        if re.search(rf"\b{re.escape(name)}\b\"?\s*\(", code, re.IGNORECASE):
            return name
    return None


@functools.lru_cache(maxsize=8)
def _write(names: contract.Contract) -> re.Pattern[str]:
    """A statement that writes silver or gold."""
    tables = (rf"{re.escape(contract.bare(name))}\b" for name in (names.transactions, names.line_items))
    prefixes = (re.escape(prefix) for prefix in (names.silver_prefix, names.gold_prefix))
    return re.compile(f"{WRITES}(?:{'|'.join((*prefixes, *tables))})", re.IGNORECASE)


def writers(sources: dict[str, str]) -> set[str]:
    """The functions that write silver or gold, themselves or through another (name -> source, all overloads joined)."""
    code = {name: _code(source, literals=True) for name, source in sources.items()}
    names = contract.names()
    write = _write(names)
    found = {*names.etl_functions, *names.gold_functions} | {n for n, body in code.items() if write.search(body)}
    while True:
        called = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(found)))})\b\"?\s*\(", re.IGNORECASE)
        more = {name for name, body in code.items() if name not in found and called.search(body)}
        if not more:
            return found
        found |= more


def writes_silver_or_gold(command: str, writing_functions: Iterable[str]) -> bool:
    """Whether a job's command writes silver or gold: by a statement of its own or by a function it calls."""
    code = _code(command, literals=True)
    return bool(_write(contract.names()).search(code)) or any(
        re.search(rf"\b{re.escape(name)}\b\"?\s*\(", code, re.IGNORECASE) for name in writing_functions
    )


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
    sources: dict[str, str] = {}
    for row in session.rows(FUNCTIONS):
        sources[row["name"]] = sources.get(row["name"], "") + "\n" + (row["source"] or "")
    writing = writers(sources)
    chosen = [
        job
        for job in all_jobs
        if job.jobname in contract.names().purposes or writes_silver_or_gold(job.command, writing)
    ]
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
            next_step="name the jobs with -e '{\"ingestion_jobs\": [...]}', or schedule the ETL",
        )
    found = session.rows(ETL_OWNER, schema=contract.names().schema, name=contract.bare(contract.names().load_function))
    grants = missing_grants(session, found[0]["owner"]) if found else []
    me = sql.Identifier(session.facts.role).as_string()
    return MissingPrivilege(
        "could not tell which jobs are ingestion",
        on=session.where,
        said=f"{said} to role {session.facts.role} (jobs it sees: {seen}); pg_cron shows a role only its own jobs",
        next_step="; ".join(grants) or f"name jobs that exist, or GRANT <the owner of the jobs> TO {me}",
    )

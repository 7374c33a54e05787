# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the pipeline's own jobs can do their work: their role may log in and call, the function's definer may write.

What this toolkit does with its own hands shows nothing of it: its role is another.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...postgres import privileges
from ...postgres.driver import sql
from ...postgres.privileges import Need
from ...scout import contract, cron_jobs, gold_views
from ...scout.judging import roles
from . import reading

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...postgres.session import Row, Session
    from ...scout.cron_jobs import Job

ROLE: t.LiteralString = f"""
SELECT r.rolcanlogin AS logs_in, r.rolconnlimit AS most, r.rolsuper AS superuser, d.datallowconn AS open, d.datconnlimit AS room,
       {reading.TAKEN} AS taken
FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.pg_database AS d
WHERE r.rolname = %(role)s AND d.datname = current_database()
"""  # noqa: S608  # made of literals alone

FUNCTIONS = """
SELECT p.proname::text AS name, pg_catalog.oidvectortypes(p.proargtypes) AS arguments, p.prosecdef AS definer,
       pg_catalog.pg_get_userbyid(p.proowner)::text AS owner
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s
ORDER BY p.pronargs
"""

#: Views that a role may not refresh.
VIEWS: t.LiteralString = f"""
SELECT c.relname::text AS name, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS r ON r.rolname = %(role)s
WHERE n.nspname = %(schema)s AND c.relkind = 'm' AND pg_catalog.starts_with(c.relname, %(prefix)s)
  AND NOT {gold_views.MAY_REFRESH.format(who="r.oid")}
  AND {gold_views.OF_PIPELINE}
ORDER BY 1
"""  # noqa: S608  # made of literals alone

#: Less than this and no run of the pipeline can end; milliseconds. 0 is no limit.
SHORTEST_MS: t.Final = 1000.0
UNITS: t.Final = {"": 1.0, "us": 0.001, "ms": 1.0, "s": 1000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}
DURATION: t.Final = re.compile(r"'?\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*+(?P<unit>us|ms|s|min|h|d|)\s*'?")

#: Privileges on tables, by their keys in the contract, that a function's work takes. An upsert reads what it updates.
WORK: t.Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "load_function": (
        ("bronze", "SELECT"), ("bronze", "UPDATE"), ("etl_ledger", "SELECT"), ("etl_ledger", "INSERT"),
        ("transactions", "INSERT"), ("transactions", "UPDATE"), ("line_items", "INSERT"), ("line_items", "UPDATE"),
    ),
    "link_function": (("line_items", "SELECT"), ("line_items", "UPDATE"), ("products", "SELECT")),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """What keeps a job from its work, and the statement that changes it."""

    job: str
    problem: str
    statement: str

    def as_dict(self) -> dict[str, str]:
        """For results."""
        return dataclasses.asdict(self)


def read(session: Session, jobs: Iterable[Job]) -> list[Obstacle]:
    """What keeps the jobs of the pipeline that do its work from doing it; reads the catalog only, inside the caller's
    transaction."""
    found: list[Obstacle] = []
    known: dict[str, Row | None] = {}
    asked: set[tuple[str, str]] = set()
    for job in jobs:
        obstacles: list[tuple[str, str]] = []
        if job.owner not in known:
            row = known[job.owner] = next(iter(session.rows(ROLE, role=job.owner)), None)
            obstacles += _of_owner(session, row, job.owner)
        row = known[job.owner]
        if row is not None and not row["superuser"]:
            calls = [key for key in _calls(job.command) if (job.owner, key) not in asked]
            asked |= {(job.owner, key) for key in calls}
            obstacles += (each for key in calls for each in _of_function(session, key, job.owner))
        for problem, statement in obstacles:
            if all((problem, statement) != (other.problem, other.statement) for other in found):
                found.append(Obstacle(job.jobname, problem, statement))
    return found


def _of_owner(session: Session, row: Row | None, owner: str) -> Iterator[tuple[str, str]]:
    if row is None:
        yield f"its role {owner} does not exist", f"CREATE ROLE {sql.Identifier(owner).as_string()} LOGIN"
        return
    yield from _of_role(session, row, owner)
    yield from _of_settings(session, owner)


def _of_role(session: Session, row: Row, owner: str) -> Iterator[tuple[str, str]]:
    role, database = (sql.Identifier(name).as_string() for name in (owner, session.facts.database))
    if not row["logs_in"]:
        yield f"its role {owner} may not log in", f"ALTER ROLE {role} LOGIN"
    if 0 <= row["most"] <= row["taken"] and not row["superuser"]:
        problem = f"its role {owner} has CONNECTION LIMIT {row['most']}{reading.others(row['taken'])}"
        yield problem, f"ALTER ROLE {role} CONNECTION LIMIT -1"
    if not row["open"]:
        yield "the database allows no connections", f"ALTER DATABASE {database} ALLOW_CONNECTIONS true"
    if row["room"] == 0 and not row["superuser"]:
        yield "the database has CONNECTION LIMIT 0", f"ALTER DATABASE {database} CONNECTION LIMIT -1"
    names = contract.names()
    connects = Need("DATABASE", database, "CONNECT", owner)
    enters = Need("SCHEMA", sql.Identifier(names.schema).as_string(), "USAGE", owner)
    problems = {connects: "connect", enters: f"use schema {names.schema}"}
    for need in privileges.lacked(session, problems):
        yield f"its role {owner} may not {problems[need]}", need.grant(session)


def _of_settings(session: Session, owner: str) -> Iterator[tuple[str, str]]:
    """Settings under which no run can end."""
    known: set[str] = set()
    role, database = (sql.Identifier(name).as_string() for name in (owner, session.facts.database))
    for row in reversed(session.rows(reading.SETTINGS, owner=owner)):
        name, value = row["name"], row["value"]
        if name in known:
            continue
        known.add(name)
        whose = f"ROLE {role}" + (f" IN DATABASE {database}" if row["of_database"] else "")
        whose = whose if row["of_role"] else f"DATABASE {database}"
        if name in ("statement_timeout", "transaction_timeout") and 0 < milliseconds(value) < SHORTEST_MS:
            yield f"{name} is {value} for {whose}, too short for any run", f"ALTER {whose} RESET {name}"
        if name == "default_transaction_read_only" and value.lower() in ("on", "true", "yes", "1"):
            yield f"{name} is {value} for {whose}", f"ALTER {whose} RESET {name}"


def milliseconds(value: str) -> float:
    """A duration as PostgreSQL takes it; 0 where it cannot be read."""
    found = DURATION.fullmatch(value.strip())
    return float(found["number"]) * UNITS[found["unit"]] if found else 0.0


def _calls(command: str) -> Iterator[str]:
    """The keys of the functions that a job's command calls, and of what these call."""
    names = contract.names()
    for key in ("load_function", "link_function", "maybe_refresh_function", "refresh_function"):
        if cron_jobs.calls(command, [contract.bare(names[key])]):
            yield key
            if key == "maybe_refresh_function":
                yield "refresh_function"


def _of_function(session: Session, key: str, owner: str) -> Iterator[tuple[str, str]]:
    """What keeps a role from calling a function, and the function from doing its work."""
    names = contract.names()
    bare, schema = contract.bare(names[key]), names.schema
    rows = session.rows(FUNCTIONS, schema=schema, name=bare)
    if not rows:
        return
    row = next((row for row in rows if f"{bare}({row['arguments']})" in names.signatures), rows[0])
    function = f"{sql.Identifier(schema, bare).as_string()}({row['arguments']})"
    acting = row["owner"] if row["definer"] else owner
    who = f"{schema}.{bare} runs as its owner {acting}, who" if row["definer"] else f"its role {owner}"
    problems = {Need("FUNCTION", function, "EXECUTE", owner): f"its role {owner} may not execute {schema}.{bare}"}
    if acting != owner:
        problems[Need("SCHEMA", schema, "USAGE", acting)] = f"{who} may not use schema {schema}"
    for table, privilege in WORK.get(key, ()):
        # A privilege on one column will do where a table has more than the pipeline writes.
        need = Need("ANY COLUMN", sql.Identifier(*names[table].split(".")).as_string(), privilege, acting)
        problems[need] = f"{who} may not {privilege} {names[table]}"
    for need in privileges.lacked(session, problems):
        yield problems[need], need.grant(session)
    if key not in WORK:
        yield from _of_views(session, acting, who)


def _of_views(session: Session, acting: str, who: str) -> Iterator[tuple[str, str]]:
    names = contract.names()
    for row in session.rows(VIEWS, prefix=names.gold_prefix, role=acting, **roles.owned()):
        view = sql.Identifier(names.schema, row["name"]).as_string()
        yield (
            f"{who} may not refresh {names.schema}.{row['name']}, which {row['owner']} owns",
            f"ALTER MATERIALIZED VIEW {view} OWNER TO {sql.Identifier(acting).as_string()}",
        )

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the pipeline's own jobs can do their work: their role may log in and call, the function's definer may write.

What this toolkit does with its own hands shows nothing of it: its role is another.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres import privileges
from ...postgres.driver import sql
from ...postgres.privileges import Need
from ...scout import contract, cron_jobs, gold_views
from ...scout.judging import roles
from . import reading

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...postgres.session import Session
    from ...scout.cron_jobs import Job
    from .reading import Owner

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
    owners: dict[str, Owner] = {}
    asked: set[tuple[str, str]] = set()
    for job in jobs:
        obstacles: list[tuple[str, str]] = []
        if job.owner not in owners:
            owners[job.owner] = reading.owner(session, job.owner)
            obstacles += _of_owner(owners[job.owner])
        owner = owners[job.owner]
        if not owner.superuser:
            calls = [key for key in _calls(job.command) if (job.owner, key) not in asked]
            asked |= {(job.owner, key) for key in calls}
            obstacles += (each for key in calls for each in _of_function(session, key, owner))
        for problem, statement in obstacles:
            if all((problem, statement) != (other.problem, other.statement) for other in found):
                found.append(Obstacle(job.jobname, problem, statement))
    return found


def _of_owner(owner: Owner) -> Iterator[tuple[str, str]]:
    """What keeps any job of this role from its work, and settings under which no run can end."""
    for of_role, problem, statement in owner.obstacles:
        yield f"its role {owner.name} {problem}" if of_role else f"the database {problem}", statement
    if owner.entry:
        yield f"its role {owner.name} may not use schema {contract.names().schema}", owner.entry
    for setting in owner.hindering:
        short = "" if setting.name == reading.READ_ONLY else ", too short for any run"
        yield f"{setting.name} is {setting.value} for {setting.whose}{short}", setting.reset


def _calls(command: str) -> Iterator[str]:
    """The keys of the functions that a job's command calls, and of what these call."""
    names = contract.names()
    for key in ("load_function", "link_function", "maybe_refresh_function", "refresh_function"):
        if cron_jobs.calls(command, [contract.bare(names[key])]):
            yield key
            if key == "maybe_refresh_function":
                yield "refresh_function"


def _of_function(session: Session, key: str, owner: Owner) -> Iterator[tuple[str, str]]:
    """What keeps a role from calling a function, and the function from doing its work."""
    names = contract.names()
    bare, schema = contract.bare(names[key]), names.schema
    rows = [row for row in owner.functions if row["name"] == bare]
    if not rows:
        return
    row = next((row for row in rows if f"{bare}({row['arguments']})" in names.signatures), rows[0])
    acting = row["owner"] if row["definer"] else owner.name
    who = f"{schema}.{bare} runs as its owner {acting}, who" if row["definer"] else f"its role {owner.name}"
    if row["grant"]:
        yield f"its role {owner.name} may not execute {schema}.{bare}", row["grant"]
    problems: dict[Need, str] = {}
    if acting != owner.name:
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
    for row in session.rows(
        VIEWS, prefix=names.gold_prefix, role=acting, named=gold_views.named(session), **roles.owned()
    ):
        view = sql.Identifier(names.schema, row["name"]).as_string()
        yield (
            f"{who} may not refresh {names.schema}.{row['name']}, which {row['owner']} owns",
            f"ALTER MATERIALIZED VIEW {view} OWNER TO {sql.Identifier(acting).as_string()}",
        )

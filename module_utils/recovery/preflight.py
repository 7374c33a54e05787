# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks before the first step: what the role may not do, with the GRANT that mends it, and what else would surprise."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import typing as t
from pathlib import Path

from . import contract, gold, ledger, scheduler
from .errors import RecoveryError
from .pg import psycopg, sql

if t.TYPE_CHECKING:
    from .connection import Session

#: Table privileges each action needs. FOR UPDATE needs UPDATE, and the ETL ledger masks events within a batch.
TABLE_NEEDS: t.Final[tuple[tuple[str, str, str], ...]] = (
    (contract.BRONZE, "SELECT", "assess"),
    (contract.DEAD_LETTERS, "SELECT", "assess"),
    (contract.ETL_LEDGER, "SELECT", "assess"),
    (contract.TRANSACTIONS, "SELECT", "assess"),
    (contract.LINE_ITEMS, "SELECT", "assess"),
    (contract.BRONZE, "UPDATE", "drain"),
    (contract.BRONZE, "DELETE", "drain"),
    (contract.DEAD_LETTERS, "INSERT", "drain"),
    (contract.ETL_LEDGER, "INSERT", "drain"),
    (contract.ETL_LEDGER, "DELETE", "drain"),
)

ACTIONS: t.Final = ("assess", "pause", "clear", "drain", "refresh")

TABLES = """
SELECT need.relation, need.privilege, need.action
FROM unnest(%(relations)s::text[], %(privileges)s::text[], %(actions)s::text[]) AS need (relation, privilege, action)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(need.relation, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(need.relation, '.', 2)
WHERE NOT pg_catalog.has_table_privilege(c.oid, need.privilege)
"""

SCHEMAS = """
SELECT n.nspname::text AS name FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = ANY(%(names)s) AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1
"""

FUNCTIONS = """
SELECT p.oid::regprocedure::text AS name,
       pg_catalog.has_function_privilege(p.oid, 'EXECUTE') AS may,
       pg_catalog.pg_get_userbyid(p.proowner)::text AS owner
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = 'load_silver_from_bronze'
"""

ROLES = """
SELECT name FROM unnest(ARRAY['pg_read_all_stats', 'pg_signal_backend']) AS name
WHERE NOT pg_catalog.pg_has_role(name, 'USAGE')
"""

ALTER_JOB = """
SELECT pg_catalog.has_function_privilege(%(owner)s, p.oid, 'EXECUTE') AS may, p.oid::regprocedure::text AS name
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'cron' AND p.proname = 'alter_job'
"""

#: PostgreSQL 17 has a privilege for REFRESH; before, only the owner may.
MAINTAINABLE_17 = """
SELECT pg_catalog.has_table_privilege(%(oid)s::oid, 'MAINTAIN') AS may, pg_catalog.pg_get_userbyid(relowner)::text AS owner
FROM pg_catalog.pg_class WHERE oid = %(oid)s
"""
MAINTAINABLE = """
SELECT pg_catalog.pg_has_role(relowner, 'USAGE') AS may, pg_catalog.pg_get_userbyid(relowner)::text AS owner
FROM pg_catalog.pg_class WHERE oid = %(oid)s
"""


@dataclasses.dataclass(frozen=True)
class Missing:
    """A privilege the role lacks."""

    action: str
    what: str
    grant: str

    def as_dict(self) -> dict[str, str]:
        """For results."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Preflight:
    """What was found before the first step."""

    missing: tuple[Missing, ...]
    warnings: tuple[str, ...]


def read(session: Session, *, actions: list[str], ledger_mode: str) -> Preflight:
    """Everything these actions need that the role lacks, by name; reads only."""
    me = sql.Identifier(session.facts.role).as_string()
    missing: list[Missing] = []
    warnings = [text for text in (pooler_warning(session), bytecode_warning()) if text]
    with session.read():
        if not session.facts.superuser:
            missing += _objects(session, me)
            if not any(m.action == "assess" for m in missing):
                missing += _functions(session, me) + _gold(session, me)
            missing += _scheduler(session, me)
            missing += [
                Missing(
                    "assess" if row["name"] == "pg_read_all_stats" else "clear",
                    row["name"],
                    f"GRANT {row['name']} TO {me}",
                )
                for row in session.rows(ROLES)
            ]
        elif not scheduler.present(session):
            warnings.append("pg_cron is not in this database: nothing can be paused")
        if ledger_mode != "off":
            problem = ledger.problem(session)
            if problem and ledger_mode == "required":
                missing.append(Missing("pause", "the ledger scout_ops", problem.next_step))
            elif problem:
                warnings.append(f"no ledger: {problem.said}. {problem.next_step}")
    wanted = {"assess", *actions}
    return Preflight(tuple(m for m in missing if m.action in wanted), tuple(warnings))


def pooler_warning(session: Session) -> str | None:
    """Says that a proxy stands between us and the server."""
    if not session.facts.pooled:
        return None
    return "connected through a connection pooler: cancelling our own statements may not work; a direct connection is better"


def bytecode_warning() -> str | None:
    """Says that Python compiles everything anew at every start, which makes every playbook slower."""
    for name in ("ansible", "psycopg"):
        module = sys.modules.get(name)
        if module is not None and module.__file__ is not None:
            compiled = importlib.util.cache_from_source(module.__file__)
            if not Path(compiled).exists():
                return f"package {name} has no compiled bytecode, so every start is slow: make setup, or python -m compileall"
    return None


def _objects(session: Session, me: str) -> list[Missing]:
    missing = [
        Missing(
            "assess" if row["name"] == contract.SCHEMA else "pause",
            f"USAGE on schema {row['name']}",
            f"GRANT USAGE ON SCHEMA {row['name']} TO {me}",
        )
        for row in session.rows(SCHEMAS, names=[contract.SCHEMA, "cron"])
    ]
    relations, privileges, actions = zip(*TABLE_NEEDS, strict=True)
    for row in session.rows(TABLES, relations=list(relations), privileges=list(privileges), actions=list(actions)):
        what = f"{row['privilege']} on {row['relation']}"
        missing.append(Missing(row["action"], what, f"GRANT {row['privilege']} ON {row['relation']} TO {me}"))
    return missing


def _functions(session: Session, me: str) -> list[Missing]:
    return [
        Missing("drain", f"EXECUTE on {row['name']}", f"GRANT EXECUTE ON FUNCTION {row['name']} TO {me}")
        for row in session.rows(FUNCTIONS, schema=contract.SCHEMA)
        if not row["may"]
    ]


def _gold(session: Session, me: str) -> list[Missing]:
    missing: list[Missing] = []
    modern = session.facts.server_version >= 170000
    for view in gold.views(session):
        row = session.row(MAINTAINABLE_17, oid=view.oid) if modern else session.row(MAINTAINABLE, oid=view.oid)
        if not row["may"]:
            name = sql.Identifier(contract.SCHEMA, view.name).as_string()
            owner = sql.Identifier(row["owner"]).as_string()
            grant = f"GRANT MAINTAIN ON {name} TO {me}" if modern else f"GRANT {owner} TO {me}"
            missing.append(Missing("refresh", f"REFRESH of {view.full_name}", grant))
    return missing


def _scheduler(session: Session, me: str) -> list[Missing]:
    """Whether the ingestion jobs can be seen and altered as their owner."""
    if not scheduler.present(session):
        return []
    try:
        with session.savepoint():
            jobs = scheduler.ingestion_jobs(session)
    except (RecoveryError, psycopg.Error):
        owners = [row["owner"] for row in session.rows(FUNCTIONS, schema=contract.SCHEMA)] or ["loader"]
        owner = sql.Identifier(owners[0]).as_string()
        what = "sight of the ingestion jobs (pg_cron shows a role only its own)"
        return [Missing("pause", what, f"GRANT {owner} TO {me} (or whoever owns the jobs)")]
    missing: list[Missing] = []
    for owner in sorted({job.owner for job in jobs}):
        name = sql.Identifier(owner).as_string()
        missing += [
            Missing(
                "pause",
                f"EXECUTE on {row['name']} for {owner}",
                f"GRANT EXECUTE ON FUNCTION {row['name']} TO {name}",
            )
            for row in session.rows(ALTER_JOB, owner=owner)
            if not row["may"]
        ]
    return missing

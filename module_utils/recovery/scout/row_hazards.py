# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment has added to the pipeline's tables that changes, refuses or hides rows: cascades, triggers, rules, policies."""

from __future__ import annotations

import typing as t

from ..core.errors import MissingPrivilege, NotConverged
from ..postgres.driver import sql
from . import contract
from .judging import roles

if t.TYPE_CHECKING:
    from ..postgres.session import Row, Session

#: Foreign keys that would silently take rows along which no image is kept of.
CASCADES = """
SELECT c.conname AS name, c.conrelid::regclass::text AS table
FROM pg_catalog.pg_constraint AS c
WHERE c.contype = 'f' AND c.confdeltype IN ('c', 'n', 'd')
  AND c.confrelid = ANY(%(emptied)s::regclass[])
  AND c.conrelid <> %(lines)s::regclass AND c.conparentid = 0
"""

#: Triggers of PostgreSQL's own modules that take along what no image has: large objects, and rows of the tables that their arguments
#: name. Their functions are a superuser's, and whoever has TRIGGER may use them.
TAKING_ALONG = """
SELECT format('trigger %%I on %%s', g.tgname, g.tgrelid::regclass) AS what,
       format('ALTER TABLE %%s DISABLE TRIGGER %%I', g.tgrelid::regclass, g.tgname) AS fix
FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid
WHERE g.tgrelid = ANY(%(emptied)s::regclass[]) AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
  AND (p.prosrc = 'lo_manage' OR p.prosrc = 'check_foreign_key'
       AND (position('cascade'::bytea IN g.tgargs) > 0 OR position('setnull'::bytea IN g.tgargs) > 0))
ORDER BY 1
"""

#: Triggers with a function of PostgreSQL's own that only fails where it is called so, and every write with it; whoever has TRIGGER
#: may make one. Row, before, delete, update and truncate are bits 1, 2, 8, 16 and 32 of a trigger's type.
FAILING = """
SELECT format('trigger %%I on %%s', g.tgname, g.tgrelid::regclass) AS what,
       format('ALTER TABLE %%s DISABLE TRIGGER %%I', g.tgrelid::regclass, g.tgname) AS fix
FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid
JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(%(tables)s) AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
  AND p.pronamespace = 'pg_catalog'::regnamespace
  AND CASE WHEN p.proname = 'suppress_redundant_updates_trigger' THEN g.tgtype::int & 127 <> 1 + 2 + 16
           WHEN pg_catalog.starts_with(p.proname, 'tsvector_update_trigger') THEN g.tgtype::int & 3 <> 1 + 2 OR g.tgtype::int & 40 <> 0
           ELSE true END
ORDER BY 1
"""

#: Triggers of users that are not disabled; by name, for a table may be gone.
TRIGGERS = """
SELECT n.nspname || '.' || c.relname AS relation, g.tgname::text AS name, fn.nspname || '.' || p.proname AS function,
       format('trigger %%I on %%I.%%I', g.tgname, n.nspname, c.relname) AS what
FROM pg_catalog.pg_trigger AS g
JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_proc AS p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace AS fn ON fn.oid = p.pronamespace
WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND n.nspname || '.' || c.relname = ANY(%(tables)s)
ORDER BY 1, 2
"""

#: What else stands on them: rules, and policies that bind even the owner.
ELSE = """
SELECT 1 AS nth, format('rule %%I on %%s', r.rulename, r.ev_class::regclass) AS what
FROM pg_catalog.pg_rewrite AS r WHERE r.ev_enabled <> 'D' AND r.ev_class = ANY(%(tables)s::regclass[])
UNION ALL
SELECT 2, format('row-level security hides rows of %%s from its owner', c.oid::regclass)
FROM pg_catalog.pg_class AS c WHERE c.relrowsecurity AND c.relforcerowsecurity AND c.oid = ANY(%(tables)s::regclass[])
ORDER BY 1, 2
"""

#: A policy that shows everything hides nothing, unless another one restricts it.
HIDDEN: t.LiteralString = f"""
SELECT need.name FROM unnest(%(names)s::text[]) WITH ORDINALITY AS need (name, position)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(need.name, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(need.name, '.', 2)
CROSS JOIN LATERAL (
    SELECT bool_or(p.polpermissive AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true') AS shows,
           bool_or(NOT p.polpermissive) AS restricts
    FROM pg_catalog.pg_policy AS p
    WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')
      AND EXISTS (SELECT FROM unnest(p.polroles) AS r (oid) WHERE r.oid = 0 OR pg_catalog.pg_has_role(r.oid, 'USAGE'))
) AS policies
WHERE c.relrowsecurity AND pg_catalog.row_security_active(c.oid) AND c.relowner NOT IN ({roles.STRANGERS})
  AND (%(writing)s OR policies.shows IS NOT TRUE OR policies.restricts)
ORDER BY need.position
"""  # noqa: S608  # made of literals alone


#: Whether we have what its owner has.
BINDS_ITS_OWNER = """
SELECT FROM pg_catalog.pg_class AS c
WHERE c.oid = to_regclass(%(table)s) AND c.relforcerowsecurity AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
"""
FREED: t.Final = "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY"


def triggers(session: Session) -> list[Row]:
    """Triggers that somebody put on the pipeline's own tables: `relation`, `name`, `function`, and `what` in words; what they
    do after a statement its RETURNING does not tell. Inside a transaction."""
    return session.rows(TRIGGERS, tables=[*contract.names().required_tables])


def failing(session: Session) -> list[Row]:
    """Triggers on the pipeline's own tables by which every such write fails: `what` in words, and the `fix`. Inside a transaction."""
    return session.rows(FAILING, tables=[*contract.names().required_tables])


def on_tables(session: Session) -> list[str]:
    """What stands on the pipeline's tables and may change, refuse or hide their rows, in words; inside a transaction."""
    others = session.rows(ELSE, tables=[*contract.names().required_tables])
    return [row["what"] for row in (*triggers(session), *others)]


def refuse_cascades(session: Session) -> None:
    """Raises where deleting would silently change rows of other tables; inside a transaction."""
    names = contract.names()
    emptied = [names.bronze, names.etl_ledger, names.transactions, names.line_items]
    found = session.rows(CASCADES, emptied=emptied, lines=names.line_items)
    if found:
        what = ", ".join(f"{row['table']} ({row['name']})" for row in found)
        raise NotConverged(
            "refused to move anything",
            on=session.where,
            said=f"deleting would cascade into tables whose rows are not saved first: {what}",
            next_step="make these foreign keys NO ACTION, or move those rows first",
        )
    refuse_taking_along(session)


def refuse_taking_along(session: Session) -> None:
    """Raises where a trigger of PostgreSQL's own modules would take along, with a row that leaves, what no image has; inside a
    transaction that holds the tables against new triggers, or in one that only looks."""
    if found := session.rows(TAKING_ALONG, emptied=[*contract.names().required_tables]):
        raise NotConverged(
            "refused to move anything",
            on=session.where,
            said=f"large objects or rows that are not saved first would go along: {', '.join(row['what'] for row in found)}",
            next_step=f"the tables' owner runs {'; '.join(row['fix'] for row in found)}, then run the same command again",
        )


def hidden(session: Session, *, writing: bool) -> list[str]:
    """The tables of which the session's role may not see every row, or whose policies bind it where it is to write."""
    tables = [*contract.names().required_tables, contract.names().alerts]
    return [row["name"] for row in session.rows(HIDDEN, names=tables, writing=writing, **roles.owned())]


def grant_sight(session: Session, table: str) -> str:
    """What shows it all of them: where its policies bind even those who own it, that they no longer do."""
    if session.rows(BINDS_ITS_OWNER, table=table):
        return contract.compose(FREED, sql.Identifier(*table.split("."))).as_string()
    return f"ALTER ROLE {sql.Identifier(session.facts.role).as_string()} BYPASSRLS"


def require_sight(session: Session, *, writing: bool) -> None:
    """Raises MissingPrivilege where some of the rows may be hidden, by which something is to be said or done."""
    if tables := hidden(session, writing=writing):
        raise MissingPrivilege(
            f"refused to judge rows that a policy may hide from role {session.facts.role}",
            on=session.where,
            said=f"row security is on for {', '.join(tables)}",
            next_step=f"{'; '.join(dict.fromkeys(grant_sight(session, table) for table in tables))}, or work as the owner of these tables",
        )

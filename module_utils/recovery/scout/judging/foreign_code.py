# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Code of others on the pipeline's tables, which PostgreSQL would run with the rights of whoever writes a row there: ours.

Of triggers, rules, defaults, checks, indexes, policies and casts it is the owner of the function that counts. Who made a trigger
PostgreSQL does not keep, and for a trigger the privilege TRIGGER is enough. A cast of a column's type is found wherever it is, and
runs when a value is written as text, or read from it: as nothing but ours, or a superuser's, it is trusted.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import NotConverged
from ...core.text import count
from ...postgres.driver import sql
from .. import contract

if t.TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...postgres.session import Session

#: What a domain is made of, what an array holds, and what a row has, of the types in `typed`: the next step of that recursion.
INSIDE = """part.type FROM typed AS y JOIN pg_catalog.pg_type AS b ON b.oid = y.type CROSS JOIN LATERAL (
        SELECT CASE b.typtype WHEN 'd' THEN b.typbasetype ELSE b.typelem END AS type WHERE b.typtype = 'd' OR b.typcategory = 'A'
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = b.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS part"""

#: Whether a statement of ours could use the cast `k`: it makes texts and JSON of the types in `typed`, and these of texts, and one
#: of them of another. Whoever makes a type has one that nothing else has to do with, also in pg_temp.
USABLE = """NOT EXISTS (
    SELECT FROM pg_catalog.pg_type AS other WHERE other.oid IN (k.castsource, k.casttarget)
      AND other.typnamespace <> 'pg_catalog'::regnamespace AND other.oid NOT IN (SELECT type FROM typed))"""

#: Functions that a written row calls and that belong to nobody who is trusted with our rights: the table's owner, a superuser, and
#: our own role; what we may become is not what may become us. Partitions and children are written with their parent, and are
#: trusted as it is.
FOREIGN: t.LiteralString = f"""
WITH RECURSIVE written AS (
    SELECT c.oid, c.relowner AS owner
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY(%(tables)s)
    UNION SELECT h.inhrelid, w.owner FROM written AS w JOIN pg_catalog.pg_inherits AS h ON h.inhparent = w.oid
), parts AS (
    SELECT 'trigger' AS kind, g.tgname AS name, w.oid, w.owner, 'pg_catalog.pg_trigger'::regclass AS classid, g.oid AS objid
    FROM written AS w JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = w.oid
    WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
    UNION ALL
    SELECT 'rule', r.rulename, w.oid, w.owner, 'pg_catalog.pg_rewrite'::regclass, r.oid
    FROM written AS w JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = w.oid WHERE r.ev_enabled IN ('O', 'A')
    UNION ALL
    SELECT 'default', a.attname, w.oid, w.owner, 'pg_catalog.pg_attrdef'::regclass, d.oid
    FROM written AS w JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = w.oid
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = w.oid AND a.attnum = d.adnum
    UNION ALL
    SELECT 'constraint', k.conname, w.oid, w.owner, 'pg_catalog.pg_constraint'::regclass, k.oid
    FROM written AS w JOIN pg_catalog.pg_constraint AS k ON k.conrelid = w.oid
    UNION ALL
    SELECT 'constraint', k.conname, w.oid, w.owner, 'pg_catalog.pg_constraint'::regclass, k.oid
    FROM written AS w JOIN pg_catalog.pg_attribute AS a ON a.attrelid = w.oid AND a.attnum > 0
    JOIN pg_catalog.pg_constraint AS k ON k.contypid = a.atttypid
    UNION ALL
    SELECT 'index', c.relname, w.oid, w.owner, 'pg_catalog.pg_class'::regclass, c.oid
    FROM written AS w JOIN pg_catalog.pg_index AS i ON i.indrelid = w.oid JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    UNION ALL
    SELECT 'policy', p.polname, w.oid, w.owner, 'pg_catalog.pg_policy'::regclass, p.oid
    FROM written AS w JOIN pg_catalog.pg_policy AS p ON p.polrelid = w.oid JOIN pg_catalog.pg_class AS c ON c.oid = w.oid
    WHERE c.relrowsecurity
), typed AS (
    SELECT w.oid, w.owner, a.atttypid AS type FROM written AS w
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT y.oid, y.owner, {INSIDE}
), called AS (
    SELECT p.*, CASE d.refclassid WHEN 'pg_catalog.pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END AS function
    FROM parts AS p JOIN pg_catalog.pg_depend AS d ON d.classid = p.classid AND d.objid = p.objid
    LEFT JOIN pg_catalog.pg_operator AS o ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = d.refobjid
    WHERE d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
    UNION ALL
    SELECT 'cast', '(' || k.castsource::regtype || ' AS ' || k.casttarget::regtype || ')', y.oid, y.owner, 'pg_catalog.pg_cast'::regclass,
           k.oid, k.castfunc
    FROM typed AS y JOIN pg_catalog.pg_cast AS k ON y.type IN (k.castsource, k.casttarget) WHERE k.castfunc <> 0 AND {USABLE}
)
SELECT DISTINCT c.kind, c.name::text AS name, c.oid::regclass::text AS on_table, f.oid::regprocedure::text AS function,
       f.proowner::regrole::text AS owner, c.owner::regrole::text AS of_table, pg_catalog.quote_ident(c.name) AS quoted
FROM called AS c JOIN pg_catalog.pg_proc AS f ON f.oid = c.function
JOIN pg_catalog.pg_roles AS r ON r.oid = f.proowner
WHERE NOT r.rolsuper AND r.rolname <> current_user
  AND (c.kind = 'cast' OR f.proowner <> c.owner)
ORDER BY 3, 1, 2, 4 LIMIT 20
"""  # noqa: S608  # made of literals alone

#: The same for whoever reads rows as texts, which is done with our rights whoever owns the table: its columns' casts alone.
CASTS: t.LiteralString = f"""
WITH RECURSIVE typed AS (
    SELECT g.on_table, pg_catalog.to_regtype(g.type)::oid AS type
    FROM unnest(%(tables)s::text[], %(types)s::text[]) AS g (on_table, type)
    UNION SELECT y.on_table, {INSIDE}
)
SELECT DISTINCT 'cast' AS kind, '(' || k.castsource::regtype || ' AS ' || k.casttarget::regtype || ')' AS name,
       y.on_table, f.oid::regprocedure::text AS function, f.proowner::regrole::text AS owner, '' AS of_table, '' AS quoted
FROM typed AS y JOIN pg_catalog.pg_cast AS k ON y.type IN (k.castsource, k.casttarget)
JOIN pg_catalog.pg_proc AS f ON f.oid = k.castfunc JOIN pg_catalog.pg_roles AS r ON r.oid = f.proowner
WHERE NOT r.rolsuper AND r.rolname <> current_user AND {USABLE}
ORDER BY 3, 2 LIMIT 20
"""  # noqa: S608  # made of literals alone

#: What this role may lock against new triggers; before PostgreSQL 16 INSERT alone does not permit it.
LOCKABLE = """
SELECT need.name FROM unnest(%(tables)s::text[]) WITH ORDINALITY AS need (name, position)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(need.name, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(need.name, '.', 2) AND c.relkind IN ('r', 'p')
WHERE pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
ORDER BY need.position
"""
LOCK: t.Final[t.LiteralString] = "LOCK TABLE {tables} IN ROW EXCLUSIVE MODE"
NAMED: t.Final = 3


@dataclasses.dataclass(frozen=True)
class Found:
    """A function of somebody else that a written row calls; names as SQL writes them, but for `name`."""

    kind: str
    name: str
    on_table: str
    function: str
    owner: str
    of_table: str
    quoted: str

    def describe(self) -> str:
        """`trigger audit on sales calls app.audit(), which belongs to app`."""
        return f"{self.kind} {self.name} on {self.on_table} calls {self.function}, which belongs to {self.owner}"

    @property
    def fix(self) -> str:
        """What the table's owner or a superuser types, so that it does not run as us."""
        if self.kind in ("trigger", "rule"):
            return f"ALTER TABLE {self.on_table} DISABLE {self.kind.upper()} {self.quoted}"
        if self.kind == "cast":
            return f"DROP CAST {self.name}"
        return f"ALTER FUNCTION {self.function} OWNER TO {self.of_table}"


def read(session: Session, tables: Sequence[str] = ()) -> list[Found]:
    """Code of others on these tables, or on all whose rows a move writes; inside a transaction."""
    return [Found(**row) for row in session.rows(FOREIGN, tables=[*(tables or contract.names().required_tables)])]


def casts(session: Session, columns: Collection[tuple[str, str]]) -> list[Found]:
    """Casts of others that would run where values of these columns, each a table and a type, are read as texts, or made of them;
    inside a transaction."""
    tables, types = [table for table, _ in columns], [kind for _, kind in columns]
    return [Found(**row) for row in session.rows(CASTS, tables=tables, types=types)] if columns else []


def refuse_casts(session: Session, columns: Collection[tuple[str, str]]) -> None:
    """Raises NotConverged where reading values of these columns as texts, or making them of texts, would run code of others; inside a
    transaction."""
    if found := casts(session, columns):
        raise refused(session, "refused to read rows", found)


def lockable(session: Session, tables: Sequence[str] = ()) -> list[str]:
    """Those of them that this role may lock, by name."""
    return [row["name"] for row in session.rows(LOCKABLE, tables=[*(tables or contract.names().required_tables)])]


def refuse(session: Session, tables: Sequence[str] = ()) -> None:
    """Raises NotConverged where writing a row would run code of others; inside a transaction that holds what is `lockable`, for
    only then nobody adds a trigger until it ends, or in one that only looks."""
    if found := read(session, tables):
        raise refused(session, "refused to write rows", found)


def refused(session: Session, attempted: str, found: list[Found]) -> NotConverged:
    """The refusal of what would run code of others, which is named with what keeps each from it."""
    fixes = list(dict.fromkeys(one.fix for one in found))
    return NotConverged(
        f"{attempted}: code of others would run with the rights of role {session.facts.role}",
        on=session.where,
        said="; ".join(one.describe() for one in found[:NAMED])
        + (f"; and {count(len(found) - NAMED, 'more')}" if len(found) > NAMED else ""),
        next_step=f"read {'it' if len(found) == 1 else 'them'}, then the tables' owner or a superuser runs "
        f"{'; '.join(f'`{fix}`' for fix in fixes[:NAMED])}, then run the same command again",
        result={"foreign_code": [dataclasses.asdict(one) for one in found]},
    )


def shut_out(session: Session, tables: Sequence[str] = ()) -> None:
    """The same, having locked the tables against new triggers, rules and defaults until the READ COMMITTED transaction ends."""
    lock(session, tables)
    refuse(session, tables)


def lock(session: Session, tables: Sequence[str] = ()) -> None:
    """Keeps others from adding code to those that this role may lock, until the transaction ends."""
    if names := lockable(session, tables):
        listed = sql.SQL(", ").join(sql.Identifier(*name.split(".")) for name in names)
        session.connection.execute(sql.SQL(LOCK).format(tables=listed))

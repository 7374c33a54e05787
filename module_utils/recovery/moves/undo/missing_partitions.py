# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events that come back to a partitioned bronze whose partition for them was dropped meanwhile, as retention does."""

from __future__ import annotations

import typing as t

from ...core.errors import NotConverged
from ...core.text import count
from ...postgres.driver import sql
from ...scout import contract

if t.TYPE_CHECKING:
    from ...postgres.session import Row, Session

#: The columns by which bronze and its partitions are partitioned; unusable where one is an expression, or of somebody's own type.
KEYS: t.Final = """
SELECT coalesce(bool_and(p.partexprs IS NULL AND y.typnamespace = 'pg_catalog'::regnamespace), true) AS plain,
       coalesce(jsonb_object_agg(a.attname, pg_catalog.format_type(a.atttypid, NULL))
                FILTER (WHERE a.attname IS NOT NULL), '{{}}') AS columns,
       count(DISTINCT p.partrelid) > 1 AS nested
FROM pg_catalog.pg_partition_tree({bronze}::regclass) AS tree JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid = tree.relid
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY(p.partattrs)
LEFT JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
"""
#: Which rows each partition takes: a default one what no other beside it does, of what the one above it takes.
LEAVES: t.Final = """
SELECT n.nspname || '.' || c.relname AS name, pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' AS rest,
       coalesce(pg_catalog.pg_get_partition_constraintdef(c.oid), 'true') AS takes
FROM pg_catalog.pg_partition_tree({bronze}::regclass) AS tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE tree.isleaf AND tree.level > 0
"""
ROWS: t.Final = """
(SELECT {columns} FROM ({items}) AS i CROSS JOIN LATERAL jsonb_array_elements(i.removed -> 'events') AS r (image)) AS r
WHERE {first} IS NOT NULL AND NOT ({takes})
"""
UNPLACED: t.Final = "SELECT count(*) AS events, min({first}) AS first, max({first}) AS last FROM {rows}"
#: A name for a default partition: one that was detached may still have the usual one.
FREE: t.Final = """
SELECT %(table)s || made.suffix AS name FROM unnest(ARRAY['_default', '_rest', '_others']) WITH ORDINALITY AS made (suffix, nth)
ORDER BY to_regclass(%(table)s || made.suffix) IS NOT NULL, nth LIMIT 1
"""
INSIDE: t.Final = "make partitions for them, or a default one, of the partition that has none for them"
#: Where pg_partman's functions are.
PARTMAN: t.Final = """
SELECT e.extnamespace::regnamespace::text AS schema FROM pg_catalog.pg_extension AS e WHERE e.extname = 'pg_partman'
"""


def look(session: Session, items: sql.Composable, values: dict[str, t.Any], refused: str) -> list[str]:
    """What is to be said of events of these items that no partition but the default one takes; inside the caller's transaction.

    Raises NotConverged, `refused`, with the statement that makes a default one where there is none: a partition of their days is what
    retention drops again. Of a key that is an expression nobody knows, and PostgreSQL refuses what it has no partition for.
    """
    bronze = sql.Literal(contract.names().bronze)
    leaves = session.rows(sql.SQL(LEAVES).format(bronze=bronze))
    key = session.row(sql.SQL(KEYS).format(bronze=bronze))
    if not leaves or not key["plain"] or not key["columns"]:
        return []
    columns: dict[str, str] = key["columns"]
    told: list[str] = []
    kept = [leaf for leaf in leaves if not leaf["rest"]]
    lost = session.row(_of(UNPLACED, columns, kept, items), **values)
    for rest in (leaf for leaf in leaves if leaf["rest"]):
        if not lost["events"]:
            break
        kept.append(rest)
        left = session.row(_of(UNPLACED, columns, kept, items), **values)
        if moved := lost["events"] - left["events"]:
            came = f"from {lost['first']} to {lost['last']}"
            went = f"{count(moved, 'event')} {came} go to the default partition {rest['name']}: no other one is there for them"
            told.append(went + _of_partman(session))
        lost = left
    if not lost["events"]:
        return told
    events, table = count(lost["events"], "event"), contract.names().bronze
    made = f"CREATE TABLE {session.row(FREE, table=table)['name']} PARTITION OF {table} DEFAULT"
    raise NotConverged(
        refused,
        on=session.where,
        said=f"{table} has no partition for {events} from {lost['first']} to {lost['last']}: it was dropped since, as retention does",
        next_step=f"as the owner of {table}: {INSIDE if key['nested'] else made}; then run the same command again",
    )


def _of_partman(session: Session) -> str:
    """What would take them out of the default partition again."""
    found = session.rows(PARTMAN)
    called = f"{found[0]['schema']}.partition_data_proc" if found else ""
    return f"; {called} would move them to where retention drops them, or has detached them" if found else ""


def _of(query: t.LiteralString, columns: dict[str, str], kept: list[Row], items: sql.Composable) -> sql.Composed:
    """A query of what none of these partitions takes. What each takes PostgreSQL itself has written."""
    takes = [sql.SQL("coalesce({}, false)").format(sql.SQL(leaf["takes"])) for leaf in kept]
    made = [
        sql.SQL("(r.image ->> {})::{} AS {}").format(
            sql.Literal(name), sql.SQL(t.cast("t.LiteralString", kind)), sql.Identifier(name)
        )
        for name, kind in columns.items()
    ]
    first = next(iter(columns))
    rows = sql.SQL(ROWS).format(
        first=sql.Identifier(first),
        columns=sql.SQL(", ").join(made),
        items=items,
        takes=sql.SQL(" OR ").join(takes) if takes else sql.SQL("false"),
    )
    return sql.SQL(query).format(first=sql.Identifier(first), rows=rows)

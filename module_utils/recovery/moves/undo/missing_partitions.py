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
                FILTER (WHERE a.attname IS NOT NULL), '{{}}') AS columns
FROM pg_catalog.pg_partition_tree({bronze}::regclass) AS tree JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid = tree.relid
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = ANY(p.partattrs)
LEFT JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
"""
#: Which rows each partition takes; the default one takes what no other does.
LEAVES: t.Final = """
SELECT n.nspname || '.' || c.relname AS name, pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' AS rest,
       pg_catalog.pg_get_partition_constraintdef(c.oid) AS takes
FROM pg_catalog.pg_partition_tree({bronze}::regclass) AS tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE tree.isleaf AND tree.level > 0
"""
UNPLACED: t.Final = """
SELECT count(*) AS events, min({first}) AS first, max({first}) AS last
FROM (SELECT {columns} FROM ({items}) AS i CROSS JOIN LATERAL jsonb_array_elements(i.removed -> 'events') AS r (image)) AS r
WHERE {first} IS NOT NULL AND NOT ({takes})
"""
#: Types of which a day is a range.
TIMES: t.Final = ("timestamp with time zone", "timestamp without time zone", "date")
DAY: t.Final = """
SELECT pg_catalog.to_char(at, 'YYYYMMDD') AS name, at::date::text AS first, (pg_catalog.date_trunc('day', %(last)s::timestamp)
       + interval '1 day')::date::text AS last
FROM (SELECT pg_catalog.date_trunc('day', %(first)s::timestamp)) AS given (at)
"""


def look(session: Session, items: sql.Composable, values: dict[str, t.Any], refused: str) -> list[str]:
    """What is to be said of events of these items that no partition but the default one takes; inside the caller's transaction.

    Raises NotConverged, `refused`, with the statement that makes a partition for them, where there is no default one. Of a key that is an
    expression nobody knows, and PostgreSQL refuses what it has no partition for.
    """
    bronze = sql.Literal(contract.names().bronze)
    leaves = session.rows(sql.SQL(LEAVES).format(bronze=bronze))
    key = session.row(sql.SQL(KEYS).format(bronze=bronze))
    if not leaves or not key["plain"] or not key["columns"]:
        return []
    found = session.row(_unplaced(key["columns"], leaves, items), **values)
    if not found["events"]:
        return []
    rest = next((leaf["name"] for leaf in leaves if leaf["rest"]), None)
    events = count(found["events"], "event")
    came = f"from {found['first']} to {found['last']}"
    if rest is not None:
        return [f"{events} {came} go to the default partition {rest}: the partition they were in is gone"]
    raise NotConverged(
        refused,
        on=session.where,
        said=f"{contract.names().bronze} has no partition for {events} {came}: it was dropped since, as retention does",
        next_step=_made_by(session, key["columns"], found),
    )


def _unplaced(columns: dict[str, str], leaves: list[Row], items: sql.Composable) -> sql.Composed:
    """The query that counts what no partition takes. What each takes PostgreSQL itself has written."""
    takes = [sql.SQL("coalesce({}, false)").format(sql.SQL(leaf["takes"])) for leaf in leaves if not leaf["rest"]]
    made = [
        sql.SQL("(r.image ->> {})::{} AS {}").format(
            sql.Literal(name), sql.SQL(t.cast("t.LiteralString", kind)), sql.Identifier(name)
        )
        for name, kind in columns.items()
    ]
    return sql.SQL(UNPLACED).format(
        first=sql.Identifier(next(iter(columns))),
        columns=sql.SQL(", ").join(made),
        items=items,
        takes=sql.SQL(" OR ").join(takes) if takes else sql.SQL("false"),
    )


def _made_by(session: Session, columns: dict[str, str], found: Row) -> str:
    """How a partition for them is made."""
    again = "then run the same command again"
    if len(columns) > 1 or next(iter(columns.values())) not in TIMES:
        return f"make partitions for them, or a default one, as the owner of {contract.names().bronze}; {again}"
    day = session.row(DAY, first=found["first"], last=found["last"])
    return (
        f"as the owner of {contract.names().bronze}: CREATE TABLE {contract.names().bronze}_p{day['name']}_again PARTITION OF "
        f"{contract.names().bronze} FOR VALUES FROM ('{day['first']}') TO ('{day['last']}'); {again}"
    )

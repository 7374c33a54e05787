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
#: Types of which a day is a range.
TIMES: t.Final = ("timestamp with time zone", "timestamp without time zone", "date")
#: The part of each day that has such a row and no partition, by the bounds of those beside it.
HOLES: t.Final = """
WITH bounds AS (
    SELECT coalesce(substring(b.bound FROM 'FROM \\(''([^'']*)''\\)')::{kind}, '-infinity') AS lower,
           coalesce(substring(b.bound FROM 'TO \\(''([^'']*)''\\)')::{kind}, 'infinity') AS upper
    FROM (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound
          FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
          WHERE i.inhparent = {bronze}::regclass) AS b
    WHERE b.bound <> 'DEFAULT'
), lost AS (SELECT DISTINCT {first} AS at FROM {rows})
SELECT DISTINCT h.lower::text AS lower, h.upper::text AS upper, pg_catalog.to_char(h.lower, 'YYYYMMDD')
       || CASE WHEN h.lower = pg_catalog.date_trunc('day', h.lower) THEN '' ELSE pg_catalog.to_char(h.lower, '_HH24MISS') END AS name
FROM (
    SELECT greatest(date_trunc('day', at)::{kind}, (SELECT max(b.upper) FROM bounds AS b WHERE b.upper <= at)) AS lower,
           least((date_trunc('day', at) + interval '1 day')::{kind}, (SELECT min(b.lower) FROM bounds AS b WHERE b.lower > at)) AS upper
    FROM lost
) AS h ORDER BY 1 LIMIT 31
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
            told.append(
                f"{count(moved, 'event')} {came} go to the default partition {rest['name']}: no other one is there for them"
            )
        lost = left
    if not lost["events"]:
        return told
    events = count(lost["events"], "event")
    raise NotConverged(
        refused,
        on=session.where,
        said=(
            f"{contract.names().bronze} has no partition for {events} from {lost['first']} to {lost['last']}: it was dropped since, as "
            "retention does"
        ),
        next_step=_made_by(session, key, _of(HOLES, columns, kept, items), values),
    )


def _of(query: t.LiteralString, columns: dict[str, str], kept: list[Row], items: sql.Composable) -> sql.Composed:
    """A query of what none of these partitions takes. What each takes PostgreSQL itself has written."""
    takes = [sql.SQL("coalesce({}, false)").format(sql.SQL(leaf["takes"])) for leaf in kept]
    made = [
        sql.SQL("(r.image ->> {})::{} AS {}").format(
            sql.Literal(name), sql.SQL(t.cast("t.LiteralString", kind)), sql.Identifier(name)
        )
        for name, kind in columns.items()
    ]
    first, kind = next(iter(columns.items()))
    rows = sql.SQL(ROWS).format(
        first=sql.Identifier(first),
        columns=sql.SQL(", ").join(made),
        items=items,
        takes=sql.SQL(" OR ").join(takes) if takes else sql.SQL("false"),
    )
    return sql.SQL(query).format(
        first=sql.Identifier(first),
        rows=rows,
        kind=sql.SQL(t.cast("t.LiteralString", kind)),
        bronze=sql.Literal(contract.names().bronze),
    )


def _made_by(session: Session, key: Row, holes: sql.Composable, values: dict[str, t.Any]) -> str:
    """How partitions for them are made."""
    bronze = contract.names().bronze
    again = "then run the same command again"
    if key["nested"] or len(key["columns"]) > 1 or next(iter(key["columns"].values())) not in TIMES:
        return f"make partitions for them, or a default one, as the owner of {bronze}; {again}"
    made = [
        f"CREATE TABLE {bronze}_p{hole['name']}_again PARTITION OF {bronze} FOR VALUES FROM ('{hole['lower']}') TO ('{hole['upper']}')"
        for hole in session.rows(holes, **values)
    ]
    return f"as the owner of {bronze}: {'; '.join(made)}; {again}"

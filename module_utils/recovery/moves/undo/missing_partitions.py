# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events that come back to a partitioned bronze whose partition for them was dropped meanwhile, as retention does."""

from __future__ import annotations

import re
import typing as t

from ...core.errors import NotConverged
from ...core.text import count
from ...postgres.driver import sql
from ...scout import contract, row_images

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
#: Each table of every level, the deepest first, with the rows that it takes: a default one what no other beside it does, of what the
#: one above it takes. Only that of ranges is no place for rows by itself, and so is whatever is below one.
TABLES: t.Final = """
SELECT n.nspname AS schema, c.relname AS own, c.relkind = 'f' AS elsewhere,
       pg_catalog.format('%%I.%%I', n.nspname, c.relname) AS name, tree.isleaf AS leaf,
       coalesce(pg_catalog.pg_get_partition_constraintdef(c.oid), 'true') AS takes, p.partstrat = 'h' AS hashed,
       ARRAY(SELECT pg_catalog.pg_get_expr(x.relpartbound, x.oid) FROM pg_catalog.pg_inherits AS i
             JOIN pg_catalog.pg_class AS x ON x.oid = i.inhrelid WHERE i.inhparent = c.oid) AS bounds,
       EXISTS (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) AS a JOIN pg_catalog.pg_class AS x ON x.oid = a.relid
               JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = x.oid
               JOIN pg_catalog.pg_partitioned_table AS o ON o.partrelid = i.inhparent AND o.partstrat = 'r'
               WHERE pg_catalog.pg_get_expr(x.relpartbound, x.oid) = 'DEFAULT') AS rest
FROM pg_catalog.pg_partition_tree({bronze}::regclass) AS tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_partitioned_table AS p ON p.partrelid = c.oid
ORDER BY tree.level DESC, name
"""
#: The events that none but these tables takes, each by the first of them that does.
PLACED: t.Final = """
SELECT place, count(*) AS events, min(ingested_at) AS first, max(ingested_at) AS last
FROM (SELECT CASE WHEN {kept} THEN NULL {cases} END AS place, r.ingested_at
      FROM (SELECT {columns} FROM ({items}) AS i CROSS JOIN LATERAL jsonb_array_elements(i.removed -> 'events') AS r (image)) AS r) AS r
WHERE place IS NOT NULL GROUP BY place ORDER BY place
"""
HASHED: t.Final = re.compile(r"modulus (\d+), remainder (\d+)")
#: A name for a partition: one that was detached may still have the usual one.
FREE: t.Final = """
SELECT name FROM unnest(%(suffixes)s::text[]) WITH ORDINALITY AS made (suffix, nth) CROSS JOIN LATERAL
     pg_catalog.format('%%I.%%I', %(schema)s::text, left(%(own)s, 63 - length(suffix)) || suffix) AS name
ORDER BY to_regclass(name) IS NOT NULL, nth LIMIT 1
"""
#: Until somebody has ended what he began to detach concurrently, no partition takes its rows, not even a default one.
HALF_DETACHED: t.Final = """
SELECT pg_catalog.format('ALTER TABLE %%s DETACH PARTITION %%s FINALIZE', i.inhparent::regclass, i.inhrelid::regclass) AS statement
FROM pg_catalog.pg_inherits AS i WHERE i.inhdetachpending AND i.inhparent IN (
    SELECT relid FROM pg_catalog.pg_partition_tree(%(bronze)s::regclass)) ORDER BY 1
"""
#: Where pg_partman's functions are.
PARTMAN: t.Final = """
SELECT e.extnamespace::regnamespace::text AS schema FROM pg_catalog.pg_extension AS e WHERE e.extname = 'pg_partman'
"""


def look(session: Session, items: sql.Composable, values: dict[str, t.Any], refused: str) -> list[str]:
    """What is to be said of events of these items that no partition but a default one takes; inside the caller's transaction.

    Raises NotConverged, `refused`, with the statements that make the partitions where there are none: default ones, as a partition of
    their days is what retention drops again. Of a key that is an expression nobody knows, and PostgreSQL refuses what it has no
    partition for.
    """
    bronze = sql.Literal(contract.names().bronze)
    key = session.row(sql.SQL(KEYS).format(bronze=bronze))
    if not key["plain"] or not key["columns"]:
        return []
    tables = session.rows(sql.SQL(TABLES).format(bronze=bronze))
    kept = [each for each in tables if each["leaf"] and not (each["rest"] or each["elsewhere"])]
    # What has partitions takes what none of these does.
    places = [each for each in tables if each["leaf"] and (each["rest"] or each["elsewhere"])]
    places += [each for each in tables if not each["leaf"]]
    placed = session.rows(_placed(key["columns"], kept, places, items), **values)
    found: list[tuple[Row, Row]] = [(places[each["place"]], each) for each in placed]
    row_images.refuse_elsewhere(session, refused, [table["name"] for table, _ in found if table["elsewhere"]])
    if lost := [(table, each) for table, each in found if not table["leaf"]]:
        made = [_statement(session, table) for table, _ in lost]
        raise _without_partition(session, [each for _, each in lost], [one for some in made for one in some], refused)
    return [
        f"{_come(each)} go to the default partition {table['name']}: no other one is there for them"
        + _of_partman(session)
        for table, each in found
    ]


def _without_partition(session: Session, lost: list[Row], made: list[str], refused: str) -> NotConverged:
    table = contract.names().bronze
    first, last = min(each["first"] for each in lost), max(each["last"] for each in lost)
    made = [row["statement"] for row in session.rows(HALF_DETACHED, bronze=table)] or made
    came = _come({"events": sum(each["events"] for each in lost), "first": first, "last": last})
    return NotConverged(
        refused,
        on=session.where,
        said=f"{table} has no partition for {came}: it was dropped since, as retention does",
        next_step=f"as the owner of {table}: {'; '.join(made)}; then run the same command again",
    )


def _come(events: Row) -> str:
    return f"{count(events['events'], 'event')} from {events['first']} to {events['last']}"


def _statement(session: Session, whole: Row) -> list[str]:
    """What makes a table take whatever it takes none of its partitions for."""
    bounds = {"DEFAULT": ["_default", "_rest", "_others"]}
    if whole["hashed"]:
        taken = [(int(of), int(rest)) for bound in whole["bounds"] for of, rest in HASHED.findall(bound)]
        most = max((of for of, _ in taken), default=1)
        free = [n for n in range(most) if all(n % of != rest for of, rest in taken)]
        bounds = {f"FOR VALUES WITH (MODULUS {most}, REMAINDER {n})": [f"_{n}", f"_rest_{n}"] for n in free}
    names = [
        session.row(FREE, schema=whole["schema"], own=whole["own"], suffixes=each)["name"] for each in bounds.values()
    ]
    return [
        f"CREATE TABLE {name} PARTITION OF {whole['name']} {bound}" for name, bound in zip(names, bounds, strict=True)
    ]


def _of_partman(session: Session) -> str:
    """What would take them out of the default partition again."""
    found = session.rows(PARTMAN)
    called = f"{found[0]['schema']}.partition_data_proc" if found else ""
    return f"; {called} would move them to where retention drops them, or has detached them" if found else ""


def _placed(columns: dict[str, str], kept: list[Row], places: list[Row], items: sql.Composable) -> sql.Composed:
    """The query. What each table takes PostgreSQL itself has written."""
    cases = [sql.SQL("WHEN {} THEN {}").format(_takes(each), sql.Literal(nth)) for nth, each in enumerate(places)]
    made = [
        sql.SQL("(r.image ->> {})::{} AS {}").format(
            sql.Literal(name), sql.SQL(t.cast("t.LiteralString", kind)), sql.Identifier(name)
        )
        for name, kind in ({"ingested_at": "timestamptz"} | columns).items()
    ]
    return sql.SQL(PLACED).format(
        kept=sql.SQL(" OR ").join([sql.SQL("false"), *map(_takes, kept)]),
        cases=sql.SQL(" ").join(cases),
        columns=sql.SQL(", ").join(made),
        items=items,
    )


def _takes(table: Row) -> sql.SQL:
    return sql.SQL(table["takes"].replace("%", "%%"))

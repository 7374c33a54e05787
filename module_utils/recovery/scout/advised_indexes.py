# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The indexes that a large pipeline wants and Scout comes without: the only place that says them. Whether one is there is asked of the
planner, so that any that serves is one."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..postgres.driver import psycopg, sql
from . import contract
from .loadable import SALE, sale

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..postgres.session import Session

#: With fewer rows than this a table is read as fast as an index.
LARGE: t.Final = 200_000

EACH_PARTITION: t.Final = (
    r"SELECT pg_catalog.format({},relid) FROM pg_catalog.pg_partition_tree({}) WHERE isleaf \gexec"
)


@dataclasses.dataclass(frozen=True)
class Index:
    """An index by its table's key in the contract: what CREATE INDEX says of it, a query that it serves, the bytes it takes, as SQL
    on `rows`, `pages` and the `width` of a sale's name, and what for."""

    table: str
    on: str
    serves: t.LiteralString
    size: t.LiteralString
    why: str

    @property
    def statement(self) -> str:
        """How it is made beside all that goes on, with the names in force."""
        return contract.words(f"CREATE INDEX CONCURRENTLY ON {{{self.table}}} {self.on}")

    @property
    def of_partitions(self) -> str:
        """How those of a partitioned table are made by psql, beside all that goes on: of each partition, then of the whole, which
        takes them for its own. PostgreSQL makes none of the whole concurrently."""
        table, on = contract.words(f"{{{self.table}}}"), contract.words(self.on)
        each = sql.SQL(EACH_PARTITION).format(sql.Literal(f"CREATE INDEX CONCURRENTLY ON %s {on}"), sql.Literal(table))
        return f"{each.as_string()}\nCREATE INDEX ON {table} {on}"


#: The expression that says which sale an event is about, as an index has it.
OF_SALE: t.Final = " ".join(SALE.replace("{b}.", "").replace("{transaction_event}", "'{transaction_event}'").split())
#: What an assessment and the gate look for among all sales; such an index has a row of each of them, and so next to none.
BROKEN: t.Final = "total_amount < 0 OR item_count <= 0 OR item_count IS NULL"
#: A row of a btree takes its key and 12 bytes, of pages that are filled to nine tenths.
INDEXES: t.Final = (
    Index(
        "bronze",
        "USING brin (ingested_at)",
        "SELECT FROM {bronze} AS b WHERE b.ingested_at >= now()",
        "24576 + 48 * pages / 128",
        "windows and evidence are found by the time of an event",
    ),
    Index(
        "transactions",
        "(source_event_id)",
        "SELECT FROM {transactions} AS t WHERE t.source_event_id = '00000000-0000-0000-0000-000000000000'",
        "rows * (12 + 16) / 0.9",
        "silver of an event is found by it",
    ),
    Index(
        "bronze",
        f"(({OF_SALE}))",
        "SELECT FROM {bronze} AS b WHERE {sale} = ''",
        "rows * (12 + 8 * ceil((width + 1) / 8.0)) / 0.9",
        "events of one sale are found by it",
    ),
    Index(
        "transactions",
        f"(processed_at) WHERE {BROKEN}",
        "SELECT FROM {transactions} AS t WHERE t.total_amount < 0 OR t.item_count <= 0 OR t.item_count IS NULL",
        "16384",
        "sales with a negative total or an empty basket are found by it, however old they are",
    ),
)

#: How large a table is, with all its partitions, that an index can be made of beside all that goes on.
LARGE_TABLE = """
SELECT pg_catalog.pg_size_pretty(bytes) AS size, bytes, partitioned
FROM (
    SELECT sum({size})::bigint AS bytes, sum(rows) AS rows, bool_or(partitioned) AS partitioned
    FROM (
        SELECT greatest(c.reltuples, 0)::float8 AS rows, c.relpages AS pages, root.relkind = 'p' AS partitioned, c.relkind, coalesce((
            SELECT s.avg_width FROM pg_catalog.pg_stats AS s
            WHERE s.schemaname = %(schema)s AND s.tablename = %(sales)s AND s.attname = 'transaction_id' LIMIT 1), 16) AS width
        FROM pg_catalog.pg_class AS root
        LEFT JOIN LATERAL pg_catalog.pg_partition_tree(root.oid) AS part ON root.relkind = 'p'
        JOIN pg_catalog.pg_class AS c ON c.oid = coalesce(part.relid, root.oid) AND c.relkind <> 'p'
        WHERE root.oid = to_regclass(%(table)s)
    ) AS leaf
    HAVING bool_and(relkind = 'r')
) AS of WHERE rows >= %(large)s
"""
#: Whoever created one was interrupted: it serves nobody, costs each write, and would make one of the whole invalid. One that is being
#: created is invalid too; its table is locked so meanwhile.
LEFT_INVALID: t.Final = """
SELECT format('DROP INDEX CONCURRENTLY %%I.%%I', n.nspname, i.relname) AS statement
FROM pg_catalog.pg_index AS x
JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid AND i.relkind = 'i' AND NOT i.relispartition
JOIN pg_catalog.pg_namespace AS n ON n.oid = i.relnamespace
WHERE NOT x.indisvalid AND NOT x.indisunique
  AND (x.indrelid = to_regclass(%(table)s) OR x.indrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(to_regclass(%(table)s)) AS p))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks AS l WHERE l.relation = x.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted)
ORDER BY 1
"""
WITHOUT_SCANS = "SELECT set_config('enable_seqscan', 'off', true)"


def lacking(session: Session) -> list[dict[str, t.Any]]:
    """Those of large tables that are not there, each with `table`, `statement`, `bytes`, `size` in words and `why`; inside a transaction.
    None of a table that may not be read. Before the first of a table what drops those that are invalid."""
    names = contract.names()
    found: list[dict[str, t.Any]] = []
    for index in INDEXES:
        table = getattr(names, index.table)
        query = sql.SQL(LARGE_TABLE).format(size=sql.SQL(index.size))
        values = {"schema": names.schema, "sales": contract.bare(names.transactions), "table": table, "large": LARGE}
        rows = session.rows(query, **values)
        if rows and not _is_there(session, index):
            statement = index.of_partitions if rows[0].pop("partitioned") else index.statement
            if table not in {each["table"] for each in found}:
                statement = "\n".join(
                    [*(row["statement"] for row in session.rows(LEFT_INVALID, table=table)), statement]
                )
            found.append({"table": table, "statement": statement, **rows[0], "why": index.why})
    return found


def _is_there(session: Session, index: Index) -> bool:
    """Whether the planner finds a way without reading all of the table; True where it may not be asked."""
    query = contract.compose(index.serves, sale=sale("b"))
    nodes: list[str] = ["none"]
    with contextlib.suppress(psycopg.Error), session.savepoint():
        session.execute(WITHOUT_SCANS)
        row = session.connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + query).fetchone()
        nodes = list(_nodes(next(iter(row.values()))[0]["Plan"])) if row else nodes
        raise psycopg.Rollback
    return "Seq Scan" not in nodes


def _nodes(plan: dict[str, t.Any]) -> Iterator[str]:
    yield plan["Node Type"]
    for part in plan.get("Plans", ()):
        yield from _nodes(part)

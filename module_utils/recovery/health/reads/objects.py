# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the schema is not there, by name: tables, columns, keys and functions that the pipeline and this toolkit need."""

from __future__ import annotations

import datetime
import re
import typing as t

from ...postgres import lexer
from ...scout import contract, cron_jobs, gold_views
from ...scout.judging import statements

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...ledger.ledger import Ledger
    from ...postgres.session import Session
    from ...scout.cron_runs import Run
    from ...scout.gold_views import Freshness

SLACK: t.Final = datetime.timedelta(seconds=2)

#: Columns that Scout v5.2 has besides those that anybody relies on.
MORE_COLUMNS: t.Final = frozenset({
    "id", "time_of_day", "customer_id", "customer_type", "discount_amount", "tax_amount", "payment_method", "unique_products",
    "basket_size", "units_per_transaction", "peso_value", "product_category", "handshake_triggered", "handshake_score",
    "campaign_id", "campaign_influenced", "region", "province", "city", "quality_score", "created_at", "line_id", "product_name",
    "brand_name", "category", "cost_of_goods", "margin_amount", "margin_percentage", "detected_brand", "brand_match_confidence",
    "source_system", "retry_count", "last_retry_at", "resolved_by", "processing_duration_ms", "silver_records_created", "alert_id",
    "message", "payload", "processed_at", "updated_at",
})  # fmt: skip

MISSING_RELATIONS = """
SELECT name FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, nth)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = name AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))
ORDER BY nth
"""

MISSING_COLUMNS = """
SELECT table_name || '.' || column_name AS name
FROM unnest(%(tables)s::text[], %(columns)s::text[]) WITH ORDINALITY AS wanted (table_name, column_name, nth)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(table_name, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(table_name, '.', 2)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped)
ORDER BY nth
"""

#: A key counts where it is unique, valid, at once, on plain columns, and for all rows. That of a partitioned table has the columns
#: by which it and its partitions are partitioned as well; one that is partitioned by an expression, or has a partition on another
#: server, can have none.
MISSING_KEYS = """
SELECT 'unique index on ' || CASE c.relkind WHEN 'p' THEN 'partitioned ' ELSE '' END || table_name
       || ' (' || array_to_string(wanted.columns || parted.columns, ', ') || ')' AS name
FROM (SELECT table_name, string_to_array(key, ',') AS columns, nth
      FROM unnest(%(tables)s::text[], %(keys)s::text[]) WITH ORDINALITY AS given (table_name, key, nth)) AS wanted
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(table_name, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(table_name, '.', 2)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(by.name ORDER BY by.level, by.nth) FILTER (WHERE by.name <> ALL(wanted.columns)), '{}') AS columns,
           coalesce(bool_or(by.name IS NULL), false) OR EXISTS (
               SELECT FROM pg_catalog.pg_partition_tree(c.oid) AS tree
               JOIN pg_catalog.pg_foreign_table AS f ON f.ftrelid = tree.relid) AS computed
    FROM (SELECT a.attname::text AS name, min(tree.level) AS level, min(by.nth) AS nth
          FROM pg_catalog.pg_partition_tree(c.oid) AS tree JOIN pg_catalog.pg_partitioned_table AS t ON t.partrelid = tree.relid
          CROSS JOIN unnest(t.partattrs::int2[]) WITH ORDINALITY AS by (attnum, nth)
          LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.partrelid AND a.attnum = by.attnum GROUP BY 1) AS by) AS parted
WHERE NOT parted.computed AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
                     WHERE a.attrelid = c.oid AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])) AS columns) AS has
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND has.columns @> wanted.columns AND has.columns <@ (wanted.columns || parted.columns))
ORDER BY nth
"""

#: A function counts where a call with these arguments, of which there is one at most, finds it: it may have more that have
#: defaults, or take a wider type.
MISSING_FUNCTIONS = """
SELECT %(schema)s || '.' || name AS name
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, nth)
CROSS JOIN LATERAL (
    SELECT split_part(name, '(', 1) AS bare,
           pg_catalog.to_regtype(nullif(rtrim(split_part(name, '(', 2), ')'), ''))::oid AS given) AS called
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = %(schema)s AND p.proname = bare AND p.prokind = 'f'
      AND (given IS NOT NULL)::int BETWEEN p.pronargs - p.pronargdefaults AND p.pronargs
      AND (given IS NULL OR p.proargtypes[0] = given OR EXISTS (
           SELECT FROM pg_catalog.pg_cast AS c
           WHERE c.castsource = given AND c.casttarget = p.proargtypes[0] AND c.castcontext = 'i')))
ORDER BY nth
"""


def missing(session: Session) -> list[str]:
    """What of the schema is not there, by name."""
    names = contract.names()
    columns = [(table, column) for table, found in names.columns.items() for column in found]
    keys = [(table, ",".join(key)) for table, found in names.unique.items() for key in found]
    found = session.rows(MISSING_RELATIONS, names=[*names.columns, *names.views])
    found += session.rows(
        MISSING_COLUMNS, tables=[table for table, _ in columns], columns=[name for _, name in columns]
    )
    found += session.rows(MISSING_KEYS, tables=[table for table, _ in keys], keys=[key for _, key in keys])
    found += session.rows(MISSING_FUNCTIONS, schema=names.schema, names=list(names.signatures))
    return [row["name"] for row in found]


PARTITIONED = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname || '.' || c.relname = %(table)s AND c.relkind = 'p') AS there
"""


def is_partitioned(session: Session, table: str) -> bool:
    """Whether the table has partitions, each with an index of its own."""
    return session.row(PARTITIONED, table=table)["there"]


UNKNOWN_COLUMNS = """
SELECT n.nspname || '.' || c.relname AS relation, a.attname::text AS name
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(%(tables)s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

#: What the refresh function does.
SOURCES: t.Final[t.LiteralString] = f"""
SELECT {lexer.SOURCE} AS source
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s
"""  # noqa: S608  # made of literals alone
#: A view that is looked for before it is refreshed, by the name in a string.
LOOKED_FOR: t.Final = re.compile(
    r"(?:\bto_regclass|\b(?:matviewname|relname)\s*(?:=|in|like)(?:\s*any)?)[\s(]*(?:array\s*\[)?(?:\s*''\s*,)*\s*$",
    re.IGNORECASE,
)

NO_VIEWS = """
SELECT schema, name FROM unnest(%(schemas)s::text[], %(names)s::text[]) WITH ORDINALITY AS wanted (schema, name, nth)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = name AND c.relkind = 'm' AND (n.nspname = schema OR schema IS NULL))
ORDER BY nth
"""


def unknown_columns(session: Session, gone: list[str]) -> list[tuple[str, str]]:
    """Columns by table that nobody knows, of tables that lack one: a renamed one is among them."""
    known = contract.names().columns
    tables = [table for table in known if any(name.startswith(f"{table}.") for name in gone)]
    rows = session.rows(UNKNOWN_COLUMNS, tables=tables) if tables else []
    return [
        (row["relation"], row["name"]) for row in rows if row["name"] not in (*known[row["relation"]], *MORE_COLUMNS)
    ]


def gone_views(session: Session, gold: Sequence[Freshness] = (), runs: Sequence[Run] = ()) -> list[str]:
    """Views that the pipeline's refresh function refreshes by a statement of its own, without looking for them first, and that
    are not there. Where the job's latest `runs` refreshed others all the same, only those that the dashboards need."""
    names = contract.names()
    rows = session.rows(SOURCES, schema=names.schema, name=contract.bare(names.refresh_function))
    wanted = list(dict.fromkeys(view for row in rows for view in refreshed(row["source"] or "")))
    schemas, views = [schema for schema, _ in wanted], [view for _, view in wanted]
    rows = session.rows(NO_VIEWS, schemas=schemas, names=views)
    gone = [f"{row['schema'] or names.schema}.{row['name']}" for row in rows]
    return [name for name in gone if name in names.views] if does_without(gold, runs) else gone


def does_without(gold: Iterable[Freshness], runs: Sequence[Run]) -> bool:
    """Whether the job's latest run refreshed a view, or an earlier one did and silver has not changed since: so no view that is
    missing keeps it from that, whatever its code says."""
    good = [run for run in runs if run.good]
    for view in gold:
        of = (n for n, run in enumerate(good) if view.refreshed_at and _during(view.refreshed_at, run))
        if (nth := next(of, None)) is not None and (nth == 0 or view.state == "fresh"):
            return True
    return False


def _during(moment: datetime.datetime, run: Run) -> bool:
    """Whether a transaction that began then was of this run; pg_cron's own clock is read a little earlier and later."""
    return run.started is not None and run.ended is not None and run.started - SLACK <= moment <= run.ended + SLACK


def without_a_key(session: Session, gold: Iterable[Freshness], ledger: Ledger) -> list[str]:
    """Return the views without a unique index that need one: a job or a function of the pipeline refreshes them CONCURRENTLY, or they
    had one when a release was captured last."""
    bare = {each.view.full_name for each in gold if each.view.populated and not each.view.keyed}
    if not bare:
        return []
    schema = contract.names().schema
    commands = [job.command for job in cron_jobs.jobs(session) if job.active]
    concurrent = {
        f"{found or schema}.{name}"
        for each in [*gold_views.refreshing_code(session), *commands]
        for found, name in statements.refreshed(each, concurrently=True)
    }
    return sorted(bare & (concurrent | _had_a_key(ledger)))


def _had_a_key(ledger: Ledger) -> set[str]:
    """Return the relations with a unique index in the latest capture."""
    # Loaded only where a view has none now.
    from ...release.captures import document, store

    kept = store.latest_about(ledger)
    made = store.by_id(ledger, kept["capture_id"]) if kept else None
    indexes = (entry for entry in document.entries_of(made).values() if entry.kind == "index") if made else ()
    return {entry.table for entry in indexes if entry.facts["definition"].startswith("CREATE UNIQUE ")}


def refreshed(source: str) -> list[tuple[str | None, str]]:
    """The views that a function refreshes whether they are there or not."""
    found, sought = statements.refreshed(source), _looked_for(source)
    return [(schema, name) for schema, name in found if name not in sought and f"{schema}.{name}" not in sought]


def _looked_for(source: str) -> set[str]:
    """The names, with or without a schema, that a function looks for in the catalog."""
    found = set[str]()
    before = ""
    for piece in lexer.pieces(source):
        if piece.kind == "string" and LOOKED_FOR.search(before[-500:]):
            found.add(piece.value.replace('"', "").lower())
        before += {"comment": " ", "code": piece.text}.get(piece.kind, "''")
    return found


def needed_to_run(name: str) -> bool:
    """Whether the pipeline itself cannot do without it; views of dashboards and the runbook's own functions it can."""
    names = contract.names()
    runs = {f"{names.schema}.{signature}" for signature in names.signatures[:4]}
    return name in runs or ((name not in names.views and not name.endswith(")")) or name.startswith("unique index on "))

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What silver should say of a transaction by the events it is made of, computed from bronze alone; read-only, in SQL.

The facts are those measured of the deployed ETL: which field is taken from which key, that the first event of a transaction
gives what is written once, and the last one what an update repairs. A deployment's ETL may fill a field in another way, so a field
is judged only where at least 20 sales of a sample of silver have a value in it that is not its default, and agree. No event can make
these queries fail: values that the ETL could not convert are told apart first, and never cast.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ..postgres.driver import sql
from . import contract, loadable
from .loadable import sale
from .row_images import literal, named

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..postgres.session import Row, Session
    from .row_images import Table, Tables

#: A time that means another moment whenever it is read: silver has the moment at which it was loaded.
MOVING: t.Final = "f.e ->> 'ts' ~* '(now|today|tomorrow|yesterday)'"

#: The hour by which the ETL tells the time of day.
HOUR: t.Final = "extract(hour FROM coalesce((f.e ->> 'ts')::timestamptz, f.ingested_at) AT TIME ZONE 'Asia/Manila')"

#: Columns of silver, and what they are made of: `f` is a transaction's first event, `l` its last.
FIELDS: t.Final[tuple[tuple[str, t.LiteralString], ...]] = (
    ("total_amount", "coalesce((f.e ->> 'total_amount')::numeric, 0)"),
    ("net_amount", "coalesce((l.e ->> 'net_amount')::numeric, (l.e ->> 'total_amount')::numeric)"),
    ("ts", f"CASE WHEN {MOVING} THEN s.ts ELSE coalesce((f.e ->> 'ts')::timestamptz, f.ingested_at) END"),
    (
        "date_key",
        f"CASE WHEN {MOVING} THEN s.date_key ELSE coalesce((f.e ->> 'ts')::date, f.ingested_at::date) END",
    ),
    ("store_id", "f.e ->> 'store_id'"),
    ("payment_method", "coalesce(f.e ->> 'payment_method', 'unknown')"),
    ("item_count", "l.items"),
    ("basket_size", "f.items"),
    ("unique_products", "l.products"),
    ("discount_amount", "coalesce((f.e ->> 'discount_amount')::numeric, 0)"),
    ("tax_amount", "coalesce((f.e ->> 'tax_amount')::numeric, 0)"),
    ("customer_id", "f.e ->> 'customer_id'"),
    ("campaign_id", "f.e ->> 'campaign_id'"),
    ("region", "f.e ->> 'region'"),
    ("province", "f.e ->> 'province'"),
    ("city", "f.e ->> 'city'"),
    (
        "customer_type",
        "CASE WHEN f.e ->> 'customer_type' IN ('new', 'returning', 'vip') THEN f.e ->> 'customer_type' END",
    ),
    (
        "time_of_day",
        (
            f"CASE WHEN {MOVING} THEN s.time_of_day::text WHEN {HOUR} BETWEEN 5 AND 11 THEN 'morning'"
            f" WHEN {HOUR} BETWEEN 12 AND 16 THEN 'afternoon' WHEN {HOUR} BETWEEN 17 AND 20 THEN 'evening' ELSE 'night' END"
        ),
    ),
    ("units_per_transaction", "f.units"),
    ("peso_value", "coalesce((f.e ->> 'total_amount')::numeric, 0)"),
    ("product_category", "f.e -> 'items' -> 0 ->> 'category'"),
    ("handshake_triggered", "coalesce(f.e -> 'handshake_triggered' = 'true'::jsonb, false)"),
    (
        "handshake_score",
        "CASE WHEN jsonb_typeof(f.e -> 'handshake_score') = 'number' THEN (f.e ->> 'handshake_score')::numeric END",
    ),
    ("campaign_influenced", "f.e ->> 'campaign_id' IS NOT NULL"),
    ("quality_score", "1.0"),
    ("source_event_id", "f.event_id"),
)

#: The same of line items; `f` is the first event with this product at this place, `l` the last, `item` what they hold there.
LINE_FIELDS: t.Final[tuple[tuple[str, t.LiteralString], ...]] = (
    ("quantity", "greatest(coalesce((l.item ->> 'qty')::int, (l.item ->> 'quantity')::int, 1), 1)"),
    ("unit_price", "greatest(coalesce((l.item ->> 'unit_price')::numeric, 0), 0)"),
    ("line_amount", "greatest(coalesce((l.item ->> 'line_amount')::numeric, 0), 0)"),
    ("product_name", "coalesce(f.item ->> 'product_name', 'Unknown Product')"),
    ("brand_name", "coalesce(f.item ->> 'brand_name', 'Unknown Brand')"),
    ("category", "coalesce(f.item ->> 'category', 'Uncategorized')"),
)

#: All fields that may be judged.
JUDGED: t.Final = (*(name for name, _ in FIELDS), *(f"lines.{name}" for name, _ in LINE_FIELDS))
#: Those that were measured of every deployed ETL.
MEASURED: t.Final = (
    *("total_amount", "net_amount", "ts", "date_key", "store_id", "payment_method", "item_count", "basket_size"),
    *("lines.quantity", "lines.unit_price", "lines.line_amount"),
)
#: So many sales that agree show that the ETL fills a field as expected.
CONVINCING: t.Final = 20
#: More than this share of sales that nothing has written since their load, and that differ, show that the ETL fills it otherwise.
BY_ETL: t.Final = 0.01
#: Where it cannot be known what has written a row, so many that differ do.
SCATTERED: t.Final = 0.05

#: What a later event of a sale may change in silver, and so does not tell by the first one alone.
LATER: t.Final = ("net_amount", "item_count", "lines.quantity", "lines.unit_price", "lines.line_amount", "lines.extra")

#: Transactions as the events of `fed` (sale, event_id, ingested_at, e) make them, beside what silver has, for the `sales` that
#: are asked for: what differs by name, empty where all is as it should be.
COMPARED = """
ordered AS MATERIALIZED (
    SELECT f.sale, f.event_id, f.ingested_at, f.e, i.items, i.products, i.units,
           row_number() OVER (PARTITION BY f.sale ORDER BY f.ingested_at, f.event_id) AS nth,
           count(*) OVER (PARTITION BY f.sale) AS of
    FROM fed AS f CROSS JOIN LATERAL (
        SELECT count(*)::int AS items, count(DISTINCT item ->> 'product_id')::int AS products,
               coalesce(sum(greatest(coalesce((item ->> 'qty')::int, (item ->> 'quantity')::int, 1), 1)), 0) AS units
        FROM jsonb_array_elements(CASE WHEN jsonb_typeof(f.e -> 'items') = 'array' THEN f.e -> 'items' ELSE '[]' END) AS item
    ) AS i
), lines_made AS (
    SELECT o.sale, o.nth, item, item ->> 'product_id' AS product_id, position::int AS line_sequence
    FROM ordered AS o CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(o.e -> 'items') = 'array' THEN o.e -> 'items' ELSE '[]' END) WITH ORDINALITY AS i (item, position)
    WHERE o.sale IN (SELECT transaction_id FROM {transactions})
), last_lines AS (
    SELECT DISTINCT ON (sale, product_id, line_sequence) * FROM lines_made ORDER BY sale, product_id, line_sequence, nth DESC
), first_lines AS (
    SELECT DISTINCT ON (sale, product_id, line_sequence) * FROM lines_made ORDER BY sale, product_id, line_sequence, nth
), lines_compared AS (
    SELECT sale, array_agg(DISTINCT differing) AS differing
    FROM (
        SELECT coalesce(m.sale, s.transaction_id) AS sale,
               CASE WHEN m.sale IS NULL THEN ARRAY['lines.extra'] WHEN s.transaction_id IS NULL THEN ARRAY['lines.missing']
                    ELSE array_remove(ARRAY[{line_differences}]::text[], NULL) END AS differences
        FROM (
            SELECT l.sale, l.product_id, l.line_sequence, l.item AS last_item, f.item AS first_item
            FROM last_lines AS l JOIN first_lines AS f USING (sale, product_id, line_sequence)
        ) AS m
        FULL JOIN (
            SELECT s.* FROM {line_items} AS s WHERE s.transaction_id IN (SELECT sale FROM sales)
        ) AS s ON s.transaction_id = m.sale AND s.product_id = m.product_id AND s.line_sequence = m.line_sequence
        CROSS JOIN LATERAL (SELECT m.last_item AS item) AS l CROSS JOIN LATERAL (SELECT m.first_item AS item) AS f
    ) AS d CROSS JOIN LATERAL unnest(d.differences) AS differing
    GROUP BY sale
), compared AS MATERIALIZED (
    SELECT sales.sale, f.sale IS NOT NULL AS made, s.transaction_id IS NOT NULL AS there,
           s.date_key::text AS day_there, {day_made} AS day_made,
           CASE WHEN f.sale IS NULL AND s.transaction_id IS NULL THEN '{{}}'
                WHEN f.sale IS NULL THEN '{{extra}}' WHEN s.transaction_id IS NULL THEN '{{missing}}'
                ELSE array_remove(ARRAY[{differences}]::text[], NULL) END || coalesce(i.differing, '{{}}') AS differing
    FROM sales
    LEFT JOIN ordered AS f ON f.sale = sales.sale AND f.nth = 1
    LEFT JOIN ordered AS l ON l.sale = sales.sale AND l.nth = l.of
    LEFT JOIN {transactions} AS s ON s.transaction_id = sales.sale
    LEFT JOIN lines_compared AS i ON i.sale = sales.sale
)
"""

#: The first sales, the latest, and the latest before `start`, each with the event that made it; only sales outside the condition where
#: there are enough of them.
SAMPLE = """
WITH ends AS (
    (SELECT 'first' AS part, t.transaction_id, t.source_event_id, t.xmin AS written_by FROM {transactions} AS t
     ORDER BY t.processed_at LIMIT %(rows)s)
    UNION ALL
    (SELECT 'latest', t.transaction_id, t.source_event_id, t.xmin FROM {transactions} AS t
     ORDER BY t.processed_at DESC LIMIT %(rows)s)
    UNION ALL
    (SELECT 'before', t.transaction_id, t.source_event_id, t.xmin FROM {transactions} AS t
     WHERE t.processed_at < %(start)s::timestamptz ORDER BY t.processed_at DESC LIMIT %(rows)s)
), known AS (
    SELECT s.part, s.transaction_id, b.event_id::text AS event_id, coalesce({condition}, false) AS inside,
           EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = b.event_id AND p.xmin = s.written_by) AS as_loaded
    FROM ends AS s JOIN {bronze} AS b ON b.event_id = s.source_event_id WHERE {sale} = s.transaction_id
)
SELECT part, transaction_id, event_id, as_loaded FROM known
WHERE NOT inside OR (SELECT count(DISTINCT transaction_id) FROM known WHERE NOT inside) < %(enough)s
"""

#: Whether events that are known by their ids have been made into what they say.
OF_MEMBERS = """
WITH sales AS (SELECT DISTINCT unnest(%(units)s::text[]) AS sale),
fed AS MATERIALIZED (
    SELECT {sale} AS sale, b.event_id, b.ingested_at, b.event_data AS e
    FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[]) AND NOT ({malformed})
),
{compared}
SELECT sale, differing FROM (
    SELECT sale, ARRAY(SELECT unnest(differing) EXCEPT SELECT unnest(%(unjudged)s::text[])) AS differing FROM compared
) AS c WHERE cardinality(differing) > 0 ORDER BY sale
"""


#: How much of silver is looked at from both its ends, and how many transactions outside the window are enough to judge by.
SAMPLE_ROWS: t.Final = 200
ENOUGH: t.Final = 30
PARTS: t.Final = ("first", "latest", "before")
NOTHING: t.Final = sql.SQL("false")


@dataclasses.dataclass(frozen=True)
class Model:
    """What the ETL of this deployment makes of events, as far as it is known."""

    tables: Tables
    server_version: int

    @property
    def malformed(self) -> sql.Composed:
        """Whether the event `b` could not be read by the ETL; never NULL."""
        tables = self.tables
        known = loadable.Types(
            *({c.name: c.type for c in table.columns} for table in (tables.transactions, tables.lines))
        )
        return loadable.malformed(known, self.server_version)

    @property
    def compared(self) -> sql.Composed:
        """The queries that end in `compared`; they need `fed` and `sales` before them."""
        return self._compared(_differences)

    def _compared(self, told: Callable[..., sql.Composed]) -> sql.Composed:
        transactions, lines = self.tables.transactions, self.tables.lines
        day = next(source for name, source in FIELDS if name == "date_key")
        return contract.compose(
            COMPARED,
            differences=told(FIELDS, transactions, "s", ""),
            line_differences=told(LINE_FIELDS, lines, "s", "lines."),
            day_made=sql.SQL("({})::text").format(sql.SQL(t.cast("t.LiteralString", day))),
        )

    def unjudged(self, session: Session) -> list[str]:
        """Return the fields that must not be judged: fewer than 20 sales of a sample have a value that is not the field's default and
        agrees with their event, the ETL itself wrote something else, or most of the sample differ."""
        rows, wrong = self._sample(session)
        sales, agree = {row["transaction_id"]: row for row in rows}, self._agree(session, rows)
        differ, by_etl, as_loaded = _differing([*sales.values()], wrong)
        return [
            field
            for field in JUDGED
            if agree[field] < CONVINCING
            or 2 * differ[field] > len(sales)
            or (by_etl[field] > BY_ETL * as_loaded and not field.startswith("lines."))
            or (differ[field] > SCATTERED * len(sales) and (field.startswith("lines.") or not as_loaded))
        ]

    def unjudged_in(self, session: Session, condition: sql.Composable, values: Mapping[str, t.Any]) -> list[str]:
        """Return the fields that must not be judged in a window, which is given as a condition on `b`, by sales outside it: those that the
        ETL fills otherwise, and those that not every ETL fills and in which fewer than 20 of these sales agree. Each part of the
        sample with 20 sales as they were loaded must show it, because a bad release may have written more than the window."""
        rows, wrong = self._sample(session, condition, values)
        agree = self._agree(session, rows)
        parts = [[row for row in rows if row["part"] == part] for part in PARTS]
        telling = [part for part in parts if sum(row["as_loaded"] for row in part) >= CONVINCING] or [rows]
        return [
            field
            for field in JUDGED
            if (field not in MEASURED and agree[field] < CONVINCING)
            or all(field in _filled_otherwise(part, wrong) for part in telling)
        ]

    def _agree(self, session: Session, rows: Sequence[Row]) -> collections.Counter[str]:
        """Return in how many of these sales a field has a value that is not its default and agrees with the event."""
        events = {row["transaction_id"]: row["event_id"] for row in rows}
        found = self._found(session, _agreements, [*events], [*events.values()])
        return collections.Counter(field for fields in found.values() for field in fields)

    def _sample(
        self, session: Session, condition: sql.Composable = NOTHING, values: Mapping[str, t.Any] | None = None
    ) -> tuple[list[Row], dict[str, list[str]]]:
        """Return a sample of sales, and the fields in which any of them differ from the event that made them."""
        query = contract.compose(SAMPLE, condition=condition, sale=sale("b"))
        rows = session.rows(query, **{"start": None, **(values or {})}, rows=SAMPLE_ROWS, enough=ENOUGH)
        events = {row["transaction_id"]: row["event_id"] for row in rows}
        return rows, self.wrong(session, [*events], [*events.values()], [])

    def wrong(self, session: Session, units: list[str], ids: list[str], unjudged: list[str]) -> dict[str, list[str]]:
        """Which of these transactions are not what these events, which are all of theirs, say; with the fields that differ."""
        return self._found(session, _differences, units, ids, unjudged)

    def _found(
        self,
        session: Session,
        told: Callable[..., sql.Composed],
        units: list[str],
        ids: list[str],
        unjudged: Sequence[str] = (),
    ) -> dict[str, list[str]]:
        query = contract.compose(OF_MEMBERS, sale=sale("b"), malformed=self.malformed, compared=self._compared(told))
        rows = session.rows(query, units=units, ids=ids, unjudged=list(unjudged))
        return {row["sale"]: row["differing"] for row in rows}


def _differing(
    rows: Sequence[Row], wrong: Mapping[str, list[str]]
) -> tuple[collections.Counter[str], collections.Counter[str], int]:
    """Return how many of these sales differ, by field; the same of those that nothing has written since their load; their number."""
    as_loaded = [row["transaction_id"] for row in rows if row["as_loaded"]]
    differ = collections.Counter(field for row in rows for field in wrong.get(row["transaction_id"], ()))
    by_etl = collections.Counter(field for name in as_loaded for field in wrong.get(name, ()))
    return differ, by_etl, len(as_loaded)


def _filled_otherwise(rows: Sequence[Row], wrong: Mapping[str, list[str]]) -> set[str]:
    differ, by_etl, as_loaded = _differing(rows, wrong)
    # Damage to a line leaves no trace in its sale's row.
    return {
        field
        for field in differ
        if (
            as_loaded >= CONVINCING
            and by_etl[field] > (SCATTERED if field.startswith("lines.") else BY_ETL) * as_loaded
        )
        or (field not in MEASURED and 2 * differ[field] > len(rows))
    }


def _type(table: Table, column: str) -> str | None:
    return next((c.type for c in table.columns if c.name == column), None)


#: A text of nothing, zero or false.
EMPTY: t.Final = "^(0(\\.0*)?|f|false)?$"
#: Decimals of money; a column that keeps fewer of them keeps other amounts than the events say.
CENTAVOS: t.Final = 2
#: Types in which a value is compared as such; of any other (an enumeration, a domain) by its text.
COMPARABLE: t.Final = ("text", "character varying", "date", "boolean", "uuid", "timestamp")


def _differences(
    fields: tuple[tuple[str, t.LiteralString], ...], table: Table, alias: str, prefix: str
) -> sql.Composed:
    """An expression for each field that the table has: its name where silver differs from what the events say."""
    parts = [
        sql.SQL("CASE WHEN {} IS DISTINCT FROM {} THEN {} END").format(
            *_sides(named(alias, name), sql.SQL(source), kind), literal(prefix + name)
        )
        for name, source in fields
        if (kind := _type(table, name)) is not None
    ]
    return sql.SQL(", ").join(parts)


def _agreements(fields: tuple[tuple[str, t.LiteralString], ...], table: Table, alias: str, prefix: str) -> sql.Composed:
    """The same of its name where silver has what the events say, and that is neither nothing nor zero."""
    parts = [
        sql.SQL("CASE WHEN {0} IS NOT DISTINCT FROM {1} AND {2} !~ {3} THEN {4} END").format(
            *_sides(named(alias, name), sql.SQL(source), kind),
            sql.SQL("coalesce({}::text, '')").format(named(alias, name)),
            literal(EMPTY),
            literal(prefix + name),
        )
        for name, source in fields
        if (kind := _type(table, name)) is not None
    ]
    return sql.SQL(", ").join(parts)


def _sides(column: sql.Composable, source: sql.Composable, kind: str) -> tuple[sql.Composable, sql.Composable]:
    """Both sides of a comparison; no value is too large for it, even one that would not fit into the column."""
    if kind.startswith("numeric"):
        _, _, scale = kind.removesuffix(")").partition(",")
        rounded = "round(({})::numeric, {})" if scale else "({})::numeric"
        digits = max(int(scale or 0), CENTAVOS)
        return column, sql.SQL(t.cast("t.LiteralString", rounded)).format(source, sql.Literal(digits))
    if kind in ("smallint", "integer", "bigint"):
        return column, sql.SQL("({})").format(source)
    if kind in ("real", "double precision"):
        shown = sql.SQL("round(({})::numeric, 6)")
        return shown.format(column), shown.format(source)
    if kind.startswith(COMPARABLE):
        return column, sql.SQL("({})::{}").format(source, sql.SQL(t.cast("t.LiteralString", kind)))
    return sql.SQL("{}::text").format(column), sql.SQL("({})::text").format(source)

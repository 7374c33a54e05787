# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Healthy deployments that differ from the reference by design, and changes that break a deployment which worked before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, stores_and_products
from tests.integration.modules import connect, one, rows

Payload = dict[str, Any]
#: Changes a database.
Step = Callable[[str], object]
#: The fields that a sale has otherwise.
Fields = Callable[[Payload], Payload]

SALES: Final = 600
ETL: Final = "load_silver_from_bronze"
DAILY: Final = "gold_daily_metrics"

# Parts of the deployed ETL's text.
TOTAL: Final = "coalesce((e->>'total_amount')::numeric, 0),\n"
NET: Final = "coalesce((e->>'net_amount')::numeric, (e->>'total_amount')::numeric),\n"
PRICE: Final = "greatest(coalesce((item->>'unit_price')::numeric, 0), 0),\n"
AMOUNT: Final = "greatest(coalesce((item->>'line_amount')::numeric, 0), 0),\n"
CUSTOMER: Final = "e->>'customer_id',\n"
PAYMENT: Final = "coalesce(e->>'payment_method', 'unknown'),\n"
DATE: Final = "coalesce((e->>'ts')::date, s.ingested_at::date),\n"
BRAND: Final = "coalesce(item->>'brand', 'Unknown Brand'),\n"
TIME: Final = "            s.ts,\n"
ITEMS: Final = "WITH ORDINALITY AS items (item, position)\n"
SELECTED: Final = "WHERE b.event_type = 'transaction.v1'\n"
COLUMNS: Final = "basket_size, processed_at, source_event_id\n"
VALUES: Final = "            s.event_id\n        FROM sales s\n"

DEPENDENTS: Final = """
SELECT DISTINCT r.ev_class::regclass::text, pg_get_viewdef(r.ev_class) FROM pg_depend AS d
JOIN pg_rewrite AS r ON r.oid = d.objid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = %s::regclass AND r.ev_class <> d.refobjid
"""


def no_fields(_sale: Payload) -> Payload:
    """Leave the sale as it is."""
    return {}


@dataclass(frozen=True)
class Variant:
    """A deployment: `before` runs on the deployed schema before sales are loaded, `after` once they are."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    #: How long ago the last of the first sales came.
    quiet: timedelta = timedelta(0)
    sales: int = SALES

    def make(self, dsn: str, *, plain: bool = False, pending: int = 0) -> None:
        """Turn an empty deployed database into this deployment, with its sales."""
        for step in self.before:
            step(dsn)
        with connect(dsn, options="-c TimeZone=UTC") as session:
            until = datetime.now(UTC) - self.quiet
            builder.load(session, self.sales, pending=pending, plain=plain, until=until)
        for step in self.after:
            step(dsn)


@dataclass(frozen=True)
class Change:
    """A change of a deployment that has loaded sales, and the words that a report of it must contain."""

    step: Step
    words: tuple[str, ...]
    #: What the latest sales have, without which the change would make no difference.
    sales: Fields = no_fields
    #: What the proof's status must be: `failed` where a job no longer does its work.
    status: str = "changed"
    #: How many sales wait to be loaded.
    pending: int = 0
    #: Whether the release was captured before the change.
    captured: bool = False
    #: Whether loaded sales show since when; otherwise the change is in a view or a job.
    in_silver: bool = True


def run(*statements: str) -> Step:
    """Run statements."""

    def step(dsn: str) -> None:
        with connect(dsn) as session:
            for statement in statements:
                session.execute(statement.encode())

    return step


def edit(function: str, *replacements: tuple[str, str]) -> Step:
    """Replace parts of a function's text, each of which must occur exactly once."""

    def step(dsn: str) -> None:
        found = f"SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p WHERE oid::regproc = 'scout.{function}'::regproc"
        run(_replaced(str(one(dsn, found)), replacements, function))(dsn)

    return step


def edit_view(view: str, *replacements: tuple[str, str]) -> Step:
    """Replace parts of a materialized view's query, and fill it."""

    def step(dsn: str) -> None:
        query = str(one(dsn, f"SELECT pg_get_viewdef('scout.{view}'::regclass)"))
        define_view(dsn, view, _replaced(query, replacements, view))

    return step


def define_view(dsn: str, view: str, query: str) -> None:
    """Give a materialized view another query; its owner, indexes, grants and the views that read it stay."""
    relation = f"scout.{view}"
    owner = one(dsn, f"SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = '{relation}'::regclass")
    dependents = rows(dsn, DEPENDENTS, relation)
    indexes = rows(dsn, f"SELECT indexdef FROM pg_indexes WHERE schemaname = 'scout' AND tablename = '{view}'")
    run(
        "BEGIN",
        f"SET LOCAL ROLE {owner}",
        f"DROP MATERIALIZED VIEW {relation} CASCADE",
        f"CREATE MATERIALIZED VIEW {relation} AS {query}",
        *(definition for (definition,) in indexes),
        f"GRANT SELECT ON {relation} TO dashboard_reader",
        *(f"CREATE VIEW {name} AS {definition}" for name, definition in dependents),
        "COMMIT",
    )(dsn)


def _replaced(text: str, replacements: tuple[tuple[str, str], ...], name: str) -> str:
    for found, instead in replacements:
        if text.count(found) != 1:
            raise AssertionError(f"{name} has {found!r} {text.count(found)} times instead of once")
        text = text.replace(found, instead)
    return text


def wrapped(value: str, template: str) -> tuple[str, str]:
    """Replace a value of the ETL's text by an expression of it."""
    return value, template.format(value.rstrip(",\n")) + ",\n"


def sell(
    count: int, fields: Fields = no_fields, *, first: int = 50_000, over: timedelta = timedelta(minutes=1),
    ago: timedelta = timedelta(0), loaded: bool = True,
) -> Step:  # fmt: skip
    """Send sales with these fields, the last one that long ago, and load them."""

    def step(dsn: str) -> None:
        start = datetime.now(UTC) - ago - over
        with connect(dsn) as session:
            for n in range(count):
                at = start + over * n / count
                sale = generator.transaction(1, first + n, sold_at=at)
                source = generator.SOURCES[n % len(generator.SOURCES)]
                generator.insert(session, sale | fields(sale), ingested_at=at, source_system=source)
        if loaded:
            load(dsn)

    return step


def load(dsn: str) -> None:
    """Let the pipeline load what is pending, each sale within a minute of its arrival, and refresh gold."""
    run(
        f"SELECT scout.{ETL}(NULL)",
        "SELECT scout.link_products_to_catalog(NULL)",
        builder.AGE,
        "SELECT scout.refresh_gold_platinum()",
    )(dsn)


def fill_stores(dsn: str) -> None:
    """The catalog of stores, which is empty where Scout is deployed."""
    with connect(dsn) as session, session.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO scout.dim_store (store_id, store_name, region, province, city) VALUES (%s, %s, %s, %s, %s)",
            stores_and_products.stores(),
        )


def dearer(sale: Payload) -> Payload:
    """The sale at prices that are a tenth higher."""
    items = [
        item | {name: round(item[name] * 1.1, 2) for name in ("unit_price", "line_amount")} for item in sale["items"]
    ]
    total = round(sum(item["line_amount"] for item in items), 2)
    return {"items": items, "total_amount": total, "net_amount": total, "discount_amount": 0}


def in_utc(sale: Payload) -> Payload:
    """The sale at 23:30 UTC of the day before yesterday, which is another day in Manila."""
    at = datetime.now(UTC).replace(hour=23, minute=30, second=0, microsecond=0) - timedelta(days=2)
    return {"ts": at.isoformat()}


def of_many_lines(sale: Payload) -> Payload:
    """The sale with twelve lines of one peso."""
    items = [
        sale["items"][0] | {"product_id": f"P{n:03d}", "qty": 1, "unit_price": 1, "line_amount": 1}
        for n in range(1, 13)
    ]
    return {"items": items, "total_amount": 12, "net_amount": 12, "discount_amount": 0}


def with_letters(sale: Payload) -> Payload:
    """The sale under an id that has capitals."""
    return {"transaction_id": f"POS-{sale['transaction_id']}"}


JOB: Final = "SELECT cron.schedule('{}', '*/10 * * * *', 'REFRESH MATERIALIZED VIEW {} scout.{};')"


def new_column(column: str, expression: str) -> tuple[tuple[str, str], ...]:
    """What the ETL needs to write one more column."""
    return (
        (COLUMNS, COLUMNS.replace("source_event_id", f"source_event_id, {column}")),
        (VALUES, VALUES.replace("s.event_id", f"s.event_id,\n            {expression}")),
    )


HEALTHY: Final[dict[str, Variant]] = {
    "as deployed": Variant(),
    "whole pesos": Variant((edit(ETL, wrapped(TOTAL, "round({})"), wrapped(NET, "round({})")),)),
    "amounts in cents": Variant(
        (edit(ETL, *(wrapped(value, "{} * 100") for value in (TOTAL, NET, PRICE, AMOUNT))),),
    ),
    "hashed customers": Variant((edit(ETL, wrapped(CUSTOMER, "md5({})")),)),
    "payment methods in capitals": Variant((edit(ETL, wrapped(PAYMENT, "upper({})")),)),
    "days by Manila time": Variant(
        (edit(ETL, (DATE, "(s.ts AT TIME ZONE 'Asia/Manila')::date,\n")),),
        (sell(40, in_utc),),
    ),
    "region of the store": Variant(
        (
            fill_stores,
            edit(
                ETL,
                *new_column("region", "(SELECT d.region FROM scout.dim_store d WHERE d.store_id = e->>'store_id')"),
            ),
        ),
    ),
    "discount computed from net": Variant(
        (
            edit(
                ETL,
                *new_column(
                    "discount_amount", "coalesce((e->>'total_amount')::numeric - (e->>'net_amount')::numeric, 0)"
                ),
            ),
        ),
    ),
    "brands normalised": Variant((edit(ETL, wrapped(BRAND, "upper(trim({}))")),)),
    "a tenant column": Variant(
        (
            run(
                "ALTER TABLE scout.bronze_events ADD tenant text NOT NULL DEFAULT 'ph-1'",
                "ALTER TABLE scout.silver_transactions ADD tenant text NOT NULL",
            ),
            edit(
                ETL,
                *new_column("tenant", "(SELECT b.tenant FROM scout.bronze_events b WHERE b.event_id = s.event_id)"),
            ),
        ),
    ),
    "a trigger of the team": Variant(
        (
            run(
                "ALTER TABLE scout.silver_transactions ADD shift text",
                """CREATE FUNCTION scout.set_shift() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                NEW.shift := CASE WHEN extract(hour FROM NEW.ts AT TIME ZONE 'Asia/Manila') < 14 THEN 'early' ELSE 'late' END;
                RETURN NEW; END $$""",
                """CREATE TRIGGER set_shift BEFORE INSERT ON scout.silver_transactions
                FOR EACH ROW EXECUTE FUNCTION scout.set_shift()""",
            ),
        ),
    ),
    "an ETL of the last week only": Variant(
        (edit(ETL, (SELECTED, f"{SELECTED}          AND b.ingested_at > now() - interval '7 days'\n")),),
    ),
    "gold of net amounts": Variant(
        (edit_view(DAILY, ("sum(t.total_amount) AS total_sales", "sum(t.net_amount) AS total_sales")),)
    ),
    "gold by other hours": Variant(
        (
            edit_view(
                DAILY,
                (
                    "(hour.hour >= (5)::numeric) AND (hour.hour <= (11)::numeric)",
                    "(hour.hour >= 6) AND (hour.hour <= 9)",
                ),
            ),
        )
    ),
    "gold of large stores": Variant(
        (edit_view(DAILY, ("GROUP BY t.date_key, t.store_id;", "GROUP BY t.date_key, t.store_id HAVING count(*) > 2")),)
    ),
    "gold of 30 days": Variant(
        (
            edit_view(
                DAILY,
                (
                    "GROUP BY t.date_key, t.store_id;",
                    "WHERE t.date_key > current_date - 30 GROUP BY t.date_key, t.store_id",
                ),
            ),
        )
    ),
    "a view with its own job": Variant(
        (
            run(
                "CREATE MATERIALIZED VIEW scout.gold_brands AS SELECT brand_name, count(*) AS lines, sum(line_amount) AS sales"
                " FROM scout.silver_line_items GROUP BY brand_name",
                "CREATE UNIQUE INDEX ON scout.gold_brands (brand_name)",
                JOB.format("brands-refresh", "CONCURRENTLY", "gold_brands"),
            ),
        ),
        (run("REFRESH MATERIALIZED VIEW scout.gold_brands"),),
    ),
    "a view without a unique index": Variant(
        (
            run(
                "CREATE MATERIALIZED VIEW scout.gold_hours AS SELECT extract(hour FROM ts) AS hour, count(*) AS sales"
                " FROM scout.silver_transactions GROUP BY 1",
                JOB.format("hours-refresh", "", "gold_hours"),
            ),
        ),
        (run("REFRESH MATERIALIZED VIEW scout.gold_hours"),),
    ),
    "no history": Variant(sales=0),
    "corrections by hand": Variant(
        after=(
            run(
                "UPDATE scout.silver_transactions SET payment_method = 'voucher', total_amount = total_amount - 0.25"
                " WHERE abs(hashtext(transaction_id)) % 100 = 0",
                "SELECT scout.refresh_gold_platinum()",
            ),
        ),
    ),
    "a till sends a new field": Variant(after=(sell(30, lambda _sale: {"till": {"version": "9.1"}}),)),
    "a new store": Variant(after=(sell(1, lambda _sale: {"store_id": "S999"}),)),
    "new prices": Variant(after=(run("UPDATE scout.dim_product SET list_price = list_price * 1.1"), sell(60, dearer))),
    "a month without sales": Variant(after=(sell(20),), quiet=timedelta(days=31)),
}

CHANGES: Final[dict[str, Change]] = {
    "total doubled": Change(edit(ETL, wrapped(TOTAL, "2 * {}")), ("total_amount",)),
    "a payment method dropped": Change(
        edit(ETL, (PAYMENT, "coalesce(nullif(e->>'payment_method', 'gcash'), 'unknown'),\n")), ("payment_method",)
    ),
    "times shifted": Change(edit(ETL, (TIME, TIME.replace("s.ts", "s.ts + interval '8 hours'"))), ("ts",)),
    "lines beyond ten cut": Change(
        edit(ETL, (ITEMS, f"{ITEMS}        WHERE position <= 10\n")), ("silver_line_items", "before 12"), of_many_lines
    ),
    "a source skipped": Change(
        edit(ETL, (SELECTED, f"{SELECTED}          AND b.source_system <> 'pos-sync'\n")), ("pos-sync",)
    ),
    "transaction ids in lower case": Change(
        edit(
            ETL,
            (
                "            e->>'transaction_id',\n            e->>'store_id',",
                "            lower(e->>'transaction_id'),\n            e->>'store_id',",
            ),
            (
                "            e->>'transaction_id',\n            item->>'product_id',",
                "            lower(e->>'transaction_id'),\n            item->>'product_id',",
            ),
        ),
        ("sale POS-",),
        with_letters,
    ),
    "store ids in lower case": Change(
        edit(ETL, ("            e->>'store_id',", "            lower(e->>'store_id'),")), ("store_id",)
    ),
    "gold joins more rows": Change(
        edit_view(
            DAILY,
            (
                "FROM ((scout.silver_transactions t",
                "FROM ((scout.silver_transactions t JOIN scout.silver_line_items more USING (transaction_id)",
            ),
        ),
        (DAILY,),
        captured=True,
        in_silver=False,
    ),
    "a job that loads too little": Change(
        run("UPDATE cron.job SET command = replace(command, '2000', '5') WHERE jobname = 'bronze-to-silver-etl'"),
        ("bronze-to-silver-etl",),
        status="failed",
        pending=200,
        in_silver=False,
    ),
}

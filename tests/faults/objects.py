# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of tables, functions and triggers."""

from __future__ import annotations

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.faults import LINKING, LOAD, SHORT, SILVER, Fault, Seen, by_check

RETURNS = (
    "RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)"
)
TRIGGER = "CREATE FUNCTION scout.{role}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
ETL = f"{LOAD}(int)"
SALES = "event_data ? 'transaction_id'\n"


def rewritten(function: str, old: str, new: str) -> str:
    """Makes a function again with a part of its text replaced."""
    before, after = (text.replace("'", "''") for text in (old, new))
    return f"""
    DO $do$ DECLARE text text := pg_get_functiondef('{function}'::regprocedure); changed text := replace(text, '{before}', '{after}');
    BEGIN ASSERT changed <> text; EXECUTE changed; END $do$"""


def deferred(body: str) -> tuple[str, ...]:
    """Statements that make a trigger on sales that waits for the COMMIT."""
    return (
        TRIGGER.replace("{body}", body),
        (
            f"CREATE CONSTRAINT TRIGGER {{role}} AFTER INSERT ON {SILVER} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION scout.{role}()"
        ),
    )


LINES_KEY = "ALTER TABLE scout.silver_line_items DROP CONSTRAINT fk_item_transaction"
SALES_KEY = f"ALTER TABLE {SILVER} DROP CONSTRAINT silver_transactions_transaction_id_key"


def trigger(table: str, body: str) -> tuple[str, ...]:
    """Statements that make a trigger before each insert into the table."""
    return (
        TRIGGER.replace("{body}", body),
        f"CREATE TRIGGER {{role}} BEFORE INSERT ON scout.{table} FOR EACH ROW EXECUTE FUNCTION scout.{{role}}()",
    )


def renamed(column: str, other: str, *unknown: str) -> Fault:
    """A column of another name, without which these checks of both, and those of the gate alone, cannot tell."""
    table, _, name = column.rpartition(".")
    return Fault(
        (f"ALTER TABLE {table} RENAME COLUMN {name} TO {other}",),
        Seen(
            ("schema_objects",),
            gate={"schema_objects": "fail", **dict.fromkeys(unknown, "inconclusive")},
            cause=f"column {column} is missing",
            command=f"ALTER TABLE {table} RENAME COLUMN {other} TO {name};",
        ),
    )


#: Those that a reset tells of.
OBJECTS = {
    "bronze takes no new event": Fault(
        ("ALTER TABLE scout.bronze_events ADD CONSTRAINT {role} CHECK (ingested_at < '2026-01-01') NOT VALID",),
        named="{role}",
    ),
    "the ETL is gone": Fault(("DROP FUNCTION scout.load_silver_from_bronze(int) CASCADE",), named=SHORT),
    "the ETL marks and writes nothing": Fault(
        (
            "DROP FUNCTION scout.load_silver_from_bronze(int)",
            (
                f"CREATE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000) {RETURNS} LANGUAGE sql SECURITY DEFINER AS $$"
                " WITH m AS (INSERT INTO scout.etl_processed (event_id) SELECT event_id FROM scout.bronze_events AS b"
                " WHERE event_type = 'transaction.v1' AND NOT EXISTS"
                " (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id) LIMIT p_limit RETURNING 1)"
                " SELECT count(*)::int, count(*)::int, count(*)::int, 1 FROM m $$"
            ),
            "ALTER FUNCTION scout.load_silver_from_bronze(int) OWNER TO loader",
        ),
        named=SHORT,
    ),
    "the ETL does nothing": Fault(
        (
            "DROP FUNCTION scout.load_silver_from_bronze(int)",
            (
                f"CREATE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000) {RETURNS} LANGUAGE sql"
                " AS $$ SELECT 0, 0, 0, 1 $$"
            ),
            "ALTER FUNCTION scout.load_silver_from_bronze(int) OWNER TO loader",
        ),
        named=SHORT,
    ),
    "the linking fails": Fault(
        (
            (
                "CREATE OR REPLACE FUNCTION scout.link_products_to_catalog(p_limit int DEFAULT 1000) RETURNS int"
                " LANGUAGE plpgsql AS $$ BEGIN RAISE 'no catalog today'; END $$"
            ),
        ),
        named=LINKING,
    ),
    "the refresh reports an error as a row": Fault(
        (
            (
                "CREATE OR REPLACE FUNCTION scout.refresh_gold_platinum() RETURNS TABLE (operation text, duration_ms int, status text)"
                " LANGUAGE sql AS $$ SELECT 'refresh_gold_platinum'::text, 0, 'ERROR: no'::text $$"
            ),
        ),
        named="refresh_gold_platinum",
    ),
    "the gold job's function does nothing": Fault(
        (
            "DROP FUNCTION scout.maybe_refresh_gold()",
            (
                "CREATE FUNCTION scout.maybe_refresh_gold()"
                " RETURNS TABLE (should_refresh boolean, new_silver_records int, last_refresh timestamptz)"
                " LANGUAGE sql AS $$ SELECT false, 0, now() $$"
            ),
            "ALTER FUNCTION scout.maybe_refresh_gold() OWNER TO loader",
        ),
        named="maybe_refresh_gold",
    ),
    "the gold job's function is gone": Fault(
        ("DROP FUNCTION scout.maybe_refresh_gold() CASCADE",), named="maybe_refresh_gold"
    ),
    "a column of bronze is renamed": Fault(
        ("ALTER TABLE scout.bronze_events RENAME event_data TO payload",), named="bronze_events.event_data"
    ),
    "a column of silver is renamed": Fault(
        ("ALTER TABLE scout.silver_transactions RENAME total_amount TO total",),
        named="silver_transactions.total_amount",
    ),
    "a column of the marks is renamed": Fault(
        ("ALTER TABLE scout.etl_processed RENAME processed_at TO at",), named="etl_processed.processed_at"
    ),
    "the table of lines is renamed": Fault(
        ("ALTER TABLE scout.silver_line_items RENAME TO silver_lines",), named="silver_line_items"
    ),
    "the table of marks is dropped": Fault(("DROP TABLE scout.etl_processed CASCADE",), named="etl_processed"),
    "silver's unique key is lost": Fault(
        ("ALTER TABLE scout.silver_transactions DROP CONSTRAINT silver_transactions_transaction_id_key CASCADE",),
        by_check(
            "schema_objects",
            f"{SILVER} has no unique index on (transaction_id)",
            f"CREATE UNIQUE INDEX CONCURRENTLY ON {SILVER} (transaction_id);",
        ),
        "silver_transactions",
    ),
    "a trigger drops sales": Fault(trigger("silver_transactions", "RETURN NULL;"), named="silver_transactions"),
    "a trigger drops lines": Fault(trigger("silver_line_items", "RETURN NULL;"), named="silver_line_items"),
    "a trigger refuses sales": Fault(trigger("silver_transactions", "RAISE 'not today';"), named="not today"),
    "a trigger refuses marks": Fault(trigger("etl_processed", "RAISE 'no mark today';"), named="no mark today"),
    "a trigger drops marks": Fault(trigger("etl_processed", "RETURN NULL;"), named="etl_processed"),
    "a rule drops sales": Fault(
        ("CREATE RULE {role} AS ON INSERT TO scout.silver_transactions DO INSTEAD NOTHING",),
        named="silver_transactions",
    ),
    "a check refuses sales": Fault(
        ("ALTER TABLE scout.silver_transactions ADD CONSTRAINT {role} CHECK (item_count < 0) NOT VALID",),
        named="{role}",
    ),
    "a column that must be filled is not": Fault(
        (
            "ALTER TABLE scout.silver_transactions ADD COLUMN must text DEFAULT 'old'",
            "ALTER TABLE scout.silver_transactions ALTER must SET NOT NULL",
            "ALTER TABLE scout.silver_transactions ALTER must DROP DEFAULT",
        ),
        named="must",
    ),
    "a deferred trigger halves totals": Fault(
        deferred(f"UPDATE {SILVER} SET total_amount = total_amount / 2 WHERE id = NEW.id; RETURN NULL;"),
        named="total_amount",
    ),
    "a deferred trigger refuses sales": Fault(deferred("RAISE 'not today';"), named="not today"),
    "a trigger alters what comes into bronze": Fault(
        trigger("bronze_events", """NEW.event_data := NEW.event_data || '{"net_amount": 1}'; RETURN NEW;"""),
        named="bronze_events",
    ),
    "a trigger gives some events another type": Fault(
        trigger("bronze_events", "NEW.event_type := 'sale.v2'; RETURN NEW;"), named="bronze_events"
    ),
    "the linking rewrites prices": Fault(
        (
            rewritten(
                "scout.link_products_to_catalog(int)",
                "    RETURN linked",
                "    UPDATE scout.silver_line_items SET line_amount = 1;\n    RETURN linked",
            ),
        ),
        named="silver_line_items.line_amount",
    ),
    "a label of a type is renamed": Fault(
        tuple(
            f"ALTER TYPE scout.time_of_day RENAME VALUE '{label}' TO '{label}_'"
            for label in ("morning", "afternoon", "evening", "night")
        ),
        named="time_of_day",
    ),
}

#: Those of which a look tells.
SEEN = {
    "bronze's clock is renamed": renamed(
        "scout.bronze_events.ingested_at", "arrived_at", "bronze_staleness", "backlog_events", "backlog_age", "blocked_events",
        "unloaded_sources", "altered_sales",
    ),
    "silver's net amount is renamed": renamed(
        f"{SILVER}.net_amount", "net",
        "negative_totals", "empty_baskets", "line_mismatch", "missing_lines", "invalid_lines", "not_a_number",
    ),
    "the event of the marks is renamed": renamed(
        "scout.etl_processed.event_id", "id_of_event", "backlog_events", "backlog_age", "blocked_events", "lost_events",
        "altered_sales",
    ),
    "silver holds a sale twice": Fault(
        (LINES_KEY, SALES_KEY, f"CREATE TEMP TABLE t AS SELECT * FROM {SILVER} LIMIT 1", "UPDATE t SET id = gen_random_uuid()",
         f"INSERT INTO {SILVER} SELECT * FROM t"),
        Seen(("schema_objects", "duplicate_sales"), gate={"duplicate_sales": "fail", "schema_objects": "fail"},
             code=43, further_codes=(46,), cause="1 key is there twice", command="CREATE UNIQUE INDEX"),
    ),
    "a trigger has swallowed sales": Fault(
        ("CREATE FUNCTION scout.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
         f"CREATE TRIGGER swallow BEFORE INSERT ON {SILVER} FOR EACH ROW EXECUTE FUNCTION scout.nothing()",
         LINES_KEY, lambda dsn: library.backlog(dsn, count=10, age_seconds=30), f"SELECT {LOAD}(100)"),
        by_check("lost_events", f"trigger swallow on {SILVER}", f"ALTER TABLE {SILVER} DISABLE TRIGGER swallow;"),
    ),
    "a view of the dashboards is gone": Fault(
        ("DROP VIEW scout.v_etl_performance",), Seen(warned=("schema_objects",), gate={"schema_objects": "fail"}),
    ),
    "nothing keeps a hash unique": Fault(
        ("ALTER TABLE scout.bronze_events DROP CONSTRAINT unique_event_hash, DROP CONSTRAINT bronze_events_event_hash_key",),
        by_check("schema_objects"),
    ),
    "a function with another signature": Fault(
        ("DROP FUNCTION scout.control_ingestion(text)",
         "CREATE FUNCTION scout.control_ingestion(text, int) RETURNS int LANGUAGE sql RETURN 1"),
        Seen(warned=("schema_objects",), gate={"schema_objects": "fail"}),
    ),
}  # fmt: skip

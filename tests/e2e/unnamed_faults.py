# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults the product has no name for, each with what a person has to read where it is the cause."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import next_runs
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played

ETL, LINKING, GOLD = next_runs.NEEDED
LOAD = "load_silver_from_bronze"
RETURNS = (
    "RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)"
)
RUNNER = (
    "GRANT USAGE ON SCHEMA scout TO {role}",
    f"UPDATE cron.job SET username = '{{role}}' WHERE jobname = '{ETL}'",
)
TRIGGER = "CREATE FUNCTION scout.{role}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"


def trigger(table: str, body: str) -> tuple[str, ...]:
    """Statements that make a trigger before each insert into the table."""
    return (
        TRIGGER.replace("{body}", body),
        f"CREATE TRIGGER {{role}} BEFORE INSERT ON scout.{table} FOR EACH ROW EXECUTE FUNCTION scout.{{role}}()",
    )


def job(name: str, change: str) -> tuple[str]:
    """A statement that changes a job."""
    return (f"UPDATE cron.job SET {change} WHERE jobname = '{name}'",)


@dataclass(frozen=True)
class Fault:
    """What is done to a healthy pipeline, and what a person has to read; `{role}` is a role and a name of the test's own."""

    statements: tuple[str, ...]
    named: str


FAULTS: dict[str, Fault] = {
    "the ETL's job is inactive": Fault(job(ETL, "active = false"), ETL),
    "the linking job is inactive": Fault(job(LINKING, "active = false"), LINKING),
    "the gold job is inactive": Fault(job(GOLD, "active = false"), GOLD),
    "the ETL's job is deleted": Fault((f"DELETE FROM cron.job WHERE jobname = '{ETL}'",), ETL),
    "the gold job is deleted": Fault((f"DELETE FROM cron.job WHERE jobname = '{GOLD}'",), GOLD),
    "the ETL's job does something else": Fault(job(ETL, "command = 'SELECT 1'"), ETL),
    "the ETL's job loads nothing": Fault(job(ETL, "command = 'SELECT scout.load_silver_from_bronze(0)'"), ETL),
    "the gold job does something else": Fault(job(GOLD, "command = 'SELECT 1'"), GOLD),
    "the ETL's job runs once a year": Fault(job(ETL, "schedule = '0 0 1 1 *'"), ETL),
    "the ETL's job has a schedule that nobody can read": Fault(job(ETL, "schedule = '61 25 * * *'"), ETL),
    "bronze takes no new event": Fault(
        ("ALTER TABLE scout.bronze_events ADD CONSTRAINT {role} CHECK (ingested_at < '2026-01-01') NOT VALID",),
        "{role}",
    ),
    "the gold job runs once a year": Fault(job(GOLD, "schedule = '0 0 1 1 *'"), GOLD),
    "the ETL's job is of another database": Fault(job(ETL, "database = 'postgres'"), ETL),
    "the job's role may not execute the ETL": Fault(
        (*RUNNER, "REVOKE EXECUTE ON FUNCTION scout.load_silver_from_bronze(int) FROM PUBLIC"), LOAD
    ),
    "the job's role may not use the schema": Fault((RUNNER[1],), "schema scout"),
    "the job's role may not connect": Fault((*RUNNER, "ALTER ROLE {role} CONNECTION LIMIT 0"), "{role}"),
    "the job's role has no time": Fault(
        (*RUNNER, "ALTER ROLE {role} IN DATABASE {database} SET statement_timeout = '1ms'"), "statement_timeout"
    ),
    "the database gives no time": Fault(
        ("ALTER DATABASE {database} SET statement_timeout = '1ms'",), "statement_timeout"
    ),
    "the job's role may only read": Fault(
        (*RUNNER, "ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on"),
        "default_transaction_read_only",
    ),
    "the ETL's owner has no grants": Fault(
        ("ALTER FUNCTION scout.load_silver_from_bronze(int) OWNER TO {role}", "GRANT USAGE ON SCHEMA scout TO {role}"),
        LOAD,
    ),
    "the ETL runs as its caller": Fault(
        (*RUNNER, "ALTER FUNCTION scout.load_silver_from_bronze(int) SECURITY INVOKER"), "{role}"
    ),
    "the ETL's owner may not write silver": Fault(
        ("REVOKE ALL ON scout.silver_transactions FROM loader",), "silver_transactions"
    ),
    "the ETL's owner does not see bronze": Fault(
        (
            "ALTER TABLE scout.bronze_events ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE scout.bronze_events FORCE ROW LEVEL SECURITY",
        ),
        "bronze_events",
    ),
    "the ETL is gone": Fault(("DROP FUNCTION scout.load_silver_from_bronze(int) CASCADE",), LOAD),
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
        LOAD,
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
        LOAD,
    ),
    "the linking fails": Fault(
        (
            (
                "CREATE OR REPLACE FUNCTION scout.link_products_to_catalog(p_limit int DEFAULT 1000) RETURNS int"
                " LANGUAGE plpgsql AS $$ BEGIN RAISE 'no catalog today'; END $$"
            ),
        ),
        LINKING,
    ),
    "a gold view is dropped": Fault(("DROP MATERIALIZED VIEW scout.gold_daily_metrics CASCADE",), "gold_daily_metrics"),
    "the other gold view is dropped": Fault(
        ("DROP MATERIALIZED VIEW scout.gold_region_choropleth CASCADE",), "gold_region_choropleth"
    ),
    "a gold view lost its unique index": Fault(
        ("DROP INDEX scout.gold_region_choropleth_pk",), "gold_region_choropleth"
    ),
    "a gold view has another owner": Fault(
        ("ALTER MATERIALIZED VIEW scout.gold_daily_metrics OWNER TO {role}",), "gold_daily_metrics"
    ),
    "the refresh reports an error as a row": Fault(
        (
            (
                "CREATE OR REPLACE FUNCTION scout.refresh_gold_platinum() RETURNS TABLE (operation text, duration_ms int, status text)"
                " LANGUAGE sql AS $$ SELECT 'refresh_gold_platinum'::text, 0, 'ERROR: no'::text $$"
            ),
        ),
        "refresh_gold_platinum",
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
        "maybe_refresh_gold",
    ),
    "the gold job's function is gone": Fault(
        ("DROP FUNCTION scout.maybe_refresh_gold() CASCADE",), "maybe_refresh_gold"
    ),
    "a column of bronze is renamed": Fault(
        ("ALTER TABLE scout.bronze_events RENAME event_data TO payload",), "bronze_events.event_data"
    ),
    "a column of silver is renamed": Fault(
        ("ALTER TABLE scout.silver_transactions RENAME total_amount TO total",), "silver_transactions.total_amount"
    ),
    "a column of the marks is renamed": Fault(
        ("ALTER TABLE scout.etl_processed RENAME processed_at TO at",), "etl_processed.processed_at"
    ),
    "the table of lines is renamed": Fault(
        ("ALTER TABLE scout.silver_line_items RENAME TO silver_lines",), "silver_line_items"
    ),
    "the table of marks is dropped": Fault(("DROP TABLE scout.etl_processed CASCADE",), "etl_processed"),
    "silver's unique key is lost": Fault(
        ("ALTER TABLE scout.silver_transactions DROP CONSTRAINT silver_transactions_transaction_id_key CASCADE",),
        "silver_transactions",
    ),
    "a trigger drops sales": Fault(trigger("silver_transactions", "RETURN NULL;"), "silver_transactions"),
    "a trigger drops lines": Fault(trigger("silver_line_items", "RETURN NULL;"), "silver_line_items"),
    "a trigger refuses sales": Fault(trigger("silver_transactions", "RAISE 'not today';"), "not today"),
    "a trigger refuses marks": Fault(trigger("etl_processed", "RAISE 'no mark today';"), "no mark today"),
    "a trigger drops marks": Fault(trigger("etl_processed", "RETURN NULL;"), "etl_processed"),
    "a rule drops sales": Fault(
        ("CREATE RULE {role} AS ON INSERT TO scout.silver_transactions DO INSTEAD NOTHING",), "silver_transactions"
    ),
    "a check refuses sales": Fault(
        ("ALTER TABLE scout.silver_transactions ADD CONSTRAINT {role} CHECK (item_count < 0) NOT VALID",), "{role}"
    ),
    "a column that must be filled is not": Fault(
        (
            "ALTER TABLE scout.silver_transactions ADD COLUMN must text DEFAULT 'old'",
            "ALTER TABLE scout.silver_transactions ALTER must SET NOT NULL",
            "ALTER TABLE scout.silver_transactions ALTER must DROP DEFAULT",
        ),
        "must",
    ),
    "a label of a type is renamed": Fault(
        tuple(
            f"ALTER TYPE scout.time_of_day RENAME VALUE '{label}' TO '{label}_'"
            for label in ("morning", "afternoon", "evening", "night")
        ),
        "time_of_day",
    ),
    "the database may only be read": Fault(
        ("ALTER DATABASE {database} SET default_transaction_read_only = on",), "default_transaction_read_only"
    ),
}


def filled(pipeline: Pipeline, role: str, text: str) -> str:
    """The text with the names of this test."""
    database = pipeline.dsn.rpartition("/")[2]
    return text.replace("{role}", role).replace("{database}", sql.Identifier(database).as_string())


def judge(pipeline: Pipeline, role: str, fault: Fault, played: Played, wrong: str) -> None:
    """Of a reset of the pipeline with this fault, and what its scheduler makes of it then: whether its words are true."""
    assert wrong or played.rc == 0, played.text
    assert (played.rc == 0) == (not wrong), f"{wrong}\n{played.text}"
    assert not wrong or filled(pipeline, role, fault.named) in played.summary, f"{wrong}\n{played.text}"
    assert "-vvv" not in played.summary

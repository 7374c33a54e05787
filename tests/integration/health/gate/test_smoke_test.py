# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test goes all the way and leaves nothing; nobody sees it, nobody waits for it, and it waits for nobody long."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.faults import planted
from tests.faults.table import FAULTS
from tests.integration.gates import checks, ended, judge, wrong
from tests.integration.modules import connect, fingerprint, one, operator, rows, run

SEQUENCES = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
VISIBLE = """
SELECT (SELECT count(*) FROM scout.bronze_events WHERE source_system = 'scout-recovery')
       + (SELECT count(*) FROM scout.silver_transactions WHERE transaction_id LIKE 'SMOKE-%')
"""


def smoke(dsn: str, **options: Any) -> dict[str, Any]:
    """What became of the smoke test."""
    result = judge(dsn, smoke=True, **options)
    told: dict[str, Any] = result["smoke"]
    assert (told["status"], told["reason"]) == (
        checks(result)["smoke_test"]["status"],
        checks(result)["smoke_test"]["reason"],
    )
    return told


def test_it_goes_all_the_way_and_leaves_nothing(variant_db: str) -> None:
    before, sequences = fingerprint(variant_db), rows(variant_db, SEQUENCES)
    told = smoke(variant_db)
    assert told["status"] == "pass", told
    assert told["seconds"] > 0
    assert (fingerprint(variant_db), rows(variant_db, SEQUENCES)) == (before, sequences)


def test_check_mode_does_not_run_it_and_says_so(scout_db: str) -> None:
    before = fingerprint(scout_db)
    result = judge(scout_db, check=True, smoke=True)
    assert ended(result) == ("inconclusive", 47)
    assert wrong(result) == {"smoke_test": "inconclusive"}
    assert checks(result)["smoke_test"]["reason"] == "not run: check mode executes nothing"
    assert result["warnings"] == ["the smoke test was not run: check mode executes nothing"]
    assert fingerprint(scout_db) == before


@pytest.mark.parametrize("moment", ["-infinity", "0001-01-01", "4713-01-01 BC", "1969-12-31"])
def test_neither_a_backlog_nor_its_poison_takes_its_place(scout_db: str, moment: str) -> None:
    library.backlog(scout_db, 3000)
    library.poison_event(scout_db, count=5)
    library.duplicate_in_batch(scout_db)
    with connect(scout_db) as connection:
        other = generator.insert(connection, generator.transaction(*library._fresh()))
        connection.execute("UPDATE scout.bronze_events SET ingested_at = %s WHERE event_id = %s", [moment, other])
    before = fingerprint(scout_db)
    assert smoke(scout_db)["status"] == "pass"
    assert fingerprint(scout_db) == before


def test_an_empty_pipeline_is_smoke_tested_as_well(scout_db: str) -> None:
    run(
        scout_db,
        "TRUNCATE scout.bronze_events, scout.silver_transactions, scout.silver_line_items, scout.etl_processed",
    )
    assert smoke(scout_db)["status"] == "pass"


def test_what_refers_to_stores_and_products_is_satisfied(scout_db: str) -> None:
    run(
        scout_db,
        "ALTER TABLE scout.silver_transactions ADD FOREIGN KEY (store_id) REFERENCES scout.dim_store",
        "DELETE FROM scout.silver_line_items AS l WHERE NOT EXISTS (SELECT FROM scout.dim_product AS d WHERE d.product_id = l.product_id)",
        "ALTER TABLE scout.silver_line_items ADD FOREIGN KEY (product_id) REFERENCES scout.dim_product",
        "DELETE FROM scout.etl_processed AS p USING scout.bronze_events AS b WHERE b.event_id = p.event_id AND EXISTS (SELECT FROM "
        "jsonb_array_elements(b.event_data -> 'items') AS i WHERE i ->> 'product_id' NOT IN (SELECT product_id FROM scout.dim_product))",
    )
    assert smoke(scout_db)["status"] == "pass"


FIVE = "CREATE FUNCTION scout.canonical_event_hash(text, text, timestamptz, jsonb, text) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea'"
AS_TEXT = "CREATE FUNCTION scout.canonical_event_hash(jsonb) RETURNS text LANGUAGE sql AS 'SELECT md5($1::text)'"


@pytest.mark.parametrize("instead", [None, FIVE, AS_TEXT])
def test_a_pipeline_without_its_hash_function_has_one_of_ours(scout_db: str, instead: str | None) -> None:
    """So has one with another of that name: of five arguments, as it is deployed, or of another result."""
    run(
        scout_db,
        "ALTER FUNCTION scout.canonical_event_hash(jsonb) RENAME TO other_hash",
        *([instead] if instead else []),
    )
    assert smoke(scout_db)["status"] == "pass"


def test_it_waits_a_second_for_a_lock_and_names_its_holder(scout_db: str) -> None:
    with psycopg.connect(scout_db, application_name="mover") as holder:
        holder.execute("LOCK TABLE scout.etl_processed IN SHARE ROW EXCLUSIVE MODE")
        told = smoke(scout_db)
        assert (told["status"], told["seconds"] < 30) == ("inconclusive", True)
        assert "SQLSTATE 55P03" in told["reason"]
        assert f"pid {holder.info.backend_pid} (postgres, mover" in told["reason"]


def test_it_ends_within_its_time(scout_db: str) -> None:
    run(
        scout_db,
        "CREATE FUNCTION scout.dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'",
        "CREATE TRIGGER dawdle BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.dawdle()",
    )
    told = smoke(scout_db, smoke_timeout_seconds=0.5)
    assert (told["status"], told["seconds"] < 30) == ("inconclusive", True)
    assert "scout_smoke_timeout_seconds" in told["reason"]
    assert one(scout_db, VISIBLE) == 0


def test_columns_that_draw_from_a_sequence_take_no_number(scout_db: str) -> None:
    run(
        scout_db,
        "ALTER TABLE scout.silver_transactions ADD number bigint GENERATED BY DEFAULT AS IDENTITY",
        "ALTER TABLE scout.bronze_events ADD position bigserial",
    )
    before = fingerprint(scout_db), rows(scout_db, SEQUENCES)
    told = smoke(scout_db)
    assert told["status"] == "pass", told["reason"]
    assert (fingerprint(scout_db), rows(scout_db, SEQUENCES)) == before


#: A trigger that draws from a sequence, by way of another function.
COUNTING = (
    "CREATE SEQUENCE scout.counter",
    "CREATE FUNCTION scout.draw() RETURNS bigint LANGUAGE sql AS $$SELECT nextval('scout.counter')$$",
    "CREATE FUNCTION scout.number() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM scout.draw(); RETURN NEW; END$$",
    "CREATE TRIGGER number BEFORE INSERT ON scout.silver_line_items FOR EACH ROW EXECUTE FUNCTION scout.number()",
)


#: What an audit does: a row for each sale, with a number of its own, which nothing in the text of the trigger says.
AUDIT = (
    "CREATE TABLE scout.audit_log (number bigserial PRIMARY KEY, what text)",
    """CREATE FUNCTION scout.note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO scout.audit_log (what) VALUES (TG_OP); RETURN NULL; END$$""",
    "CREATE TRIGGER note AFTER INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.note()",
    "GRANT INSERT ON scout.audit_log TO loader",
    "GRANT USAGE ON SEQUENCE scout.audit_log_number_seq TO loader",
    "INSERT INTO scout.audit_log (what) VALUES ('before')",
)
TO_LOADER = "GRANT USAGE, UPDATE ON SEQUENCE scout.counter TO loader"


@pytest.mark.parametrize(
    "statements",
    [
        AUDIT,
        (*COUNTING, TO_LOADER),
        (
            *COUNTING,
            TO_LOADER,
            "CREATE OR REPLACE FUNCTION scout.draw() RETURNS bigint LANGUAGE sql AS $$SELECT setval('scout.counter', 7)$$",
        ),
        (
            *COUNTING,
            TO_LOADER,
            "CREATE OR REPLACE FUNCTION scout.draw() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT nextval('scout.counter'); END",
        ),
        (
            *COUNTING,
            TO_LOADER,
            "CREATE OR REPLACE FUNCTION scout.draw() RETURNS bigint LANGUAGE sql AS $$SELECT nextval('Scout.' || 'COUNTER')$$",
        ),
    ],
    ids=[
        "an audit",
        "a trigger's function",
        "a number that is set",
        "a function that is parsed",
        "a name that is put together",
    ],
)
def test_triggers_that_draw_from_a_sequence_take_no_number(statements: tuple[str, ...], scout_db: str) -> None:
    run(scout_db, *statements)
    before = fingerprint(scout_db), rows(scout_db, SEQUENCES)
    told = smoke(scout_db)
    assert told["status"] == "pass", told["reason"]
    assert (fingerprint(scout_db), rows(scout_db, SEQUENCES)) == before


def test_a_sequence_that_has_no_number_left_is_told(scout_db: str) -> None:
    run(scout_db, *AUDIT, "SELECT setval('scout.audit_log_number_seq', 9223372036854775807)")
    told = smoke(scout_db)
    assert told["status"] == "fail"
    assert 'reached maximum value of sequence "audit_log_number_seq"' in told["reason"]


def test_a_sequence_that_we_may_not_shadow_is_not_drawn_from(scout_db: str) -> None:
    run(scout_db, *AUDIT, "CREATE ROLE others_sequence", "ALTER TABLE scout.silver_transactions ADD number bigint",
        "CREATE SEQUENCE scout.others", "ALTER SEQUENCE scout.others OWNER TO others_sequence",
        "GRANT USAGE ON SEQUENCE scout.others TO loader",
        "ALTER TABLE scout.silver_transactions ALTER number SET DEFAULT nextval('scout.others')")  # fmt: skip
    try:
        with operator(scout_db) as dsn:
            told = smoke(dsn)
        assert told["status"] == "inconclusive"
        assert "scout.others" in told["reason"]
        assert one(scout_db, "SELECT last_value FROM pg_sequences WHERE sequencename = 'others'") is None
    finally:
        run(scout_db, "DROP OWNED BY others_sequence CASCADE", "DROP ROLE others_sequence")


def test_a_privilege_that_the_etl_lacks_is_a_failure_of_the_pipeline(scout_db: str) -> None:
    run(scout_db, *COUNTING)
    told = smoke(scout_db)
    assert told["status"] == "fail"
    assert "permission denied for sequence counter" in told["reason"]
    assert "42501" in told["reason"]


def test_what_refuses_the_event_is_quoted(scout_db: str) -> None:
    run(scout_db, "ALTER TABLE scout.silver_transactions ADD CHECK (payment_method <> 'cash') NOT VALID")
    told = smoke(scout_db)
    assert told["status"] == "fail"
    assert "SQLSTATE 23514" in told["reason"]


def test_missing_privileges_are_no_failure_of_the_pipeline(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        assert smoke(dsn)["status"] == "pass"
    run(
        scout_db,
        "CREATE ROLE reader LOGIN",
        "GRANT USAGE ON SCHEMA scout TO reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA scout TO reader",
    )
    try:
        told = smoke(make_conninfo(scout_db, user="reader"))
        assert told["status"] == "inconclusive"
        assert "permission denied for table bronze_events" in told["reason"]
    finally:
        run(scout_db, "DROP OWNED BY reader", "DROP ROLE reader")


@pytest.mark.parametrize("fault", ["a deferred trigger halves totals", "a deferred trigger refuses sales"])
def test_what_is_done_at_the_commit_is_done(fault: str, scout_db: str) -> None:
    before = fingerprint(scout_db)
    with planted(scout_db, FAULTS[fault]):
        told = smoke(scout_db)
    assert told["status"] == "fail", told
    assert FAULTS[fault].named in told["reason"]
    assert fingerprint(scout_db) == before

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of events and of what silver holds of them."""

from __future__ import annotations

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.faults import SILVER, Fault, Seen, by_check

LINES = "scout.silver_line_items"
OLD_SILVER = f"UPDATE {SILVER} SET processed_at = processed_at - interval '20 minutes', updated_at = updated_at - interval '20 minutes'"
ONE_SALE = f"transaction_id = (SELECT max(transaction_id) FROM {SILVER})"
ONE_EVENT = f"event_data ->> 'transaction_id' = (SELECT max(transaction_id) FROM {SILVER})"
AHEAD = "date_trunc('day', now()) + interval '3 days 12 hours'"
RECENT = "processed_at = now(), updated_at = now()"
LAST_WEEK = "processed_at = now() - interval '7 days', updated_at = now() - interval '7 days'"
LETTER = "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, failed_at) SELECT '{}', 'E', 'e', now()"
HOUR = "WHERE ingested_at > now() - interval '1 hour'"
LATEST_SALES = f"transaction_id IN (SELECT transaction_id FROM {SILVER} ORDER BY processed_at DESC LIMIT 40)"
KEY_OF_SILVER = "WHERE indexrelid = 'scout.silver_transactions_transaction_id_key'::regclass"
SALES_AGAIN = f"""
INSERT INTO {SILVER} SELECT (jsonb_populate_record(NULL::{SILVER}, to_jsonb(t) || jsonb_build_object('id', gen_random_uuid()))).*
FROM {SILVER} AS t ORDER BY processed_at DESC LIMIT 40
"""
#: At night the last hour has few events: so many come besides, which the ETL has taken or passed over.
BESIDES = """
WITH sent AS (
    INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, ingested_at)
    SELECT {type}, event_ts, 'till-9', {data}, now() - interval '1 minute' * row_number() OVER ()
    FROM (SELECT * FROM scout.bronze_events WHERE event_type = 'transaction.v1' ORDER BY event_id LIMIT 15) AS few RETURNING event_id
)
INSERT INTO scout.etl_processed (event_id, processed_at) SELECT event_id, now() FROM sent
"""
A_THIRD = "abs(hashtext(event_id::text)) % 3 = 0"
OTHER_FORM = "jsonb_build_object('sale', event_data)"
OLD_SALES = f"SELECT transaction_id FROM {SILVER} WHERE processed_at < now() - interval '3 hours' ORDER BY processed_at LIMIT 300"
REGIONS = "gold_region_choropleth"
#: What is wrong with silver is not to be told by gold.
FRESH_GOLD = (
    "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics",
    "REFRESH MATERIALIZED VIEW scout.gold_region_choropleth",
)


def alert(check: str) -> Seen:
    """What is seen of critical violations, which are one figure of an assessment and several checks of the gate."""
    return Seen(("critical_alerts",), needs=frozenset({"critical_alerts"}), gate={check: "fail"}, code=43)


def redefined(old: str, new: str) -> str:
    """Makes the gold of regions again with a part of its definition replaced, with its indexes, filled, and its owner's."""
    name = f"scout.{REGIONS}"
    return f"""
    SET search_path = pg_catalog; DO $do$ DECLARE
        text text := replace(pg_get_viewdef('{name}'::regclass), '{old}', '{new}');
        indexes text[] := ARRAY(SELECT indexdef FROM pg_indexes WHERE tablename = '{REGIONS}');
        owner text := (SELECT relowner::regrole::text FROM pg_class WHERE oid = '{name}'::regclass);
        statement text;
    BEGIN
        DROP MATERIALIZED VIEW {name} CASCADE;
        EXECUTE 'CREATE MATERIALIZED VIEW {name} AS ' || text;
        FOREACH statement IN ARRAY indexes LOOP EXECUTE statement; END LOOP;
        EXECUTE 'ALTER MATERIALIZED VIEW {name} OWNER TO ' || owner;
    END $do$"""


def warning(check: str, code: int, *warned: str) -> Seen:
    """What is seen of what is no failure yet."""
    return Seen(warned=warned, gate={check: "warn"}, verdict="warn", code=code)


def altered(field: str) -> Seen:
    """What is seen of sales that silver has otherwise than their events say, and no rule finds."""
    first = "silver has lost or altered 40 sales whose events are sound"
    return by_check("altered_sales", command="window_recovery -e scout_window_start=", first=first, evidence=field)


def unread(cause: str, command: str) -> Seen:
    """What is seen of events that nobody loads while nothing else arrives."""
    failing = ("silver_staleness", "unloaded_sources")
    return Seen(
        failing, gate=dict.fromkeys(failing, "fail"), code=45, further_codes=(46,), cause=cause, command=command
    )


RETYPED = """
CREATE FUNCTION scout.retyped() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.source_system = 'till-9' THEN NEW.event_type := 'sale.v2'; END IF; RETURN NEW; END $$
"""

FAULTS = {
    "negative totals": Fault(
        (library.negative_totals,),
        Seen(("critical_alerts",), needs=frozenset({"critical_alerts"}), gate={"negative_totals": "fail", "line_mismatch": "fail"},
             code=43, first="silver violates LINE_TOTAL_MISMATCH", evidence="for example"),
    ),
    "lines that do not come to their totals": Fault(
        (library.line_mismatch,),
        Seen(("critical_alerts",), needs=frozenset({"critical_alerts"}), gate={"line_mismatch": "fail"}, code=43,
             first="silver violates LINE_TOTAL_MISMATCH", evidence="3 sales of the last 1 hour"),
    ),
    "baskets without lines": Fault(
        (library.empty_baskets,),
        by_check("empty_baskets", code=43, first="silver has baskets without lines", evidence="3 sales"),
    ),
    "a backlog that nobody loads": Fault(
        (library.backlog,),
        by_check("backlog_age", needs=frozenset({"backlog_age"}), first="the ETL is behind",
                 evidence="1,000 events pending, the oldest for 1 h"),
    ),
    "a poison event in front": Fault(
        (library.poison_event,),
        Seen(("backlog_age", "blocked_events"), needs=frozenset({"backlog_age", "poison"}),
             gate={"backlog_age": "fail", "blocked_events": "fail"}),
    ),
    "a fresh poison event": Fault(
        (lambda dsn: library.poison_event(dsn, age_seconds=1),), by_check("blocked_events", needs=frozenset({"poison"})),
    ),
    "one transaction twice": Fault(
        (lambda dsn: library.duplicate_in_batch(dsn, age_seconds=1),),
        by_check("blocked_events", needs=frozenset({"repeated_transactions"})),
    ),
    "events of another type": Fault(
        (f"UPDATE scout.bronze_events SET event_type = 'transaction.v2' {HOUR}", OLD_SILVER),
        unread("events arrive as type transaction.v2, which the ETL ignores", "have the sources send the type"),
    ),
    "events without a transaction_id": Fault(
        (f"UPDATE scout.bronze_events SET event_data = event_data - 'transaction_id' {HOUR}", OLD_SILVER),
        unread("events arrive without a transaction_id", "have the sources send transaction_id again"),
    ),
    "one till sends another form": Fault(
        (BESIDES.format(type="'transaction.v1'", data=OTHER_FORM),),
        by_check("unloaded_sources", "source till-9 sends what the ETL does not load", "source till-9 sends the type and the transaction"),
    ),
    "one till sends another type": Fault(
        (f"UPDATE scout.bronze_events SET source_system = 'till-9' WHERE {A_THIRD}",
         f"UPDATE scout.bronze_events SET event_type = 'sale.v2' {HOUR} AND source_system = 'till-9'",
         BESIDES.format(type="'sale.v2'", data="event_data")),
        by_check("unloaded_sources", "source till-9 sends what the ETL does not load", "source till-9 sends the type and the transaction"),
    ),
    "a trigger gives what one till sends another type": Fault(
        (RETYPED,
         f"UPDATE scout.bronze_events SET source_system = 'till-9' WHERE {A_THIRD}",
         f"UPDATE scout.bronze_events SET event_type = 'sale.v2' {HOUR} AND source_system = 'till-9'",
         "CREATE TRIGGER retyped BEFORE INSERT ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION scout.retyped()",
         BESIDES.format(type="'transaction.v1'", data="event_data")),
        by_check("unloaded_sources", "trigger retyped on scout.bronze_events", "ALTER TABLE scout.bronze_events DISABLE TRIGGER retyped;"),
    ),
    "some tills send their sales as texts": Fault(
        (BESIDES.format(type="'transaction.v1'", data="to_jsonb(event_data::text)"),),
        by_check("unloaded_sources", "what the ETL does not load", "sends the type and the transaction"),
    ),
    "times that are shifted": Fault(
        (f"UPDATE {SILVER} SET ts = ts + interval '8 hours' WHERE {LATEST_SALES}", *FRESH_GOLD), altered("(ts)"),
    ),
    "totals halved where no rule tells": Fault(
        (f"UPDATE {LINES} SET unit_price = unit_price / 2 WHERE {LATEST_SALES}",
         f"UPDATE {SILVER} SET total_amount = total_amount / 2 WHERE {LATEST_SALES}", *FRESH_GOLD),
        altered("total_amount"),
    ),
    "sales that a corrupt key let in twice": Fault(
        (f"UPDATE pg_index SET indisready = false {KEY_OF_SILVER}", SALES_AGAIN, f"UPDATE pg_index SET indisready = true {KEY_OF_SILVER}",
         *FRESH_GOLD),
        by_check("duplicate_sales", code=43),
    ),
    "a hole of days ago": Fault(
        (f"DELETE FROM {SILVER} WHERE transaction_id IN ({OLD_SALES})", *FRESH_GOLD),
        by_check("lost_events", "silver has lost", "window_recovery -e scout_window_start="),
    ),
    "sales of the future": Fault(
        # A till whose clock is ahead: silver has what the event says.
        (f"UPDATE scout.bronze_events SET event_data = event_data || jsonb_build_object('ts', {AHEAD}) WHERE {ONE_EVENT}",
         f"UPDATE {SILVER} SET ts = {AHEAD}, date_key = ({AHEAD})::date WHERE {ONE_SALE}", *FRESH_GOLD),
        by_check("future_sales", "1 sale lies in the future", "quarantine.yml", code=43),
    ),
    "products not linked": Fault(
        (f"UPDATE {LINES} SET product_key = NULL", *FRESH_GOLD), by_check("linking_coverage", code=42),
    ),
    "products linked a little too seldom": Fault(
        (f"UPDATE {LINES} SET product_key = CASE WHEN abs(hashtext(line_id::text)) % 1000 < 925 THEN 'K' END", *FRESH_GOLD),
        warning("linking_coverage", 42, "linking_coverage"),
    ),
    "a negative total that its lines agree with": Fault(
        (f"UPDATE {SILVER} SET total_amount = -0.20, {RECENT} WHERE {ONE_SALE}",
         f"UPDATE {LINES} SET unit_price = 0, line_amount = 0 WHERE {ONE_SALE}", *FRESH_GOLD),
        alert("negative_totals"),
    ),
    "a basket that says it is empty": Fault(
        (f"UPDATE {SILVER} SET item_count = 0, {RECENT} WHERE {ONE_SALE}", *FRESH_GOLD), by_check("empty_baskets", code=43),
    ),
    "a total its lines do not come to": Fault(
        (f"UPDATE {SILVER} SET total_amount = total_amount + 100, updated_at = now() WHERE {ONE_SALE}", *FRESH_GOLD),
        alert("line_mismatch"),
    ),
    "a sale without its lines": Fault(
        (f"DELETE FROM {LINES} WHERE {ONE_SALE}", *FRESH_GOLD), by_check("missing_lines", code=43),
    ),
    "a line of no units": Fault(
        (f"UPDATE {LINES} SET quantity = 0, updated_at = now() WHERE {ONE_SALE}",
         f"UPDATE {SILVER} SET total_amount = 0 WHERE {ONE_SALE}", *FRESH_GOLD),
        alert("invalid_lines"),
    ),
    "a total that is no number": Fault(
        (f"UPDATE {SILVER} SET total_amount = 'NaN', {RECENT} WHERE {ONE_SALE}", *FRESH_GOLD), by_check("not_a_number", code=43),
    ),
    "a price that is no number": Fault(
        (f"UPDATE {LINES} SET unit_price = 'NaN', updated_at = now() WHERE {ONE_SALE}", *FRESH_GOLD),
        by_check("not_a_number", code=43),
    ),
    "a negative total of last week": Fault(
        (f"UPDATE {SILVER} SET total_amount = -5, {LAST_WEEK} WHERE {ONE_SALE}",
         f"UPDATE {LINES} SET updated_at = now() - interval '7 days' WHERE {ONE_SALE}", *FRESH_GOLD),
        warning("older_violations", 43),
    ),
    "sources that fell silent": Fault(
        ("UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '20 minutes'", *FRESH_GOLD),
        by_check("bronze_staleness", code=45),
    ),
    "policies that keep the sources off": Fault(
        ("ALTER TABLE scout.bronze_events ENABLE ROW LEVEL SECURITY",
         "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '20 minutes'", *FRESH_GOLD),
        Seen(("bronze_staleness", "schema_objects"), gate={"bronze_staleness": "fail", "schema_objects": "fail"}, code=45,
             further_codes=(46,), cause="row security of scout.bronze_events refuses what edge_ingest would insert",
             command="CREATE POLICY scout_writers ON scout.bronze_events FOR INSERT TO edge_ingest WITH CHECK (true);"),
    ),
    "a right to insert that the sources no longer have": Fault(
        ("REVOKE INSERT ON scout.bronze_events FROM edge_ingest",
         "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '20 minutes'", *FRESH_GOLD),
        by_check("bronze_staleness", "no new event arrives", "only loader may insert into scout.bronze_events", code=45),
    ),
    "sources that are slow": Fault(
        ("UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '8 minutes'", *FRESH_GOLD),
        warning("bronze_staleness", 45, "bronze_staleness"),
    ),
    "silver that stands still": Fault((OLD_SILVER, *FRESH_GOLD), by_check("silver_staleness", code=45)),
    "what the ledger says is loaded is not in silver": Fault(
        (f"DELETE FROM {SILVER} WHERE {ONE_SALE}", *FRESH_GOLD), by_check("lost_events"),
    ),
    "an alert that nobody resolved": Fault(
        ("INSERT INTO scout.alerts (alert_type, severity) SELECT 'NEGATIVE_TOTAL', 'critical' FROM generate_series(1, 40)",
         "INSERT INTO scout.alerts (alert_type, severity, resolved_at) VALUES ('X', 'critical', now())",
         "INSERT INTO scout.alerts (alert_type, severity) VALUES ('Y', 'warning')", *FRESH_GOLD),
        Seen(gate={"unresolved_alerts": "fail"}),
    ),
    "a dead letter": Fault((LETTER, *FRESH_GOLD), warning("dead_letter_growth", 46, "dlq_unresolved")),
    "dead letters that grow": Fault(
        (f"{LETTER} FROM generate_series(1, 101)", *FRESH_GOLD),
        Seen(warned=("dlq_unresolved",), gate={"dead_letter_growth": "fail"}),
    ),
    "an older dead letter": Fault(
        (f"{LETTER} - interval '2 hours'", *FRESH_GOLD), Seen(warned=("dlq_unresolved",), verdict="pass", code=0),
    ),
}  # fmt: skip

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proof loads earlier sales again, and reports what the pipeline writes otherwise than before."""

from __future__ import annotations

import datetime

import pytest

from tests import CHECKOUT
from tests.faults import planted
from tests.faults.jobs import another
from tests.faults.table import FAULTS
from tests.integration.modules import call, connect, fingerprint, one

SCHEMA = CHECKOUT / "drills/plugins/plugin_utils/reference/schema"
ETL = "bronze-to-silver-etl"
LOAD = "scout.load_silver_from_bronze(integer)"

TOTAL = "coalesce((e->>'total_amount')::numeric, 0)"
HALF = f"{TOTAL} / CASE WHEN e->>'payment_method' = 'gcash' THEN 2 ELSE 1 END"
DISCOUNT = ",\n            coalesce((e->>'discount"
DISCOUNT_AMOUNT = "coalesce((e->>'discount_amount')::numeric, 0)"
AMOUNT = "greatest(coalesce((item->>'line_amount')::numeric, 0), 0)"
DAY = "coalesce((e->>'ts')::date, s.ingested_at::date)"
LINES = "jsonb_array_elements(e->'items') WITH ORDINALITY AS items (item, position)\n"
ITEMS = "coalesce(jsonb_array_length(e->'items'), 0)"

#: What is replaced in the text of the ETL by what, and the field of which that is said.
WRONG = {
    "shifts times": ("            s.ts,\n", "            s.ts + interval '8 hours',\n", "ts"),
    "takes the day in another zone": (DAY, "(s.ts AT TIME ZONE 'Pacific/Kiritimati')::date", "date_key"),
    "keeps two lines": (LINES, f"{LINES}WHERE position <= 2\n", "has 2 rows"),
    "caps discounts": (DISCOUNT_AMOUNT, f"least({DISCOUNT_AMOUNT}, 5)", "discount_amount"),
    "halves what one method paid": (f"{TOTAL}{DISCOUNT}", f"{HALF}{DISCOUNT}", "total_amount"),
    "forgets the region": ("e->>'region',", "NULL,", "region"),
    "calls all unknown": ("coalesce(e->>'payment_method', 'unknown')", "'unknown'", "payment_method"),
    "rounds line amounts": (AMOUNT, "round(coalesce((item->>'line_amount')::numeric, 0))", "line_amount"),
    "counts one item": (f"{ITEMS},\n            i.products", "1,\n            i.products", "item_count"),
    "leaves lines as they were": ("line_amount = excluded.line_amount", "line_amount = l.line_amount", "line_amount"),
    "adds up what comes twice": (
        "quantity = excluded.quantity",
        "quantity = l.quantity + excluded.quantity",
        "quantity",
    ),
}


def mutate(dsn: str, old: str, new: str) -> None:
    """Replaces a part of the ETL's text."""
    with connect(dsn) as session:
        text = str(one(dsn, f"SELECT pg_get_functiondef('{LOAD}'::regprocedure)"))
        assert old in text
        session.execute(text.replace(old, new).encode())


def outcome(dsn: str, job: str = ETL, **options: object) -> tuple[str, str]:
    """The status that the proof gives a job, and what it says of it; nothing of the proof remains."""
    before = fingerprint(dsn)
    result = call("scout_proof_info", dsn, **options)
    assert fingerprint(dsn) == before
    [found] = [each for each in result["jobs"] if each["jobname"] == job]
    return found["status"], found["said"]


def statuses(dsn: str) -> dict[str, str]:
    """What the proof says of each job."""
    return {each["jobname"]: each["status"] for each in call("scout_proof_info", dsn)["jobs"]}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_change_of_the_etl_is_reported_with_its_column(wrong: str, scout_db: str) -> None:
    old, new, column = WRONG[wrong]
    mutate(scout_db, old, new)
    status, said = outcome(scout_db)
    assert (status, column in said) == ("changed", True), said


def test_a_change_that_a_deployment_means_is_none(scout_db: str) -> None:
    mutate(scout_db, "e->>'region',", "NULL,")
    assert outcome(scout_db, changes=["silver_transactions.region"])[0] == "proved"


def test_a_capture_after_the_change_makes_it_the_norm(scout_db: str) -> None:
    captured(scout_db)
    mutate(scout_db, "e->>'region',", "NULL,")
    assert outcome(scout_db)[0] == "changed"
    captured(scout_db, "v5.3.0")
    assert outcome(scout_db)[0] == "proved"


def test_a_change_is_dated_by_the_first_sale_that_was_loaded_since(scout_db: str) -> None:
    mutate(scout_db, TOTAL, f"100 * {TOTAL}")
    with connect(scout_db) as session:
        session.execute(
            "INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash) "
            "SELECT event_type, source_system, event_data || jsonb_build_object('transaction_id', 'new-' || row_number() OVER ()), "
            "sha256(gen_random_uuid()::text::bytea) FROM scout.bronze_events WHERE event_data ->> 'total_amount' > '1' LIMIT 60"
        )
        session.execute("SELECT scout.load_silver_from_bronze(1000)")
    since = one(scout_db, "SELECT max(processed_at) FROM scout.etl_processed").astimezone(datetime.UTC)
    status, said = outcome(scout_db)
    assert (status, f"since {since:%Y-%m-%d %H:%M:%S}Z silver_transactions." in said) == ("changed", True), said


def test_rows_that_were_written_again_since_their_load_still_show_a_change(scout_db: str) -> None:
    """As after a restore from a dump."""
    with connect(scout_db) as session:
        session.execute("UPDATE scout.silver_transactions SET updated_at = now()")
    assert outcome(scout_db)[0] == "proved"
    mutate(scout_db, TOTAL, f"2 * {TOTAL}")
    status, said = outcome(scout_db)
    assert (status, "total_amount" in said) == ("changed", True), said


def test_a_column_that_a_later_job_fills_is_no_change(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("UPDATE scout.silver_transactions SET quality_score = 0.5")
    mutate(scout_db, "            1.0,\n", "            NULL,\n")
    assert outcome(scout_db)[0] == "proved"


def test_sales_that_somebody_corrected_are_no_change(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE scout.silver_transactions SET total_amount = total_amount + 1 WHERE abs(hashtext(transaction_id)) % 50 = 0"
        )
        session.execute("DELETE FROM scout.silver_line_items WHERE abs(hashtext(line_id::text)) % 50 = 0")
    mutate(scout_db, "started timestamptz", "begun timestamptz := now();\n    started timestamptz")
    assert outcome(scout_db)[0] == "proved"


#: Columns of which the value also depends on what else is in the database, or on the clock; and what replaces the customer's type.
BY_STATE = {
    "seen before": "CASE WHEN EXISTS (SELECT FROM scout.silver_transactions k WHERE k.customer_id = e->>'customer_id') "
    "THEN 'returning' ELSE 'new' END::scout.customer_type",
    "clock": "CASE WHEN s.ingested_at > now() - interval '1 hour' THEN 'new' ELSE 'vip' END::scout.customer_type",
}


@pytest.mark.parametrize("how", BY_STATE)
def test_a_column_that_depends_on_more_than_the_event_is_not_compared(how: str, scout_db: str) -> None:
    mutate(
        scout_db,
        "CASE WHEN e->>'customer_type' IN ('new', 'returning', 'vip')\n                THEN (e->>'customer_type')::scout.customer_type END",
        BY_STATE[how],
    )
    with connect(scout_db) as session:
        session.execute("TRUNCATE scout.silver_transactions, scout.silver_line_items, scout.etl_processed")
        session.execute("UPDATE scout.bronze_events SET ingested_at = now() - interval '30 minutes'")
    assert not call("scout_drain", scout_db).get("failed")
    assert outcome(scout_db)[0] == "proved"


def test_a_database_without_earlier_sales_is_proved_and_not_compared(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "TRUNCATE scout.silver_transactions, scout.silver_line_items, scout.etl_processed, scout.bronze_events"
        )
    status, said = outcome(scout_db)
    assert (status, "not compared" in said) == ("proved", True), said


def test_a_source_that_is_passed_over_is_named(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE scout.bronze_events SET source_system = 'till-9' "
            "WHERE event_id IN (SELECT event_id FROM scout.bronze_events ORDER BY ingested_at DESC LIMIT 40)"
        )
    condition = "WHERE b.event_type = 'transaction.v1'"
    mutate(scout_db, condition, f"{condition} AND b.source_system <> 'till-9'")
    status, said = outcome(scout_db)
    assert (status, "of source till-9" in said) == ("changed", True), said


def test_a_source_that_a_policy_hides_from_the_job_is_named(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("ALTER TABLE scout.bronze_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        session.execute(
            "CREATE POLICY part ON scout.bronze_events USING (source_system <> 'pos-sync') WITH CHECK (true)"
        )
    status, said = outcome(scout_db)
    assert (status, "of source pos-sync" in said) == ("changed", True), said


def test_sales_that_can_no_longer_be_loaded_fail(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("ALTER TABLE scout.silver_transactions ADD CHECK (payment_method <> 'gcash') NOT VALID")
    status, said = outcome(scout_db)
    assert (status, "it no longer loads sales that it loaded before" in said) == ("failed", True), said


def test_small_batches_are_no_fault(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(5)' WHERE jobname = %s", [ETL]
        )
    proof = call("scout_proof_info", scout_db)
    assert proof["proven"], proof["error"]


def test_a_key_of_the_teams_own_that_a_copy_violates_is_no_fault(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("CREATE UNIQUE INDEX ON scout.silver_transactions (store_id, ts, total_amount, customer_id)")
    proof = call("scout_proof_info", scout_db)
    assert proof["proven"], proof["error"]


FROM = "FROM scout.silver_transactions t\n"
SOME = "FROM (SELECT * FROM scout.silver_transactions WHERE {}) t\n"
#: What is replaced in the definition of a view by what.
GOLD = {
    "leaves out a payment method": (FROM, SOME.format("payment_method <> 'gcash'")),
    "counts twice": (FROM, f"{FROM.strip()} CROSS JOIN generate_series(1, 2)\n"),
    "shows another sum": ("sum(t.peso_value) AS peso_total", "sum(t.peso_value) / 2 AS peso_total"),
    "leaves out the large": (FROM, SOME.format("total_amount < 500")),
    "takes the afternoon for the morning": ("= 'morning'", "= 'afternoon'"),
    "takes another sum for one part of the day": (
        "sum(t.total_amount) FILTER (WHERE t.time_of_day = 'morning'",
        "sum(t.net_amount) FILTER (WHERE t.time_of_day = 'morning'",
    ),
    "counts sales as stores": ("count(DISTINCT t.store_id)", "count(t.store_id)"),
    "divides by another number": ("nullif(max(r.population), 0)", "nullif(max(r.population), 0) * 2"),
    "shows the largest as the mean": ("avg(t.total_amount)", "max(t.total_amount)"),
    "shows one region's sales as another's": (
        "ON r.region_name = t.region\n",
        "ON r.region_key = CASE t.region WHEN 'National Capital Region' THEN 'NONE' ELSE 'X' END\n",
    ),
}
MADE = "CREATE MATERIALIZED VIEW scout.gold_region_choropleth"


def redefine(dsn: str, old: str, new: str) -> None:
    """Makes gold_region_choropleth again, with a part of its definition replaced."""
    text = (SCHEMA / "20_gold.sql").read_text().partition(MADE)[2].partition("CREATE FUNCTION")[0]
    assert old in text
    with connect(dsn) as session:
        session.execute("DROP MATERIALIZED VIEW scout.gold_region_choropleth CASCADE")
        session.execute(f"{MADE}{text.replace(old, new, 1)}".encode())
        session.execute("ALTER MATERIALIZED VIEW scout.gold_region_choropleth OWNER TO loader")


def gold_said(dsn: str) -> tuple[str, str]:
    [found] = [each for each in call("scout_proof_info", dsn)["jobs"] if each["jobname"] == "smart-gold-refresh"]
    return found["status"], found["said"]


@pytest.mark.parametrize("wrong", GOLD)
def test_a_view_that_was_defined_otherwise_since_the_capture_is_reported_with_a_figure(
    wrong: str, scout_db: str
) -> None:
    captured(scout_db)
    redefine(scout_db, *GOLD[wrong])
    status, told = gold_said(scout_db)
    assert status == "changed", told
    assert "other figures than by its definition in release v5.2.0: scout.gold_region_choropleth of 20" in told
    assert " instead of " in told


def test_a_view_that_no_capture_knows_is_not_judged(scout_db: str) -> None:
    redefine(scout_db, *GOLD["leaves out the large"])
    assert gold_said(scout_db)[0] == "proved"


#: What deployments define in different ways, so that nothing but the release says which one is meant.
CHANGED = {
    "the sum of net amounts": ("sum(t.total_amount) / nullif", "sum(t.net_amount) / nullif", "revenue_per_capita"),
    "the mean of net amounts": ("avg(t.total_amount)", "avg(t.net_amount)", "avg_transaction_value"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_gold_of_other_figures_than_by_its_definition_in_the_release_fails_with_both(
    change: str, scout_db: str
) -> None:
    old, new, column = CHANGED[change]
    captured(scout_db)
    assert gold_said(scout_db) == ("proved", "was tried as loader, rolled back: it refreshes 2 views")
    redefine(scout_db, old, new)
    status, told = gold_said(scout_db)
    assert status == "changed"
    assert "other figures than by its definition in release v5.2.0: scout.gold_region_choropleth of 20" in told
    assert f": {column} " in told
    assert " instead of " in told
    meant = call("scout_proof_info", scout_db, changes=[f"gold_region_choropleth.{column}"])
    assert meant["proven"], meant["error"]


def captured(dsn: str, release: str = "v5.2.0") -> None:
    result = call("scout_capture", dsn, release=release)
    assert not result.get("failed"), result


def test_what_another_definition_computes_as_before_is_named_and_no_failure(scout_db: str) -> None:
    captured(scout_db)
    redefine(scout_db, "avg(t.total_amount)", "sum(t.total_amount) / count(*)")
    status, told = gold_said(scout_db)
    assert status == "proved"
    assert told.endswith(
        "defined otherwise than in release v5.2.0, with the same figures: scout.gold_region_choropleth"
    )


def test_a_change_that_the_latest_release_has_is_meant(scout_db: str) -> None:
    captured(scout_db)
    redefine(scout_db, *CHANGED["the sum of net amounts"][:2])
    captured(scout_db, "v5.3.0")
    assert gold_said(scout_db) == ("proved", "was tried as loader, rolled back: it refreshes 2 views")


@pytest.mark.parametrize("line", ["sum(t.peso_value) AS peso_total", "count(*) AS txn_count"])
def test_a_figure_that_gold_no_longer_has_is_named(line: str, scout_db: str) -> None:
    captured(scout_db)
    redefine(scout_db, f"    {line},\n", "")
    status, told = gold_said(scout_db)
    assert (status, f"scout.gold_region_choropleth has no {line.split()[-1]}" in told) == ("changed", True), told


def test_a_job_that_loads_less_than_arrives_is_told_with_both_figures(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(5)' WHERE jobname = %s", [ETL]
        )
        session.execute(
            "INSERT INTO scout.bronze_events (event_type, event_data, ingested_at) "
            "SELECT 'transaction.v1', '[]', now() - n * interval '1 s' FROM generate_series(1, 1000) AS n"
        )
        session.execute(
            "INSERT INTO scout.etl_processed SELECT event_id FROM scout.bronze_events WHERE event_data = '[]'"
        )
    status, said = outcome(scout_db)
    assert (status, "it loads 5 events a run, 300 an hour, and 1," in said) == ("failed", True), said


@pytest.mark.parametrize("schedule", ["*/30 * * * *", "* 3-4 * * *"])
def test_a_schedule_that_leaves_events_waiting_is_told(schedule: str, scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("UPDATE cron.job SET schedule = %s WHERE jobname = %s", [schedule, ETL])
    status, said = outcome(scout_db)
    assert (status, f"by its schedule {schedule} it does not come for" in said) == ("failed", True), said


WAITED = "UPDATE scout.etl_processed AS p SET processed_at = b.ingested_at + interval '25 minutes' FROM scout.bronze_events AS b"


@pytest.mark.parametrize(("of", "proven"), [("", True), ("date_trunc('day', b.ingested_at) = current_date - 1", False)])
def test_a_schedule_is_judged_by_how_long_events_waited_on_most_days(of: str, proven: bool, scout_db: str) -> None:
    """Half-hourly since ever, and on one bad day alone."""
    with connect(scout_db) as session:
        session.execute("UPDATE cron.job SET schedule = '*/30 * * * *' WHERE jobname = %s", [ETL])
        session.execute(f"{WAITED} WHERE b.event_id = p.event_id AND {of or 'true'}".encode())
    proof = call("scout_proof_info", scout_db)
    assert proof["proven"] == proven, proof
    assert proven or "at most on most days" in proof["error"]["said"]


def test_another_job_that_loads_often_enough_makes_up_for_it(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "INSERT INTO cron.job (schedule, command, database, nodeport, username, jobname) "
            "SELECT '0 3 * * *', 'SELECT scout.load_silver_from_bronze(100000)', database, nodeport, username, 'catch-up' "
            "FROM cron.job WHERE jobname = %s",
            [ETL],
        )
    proof = call("scout_proof_info", scout_db)
    assert proof["proven"], proof["error"]


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "10000-01-01", "0001-01-01 BC"])
def test_events_that_came_at_no_time_are_copied_too(moment: str, scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE scout.bronze_events SET ingested_at = %s WHERE event_id IN "
            "(SELECT event_id FROM scout.etl_processed ORDER BY processed_at DESC LIMIT 50)",
            [moment],
        )
    proof = call("scout_proof_info", scout_db)
    assert proof["proven"], proof["error"]


LINK = "scout.link_products_to_catalog(integer)"
#: What is replaced in the text of the linking by what, and what is said of it.
LINKING = {
    "of other products": (
        "d.product_id = l.product_id",
        "d.product_id <> l.product_id",
        "product_key",
    ),
    "of any product": ("AND l.product_key IS NULL", "OR l.product_key IS NULL", "product_key"),
}


@pytest.mark.parametrize("how", LINKING)
def test_lines_that_are_linked_wrong_are_told(how: str, scout_db: str) -> None:
    old, new, told = LINKING[how]
    with connect(scout_db) as session:
        text = str(one(scout_db, f"SELECT pg_get_functiondef('{LINK}'::regprocedure)"))
        assert old in text
        session.execute(text.replace(old, new).encode())
    status, said = outcome(scout_db, "product-linking")
    assert (status, told in said) == ("changed", True), said


#: A function, what is replaced in it, and the job that then passes over what came with the run before.
TOO_SHORT = {
    "gold": ("scout.maybe_refresh_gold()", "'5 minutes'", "smart-gold-refresh", "did not refresh"),
}


@pytest.mark.parametrize("what", TOO_SHORT)
def test_what_looks_back_for_less_than_the_time_between_two_runs_is_told(what: str, scout_db: str) -> None:
    function, found, job, told = TOO_SHORT[what]
    with connect(scout_db) as session:
        text = str(one(scout_db, f"SELECT pg_get_functiondef('{function}'::regprocedure)"))
        assert found in text
        session.execute(text.replace(found, "'10 seconds'").encode())
        # The reference may have been made a moment ago.
        session.execute("UPDATE scout.silver_transactions SET processed_at = processed_at - interval '10 minutes'")
    [verdict] = [each for each in call("scout_proof_info", scout_db)["jobs"] if each["jobname"] == job]
    assert (verdict["status"], told in verdict["said"]) == ("failed", True), verdict


def test_a_job_of_others_that_changes_events_is_told(scout_db: str) -> None:
    with planted(scout_db, FAULTS["a job of others gives events another type"]):
        proof = call("scout_proof_info", scout_db)
    assert (proof["status"], "changes events of scout.bronze_events" in proof["error"]["said"]) == ("failed", True), (
        proof
    )


@pytest.mark.parametrize(("always", "status"), [(True, "proved"), (False, "changed")])
def test_a_job_that_rewrites_sales_is_told_only_if_it_never_did_before(
    always: bool, status: str, scout_db: str
) -> None:
    rewrites = "UPDATE scout.silver_transactions SET payment_method = upper(payment_method)"
    if always:
        with connect(scout_db) as session:
            session.execute(rewrites)
    with planted(scout_db, another(rewrites)):
        proof = call("scout_proof_info", scout_db)
    assert proof["status"] == status, proof
    assert always or "payment_method" in proof["error"]["said"]

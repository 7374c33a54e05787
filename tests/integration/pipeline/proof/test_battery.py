# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipeline that loads a plain sale and writes others wrong is no working pipeline."""

from __future__ import annotations

import pytest

from tests import CHECKOUT
from tests.faults import planted
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
    "keeps ten lines": (LINES, f"{LINES}WHERE position <= 10\n", "lines.missing"),
    "keeps twenty lines": (LINES, f"{LINES}WHERE position <= 20\n", "lines.missing"),
    "keeps lines of known products": (
        LINES,
        f"{LINES}WHERE item->>'product_id' IN (SELECT product_id FROM scout.silver_line_items)\n",
        "lines.missing",
    ),
    "caps discounts": (DISCOUNT_AMOUNT, f"least({DISCOUNT_AMOUNT}, 5000)", "discount_amount"),
    "caps scores": (
        "THEN (e->>'handshake_score')::numeric",
        "THEN least((e->>'handshake_score')::numeric, 0.95)",
        "handshake_score",
    ),
    "halves what one method paid": (f"{TOTAL}{DISCOUNT}", f"{HALF}{DISCOUNT}", "total_amount"),
    "forgets the region": ("e->>'region',", "NULL,", "region"),
    "calls all unknown": ("coalesce(e->>'payment_method', 'unknown')", "'unknown'", "payment_method"),
    "rounds line amounts": (AMOUNT, "round(coalesce((item->>'line_amount')::numeric, 0))", "line_amount"),
    "counts one item": (f"{ITEMS},\n            i.products", "1,\n            i.products", "item_count"),
    "leaves a correction aside": ("net_amount = excluded.net_amount", "net_amount = t.net_amount", "net_amount"),
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


def said(dsn: str) -> str:
    """What the proof says of the job that loads; nothing of it remains."""
    before = fingerprint(dsn)
    result = call("scout_proof", dsn)
    assert fingerprint(dsn) == before
    [found] = [each for each in result["jobs"] if each["jobname"] == ETL]
    assert (found["status"], result["proven"]) == ("failed", False), result
    return str(found["said"])


def statuses(dsn: str) -> dict[str, str]:
    """What the proof says of each job."""
    return {each["jobname"]: each["status"] for each in call("scout_proof", dsn)["jobs"]}


@pytest.mark.parametrize("job", [ETL, "product-linking"])
@pytest.mark.parametrize(
    "spoils", ["SET net_amount = net_amount + 1 WHERE payment_method = 'cash'", "SET net_amount = 0"]
)
def test_what_one_job_writes_wrong_is_no_fault_of_those_after_it(job: str, spoils: str, scout_db: str) -> None:
    with connect(scout_db) as session:
        command = f"UPDATE scout.silver_transactions {spoils}"
        session.execute("UPDATE cron.job SET command = command || %s WHERE jobname = %s", [command, job])
    assert {name for name, status in statuses(scout_db).items() if status == "failed"} == {job}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_writes_some_sales_wrong_is_told_by_the_field(wrong: str, scout_db: str) -> None:
    old, new, field = WRONG[wrong]
    mutate(scout_db, old, new)
    told = said(scout_db)
    assert "it writes sales otherwise than their events say" in told
    assert field in told


@pytest.mark.parametrize(
    ("kind", "keeps"),
    [("numeric(10, 0)", False), ("numeric(10, 1)", False), ("numeric", True), ("double precision", True)],
)
def test_a_column_of_another_type_keeps_what_events_say_or_that_is_told(
    scout_db: str, kind: str, *, keeps: bool
) -> None:
    with connect(scout_db) as session:
        session.execute(f"ALTER TABLE scout.silver_line_items ALTER COLUMN line_amount TYPE {kind}".encode())
    if keeps:
        proof = call("scout_proof", scout_db)
        assert proof["proven"], proof["error"]
    else:
        assert "line_amount" in said(scout_db)


#: Half the price by one payment method, where something else comes to it.
PAIRS = {
    "some stores": "e->>'store_id' < 'S012'",
    "a region": "e->>'region' = 'Davao Region'",
    "a kind of customer": "e->>'customer_type' = 'vip'",
    "a source": "(SELECT source_system FROM scout.bronze_events AS o WHERE o.event_id = s.event_id) = 'pos-sync'",
    "an hour": "e->>'ts' ~ 'T(1[7-9]|20):'",
}


@pytest.mark.parametrize("pair", PAIRS)
def test_two_properties_together_that_no_sale_has_had_are_met(pair: str, scout_db: str) -> None:
    condition = f"e->>'payment_method' = 'utang' AND {PAIRS[pair]}"
    with connect(scout_db) as session:
        session.execute(
            'UPDATE scout.bronze_events AS s SET event_data = e || \'{"payment_method": "cash"}\' '
            f"FROM (SELECT event_id, event_data AS e FROM scout.bronze_events) AS b WHERE b.event_id = s.event_id AND {condition}".encode()
        )
    mutate(scout_db, f"{TOTAL}{DISCOUNT}", f"{TOTAL} / CASE WHEN {condition} THEN 2 ELSE 1 END{DISCOUNT}")
    assert "total_amount" in said(scout_db)


def test_a_source_that_is_passed_over_is_named(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE scout.bronze_events SET source_system = 'till-9' "
            "WHERE event_id IN (SELECT event_id FROM scout.bronze_events ORDER BY ingested_at DESC LIMIT 40)"
        )
    condition = "WHERE b.event_type = 'transaction.v1'"
    mutate(scout_db, condition, f"{condition} AND b.source_system <> 'till-9'")
    assert "passes over those like" in said(scout_db)


def test_a_kind_that_it_cannot_load_is_named(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("ALTER TABLE scout.silver_transactions ADD CHECK (payment_method <> 'gcash') NOT VALID")
    told = said(scout_db)
    assert "it loads a plain sale, and none like" in told
    assert "check" in told


def test_small_batches_are_no_fault(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(5)' WHERE jobname = %s", [ETL]
        )
    proof = call("scout_proof", scout_db)
    assert proof["proven"], proof["error"]


def test_a_key_of_the_teams_own_that_a_copy_violates_is_no_fault(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("CREATE UNIQUE INDEX ON scout.silver_transactions (store_id, ts, total_amount, customer_id)")
    proof = call("scout_proof", scout_db)
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
    [found] = [each for each in call("scout_proof", dsn)["jobs"] if each["jobname"] == "smart-gold-refresh"]
    return found["status"], found["said"]


@pytest.mark.parametrize("wrong", GOLD)
def test_gold_that_is_not_what_silver_has_is_told_by_view_and_day(wrong: str, scout_db: str) -> None:
    redefine(scout_db, *GOLD[wrong])
    status, told = gold_said(scout_db)
    assert status == "failed", told
    assert "gold, which is not what silver has: scout.gold_region_choropleth of 20" in told
    assert " instead of " in told


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("date_key >= current_date - 90", "proved"),
        # Part of the first day and of the last.
        ("ts BETWEEN now() - interval '60 hours' AND now() - interval '1 hour'", "proved"),
        ("date_key >= current_date - 90 AND payment_method <> 'gcash'", "failed"),
        ("payment_method NOT LIKE 'x%s%'", "proved"),
    ],
)
def test_gold_of_some_days_is_judged_by_those_that_it_shows_whole(condition: str, status: str, scout_db: str) -> None:
    redefine(scout_db, FROM, SOME.format(condition))
    found, told = gold_said(scout_db)
    assert found == status, told
    [figures] = [each for each in call("scout_health_info", scout_db)["indicators"] if each["name"] == "gold_figures"]
    assert figures["status"] == ("ok" if status == "proved" else "fail"), figures


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
    assert status == "failed"
    assert "other figures than by its definition in release v5.2.0: scout.gold_region_choropleth of 20" in told
    assert f": {column} " in told
    assert " instead of " in told
    left_out = call("scout_proof", scout_db, contract={"partial_gold": f"gold_region_choropleth.{column}"})
    assert left_out["proven"], left_out["error"]


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
    assert (status, f"scout.gold_region_choropleth has no {line.split()[-1]}" in told) == ("failed", True), told
    assert call("scout_proof", scout_db, contract={"partial_gold": "gold_region_choropleth"})["proven"]


def test_gold_of_every_variant_is_what_silver_has(variant_db: str) -> None:
    """Also where a sale is of the region of its store."""
    told = {each["name"]: each["value"] for each in call("scout_health_info", variant_db)["indicators"]}
    assert told["gold_figures"] == 0
    assert call("scout_proof", variant_db)["proven"]


def test_a_column_that_shows_something_else_by_design_is_named_in_the_contract(scout_db: str) -> None:
    redefine(scout_db, *GOLD["counts sales as stores"])
    assert call("scout_proof", scout_db, contract={"partial_gold": "gold_region_choropleth.active_stores"})["proven"]


def test_a_view_that_leaves_out_sales_by_design_is_named_in_the_contract(scout_db: str) -> None:
    redefine(scout_db, *GOLD["leaves out a payment method"])
    assert call("scout_proof", scout_db, contract={"partial_gold": "gold_region_choropleth"})["proven"]


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
    assert "it loads 5 events a run, 300 an hour, and 1," in said(scout_db)


@pytest.mark.parametrize("schedule", ["*/30 * * * *", "* 3-4 * * *"])
def test_a_schedule_that_leaves_events_waiting_is_told(schedule: str, scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("UPDATE cron.job SET schedule = %s WHERE jobname = %s", [schedule, ETL])
    told = said(scout_db)
    assert f"by its schedule {schedule} it does not come for" in told


WAITED = "UPDATE scout.etl_processed AS p SET processed_at = b.ingested_at + interval '25 minutes' FROM scout.bronze_events AS b"


@pytest.mark.parametrize(("of", "proven"), [("", True), ("date_trunc('day', b.ingested_at) = current_date - 1", False)])
def test_a_schedule_is_judged_by_how_long_events_waited_on_most_days(of: str, proven: bool, scout_db: str) -> None:
    """Half-hourly since ever, and on one bad day alone."""
    with connect(scout_db) as session:
        session.execute("UPDATE cron.job SET schedule = '*/30 * * * *' WHERE jobname = %s", [ETL])
        session.execute(f"{WAITED} WHERE b.event_id = p.event_id AND {of or 'true'}".encode())
    proof = call("scout_proof", scout_db)
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
    proof = call("scout_proof", scout_db)
    assert proof["proven"], proof["error"]


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "10000-01-01", "0001-01-01 BC"])
def test_events_that_came_at_no_time_are_copied_too(moment: str, scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "UPDATE scout.bronze_events SET ingested_at = %s WHERE event_id IN "
            "(SELECT event_id FROM scout.etl_processed ORDER BY processed_at DESC LIMIT 50)",
            [moment],
        )
    proof = call("scout_proof", scout_db)
    assert proof["proven"], proof["error"]


LINK = "scout.link_products_to_catalog(integer)"
#: What is replaced in the text of the linking by what, and what is said of it.
LINKING = {
    "of other products": (
        "d.product_id = l.product_id",
        "d.product_id <> l.product_id",
        "products that they are not of",
    ),
    "of any product": ("AND l.product_key IS NULL", "OR l.product_key IS NULL", "products that they are not of"),
    "of none": ("AND l.product_key IS NULL", "AND l.product_key IS NOT NULL", "it links no line"),
}


@pytest.mark.parametrize("how", LINKING)
def test_lines_that_are_linked_wrong_are_told(how: str, scout_db: str) -> None:
    old, new, told = LINKING[how]
    with connect(scout_db) as session:
        text = str(one(scout_db, f"SELECT pg_get_functiondef('{LINK}'::regprocedure)"))
        assert old in text
        session.execute(text.replace(old, new).encode())
    [found] = [each for each in call("scout_proof", scout_db)["jobs"] if each["jobname"] == "product-linking"]
    assert (found["status"], told in found["said"]) == ("failed", True), found


#: A function, what is replaced in it, and the job that then passes over what came with the run before.
TOO_SHORT = {
    "gold": ("scout.maybe_refresh_gold()", "'5 minutes'", "smart-gold-refresh", "did not refresh"),
    "linking": ("scout.link_products_to_catalog(integer)", "'1 hour'", "product-linking", "it links no line"),
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
    [verdict] = [each for each in call("scout_proof", scout_db)["jobs"] if each["jobname"] == job]
    assert (verdict["status"], told in verdict["said"]) == ("failed", True), verdict


def test_a_job_of_others_that_changes_events_is_told(scout_db: str) -> None:
    with planted(scout_db, FAULTS["a job of others gives events another type"]):
        proof = call("scout_proof", scout_db)
    assert (proof["status"], "changes events of scout.bronze_events" in proof["error"]["said"]) == ("failed", True), (
        proof
    )

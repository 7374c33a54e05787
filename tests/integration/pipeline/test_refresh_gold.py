# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gold says what silver says, and nobody waits for it longer than told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import expected, refresh_gold
from tests.integration.modules import (
    Result,
    call,
    connect,
    executed,
    fingerprint,
    once_waited_for,
    one,
    rows,
)

DAILY, REGION = "scout.gold_daily_metrics", "scout.gold_region_choropleth"
SOLD = (
    "SELECT sum(total_sales) = (SELECT sum(total_amount) FROM scout.silver_transactions) FROM scout.gold_daily_metrics"
)


def refresh(dsn: str, **options: Any) -> Result:
    """A refresh that does not wait long for locks."""
    result = call("scout_refresh_gold", dsn, **{"lock_timeout_seconds": 0.3, **options})
    assert not result.get("failed"), result["msg"]
    return result


def failing(dsn: str, **options: Any) -> Result:
    """The result of a refresh that has to fail."""
    result = call("scout_refresh_gold", dsn, **{"lock_timeout_seconds": 0.3, "attempts": 2, **options})
    assert result.get("failed"), result
    return result


def states(result: Result) -> dict[str, str]:
    return {view["name"]: view["state"] for view in result["views"]}


def how(result: Result) -> dict[str, str]:
    return {view["name"]: view["how"] for view in result["refreshed"]}


def execute(dsn: str, *statements: str) -> None:
    """Each statement as a superuser."""
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


# --- what is fresh


def test_fresh_gold_is_left_alone(scout_db: str) -> None:
    before = fingerprint(scout_db)
    result = refresh(scout_db)
    assert (result["changed"], result["run_id"], result["refreshed"], result["summary"]) == (
        False,
        None,
        [],
        "gold is fresh",
    )
    assert states(result) == {DAILY: "fresh", REGION: "fresh"}
    assert fingerprint(scout_db) == before


@pytest.mark.parametrize("way", [call, executed])
def test_stale_gold_is_refreshed_once_in_both_ways(scout_db: str, way: Any) -> None:
    library.negative_totals(scout_db)
    first = way("scout_refresh_gold", scout_db)
    second = way("scout_refresh_gold", scout_db)
    assert how(first) == {DAILY: "concurrently", REGION: "concurrently"}
    assert states(first) == {DAILY: "stale", REGION: "stale"}
    assert one(scout_db, SOLD)
    assert (second["changed"], second["run_id"]) == (False, None)
    run = rows(
        scout_db,
        "SELECT status, jsonb_array_length(effects -> 'refreshed') FROM scout_ops.runs WHERE run_id = %s",
        first["run_id"],
    )
    assert run == [("succeeded", 2)]


def test_stale_by_the_clock(scout_db: str) -> None:
    library.gold_stale(scout_db, minutes=60)
    result = refresh(scout_db)
    assert states(result) == {DAILY: "stale", REGION: "stale"}
    for view in result["views"]:
        assert view["behind_seconds"] > 3000
        assert "silver changed" in view["why"]


def test_an_etl_run_in_flight_at_the_refresh_is_seen(scout_db: str) -> None:
    generator_seed = time.time_ns() % 10**9
    with psycopg.connect(scout_db) as loader:
        generator.insert(loader, generator.transaction(generator_seed, 1))
        loader.execute("SELECT scout.load_silver_from_bronze(100)")
        refresh(scout_db, force=True)
        loader.commit()
    result = refresh(scout_db)
    assert states(result) == {DAILY: "stale", REGION: "stale"}
    for view in result["views"]:
        assert "differ from silver" in view["why"]
    assert one(scout_db, SOLD)


def test_deleted_silver_is_seen_long_after_the_refresh(scout_db: str) -> None:
    execute(
        scout_db,
        "UPDATE scout.etl_processed SET processed_at = processed_at - interval '2 days'",
        "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '2 days', updated_at = now() - interval '2 days'",
        "UPDATE scout.silver_line_items SET updated_at = now() - interval '2 days'",
    )
    assert not refresh(scout_db)["changed"]
    execute(
        scout_db,
        "DELETE FROM scout.silver_transactions WHERE transaction_id = (SELECT max(transaction_id) FROM scout.silver_transactions)",
    )
    assert states(refresh(scout_db, force=True)) == {DAILY: "stale", REGION: "stale"}
    assert one(scout_db, SOLD)


def test_unpopulated_gold_is_filled_plainly(scout_db: str) -> None:
    library.gold_unpopulated(scout_db)
    result = refresh(scout_db)
    assert states(result) == {DAILY: "unpopulated", REGION: "fresh"}
    assert how(result) == {DAILY: "plainly"}
    assert one(scout_db, SOLD)


# --- options


def test_force_refreshes_what_is_fresh(scout_db: str) -> None:
    assert how(refresh(scout_db, force=True)) == {DAILY: "concurrently", REGION: "concurrently"}


def test_only_the_views_named(scout_db: str) -> None:
    library.negative_totals(scout_db)
    assert how(refresh(scout_db, views=["gold_region_choropleth"])) == {REGION: "concurrently"}
    result = failing(scout_db, views=["gold_daily_metrics", "gold_dayly"])
    assert result["error"]["kind"] == "bad_input"
    assert "'gold_dayly'" in result["msg"]
    assert "choose among gold_daily_metrics, gold_region_choropleth" in result["msg"]
    assert failing(scout_db, attempts=0)["error"]["kind"] == "bad_input"


@pytest.mark.parametrize("options", [{}, {"force": True}, {"expect_changes": True}])
def test_check_mode_writes_nothing(scout_db: str, options: dict[str, Any]) -> None:
    library.gold_unpopulated(scout_db, "gold_region_choropleth")
    before = fingerprint(scout_db)
    result = call("scout_refresh_gold", scout_db, check=True, **options)
    assert (result["changed"], result["run_id"], result["refreshed"]) == (True, None, [])
    assert result["effects"] == {"refreshed": 2 if options else 1}
    assert fingerprint(scout_db) == before
    assert one(scout_db, "SELECT count(*) FROM pg_class WHERE relkind = 'm' AND NOT relispopulated") == 1


# --- in use


@pytest.fixture
def unkeyed_db(scout_db: str) -> str:
    """A pipeline whose second gold view lost its unique index, and whose silver has changed."""
    library.gold_broken(scout_db)
    library.negative_totals(scout_db)
    return scout_db


def test_a_plain_refresh_gives_way_to_a_reader_and_then_succeeds(unkeyed_db: str) -> None:
    with library.blocked_refresh(unkeyed_db, view="gold_region_choropleth") as held:
        yielded: list[str] = []

        def hear(line: str) -> None:
            if "yielded" in line:
                yielded.append(line)
                held.close()

        assert how(refresh(unkeyed_db, progress=Progress(hear)))[REGION] == "plainly"
    assert yielded == [f"{REGION} is in use: attempt 1 of 5 yielded"]


def test_no_reader_waits_longer_than_the_lock_timeout(unkeyed_db: str) -> None:
    """It queues behind an attempt, and has its answer before the next one."""
    stop, waited, answered = threading.Event(), threading.Event(), threading.Event()
    answers: list[bool] = []

    def read() -> None:
        with psycopg.connect(unkeyed_db, autocommit=True, application_name="dashboard") as connection:
            while not stop.is_set():
                connection.execute("SELECT count(*) FROM scout.gold_region_choropleth").fetchone()
                answered.set()

    def hear(line: str) -> None:
        if "yielded" in line:
            answered.clear()
            answers.append(answered.wait(20))

    with library.blocked_refresh(unkeyed_db, view="gold_region_choropleth"):
        reader = threading.Thread(target=read)
        reader.start()
        with once_waited_for(unkeyed_db, waited.set, waits=QUEUED):
            result = failing(unkeyed_db, attempts=3, lock_timeout_seconds=0.8, progress=Progress(hear))
        stop.set()
        reader.join(20)
        assert not reader.is_alive()
    assert waited.is_set()
    assert answers == [True, True]
    assert "3 attempts yielded to whoever uses it" in result["msg"]


#: A reader who waits for a lock.
QUEUED = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'dashboard' AND wait_event_type = 'Lock'
"""
#: A refresh that has asked for Scout's lock in vain.
ASKS = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'scout-recovery/%' AND query LIKE '%pg_advisory_xact_lock%'
  AND wait_event_type = 'Lock'
"""


def test_scouts_refresh_lock_is_respected_and_its_holder_named(scout_db: str) -> None:
    library.negative_totals(scout_db)
    with library.lock_holder(scout_db) as held:
        result = failing(scout_db)
        assert (
            f"advisory key 94752052 is held by pid {held.pids['holder']} (postgres, fault/lock_holder/holder"
            in result["msg"]
        )
        assert (result["changed"], result["refreshed"]) == (False, [])
        with once_waited_for(scout_db, held.close, waits=ASKS):
            assert len(refresh(scout_db, lock_timeout_seconds=20)["refreshed"]) == 2


def test_a_cancelled_refresh_leaves_no_lock(scout_db: str) -> None:
    execute(scout_db, "CREATE MATERIALIZED VIEW scout.gold_slow AS SELECT pg_sleep(30)::text WITH NO DATA")
    with connect(scout_db) as connection:

        def cancel() -> None:
            wait_until(
                connection,
                "SELECT FROM pg_stat_activity WHERE query LIKE '%%REFRESH%%gold_slow%%' AND wait_event = 'PgSleep'",
            )
            assert one(scout_db, LOCKS) == 1
            connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%REFRESH%gold_slow%' AND pid <> pg_backend_pid()"
            )

        canceller = threading.Thread(target=cancel)
        canceller.start()
        result = failing(scout_db)
        canceller.join()
    assert "scout.gold_slow: canceling statement due to user request" in result["msg"]
    assert one(scout_db, LOCKS) == 0
    assert "timeout" in failing(scout_db, refresh_timeout_seconds=0.3)["msg"]
    assert one(scout_db, LOCKS) == 0


@pytest.mark.parametrize("given", [None, 0.3])
def test_a_refresh_that_usually_takes_long_has_the_time_for_it(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, given: float | None
) -> None:
    """Unless it is said for how long."""
    monkeypatch.setattr(refresh_gold.Options, "refresh_timeout_seconds", 0.3)
    monkeypatch.setattr(expected, "gold_seconds", lambda _session: 0.0)
    execute(scout_db, "CREATE MATERIALIZED VIEW scout.gold_slow AS SELECT pg_sleep(1)::text WITH NO DATA")
    assert "timeout" in failing(scout_db)["msg"]
    monkeypatch.setattr(expected, "gold_seconds", lambda _session: 10.0)
    made = call("scout_refresh_gold", scout_db, views=["gold_slow"], refresh_timeout_seconds=given)
    assert made.get("failed", False) is (given is not None)


LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 94752052"


# --- broken views


def test_a_broken_view_is_named_and_does_not_undo_the_others(scout_db: str) -> None:
    execute(
        scout_db,
        """
        CREATE MATERIALIZED VIEW scout.a_ratio AS
            SELECT t.store_id, sum(1000 / (t.item_count + 0)) AS ratio FROM scout.silver_transactions t GROUP BY t.store_id
        """,
        "CREATE MATERIALIZED VIEW scout.z_last AS SELECT count(*) FROM scout.silver_transactions",
    )
    library.empty_baskets(scout_db)
    assert call("scout_refresh_gold", scout_db, check=True)["changed"]
    result = failing(scout_db)
    assert "could not refresh scout.a_ratio on" in result["msg"]
    assert "scout.a_ratio: division by zero" in result["msg"]
    assert (result["error"]["sqlstate"], result["changed"]) == ("22012", True)
    assert how(result) == {
        "scout.a_ratio": "failed",
        DAILY: "concurrently",
        REGION: "concurrently",
        "scout.z_last": "plainly",
    }
    assert one(scout_db, SOLD)
    assert how(failing(scout_db)) == {"scout.a_ratio": "failed"}


# --- other sets of views


OTHERS = '''
DROP MATERIALIZED VIEW scout.gold_daily_metrics, scout.gold_region_choropleth CASCADE;
CREATE MATERIALIZED VIEW scout."Gölden ""Sales""" AS
    SELECT t.store_id AS "Störe %s", json_build_object('n', count(*)) AS "json", point(count(*), 1) AS spot,
           ARRAY[max(t.ts)] AS "Last {0}" FROM scout.silver_transactions t GROUP BY t.store_id;
CREATE UNIQUE INDEX ON scout."Gölden ""Sales""" ("Störe %s");
CREATE VIEW scout.between AS SELECT s.* FROM scout."Gölden ""Sales""" AS s;
CREATE MATERIALIZED VIEW scout.a_reader AS SELECT count(*) AS n FROM scout.between;
CREATE MATERIALIZED VIEW scout.only_clocks AS SELECT now() AS refreshed_at, clock_timestamp() AS other;
CREATE MATERIALIZED VIEW scout.nothing AS SELECT t.id, now() AS created_at FROM scout.silver_transactions t WHERE false;
CREATE MATERIALIZED VIEW scout.moving AS
    SELECT t.store_id, EXTRACT(epoch FROM now() - max(t.ts)) AS seconds, now()::timestamp AS made, CURRENT_TIMESTAMP AS computed_at
    FROM scout.silver_transactions t GROUP BY t.store_id;
CREATE MATERIALIZED VIEW scout.latest AS SELECT max(t.updated_at) AS updated_at, count(*) AS n FROM scout.silver_transactions t;
CREATE MATERIALIZED VIEW scout.no_columns AS SELECT FROM scout.silver_transactions;
'''


@pytest.fixture
def other_db(scout_db: str) -> str:
    """A deployment with gold views of its own."""
    execute(scout_db, OTHERS)
    return scout_db


def test_any_set_of_views_becomes_and_stays_fresh(other_db: str) -> None:
    refresh(other_db, force=True)
    again = refresh(other_db)
    assert not again["changed"], again["views"]
    library.negative_totals(other_db)
    refreshed = how(refresh(other_db))
    assert {'scout.Gölden "Sales"', "scout.moving", "scout.latest", "scout.no_columns"} <= refreshed.keys()
    assert refreshed['scout.Gölden "Sales"'] == "concurrently"
    again = refresh(other_db)
    assert not again["changed"], again["views"]


def test_a_view_that_reads_another_follows_it(other_db: str) -> None:
    with connect(other_db) as connection:
        store = connection.execute("INSERT INTO scout.dim_store VALUES ('S-NEW', 'new') RETURNING store_id").fetchone()
        assert store
        generator.insert(connection, generator.transaction(time.time_ns() % 10**9, 1, store_id=store[0]))
        connection.execute("SELECT scout.load_silver_from_bronze(100)")
    names = list(how(refresh(other_db)))
    assert names.index("scout.a_reader") > names.index('scout.Gölden "Sales"')
    assert one(other_db, "SELECT n FROM scout.a_reader") == one(
        other_db, "SELECT count(DISTINCT store_id) FROM scout.silver_transactions"
    )
    assert not refresh(other_db)["changed"]


# --- privileges


@pytest.fixture
def operator(scout_db: str, pg_server: Server) -> Iterator[str]:
    """A role that may read but owns nothing."""
    execute(
        scout_db,
        'CREATE ROLE "on call" LOGIN',
        'GRANT USAGE ON SCHEMA scout TO "on call"',
        'GRANT SELECT ON ALL TABLES IN SCHEMA scout TO "on call"',
    )
    yield pg_server.dsn(scout_db.rpartition("/")[2], user="on call")
    execute(scout_db, 'DROP OWNED BY "on call" CASCADE', 'DROP ROLE "on call"')


@pytest.mark.parametrize("check", [False, True])
def test_a_role_that_may_not_refresh_is_told_the_grant(scout_db: str, operator: str, check: bool) -> None:
    assert not call("scout_refresh_gold", operator, ledger="off")["changed"]
    library.negative_totals(scout_db)
    result = call("scout_refresh_gold", operator, ledger="off", check=check)
    assert (result["error"]["kind"], result["error"]["sqlstate"]) == ("missing_privilege", "42501")
    grant = result["error"]["next_step"]
    modern = int(one(scout_db, "SELECT current_setting('server_version_num')::int")) >= 170000
    expected = 'GRANT MAINTAIN ON "scout"."gold_daily_metrics", "scout"."gold_region_choropleth" TO "on call"'
    assert grant == expected if modern else grant.startswith('GRANT "loader" TO "on call"')
    execute(scout_db, grant.partition(" (")[0])
    assert len(call("scout_refresh_gold", operator, ledger="off")["refreshed"]) == 2


LOSE = """
DELETE FROM scout.silver_transactions WHERE transaction_id IN (
    SELECT transaction_id FROM scout.silver_transactions ORDER BY processed_at LIMIT 300)
"""
#: Gold has another reason to be refreshed.
STALE = "UPDATE scout.silver_transactions SET updated_at = now() WHERE id = (SELECT max(id::text)::uuid FROM scout.silver_transactions)"


def test_gold_is_not_refreshed_to_a_hole_in_silver(scout_db: str) -> None:
    """The dashboards have the last right copy until the sales are there again."""
    before = one(scout_db, "SELECT sum(transaction_count) FROM scout.gold_daily_metrics")
    with connect(scout_db) as session:
        session.execute(LOSE)
    refused = failing(scout_db)
    assert "shows 300 sales that scout.silver_transactions has lost" in refused["msg"]
    assert one(scout_db, "SELECT sum(transaction_count) FROM scout.gold_daily_metrics") == before
    window = re.search(
        r"window_recovery -e scout_window_start=(\S+) -e scout_window_end=(\S+)", refused["error"]["next_step"]
    )
    assert window
    recovered = call("scout_window_recovery", scout_db, window_start=window[1], window_end=window[2])
    assert recovered["changed"], recovered
    refresh(scout_db)
    assert one(scout_db, "SELECT sum(transaction_count) FROM scout.gold_daily_metrics") == before
    assert one(scout_db, SOLD)


NEGATIVE = """
WITH chosen AS (SELECT id, source_event_id FROM scout.silver_transactions ORDER BY id LIMIT 3),
told AS (
    UPDATE scout.bronze_events SET event_data = event_data || '{"total_amount": -1}'
    WHERE event_id IN (SELECT source_event_id FROM chosen)
)
UPDATE scout.silver_transactions SET total_amount = -1 WHERE id IN (SELECT id FROM chosen)
"""
FIRST_DAY = (
    "DELETE FROM scout.silver_transactions WHERE date_key = (SELECT min(date_key) FROM scout.silver_transactions)"
)
ITS_EVENTS = """
DELETE FROM scout.bronze_events AS b
WHERE NOT EXISTS (SELECT FROM scout.silver_transactions WHERE transaction_id = b.event_data ->> 'transaction_id')
"""


def test_what_was_taken_out_of_silver_on_purpose_is_no_hole(scout_db: str) -> None:
    """By a quarantine, by a cleanup that keeps the events, and by a retention that takes both."""
    events = [row[0] for row in rows(scout_db, "SELECT source_event_id::text FROM scout.silver_transactions LIMIT 20")]
    assert not call("scout_quarantine", scout_db, event_ids=events).get("failed")
    refresh(scout_db)
    execute(scout_db, NEGATIVE)
    cleaned = call("scout_cleanup", scout_db, source_event="keep")
    assert cleaned["changed"], cleaned
    refresh(scout_db)
    execute(scout_db, FIRST_DAY, ITS_EVENTS)
    refresh(scout_db)
    assert one(scout_db, SOLD)


def test_a_role_that_may_refresh_but_not_read_silver_still_refreshes(scout_db: str, operator: str) -> None:
    if int(one(scout_db, "SELECT current_setting('server_version_num')::int")) < 170000:
        pytest.skip("before PostgreSQL 17 only an owner may refresh")
    execute(
        scout_db,
        'GRANT MAINTAIN ON scout.gold_daily_metrics, scout.gold_region_choropleth TO "on call"',
        'REVOKE SELECT ON scout.dim_region FROM "on call"',
    )
    result = call("scout_refresh_gold", operator, ledger="off")
    assert states(result) == {DAILY: "fresh", REGION: "unknown"}
    assert how(result) == {REGION: "concurrently"}

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While stores sell, somebody corrects and the ETL ticks, silver is damaged and recovered: no event is lost, and silver is right."""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.storm import Storm
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from tests.integration.modules import connect, one, rows
from tests.integration.oracle import arrive
from tests.integration.outcomes import ago, ran, stamp
from tests.integration.windows import Case, recover
from tests.scout.fixtures import small

SECONDS = float(os.environ.get("SCOUT_STORM_SECONDS", "8"))
SEED = 31_339

SOME = "SELECT transaction_id FROM scout.silver_transactions ORDER BY md5(transaction_id || %(salt)s) LIMIT %(few)s"

#: What a bad deployment does to silver behind everybody's back; each in a transaction of its own, beside the ETL.
HARM = (
    f"DELETE FROM scout.silver_transactions WHERE transaction_id IN ({SOME})",
    f"UPDATE scout.silver_transactions SET total_amount = -1, store_id = 'S-X' WHERE transaction_id IN ({SOME})",
    f"DELETE FROM scout.silver_line_items WHERE transaction_id IN ({SOME})",
    f"UPDATE scout.silver_line_items SET quantity = quantity + 1 WHERE transaction_id IN ({SOME})",
    f"""DELETE FROM scout.etl_processed WHERE event_id IN (SELECT source_event_id FROM scout.silver_transactions
        WHERE transaction_id IN ({SOME}))""",
)
#: A reference of a few hundred events, to which a storm adds thousands.
scout_template = small(400)


def harm(dsn: str, dice: random.Random) -> None:
    """One kind of damage to a few transactions; whoever collides with the ETL tries again."""
    with connect(dsn) as connection:
        for _ in range(20):
            try:
                connection.execute(dice.choice(HARM), {"salt": str(dice.random()), "few": dice.randint(1, 12)})
                return
            except (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation):
                continue


@pytest.mark.parametrize("blind", [False, True], ids=["careful corrections", "blind corrections"])
def test_silver_is_recovered_in_the_storm(scout_db: str, blind: bool) -> None:
    """With the ETL and slow writers at work, and nothing paused; in windows that end in the past, now, or in the future."""
    dice = random.Random(SEED)
    changed = 0
    with Storm(scout_db, blind_corrections=blind) as storm:
        while storm.seconds() < SECONDS or changed < 4 or storm.corrections <= 10:
            time.sleep(dice.uniform(0, 1))
            harm(scout_db, dice)
            start, end = ago(dice.uniform(2, 12)), dice.choice([ago(1), ago(0), ago(-5)])
            result = ran(
                "scout_window_recovery", scout_db, window_start=stamp(start), window_end=stamp(end),
                mode=dice.choice(["missing", "missing", "all"]), target_seconds=dice.choice([0.1, 0.5]),
            )  # fmt: skip
            changed += result["changed"]
            assert result["reconciliation"]["unexplained"] == 0
            known = dict(storm.written)
            now = where(scout_db, known)
            assert (now.lost, now.duplicated, now.altered) == (set(), set(), set())
    ran("scout_drain", scout_db)
    everything = {"window_start": "2000-01-01T00:00:00Z", "window_end": stamp(ago(-3600))}
    ran("scout_window_recovery", scout_db, **everything)
    assert where(scout_db, storm.written) == ZERO
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert rows(scout_db, "SELECT FROM scout.bronze_events_dlq") == []
    assert not ran("scout_window_recovery", scout_db, **everything)["changed"]
    assert changed >= 4
    assert storm.corrections > 10


def test_what_a_slow_writer_commits_into_a_closed_window_is_found_by_the_next_run(scout_db: str) -> None:
    """Its arrival is when its transaction began. While the run goes on it may or may not be seen; it is never half recovered."""
    [early] = arrive(scout_db, [generator.transaction(SEED, 1)], start=ago(2))
    with psycopg.connect(scout_db) as store:
        late = generator.insert(store, generator.transaction(SEED, 2))
        window = Window(ago(30), datetime.now(UTC))
        first = recover(Case(scout_db, window))
    assert first["changed"]
    marked = "SELECT count(*) FROM scout.etl_processed WHERE event_id = %s"
    assert (one(scout_db, marked, early), one(scout_db, marked, late)) == (1, 0)
    case = Case(scout_db, window)
    second, third = recover(case), recover(case)
    assert (second["changed"], third["changed"]) == (True, False)
    assert first["run_id"] != second["run_id"]
    case.check()


def test_what_arrives_in_the_window_during_the_run_is_counted_or_left_pending(scout_db: str) -> None:
    """A window that ends in the future, with a writer who never stops: the run comes to its end and explains all it counted."""
    with Storm(scout_db, rate=200, corrections_per_second=0.1) as storm:
        time.sleep(1)
        with connect(scout_db) as connection:
            connection.execute("DELETE FROM scout.silver_transactions WHERE processed_at < now() - interval '1 minute'")
        case = {"window_start": "2000-01-01T00:00:00Z", "window_end": stamp(ago(-3600))}
        result = ran("scout_window_recovery", scout_db, mode="missing", target_seconds=0.1, **case)
        told = result["reconciliation"]
        assert told["unexplained"] == 0
        assert told["expected"] == told["loaded"] + told["quarantined"] + told["not_transactional"]
        assert storm.seconds() < 60
    ran("scout_window_recovery", scout_db, **case)
    assert where(scout_db, storm.written) == ZERO
    assert silver_is_what_bronze_makes(scout_db) == {}


def test_the_etl_that_loads_beside_it_is_neither_failed_nor_fooled(scout_db: str) -> None:
    """pause=false: loaders every few milliseconds, a backlog outside the window; each of their runs succeeds or finds nothing."""
    window = Window(ago(86_400 * 3.5), ago(600))
    errors: list[BaseException] = []
    stop = threading.Event()
    arrive(
        scout_db, [generator.transaction(SEED, number) for number in range(100, 400)], start=ago(590), step_seconds=1
    )

    def load() -> None:
        try:
            with connect(scout_db, user="loader") as connection:
                while not stop.wait(0.005):
                    connection.execute("SELECT scout.load_silver_from_bronze(5)")
        except BaseException as error:  # noqa: BLE001 handed to the test
            errors.append(error)

    case = Case(scout_db, window)
    loader = threading.Thread(target=load, daemon=True)
    loader.start()
    result = recover(case, mode="all", target_seconds=0.05)
    stop.set()
    loader.join(timeout=20)
    assert errors == []
    assert case.wrong() == []
    case.reconciled(result)
    ran("scout_drain", scout_db)
    assert silver_is_what_bronze_makes(scout_db) == {}


def test_poison_that_arrives_during_the_run_does_not_stop_it(scout_db: str) -> None:
    stop = threading.Event()
    poisoned: dict[Any, str] = {}
    # Ten thousand milliseconds of it, all of them before the window ends, however long the run takes.
    first = ago(100)

    def spoil() -> None:
        with connect(scout_db) as connection:
            for number in range(10_000):
                if stop.wait(0.05):
                    return
                kind = sorted(poison_payloads.KINDS)[number % len(poison_payloads.KINDS)]
                at = first + timedelta(milliseconds=number)
                event = generator.insert(connection, poison_payloads.payload(kind, SEED, number), ingested_at=at)
                poisoned[event] = poison_payloads.KINDS[kind].sqlstate

    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.silver_transactions SET net_amount = 0")
    thread = threading.Thread(target=spoil, daemon=True)
    thread.start()
    time.sleep(0.3)
    window = Window(ago(86_400 * 3.5), ago(0))
    result = ran(
        "scout_window_recovery",
        scout_db,
        target_seconds=0.05,
        max_poison=10_000,
        max_poison_share=1.0,
        **window.options,
    )
    stop.set()
    thread.join(timeout=10)
    assert result["reconciliation"]["unexplained"] == 0
    case = Case(scout_db, window)
    recover(case, max_poison=10_000)
    assert case.wrong() == []
    assert case.letters() == poisoned
    assert not set(poisoned) & bronze(scout_db).keys()

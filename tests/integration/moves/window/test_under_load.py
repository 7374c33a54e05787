# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While stores sell, somebody corrects and the ETL ticks, silver is damaged and recovered: no event is lost, and silver is right."""

from __future__ import annotations

import os
import random
import time

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.storm import Storm
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    silver_is_what_bronze_makes,
    where,
)
from tests.integration.modules import connect, rows
from tests.integration.outcomes import ago, ran, stamp
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

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves rows out of a pipeline at work and takes all of it back, as a person would type it, and proves that nothing got lost.

`make demo-moves`, or `python -m tests.scout.demo_moves --events 4000`.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.shop import (
    MINUTE_SECONDS,
    Connection,
    Shop,
    Watch,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.storm import WRITE
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import where
from tests.scout import player
from tests.scout.player import JOBS, OLD_LETTER, Hands, Prints, Stage, Story, rows, session, stamp, table, waits
from tests.scout.screen import Screen

DATABASE = "scout_moves"
STATE = Path(".scout") / "demo-moves"
EVENTS = 200_000
RATE = 200.0
LATE_SALES = 3
LATE_SEED = 9_000_001

#: Two loaders at the same time would collide, and the scheduler may be one.
LOAD_ALL = """
LOCK TABLE scout.etl_processed IN SHARE ROW EXCLUSIVE MODE;
SELECT FROM scout.load_silver_from_bronze(NULL)
"""

#: What the scheduler would still do to rows that are there is done before they are looked at.
SETTLE = """
SELECT FROM scout.link_products_to_catalog(NULL);
SELECT FROM scout.refresh_gold_platinum();
ANALYZE
"""

#: Tables of this session only: what was there before the first playbook.
EXISTED = """
CREATE TEMPORARY TABLE existed_events AS SELECT event_id FROM scout.bronze_events;
CREATE TEMPORARY TABLE existed_sales AS SELECT transaction_id FROM scout.silver_transactions;
ANALYZE existed_events, existed_sales
"""

#: Every column of every row, identifiers and clocks too.
FINGERPRINTS = {
    "bronze_events": "scout.bronze_events AS t JOIN existed_events USING (event_id)",
    "etl_processed": "scout.etl_processed AS t JOIN existed_events USING (event_id)",
    "silver_transactions": "scout.silver_transactions AS t JOIN existed_sales USING (transaction_id)",
    "silver_line_items": "scout.silver_line_items AS t JOIN existed_sales USING (transaction_id)",
    "bronze_events_dlq": "scout.bronze_events_dlq AS t",
}
FINGERPRINT = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {}"

LOADED = """
SELECT count(*) FROM scout.bronze_events AS b
JOIN scout.etl_processed AS p USING (event_id) JOIN scout.silver_transactions AS t ON t.source_event_id = b.event_id
WHERE b.event_id = ANY (%(events)s)
"""

#: Sales of bronze that silver has not, or with another total; and silver that no event of bronze stands for.
ASTRAY = """
WITH sales AS (
    SELECT event_data ->> 'transaction_id' AS transaction_id, min((event_data ->> 'total_amount')::numeric) AS total_amount
    FROM scout.bronze_events WHERE event_type = 'transaction.v1' GROUP BY 1
)
SELECT count(*) FILTER (WHERE s.total_amount IS DISTINCT FROM t.total_amount), count(*)
FROM sales AS s FULL JOIN scout.silver_transactions AS t USING (transaction_id)
"""


def show(stage: Stage) -> None:
    """Rows move out of a pipeline at work, and all of it is undone."""
    screen, dsn, connection = stage.screen, stage.dsn, stage.connection
    screen.title("A pipeline at work")
    with session(dsn, autocommit=False) as slow:
        late, last = _prepare(connection, slow, dsn, stage.events)
        before, jobs = _prints(connection), rows(connection, JOBS)
        shop = Shop(dsn, rate=RATE, corrections_per_second=5.0, scheduler=builder.has_scheduler(connection))
        watch, hands = Watch(dsn), stage.hands(builder.operator(dsn))
        shop.existing = before["bronze_events"][0]
        with shop, watch.watching():
            _introduce(screen, shop, before, stage.seconds)
            hands.begin()
            _move(screen, hands, shop, last, slow, late)
            _take_back(screen, hands)
            given_back = _scheduler_goes_on(shop)
        connection.execute(LOAD_ALL)
        screen.title("The facts")
        _check(screen, connection, shop, late)
        _compare(screen, before, _prints(connection))
        screen.promise(
            given_back and jobs == rows(connection, JOBS),
            "every job is as it was" + ("" if shop.scheduler else ", and the ETL's has run since the last undo"),
        )
        again = ", ".join(f"{ran.name} {ran.changed}" for ran in hands.again)
        screen.promise(all(ran.changed == 0 for ran in hands.again), f"changed by the second run of each: {again}")
    _figures(screen, hands, watch)


def _prepare(connection: Connection, slow: Connection, dsn: str, events: int) -> tuple[dict[UUID, str], datetime]:
    """A pipeline at rest with a busy last hour; gives sales that are written and not yet committed, and the end of that hour."""
    hour = events // 100
    builder.build(dsn, events=events - hour)
    library.backlog(dsn, hour, age_seconds=3500)
    connection.execute(OLD_LETTER)
    connection.execute(LOAD_ALL)
    late: dict[UUID, str] = {}
    write = generator.with_hash(slow, WRITE)
    for number in range(LATE_SALES):
        sale = generator.transaction(LATE_SEED, number)
        late |= slow.execute(write, {"type": "transaction.v1", "source": "pos-sync", "payload": Jsonb(sale)}).fetchall()
    end = rows(connection, "SELECT date_trunc('second', clock_timestamp()) + interval '1 second'")[0][0]
    time.sleep(1.1)
    for fault in (library.negative_totals, library.empty_baskets, library.line_mismatch):
        fault(dsn, max(3, events // 5000))
    connection.execute(SETTLE)
    connection.execute(EXISTED)
    return late, end


def _introduce(screen: Screen, shop: Shop, before: Prints, seconds: float) -> None:
    screen.say(
        f"Scout with {before['bronze_events'][0]:,} events, built in {seconds:.0f} s. From here to the end {shop.rate:.0f} sales "
        f"a second arrive; {shop.slow_writers} writers take up to {shop.slow_seconds:g} s for each of their transactions, and "
        "somebody corrects sales of today."
    )
    screen.say(
        "pg_cron runs the jobs." if shop.scheduler else
        f"A stand-in for pg_cron runs the active jobs, each as its owner; its minute has {MINUTE_SECONDS:g} seconds."
    )  # fmt: skip
    screen.say(
        f"One transaction has written {LATE_SALES} sales within the hour that is about to be moved, and has not committed "
        "yet. And silver holds rows that cannot be right: negative totals, empty baskets, lines that do not add up."
    )


def _move(screen: Screen, hands: Hands, shop: Shop, end: datetime, slow: Connection, late: dict[UUID, str]) -> None:
    screen.title("Quarantine of the last hour: first a look, then the move, with what was committed in between")
    window = (f"scout_window_start={stamp(end - timedelta(hours=1))}", f"scout_window_end={stamp(end)}")
    hands.types("quarantine", "--check", "scout_incident=DEMO-2", *window)
    slow.commit()
    shop.written.update(late)
    hands.types("quarantine", "scout_incident=DEMO-2", *window)
    hands.types_again("quarantine", "scout_incident=DEMO-2", *window)
    screen.title("What cannot be right leaves silver")
    hands.types("quality_cleanup", "scout_incident=DEMO-3")
    hands.types_again("quality_cleanup", "scout_incident=DEMO-3")
    known = dict(shop.written)
    found = where(shop.dsn, known)
    moved = sum(ran.part("move").get("moved", {}).get("events", 0) for ran in hands.first)
    screen.promise(
        moved and not (found.lost or found.duplicated or found.altered),
        f"now: of {len(known):,} events {moved:,} are dead letters, the others in bronze; {len(found.lost)} lost, "
        f"{len(found.duplicated)} in both, {len(found.altered)} altered",
    )
    screen.title("The cause is mended: back through the ETL, a few first")
    hands.types("redrive", "scout_incident=DEMO-4", "scout_of_incident=DEMO-2")
    hands.types_again("redrive", "scout_incident=DEMO-4", "scout_of_incident=DEMO-2")


def _take_back(screen: Screen, hands: Hands) -> None:
    screen.title("All of it taken back, the last first")
    for ran in reversed(tuple(hands.first)):
        hands.types("undo", "scout_incident=DEMO-5", f"scout_run_id={ran.run_id}")
        hands.types_again("undo", "scout_incident=DEMO-5", f"scout_run_id={ran.run_id}")


def _scheduler_goes_on(shop: Shop) -> bool:
    """Whether the ETL's job runs once more; a real scheduler is not waited for, its minute is long."""
    before, deadline = shop.loads, time.monotonic() + 20 * MINUTE_SECONDS
    while not shop.scheduler and shop.loads == before and time.monotonic() < deadline:
        time.sleep(0.1)
    return shop.scheduler or shop.loads > before


def _check(screen: Screen, connection: Connection, shop: Shop, late: dict[UUID, str]) -> None:
    """Every event ever written is in one place, as it was written, and silver has what bronze says."""
    found = where(shop.dsn, shop.written)
    screen.promise(
        not (found.lost or found.duplicated or found.unexpected or found.altered),
        f"{len(shop.written):,} events written, {shop.arrived:,} of them meanwhile ({shop.corrections:,} corrections): "
        f"{len(found.lost)} lost, {len(found.duplicated)} duplicated, {len(found.unexpected)} unexpected, {len(found.altered)} altered",
    )
    loaded = rows(connection, LOADED, events=list(late))[0][0]
    screen.promise(
        loaded == len(late),
        f"{loaded} of {len(late)} sales that were committed into the hour after it had been moved are in bronze and silver",
    )
    astray, sales = rows(connection, ASTRAY)[0]
    screen.promise(
        astray == 0, f"silver has each of {sales:,} sales of bronze once, with its total; {astray} are astray"
    )


def _compare(screen: Screen, before: Prints, after: Prints) -> None:
    screen.promise(before == after, "what was there before the first playbook is there, every column of every row:")
    table(before, after)
    screen.say(
        "Compared are the events of that moment, their lines in the ETL's ledger, all silver sales of that moment with "
        "their line items (one more or one less would show), and the whole dead letter queue. What the writers "
        "brought since is counted above. Gold is made anew and not compared.",
        "        ",
    )  # fmt: skip
    print()


def _figures(screen: Screen, hands: Hands, watch: Watch) -> None:
    screen.title("Figures, which are not promises")
    screen.say("Rows of all tables together; seconds from the command to its end, on a pipeline that goes on.")
    print()
    for ran in hands.first:
        moved = sum(sum(ran.part("move").get(name, {}).values()) for name in ("moved", "put_back"))
        screen.pair(ran.name, f"{moved:>7,} rows in {ran.seconds:4.1f} s")
    second = [ran.seconds for ran in hands.again]
    screen.pair("second runs", f"{min(second, default=0):.1f} to {max(second, default=0):.1f} s each")
    waits(screen, watch)


def _prints(connection: Connection) -> Prints:
    """Number and digest of the rows of each table that the first playbook found there."""
    return {name: rows(connection, FINGERPRINT.format(these))[0] for name, these in FINGERPRINTS.items()}


DOES = "Moves rows of a Scout at work, and takes them back. In the database pg_cron lives in, that runs the jobs."
STORY = Story("demo_moves", DOES, DATABASE, STATE, EVENTS, show)

if __name__ == "__main__":
    sys.exit(player.main(STORY))

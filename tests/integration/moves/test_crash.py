# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a quarantine in the middle of a batch, and while it stands still: a stop, a deadlock, others who write.

That it goes on from wherever it is broken off is what every mover promises: test_broken_off.py.
"""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests.integration.modules import Result, call, connect, one, rows
from tests.integration.moves.movers import OURS, hang, unhang
from tests.integration.oracle import arrive
from tests.integration.outcomes import ran, scout_tables
from tests.scout.fixtures import small

SEED = 50_505
EVENTS = 240
#: No end: it is frozen when the run begins.
WINDOW = {"window_start": "2000-01-01T00:00:00Z", "incident": "INC-9", "target_seconds": 0.5}

#: What a line says after each batch.
HOW_FAR = re.compile(r"[0-9,]+ of [0-9,]+ (event|item)s")
#: A reference large enough for several batches.
scout_template = small(EVENTS)


def test_a_stop_while_a_batch_is_tried_again_ends_it_before_the_next_attempt(scout_db: str) -> None:
    """However small the next attempt is, it would take too long as well."""
    hang(scout_db, "TRIGGER hang BEFORE DELETE ON scout.bronze_events FOR EACH ROW", ("", UUID(int=0)))
    written = bronze(scout_db)
    attempts: list[str] = []

    def stop(line: str) -> None:
        if "took too long and was rolled back" in line:
            attempts.append(line)
            progress.request_stop()

    progress = Progress(stop, every_seconds=0)
    stopped = call("scout_quarantine", scout_db, progress=progress, **WINDOW)
    assert (stopped["failed"], stopped["error"]["kind"], len(attempts)) == (True, "stopped", 1), stopped["msg"]
    assert one(scout_db, "SELECT status FROM scout_ops.runs WHERE action = 'quarantine'") == "stopped"
    assert where(scout_db, written) == ZERO
    unhang(scout_db)
    assert ran("scout_quarantine", scout_db, **WINDOW)["moved"]["events"] == EVENTS


MOVED_SALES = """
SELECT d.original_payload FROM scout.bronze_events_dlq AS d WHERE d.error_details ? 'transaction' AND d.error_details ? 'event'
ORDER BY d.failed_at, d.dlq_id LIMIT 2
"""


@pytest.mark.parametrize("words", ["last", "short"])
def test_an_undo_that_was_broken_off_goes_on_with_its_own_run(
    scout_db: str, tmp_path: Path, words: str, small_batches: int
) -> None:
    """While it stands still something else is quarantined: `last` means that then, and what was begun is gone on with by its name."""
    file, before = tmp_path / "stop", scout_tables(scout_db)
    [[one_sale], [other]] = rows(
        scout_db, "SELECT transaction_id FROM scout.silver_transactions ORDER BY ts DESC LIMIT 2"
    )
    for sale in (one_sale, other):
        ran("scout_quarantine", scout_db, transactions=[sale])
        ran("scout_undo", scout_db, run_id="last")
    assert scout_tables(scout_db) == before
    first = ran("scout_quarantine", scout_db, **WINDOW | {"window_end": "2999-01-01T00:00:00Z"})["run_id"]
    name = {"last": "last", "short": first[:8]}[words]
    progress = Progress(lambda line: file.touch() if HOW_FAR.search(line) else None, every_seconds=0)
    stopped = call("scout_undo", scout_db, progress=progress, run_id=name, stop_file=str(file))
    assert stopped["error"]["kind"] == "stopped"
    file.unlink()
    [[back]] = rows(scout_db, "SELECT transaction_id FROM scout.silver_transactions ORDER BY ts DESC LIMIT 1")
    between = scout_tables(scout_db)
    second = ran("scout_quarantine", scout_db, transactions=[back])["run_id"]
    latest = ran("scout_undo", scout_db, run_id="last")
    assert latest["undone"]["run_id"] == second
    assert scout_tables(scout_db) == between
    finished = ran("scout_undo", scout_db, run_id=first if words == "short" else first[:12])
    assert (finished["run_id"], finished["undone"]["run_id"]) == (stopped["run_id"], first)
    assert scout_tables(scout_db) == before


@pytest.mark.parametrize("kept", [False, True], ids=["moved whole", "made again of what was kept as well"])
def test_a_transaction_that_was_made_again_and_moved_again_comes_back_once(
    scout_db: str, tmp_path: Path, kept: bool, small_batches: int
) -> None:
    """While the run stands still, its transactions are made again of corrections that belong to its window as well."""
    file, written, last_moment = tmp_path / "stop", bronze(scout_db), datetime.now(UTC)
    options = WINDOW | {"stop_file": str(file)}
    progress = Progress(lambda line: file.touch() if HOW_FAR.search(line) else None, every_seconds=0)
    stopped = call("scout_quarantine", scout_db, progress=progress, **options)
    assert stopped["error"]["kind"] == "stopped"
    file.unlink()
    sales = [sale | {"net_amount": number} for number, [sale] in enumerate(rows(scout_db, MOVED_SALES))]
    arrive(scout_db, sales, start=last_moment, step_seconds=0)
    written |= bronze(scout_db)
    ran("scout_drain", scout_db)
    run = ran("scout_quarantine", scout_db, **options)
    assert (run["run_id"], run["moved"]["events"]) == (stopped["run_id"], EVENTS + 2)
    twice = (
        "SELECT count(*) FROM scout.bronze_events_dlq WHERE error_details -> 'transaction' ->> 'transaction_id' = %s"
    )
    assert [one(scout_db, twice, sale["transaction_id"]) for sale in sales] == [2, 2]
    if kept:
        arrive(scout_db, [sale | {"net_amount": 5} for sale in sales], start=datetime(2999, 1, 1, tzinfo=UTC))
        ran("scout_drain", scout_db)
    undone = call("scout_undo", scout_db, run_id=run["run_id"])
    if kept:
        assert {c["table"] for c in undone["conflicts"]} == {"transactions"}
        undone = ran("scout_undo", scout_db, run_id=run["run_id"], on_conflict="restore")
    assert undone["put_back"]["events"] == EVENTS + 2
    written |= bronze(scout_db) if kept else {}
    assert where(scout_db, written) == ZERO
    ran("scout_drain", scout_db)
    assert silver_is_what_bronze_makes(scout_db) == {}
    again = ran("scout_undo", scout_db, run_id=undone["run_id"], on_conflict="restore")
    assert again["changed"]
    ran("scout_drain", scout_db)
    assert where(scout_db, written) == ZERO
    assert silver_is_what_bronze_makes(scout_db) == {}


# --- others in the way

ONE_SALE = "SELECT transaction_id, source_event_id FROM scout.silver_transactions ORDER BY transaction_id LIMIT 1"


def test_a_deadlock_is_tried_again(scout_db: str) -> None:
    [(sale, _)] = rows(scout_db, ONE_SALE)
    with psycopg.connect(scout_db) as other, connect(scout_db) as watch:
        other.execute("SELECT FROM scout.silver_line_items WHERE transaction_id = %s FOR UPDATE", [sale])
        lines: list[str] = []
        results: list[Result] = []
        progress = Progress(lines.append, every_seconds=0)
        mover = threading.Thread(
            target=lambda: results.append(
                call("scout_quarantine", scout_db, progress=progress, transactions=[sale], target_seconds=5)
            )
        )
        mover.start()
        wait_until(watch, f"{OURS} AND wait_event_type = 'Lock'")
        # Waits for the lock on the ledger that the batch holds, which waits for us.
        other.execute("INSERT INTO scout.etl_processed (event_id) VALUES (gen_random_uuid())")
        other.rollback()
        mover.join()
    assert not results[0].get("failed"), results[0]["msg"]
    assert results[0]["moved"]["transactions"] == 1
    assert any("deadlock" in line for line in lines)


CHANGES = {
    "an event's source": "UPDATE scout.bronze_events SET source_system = 'changed' WHERE event_id = %(event)s",
    "a payload": "UPDATE scout.bronze_events SET event_data = event_data || '{\"x\": 1}' WHERE event_id = %(event)s",
    "a sale": "UPDATE scout.silver_transactions SET quality_score = 0.5 WHERE transaction_id = %(sale)s",
    "a line": "UPDATE scout.silver_line_items SET product_key = 'changed' WHERE transaction_id = %(sale)s",
    "one more line": """
        INSERT INTO scout.silver_line_items (transaction_id, product_id, quantity, unit_price, line_amount)
        VALUES (%(sale)s, 'extra', 1, 1, 1)
    """,
    "one line fewer": """
        DELETE FROM scout.silver_line_items WHERE line_id IN (
            SELECT line_id FROM scout.silver_line_items WHERE transaction_id = %(sale)s LIMIT 1)
    """,
}


#: Whether the change has come back, as its row has.
CAME_BACK = {
    "an event's source": "SELECT source_system = 'changed' FROM scout.bronze_events WHERE event_id = %(event)s",
    "a payload": "SELECT event_data ? 'x' FROM scout.bronze_events WHERE event_id = %(event)s",
    "a sale": "SELECT quality_score = 0.5 FROM scout.silver_transactions WHERE transaction_id = %(sale)s",
    "a line": "SELECT bool_and(product_key = 'changed') FROM scout.silver_line_items WHERE transaction_id = %(sale)s",
    "one more line": """
        SELECT count(*) = (SELECT item_count + 1 FROM scout.silver_transactions WHERE transaction_id = %(sale)s)
        FROM scout.silver_line_items WHERE transaction_id = %(sale)s
    """,
    "one line fewer": """
        SELECT count(*) = (SELECT item_count - 1 FROM scout.silver_transactions WHERE transaction_id = %(sale)s)
        FROM scout.silver_line_items WHERE transaction_id = %(sale)s
    """,
}


def test_what_somebody_changes_during_a_batch_moves_as_changed(scout_db: str, subtests: pytest.Subtests) -> None:
    """Each change is made to a sale of its own."""
    sales = "SELECT transaction_id, source_event_id FROM scout.silver_transactions ORDER BY transaction_id LIMIT %s"
    for (what, change), (sale, event) in zip(CHANGES.items(), rows(scout_db, sales, len(CHANGES)), strict=True):
        with subtests.test(msg=what), connect(scout_db) as watch:
            moved: list[Result] = []
            mover = threading.Thread(
                target=lambda sale=sale, moved=moved: moved.append(
                    call("scout_quarantine", scout_db, transactions=[sale], target_seconds=5)
                )
            )
            with psycopg.connect(scout_db) as other:
                other.execute(change, {"sale": sale, "event": event})  # type: ignore[call-overload]
                mover.start()
                wait_until(watch, f"{OURS} AND wait_event_type = 'Lock'")
                other.commit()
                mover.join()
            [result] = moved
            assert not result.get("failed"), result["msg"]
            assert one(scout_db, "SELECT count(*) FROM scout.silver_line_items WHERE transaction_id = %s", sale) == 0
            ran("scout_undo", scout_db, run_id=result["run_id"])
            assert watch.execute(CAME_BACK[what], {"sale": sale, "event": event}).fetchall() == [(True,)]  # type: ignore[call-overload]

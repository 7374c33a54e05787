# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A move that is broken off anywhere, by anything, and started again ends where an undisturbed one does; so does one that
others stand in the way of."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    Written,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests.integration.modules import Result, call, connect, once_waited_for, one, rows, start_ad_hoc
from tests.integration.oracle import arrive
from tests.integration.outcomes import dead_letters, ran, scout_tables

SEED = 50_505
EVENTS = 4000
#: No end: it is frozen when the run begins.
WINDOW = {"window_start": "2000-01-01T00:00:00Z", "incident": "INC-9", "target_seconds": 0.5}

OURS = """
SELECT pid FROM pg_stat_activity
WHERE starts_with(application_name, 'scout-recovery/') AND datname = current_database() AND backend_type = 'client backend'
"""
ASLEEP = f"{OURS} AND wait_event = 'PgSleep'"

#: A transaction whose event is neither among the first nor among the last on disk, counted from the end or the beginning.
SOME_SALE = """
SELECT b.event_data ->> 'transaction_id', b.event_id FROM scout.bronze_events AS b
WHERE event_id IN (SELECT source_event_id FROM scout.silver_transactions) ORDER BY ctid {} OFFSET 300 LIMIT 1
"""
LATE, EARLY = SOME_SALE.format("DESC"), SOME_SALE.format("ASC")

HANG = """
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN coalesce(NEW, OLD); END $$;
CREATE {trigger} EXECUTE FUNCTION public.hang()
"""
UNHANG = "DROP FUNCTION public.hang CASCADE"

EVENT_AWAY = "BEFORE DELETE ON scout.bronze_events FOR EACH ROW WHEN (OLD.event_data ->> 'transaction_id' = '{last}')"
IN_QUEUE = "ON scout.bronze_events_dlq {how} FOR EACH ROW WHEN (NEW.original_payload ->> 'transaction_id' = '{{last}}')"

#: Where in a batch it is broken off.
AWAY = {
    "storing": "TRIGGER hang BEFORE INSERT " + IN_QUEUE.format(how=""),
    "removing lines": "TRIGGER hang BEFORE DELETE ON scout.silver_line_items FOR EACH ROW WHEN (OLD.transaction_id = '{last}')",
    "removing a sale": "TRIGGER hang BEFORE DELETE ON scout.silver_transactions FOR EACH ROW WHEN (OLD.transaction_id = '{last}')",
    "removing a ledger row": "TRIGGER hang BEFORE DELETE ON scout.etl_processed FOR EACH ROW WHEN (OLD.event_id = '{event}')",
    "removing an event": f"TRIGGER hang {EVENT_AWAY}",
    "committing": "CONSTRAINT TRIGGER hang AFTER INSERT " + IN_QUEUE.format(how="DEFERRABLE INITIALLY DEFERRED"),
}

BACK = {
    "putting an event back": "TRIGGER hang BEFORE INSERT ON scout.bronze_events FOR EACH ROW WHEN (NEW.event_id = '{event}')",
    "putting a sale back": "TRIGGER hang BEFORE INSERT ON scout.silver_transactions FOR EACH ROW WHEN (NEW.transaction_id = '{last}')",
    "putting lines back": "TRIGGER hang BEFORE INSERT ON scout.silver_line_items FOR EACH ROW WHEN (NEW.transaction_id = '{last}')",
    "clearing the queue": "TRIGGER hang BEFORE DELETE ON scout.bronze_events_dlq FOR EACH ROW "
    "WHEN (OLD.original_payload ->> 'transaction_id' = '{last}')",
    "committing": "CONSTRAINT TRIGGER hang AFTER INSERT ON scout.bronze_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    "WHEN (NEW.event_id = '{event}')",
}

#: What a line says after each batch.
HOW_FAR = re.compile(r"[0-9,]+ of [0-9,]+ (event|item)s")


@pytest.fixture(scope="module")
def scout_template(pg_server: Server) -> Iterator[builder.Template]:
    """A reference large enough for several batches."""
    template = builder.template(pg_server, events=EVENTS)
    yield template
    template.drop()


@pytest.fixture
def sibling(scout_db: str, pg_server: Server) -> Iterator[str]:
    """A copy of the database as it was before the test."""
    name = f"{conninfo_to_dict(scout_db)['dbname']}_sibling"
    yield pg_server.create_database(name, str(conninfo_to_dict(scout_db)["dbname"]))
    pg_server.drop_database(name)


def contents(dsn: str) -> tuple[dict[str, Any], list[Any]]:
    """Everything in the pipeline's tables that does not depend on when a move was made."""
    tables = scout_tables(dsn)
    letters = tables.pop("scout.bronze_events_dlq")
    return tables | {"dead letters": letters[0]}, dead_letters(dsn)


def hang(dsn: str, trigger: str, sale: tuple[str, UUID]) -> None:
    """From now on a move does not get past this place."""
    with connect(dsn) as connection:
        connection.execute(HANG.format(trigger=trigger.format(last=sale[0], event=sale[1])))  # type: ignore[call-overload]


def some(dsn: str, query: str) -> tuple[str, UUID]:
    [sale] = rows(dsn, query)
    return sale


def unhang(dsn: str) -> None:
    with connect(dsn) as connection:
        connection.execute(UNHANG)


def broken_off(dsn: str, name: str, end: Callable[[int], Any], **options: Any) -> Result:
    """The result of a module whose session is ended while it hangs."""
    over = threading.Event()

    def finish() -> None:
        with connect(dsn) as connection:
            while not over.wait(0.02):
                if asleep := connection.execute(ASLEEP).fetchall():
                    end(asleep[0][0])
                    return

    watcher = threading.Thread(target=finish)
    watcher.start()
    result = call(name, dsn, **options)
    over.set()
    watcher.join()
    return result


def terminated(dsn: str) -> Callable[[int], Any]:
    return lambda pid: rows(dsn, "SELECT pg_terminate_backend(%s, 5000)", pid)


def again(dsn: str, broken: Result, written: Written, name: str, **options: Any) -> Result:
    """The same command once more, which goes on with what was broken off."""
    assert (broken["failed"], broken["error"]["kind"]) == (True, "connection_lost"), broken["msg"]
    assert "run the same command again" in broken["error"]["next_step"]
    assert where(dsn, written) == ZERO
    result = ran(name, dsn, **options)
    assert (result["changed"], result["run_id"]) == (True, broken["run_id"])
    [(status, error)] = rows(dsn, "SELECT status, error FROM scout_ops.runs WHERE run_id = %s", broken["run_id"])
    assert (status, error) == ("succeeded", None)
    return result


# --- broken off inside a batch


@pytest.mark.parametrize("place", AWAY)
def test_a_quarantine_broken_off_inside_a_batch_goes_on(scout_db: str, sibling: str, place: str) -> None:
    hang(scout_db, AWAY[place], some(scout_db, LATE))
    written = bronze(scout_db)
    broken = broken_off(scout_db, "scout_quarantine", terminated(scout_db), **WINDOW)
    unhang(scout_db)
    moved = EVENTS - one(scout_db, "SELECT count(*) FROM scout.bronze_events")
    assert 0 < moved < EVENTS
    [late] = arrive(scout_db, [generator.transaction(SEED, 1)], start=datetime.now(UTC))
    written[late] = bronze(scout_db)[late]
    result = again(scout_db, broken, written, "scout_quarantine", **WINDOW)
    assert (result["moved"]["events"], set(bronze(scout_db))) == (EVENTS, {late})
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM scout.bronze_events WHERE event_id = %s", [late])
    assert not ran("scout_quarantine", scout_db, **WINDOW)["changed"]
    ran("scout_quarantine", sibling, **WINDOW)
    assert contents(scout_db) == contents(sibling)


@pytest.mark.parametrize("place", BACK)
def test_an_undo_broken_off_inside_a_batch_goes_on(scout_db: str, place: str) -> None:
    before, written = scout_tables(scout_db), bronze(scout_db)
    sale = some(scout_db, EARLY)
    away = ran("scout_quarantine", scout_db, **WINDOW)
    hang(scout_db, BACK[place], sale)
    broken = broken_off(scout_db, "scout_undo", terminated(scout_db), run_id=away["run_id"])
    unhang(scout_db)
    again(scout_db, broken, written, "scout_undo", run_id=away["run_id"])
    assert scout_tables(scout_db) == before


def test_a_redrive_broken_off_inside_a_batch_goes_on(scout_db: str) -> None:
    written = bronze(scout_db)
    sale = some(scout_db, LATE)
    away = ran("scout_quarantine", scout_db, **WINDOW)
    hang(scout_db, BACK["putting an event back"], sale)
    options = {"run_id": away["run_id"], "rate_per_second": 100_000}
    broken = broken_off(scout_db, "scout_redrive", terminated(scout_db), **options)
    unhang(scout_db)
    again(scout_db, broken, written, "scout_redrive", **options)
    assert bronze(scout_db) == written
    ran("scout_drain", scout_db)
    assert silver_is_what_bronze_makes(scout_db) == {}


def test_a_cleanup_broken_off_inside_a_batch_goes_on(scout_db: str, sibling: str) -> None:
    for dsn in (scout_db, sibling):
        with connect(dsn) as connection:
            connection.execute(
                "UPDATE scout.bronze_events SET event_data = event_data || '{\"total_amount\": -1}'"
                " WHERE event_id IN (SELECT source_event_id FROM scout.silver_transactions)"
            )
            connection.execute("UPDATE scout.silver_transactions SET total_amount = -1")
    hang(scout_db, AWAY["removing an event"], some(scout_db, LATE))
    written = bronze(scout_db)
    options = {"only": ["negative_total"], "max_share": 1.0, "target_seconds": 0.2, "incident": "INC-9"}
    broken = broken_off(scout_db, "scout_cleanup", terminated(scout_db), **options)
    unhang(scout_db)
    again(scout_db, broken, written, "scout_cleanup", **options)
    ran("scout_cleanup", sibling, **options)
    assert contents(scout_db) == contents(sibling)


# --- broken off between batches


@pytest.mark.parametrize("name", ["scout_quarantine", "scout_undo"])
def test_broken_off_after_each_batch_it_goes_on_every_time(scout_db: str, sibling: str, name: str) -> None:
    """The session is ended at each line that says how far it is, then at the next one, and so on to the end."""
    written, before = bronze(scout_db), scout_tables(scout_db)
    # A batch takes about as many rows as that many sleeps fit in.
    slowly = HANG.replace("60", "0.0002").format(trigger="TRIGGER hang BEFORE DELETE ON scout.{table} FOR EACH ROW")
    options: dict[str, Any] = WINDOW | {"target_seconds": 0.4}
    if name == "scout_undo":
        options = {"run_id": ran("scout_quarantine", scout_db, **WINDOW)["run_id"], "target_seconds": 0.4}
    with connect(scout_db) as connection:
        table = "bronze_events" if name == "scout_quarantine" else "bronze_events_dlq"
        connection.execute(slowly.replace("{table}", table))  # type: ignore[call-overload]
    ids: set[str] = set()
    attempts, failed = 0, True
    while failed:
        attempts += 1
        left = 2

        def end(line: str) -> None:
            nonlocal left
            left -= bool(HOW_FAR.search(line))
            if left == 0:
                rows(scout_db, f"SELECT pg_terminate_backend(pid, 5000) FROM ({OURS}) AS ours")

        result = call(name, scout_db, progress=Progress(end, every_seconds=0), **options)
        if result.get("run_id"):
            ids.add(result["run_id"])
        assert where(scout_db, written) == ZERO
        failed = result.get("failed", False)
        if failed:
            assert result["error"]["kind"] == "connection_lost", result["msg"]
    assert attempts > 3
    assert len(ids) == 1
    unhang(scout_db)
    if name == "scout_undo":
        assert scout_tables(scout_db) == before
    else:
        ran("scout_quarantine", sibling, **WINDOW)
        assert contents(scout_db) == contents(sibling)


def test_a_stop_file_ends_it_after_a_batch_and_the_same_command_goes_on(scout_db: str, tmp_path: Path) -> None:
    file = tmp_path / "stop"
    written = bronze(scout_db)
    options = WINDOW | {"stop_file": str(file)}
    progress = Progress(lambda line: file.touch() if HOW_FAR.search(line) else None, every_seconds=0)
    stopped = call("scout_quarantine", scout_db, progress=progress, **options)
    assert (stopped["failed"], stopped["error"]["kind"]) == (True, "stopped")
    assert f"remove {file}, then run the same command again" in stopped["msg"]
    assert 0 < one(scout_db, "SELECT count(*) FROM scout.bronze_events") < EVENTS
    assert where(scout_db, written) == ZERO
    assert one(scout_db, "SELECT status FROM scout_ops.runs WHERE action = 'quarantine'") == "stopped"
    file.unlink()
    result = ran("scout_quarantine", scout_db, **options)
    assert (result["run_id"], result["moved"]["events"]) == (stopped["run_id"], EVENTS)


def test_a_stop_while_a_batch_is_tried_again_ends_it_before_the_next_attempt(scout_db: str) -> None:
    """However small the next attempt is, it would take too long as well."""
    hang(scout_db, "TRIGGER hang BEFORE DELETE ON scout.bronze_events FOR EACH ROW", some(scout_db, LATE))
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


@pytest.mark.parametrize("kept", [False, True], ids=["moved whole", "made again of what was kept as well"])
def test_a_transaction_that_was_made_again_and_moved_again_comes_back_once(
    scout_db: str, tmp_path: Path, kept: bool
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


# --- the server and the controller die


@pytest.mark.parametrize("name", ["scout_quarantine", "scout_undo"])
def test_the_server_dies_in_the_middle(tmp_path: Path, name: str) -> None:
    server = Server(tmp_path / "state", settings={"synchronous_commit": "on"})
    try:
        dsn = builder.build(server.start().create_database("crashing"), events=EVENTS)
        sibling = server.create_database("sibling", "crashing")
        written, before, late, early = bronze(dsn), scout_tables(dsn), some(dsn, LATE), some(dsn, EARLY)
        options: dict[str, Any] = WINDOW
        if name == "scout_undo":
            options = {"run_id": ran("scout_quarantine", dsn, **WINDOW)["run_id"]}
            hang(dsn, BACK["putting an event back"], early)
        else:
            hang(dsn, AWAY["removing an event"], late)
        broken = broken_off(dsn, name, lambda _: server._pg_ctl("stop", "-m", "immediate", check=True), **options)
        server.start()
        unhang(dsn)
        again(dsn, broken, written, name, **options)
        if name == "scout_undo":
            assert scout_tables(dsn) == before
        else:
            ran("scout_quarantine", sibling, **WINDOW)
            assert contents(dsn) == contents(sibling)
    finally:
        server.remove()


def test_the_controller_is_killed_in_the_middle(scout_db: str, sibling: str) -> None:
    hang(scout_db, AWAY["removing an event"], some(scout_db, LATE))
    written = bronze(scout_db)
    with connect(scout_db) as connection:
        process = start_ad_hoc("scout_quarantine", dsn=scout_db, **WINDOW)
        wait_until(connection, ASLEEP, seconds=60)
        [[pid]] = connection.execute(ASLEEP).fetchall()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        wait_until(connection, "SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", pid, seconds=15)
    unhang(scout_db)
    assert where(scout_db, written) == ZERO
    run_id, status = rows(scout_db, "SELECT run_id::text, status FROM scout_ops.runs")[0]
    result = ran("scout_quarantine", scout_db, **WINDOW)
    assert (result["run_id"], status, len(bronze(scout_db))) == (run_id, "stopped", 0)
    ran("scout_quarantine", sibling, **WINDOW)
    assert contents(scout_db) == contents(sibling)


# --- others in the way

ONE_SALE = "SELECT transaction_id, source_event_id FROM scout.silver_transactions ORDER BY transaction_id LIMIT 1"
HOLDS = {
    "an event": "SELECT FROM scout.bronze_events WHERE event_id = %(event)s FOR UPDATE",
    "a sale": "SELECT FROM scout.silver_transactions WHERE transaction_id = %(sale)s FOR UPDATE",
    "a line": "SELECT FROM scout.silver_line_items WHERE transaction_id = %(sale)s FOR UPDATE",
    "the ETL's ledger": "INSERT INTO scout.etl_processed (event_id) VALUES (gen_random_uuid())",
    "the queue": "LOCK TABLE scout.bronze_events_dlq",
    "bronze": "LOCK TABLE scout.bronze_events",
}


@pytest.mark.parametrize("what", HOLDS)
def test_somebody_who_holds_it_for_a_moment_is_waited_for(scout_db: str, what: str) -> None:
    before = scout_tables(scout_db)
    [(sale, event)] = rows(scout_db, ONE_SALE)
    with psycopg.connect(scout_db) as other:
        other.execute(HOLDS[what], {"sale": sale, "event": event})  # type: ignore[call-overload]
        with once_waited_for(scout_db, other.rollback, after_seconds=1.2):
            away = ran("scout_quarantine", scout_db, transactions=[sale], lock_timeout_seconds=1.0)
    assert away["moved"]["transactions"] == 1
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before


@pytest.mark.parametrize("what", HOLDS)
def test_somebody_who_keeps_it_is_named_and_nothing_is_lost(scout_db: str, what: str) -> None:
    [(sale, event)] = rows(scout_db, ONE_SALE)
    before = scout_tables(scout_db)
    with psycopg.connect(scout_db, application_name="nightly report") as other:
        other.execute(HOLDS[what], {"sale": sale, "event": event})  # type: ignore[call-overload]
        result = call(
            "scout_quarantine", scout_db, transactions=[sale], lock_timeout_seconds=0.2, statement_timeout_seconds=5
        )
        assert result["failed"]
        assert (result["error"]["kind"], result["error"]["sqlstate"]) == ("database_error", "55P03")
        assert result["error"]["next_step"]
        assert f"locks are held by pid {other.info.backend_pid} (postgres, nightly report" in result["msg"]
        other.rollback()
    assert scout_tables(scout_db) == before
    assert ran("scout_quarantine", scout_db, transactions=[sale])["moved"]["transactions"] == 1


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


@pytest.mark.parametrize("what", CHANGES)
def test_what_somebody_changes_during_a_batch_moves_as_changed(scout_db: str, what: str) -> None:
    [(sale, event)] = rows(scout_db, ONE_SALE)
    with psycopg.connect(scout_db) as other, connect(scout_db) as watch:
        other.execute(CHANGES[what], {"sale": sale, "event": event})  # type: ignore[call-overload]
        results: list[Result] = []
        mover = threading.Thread(
            target=lambda: results.append(call("scout_quarantine", scout_db, transactions=[sale], target_seconds=5))
        )
        mover.start()
        wait_until(watch, f"{OURS} AND wait_event_type = 'Lock'")
        other.commit()
        mover.join()
    assert not results[0].get("failed"), results[0]["msg"]
    with connect(scout_db) as connection:
        kept = connection.execute(
            "SELECT count(*) FROM scout.silver_line_items WHERE transaction_id = %s", [sale]
        ).fetchall()
    assert kept == [(0,)]
    ran("scout_undo", scout_db, run_id=results[0]["run_id"])
    query = {
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
    }[what]
    with connect(scout_db) as connection:
        assert connection.execute(query, {"sale": sale, "event": event}).fetchall() == [(True,)]  # type: ignore[call-overload]

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery that is broken off anywhere, by anything, and started again ends where an undisturbed one does, in the same window."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import ZERO, bronze, where
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests.integration.modules import Result, call, connect, once_waited_for, one, rows, start_ad_hoc
from tests.integration.moves.test_crash import ASLEEP, HANG, OURS, broken_off, hang, terminated, unhang
from tests.integration.oracle import arrive, silver
from tests.integration.outcomes import ran, scout_tables
from tests.integration.windows import Case, damaged, recover

SEED = 50_506
EVENTS = 4000
SMALL: dict[str, Any] = {"target_seconds": 0.1, "incident": "INC-9", "max_poison_share": 1.0}
DAYS = 3.5

#: A sale that is neither among the first nor among the last, by arrival and on disk, that has only one event, and has kept its
#: line items through the damage.
SOME_SALE = """
SELECT t.transaction_id, t.source_event_id FROM scout.silver_transactions AS t JOIN scout.bronze_events AS b ON event_id = source_event_id
WHERE b.ctid > (SELECT ctid FROM scout.bronze_events ORDER BY ingested_at DESC OFFSET 400 LIMIT 1)
  AND NOT EXISTS (SELECT FROM scout.bronze_events AS o WHERE o.event_id <> b.event_id
                    AND o.event_data ->> 'transaction_id' = t.transaction_id)
  AND EXISTS (SELECT FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id)
ORDER BY b.ingested_at DESC OFFSET 200 LIMIT 1
"""

EACH = "FOR EACH ROW WHEN ({}.{} = '{{{}}}')"
SALE_AWAY, SALE_MADE = EACH.format("OLD", "transaction_id", "last"), EACH.format("NEW", "transaction_id", "last")
MARK_AWAY, MARK_MADE = EACH.format("OLD", "event_id", "event"), EACH.format("NEW", "event_id", "event")

#: Where in a batch it is broken off.
PLACES = {
    "removing lines": f"TRIGGER hang BEFORE DELETE ON scout.silver_line_items {SALE_AWAY}",
    "removing a sale": f"TRIGGER hang BEFORE DELETE ON scout.silver_transactions {SALE_AWAY}",
    "removing a mark": f"TRIGGER hang BEFORE DELETE ON scout.etl_processed {MARK_AWAY}",
    "making a sale": f"TRIGGER hang BEFORE INSERT ON scout.silver_transactions {SALE_MADE}",
    "making lines": f"TRIGGER hang BEFORE INSERT ON scout.silver_line_items {SALE_MADE}",
    "marking": f"TRIGGER hang BEFORE INSERT ON scout.etl_processed {MARK_MADE}",
    "committing": f"CONSTRAINT TRIGGER hang AFTER INSERT ON scout.silver_transactions DEFERRABLE INITIALLY DEFERRED {SALE_MADE}",
}
POISON_PLACES = {
    "storing poison": "TRIGGER hang BEFORE INSERT ON scout.bronze_events_dlq FOR EACH ROW",
    "removing poison": f"TRIGGER hang BEFORE DELETE ON scout.bronze_events {MARK_AWAY}",
    "committing poison": "CONSTRAINT TRIGGER hang AFTER INSERT ON scout.bronze_events_dlq DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
}

HOW_FAR = re.compile(r"[0-9,]+ of [0-9,]+")

LETTERS = """
SELECT original_payload, error_code, error_details - '{run_id,at,detail}'::text[], source_system FROM scout.bronze_events_dlq
ORDER BY error_details -> 'event' ->> 'event_id'
"""


@pytest.fixture(scope="module")
def scout_template(pg_server: Server) -> Iterator[builder.Template]:
    """A reference large enough for several batches."""
    template = builder.template(pg_server, events=EVENTS)
    yield template
    template.drop()


@pytest.fixture
def case(scout_db: str) -> Case:
    """All kinds of damage."""
    now = datetime.now(UTC)
    return damaged(scout_db, Window(now - timedelta(days=DAYS), now + timedelta(minutes=1)))


@pytest.fixture
def undisturbed(case: Case, pg_server: Server) -> Iterator[Any]:
    """What a recovery without disturbance makes of a copy."""
    name = f"{conninfo_to_dict(case.dsn)['dbname']}_sibling"
    copy = pg_server.create_database(name, str(conninfo_to_dict(case.dsn)["dbname"]))
    ran("scout_window_recovery", copy, mode="all", **case.window.options, **SMALL)
    yield contents(copy)
    pg_server.drop_database(name)


def contents(dsn: str) -> Any:
    """Everything that does not depend on when a recovery was made."""
    tables = scout_tables(dsn)
    return silver(dsn), tables["scout.bronze_events"], rows(dsn, LETTERS)


def again(case: Case, broken: Result, **options: Any) -> Result:
    """The same command once more, which goes on with what was broken off."""
    assert (broken["failed"], broken["error"]["kind"]) == (True, "connection_lost"), broken["msg"]
    assert "run the same command again" in broken["error"]["next_step"]
    assert where(case.dsn, case.written) == ZERO
    result = recover(case, **options)
    assert (result["changed"], result["run_id"], result["resumed"]) == (True, broken["run_id"], True)
    [(status, error)] = rows(case.dsn, "SELECT status, error FROM scout_ops.runs WHERE run_id = %s", broken["run_id"])
    assert (status, error) == ("succeeded", None)
    return result


# --- broken off inside a batch


@pytest.mark.parametrize("place", PLACES)
def test_broken_off_inside_a_batch_it_goes_on(case: Case, place: str) -> None:
    [sale] = rows(case.dsn, SOME_SALE)
    with connect(case.dsn) as connection:
        # A row that is there and marked, so that it can be removed.
        assert connection.execute("SELECT FROM scout.etl_processed WHERE event_id = %s", [sale[1]]).fetchall()
    hang(case.dsn, PLACES[place], sale)
    broken = broken_off(
        case.dsn, "scout_window_recovery", terminated(case.dsn), mode="all", **case.window.options, **SMALL
    )
    unhang(case.dsn)
    result = again(case, broken, mode="all", **SMALL)
    case.check()
    case.reconciled(result)
    assert not recover(case)["changed"]


@pytest.mark.parametrize("place", POISON_PLACES)
def test_broken_off_at_a_poison_event_it_goes_on(case: Case, place: str) -> None:
    event = sorted(case.damage.poison)[len(case.damage.poison) // 2]
    hang(case.dsn, POISON_PLACES[place], ("", event))
    broken = broken_off(
        case.dsn, "scout_window_recovery", terminated(case.dsn), mode="all", **case.window.options, **SMALL
    )
    unhang(case.dsn)
    result = again(case, broken, mode="all", **SMALL)
    case.check()
    case.reconciled(result)
    assert len(result["poison"]) == len(case.damage.poison)


def test_an_undo_broken_off_inside_a_batch_goes_on(case: Case) -> None:
    before = scout_tables(case.dsn)
    made = recover(case, mode="all", **SMALL)
    [sale] = rows(case.dsn, SOME_SALE)
    for place in ("making lines",):
        hang(case.dsn, PLACES[place], sale)
        broken = broken_off(case.dsn, "scout_undo", terminated(case.dsn), run_id=made["run_id"], target_seconds=0.1)
        unhang(case.dsn)
        assert broken["error"]["kind"] == "connection_lost", broken["msg"]
    back = ran("scout_undo", case.dsn, run_id=made["run_id"])
    # Where nothing had been committed yet, it begins anew.
    assert back["run_id"] == broken.get("run_id", back["run_id"])
    assert scout_tables(case.dsn) == before


# --- broken off between batches


def test_broken_off_after_each_batch_it_goes_on_every_time(case: Case, undisturbed: Any) -> None:
    """The session is ended at each line that says how far it is, then at the next one, and so on to the end."""
    slowly = HANG.replace("60", "0.0005").format(
        trigger="TRIGGER hang BEFORE INSERT ON scout.silver_transactions FOR EACH ROW"
    )
    with connect(case.dsn) as connection:
        connection.execute(slowly)  # type: ignore[call-overload]
    ids: set[str] = set()
    attempts, failed = 0, True
    while failed:
        attempts += 1
        assert attempts < 60
        left = 2

        def end(line: str) -> None:
            nonlocal left
            left -= bool(HOW_FAR.search(line))
            if left == 0:
                rows(case.dsn, f"SELECT pg_terminate_backend(pid, 5000) FROM ({OURS}) AS ours")

        result = call(
            "scout_window_recovery",
            case.dsn,
            progress=Progress(end, every_seconds=0),
            mode="all",
            **case.window.options,
            **SMALL,
        )
        if result.get("run_id"):
            ids.add(result["run_id"])
        assert where(case.dsn, case.written) == ZERO
        failed = result.get("failed", False)
        if failed:
            assert result["error"]["kind"] == "connection_lost", result["msg"]
    assert attempts > 1
    assert len(ids) == 1
    unhang(case.dsn)
    case.check()
    case.reconciled(result)
    assert contents(case.dsn) == undisturbed


def test_a_stop_file_ends_it_after_a_batch_and_the_same_command_goes_on(case: Case, tmp_path: Path) -> None:
    file = tmp_path / "stop"
    progress = Progress(lambda line: file.touch() if HOW_FAR.search(line) else None, every_seconds=0)
    options = {"mode": "all", "stop_file": str(file), **SMALL}
    stopped = call("scout_window_recovery", case.dsn, progress=progress, **case.window.options, **options)
    assert (stopped["failed"], stopped["error"]["kind"]) == (True, "stopped"), stopped
    assert where(case.dsn, case.written) == ZERO
    assert one(case.dsn, "SELECT status FROM scout_ops.runs WHERE action = 'window_recovery'") == "stopped"
    file.unlink()
    result = recover(case, **options)
    assert (result["run_id"], result["resumed"]) == (stopped["run_id"], True)
    case.check()
    case.reconciled(result)


# --- the window is frozen


def test_a_run_that_goes_on_keeps_the_window_it_began_with(case: Case) -> None:
    """`last` is counted from the first attempt: what arrives between the two is not in the window."""
    [sale] = rows(case.dsn, SOME_SALE)
    hang(case.dsn, PLACES["making lines"], sale)
    options = {"last": "4d", "mode": "all", **SMALL}
    broken = broken_off(case.dsn, "scout_window_recovery", terminated(case.dsn), **options)
    unhang(case.dsn)
    [late] = arrive(case.dsn, [generator.transaction(SEED, 1)], start=datetime.now(UTC))
    time.sleep(0.05)
    result = ran("scout_window_recovery", case.dsn, **options)
    assert (result["run_id"], result["resumed"]) == (broken["run_id"], True)
    assert datetime.fromisoformat(result["window"]["end"]) < datetime.now(UTC)
    assert rows(case.dsn, "SELECT FROM scout.etl_processed WHERE event_id = %s", late) == []
    assert result["reconciliation"]["unexplained"] == 0
    once_more = ran("scout_window_recovery", case.dsn, last="4d")
    assert once_more["run_id"] != broken["run_id"]
    assert rows(case.dsn, "SELECT FROM scout.etl_processed WHERE event_id = %s", late) == [()]


def test_another_window_does_not_go_on_with_it(case: Case) -> None:
    """Somebody who asks for another window gets that one, or is told of the unfinished run; never the other one's window."""
    [sale] = rows(case.dsn, SOME_SALE)
    hang(case.dsn, PLACES["making lines"], sale)
    broken = broken_off(
        case.dsn, "scout_window_recovery", terminated(case.dsn), mode="all", **case.window.options, **SMALL
    )
    unhang(case.dsn)
    other = {"window_start": case.window.start.isoformat(), "window_end": case.window.middle.isoformat()}
    result = call("scout_window_recovery", case.dsn, mode="all", **other, **SMALL)
    if result.get("failed"):
        assert broken["run_id"] in result["msg"] + result["error"]["next_step"]
    else:
        assert result["run_id"] != broken["run_id"]
        assert datetime.fromisoformat(result["window"]["end"]) == case.window.middle
    again(case, broken, mode="all", **SMALL)
    case.check()


def test_what_another_run_sets_aside_meanwhile_is_accounted_for(case: Case) -> None:
    """By a quarantine, while the recovery stands still; what is deleted meanwhile is not."""
    [sale] = rows(case.dsn, SOME_SALE)
    hang(case.dsn, PLACES["making lines"], sale)
    broken = broken_off(
        case.dsn, "scout_window_recovery", terminated(case.dsn), mode="all", **case.window.options, **SMALL
    )
    unhang(case.dsn)
    spared = {*case.damage.poison, sale[1]}
    events = [event for event in sorted(case.written) if event not in spared][:40:10]
    start, end = case.window.start, case.window.end
    inside = (
        "SELECT event_id FROM scout.bronze_events WHERE event_id = ANY(%s) AND ingested_at >= %s AND ingested_at < %s"
    )
    events = [event for [event] in rows(case.dsn, inside, events, start, end)]
    quarantined = ran("scout_quarantine", case.dsn, event_ids=[str(event) for event in events])
    assert quarantined["moved"]["events"] == len(events) > 1
    result = again(case, broken, mode="all", **SMALL)
    account = result["reconciliation"]
    assert (account["balanced"], account["vanished"], account["unexplained"]) == (True, 0, 0)
    assert account["quarantined"] >= len(events) + len(result["poison"])
    assert {letter["event_id"] for letter in result["poison"]}.isdisjoint(map(str, events))


# --- the server and the controller die


def test_the_server_dies_in_the_middle(tmp_path: Path) -> None:
    server = Server(tmp_path / "state", settings={"synchronous_commit": "on"})
    try:
        now = datetime.now(UTC)
        dsn = builder.build(server.start().create_database("crashing"), events=EVENTS)
        case = damaged(dsn, Window(now - timedelta(days=DAYS), now + timedelta(minutes=1)))
        [sale] = rows(dsn, SOME_SALE)
        hang(dsn, PLACES["making lines"], sale)
        broken = broken_off(
            dsn, "scout_window_recovery", lambda _: server._pg_ctl("stop", "-m", "immediate", check=True),
            mode="all", **case.window.options, **SMALL,
        )  # fmt: skip
        server.start()
        unhang(dsn)
        result = again(case, broken, mode="all", **SMALL)
        case.check()
        case.reconciled(result)
    finally:
        server.remove()


def test_the_controller_is_killed_in_the_middle(case: Case) -> None:
    [sale] = rows(case.dsn, SOME_SALE)
    hang(case.dsn, PLACES["marking"], sale)
    # Whoever is asked to stop ends the batch first, or has it cancelled.
    options: dict[str, Any] = {"mode": "all", "batch_timeout_seconds": 3, **case.window.options, **SMALL}
    with connect(case.dsn) as connection:
        process = start_ad_hoc("scout_window_recovery", dsn=case.dsn, **options)
        wait_until(connection, ASLEEP, seconds=60)
        [[pid]] = connection.execute(ASLEEP).fetchall()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        wait_until(connection, "SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", pid, seconds=15)
    unhang(case.dsn)
    assert where(case.dsn, case.written) == ZERO
    [(run_id,)] = rows(case.dsn, "SELECT run_id::text FROM scout_ops.runs WHERE action = 'window_recovery'")
    result = recover(case, mode="all", **SMALL)
    assert (result["run_id"], result["resumed"]) == (run_id, True)
    case.check()
    case.reconciled(result)


# --- others in the way

HOLDS = {
    "an event": "SELECT FROM scout.bronze_events WHERE event_id = %(event)s FOR UPDATE",
    "a sale": "SELECT FROM scout.silver_transactions WHERE transaction_id = %(sale)s FOR UPDATE",
    "a line": "SELECT FROM scout.silver_line_items WHERE transaction_id = %(sale)s FOR UPDATE",
    "the ETL's ledger": "INSERT INTO scout.etl_processed (event_id) VALUES (gen_random_uuid())",
}


@pytest.mark.parametrize("what", HOLDS)
def test_somebody_who_holds_it_for_a_moment_is_waited_for(case: Case, what: str) -> None:
    [(sale, event)] = rows(case.dsn, SOME_SALE)
    with psycopg.connect(case.dsn) as other:
        other.execute(HOLDS[what], {"sale": sale, "event": event})  # type: ignore[call-overload]
        with once_waited_for(case.dsn, other.rollback, after_seconds=2.2):
            result = recover(case, mode="all", lock_timeout_seconds=2.0)
    case.check()
    case.reconciled(result)


@pytest.mark.parametrize("what", HOLDS)
def test_somebody_who_keeps_it_is_named_and_nothing_is_lost(case: Case, what: str) -> None:
    """An event that another session has locked is skipped by the ETL: never removed from silver and then not made again."""
    [(sale, event)] = rows(case.dsn, SOME_SALE)
    with psycopg.connect(case.dsn, application_name="nightly report") as other:
        other.execute(HOLDS[what], {"sale": sale, "event": event})  # type: ignore[call-overload]
        result = call(
            "scout_window_recovery",
            case.dsn,
            mode="all",
            lock_timeout_seconds=0.2,
            statement_timeout_seconds=5,
            **case.window.options,
        )
        assert result["failed"], result["summary"]
        assert result["error"]["next_step"]
        assert f"locks are held by pid {other.info.backend_pid} (postgres, nightly report" in result["msg"]
        assert rows(case.dsn, "SELECT FROM scout.silver_transactions WHERE transaction_id = %s", sale) == [()]
        other.rollback()
    result = recover(case, mode="all")
    case.check()
    case.reconciled(result)


#: What somebody changes while it is being made again, and waits for.
CHANGES: dict[str, str] = {
    "a payload": 'UPDATE scout.bronze_events SET event_data = event_data || \'{"city": "Changed"}\' WHERE event_id = %(event)s',
    "an event that leaves the window": "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '1 year' WHERE event_id = %(event)s",  # noqa: E501 one statement
    "a deleted event": "DELETE FROM scout.bronze_events WHERE event_id = %(event)s",
    "a sale": "UPDATE scout.silver_transactions SET city = 'Changed' WHERE transaction_id = %(sale)s",
    "a line": "UPDATE scout.silver_line_items SET quantity = quantity + 1 WHERE transaction_id = %(sale)s",
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_somebody_changes_during_a_batch_counts_as_changed(case: Case, what: str) -> None:
    """Silver ends up as bronze then says; a transaction whose event is gone may stay, but nothing else of the window may be lost."""
    [(sale, event)] = rows(case.dsn, SOME_SALE)
    with psycopg.connect(case.dsn) as other, connect(case.dsn) as watch:
        other.execute(CHANGES[what], {"sale": sale, "event": event})  # type: ignore[call-overload]
        results: list[Result] = []
        mover = threading.Thread(
            target=lambda: results.append(call("scout_window_recovery", case.dsn, mode="all", **case.window.options))
        )
        mover.start()
        wait_until(watch, f"{OURS} AND wait_event_type = 'Lock'", seconds=20)
        other.commit()
        mover.join()
    if results[0].get("failed"):
        assert results[0]["error"]["next_step"], results[0]
        recover(case, mode="all")
    assert [line for line in case.wrong() if sale not in line] == []
    if what != "a deleted event":
        assert case.wrong() == []
    assert case.pending() == set()
    kept = {identifier for identifier in bronze(case.dsn) if isinstance(identifier, UUID)}
    assert set(case.written) - kept - set(case.letters()) == ({event} if what == "a deleted event" else set())

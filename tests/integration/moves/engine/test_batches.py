# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch engine: its paths, its sizes, how it gives way, and how it ends in the middle and goes on."""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine.cursors import Blocks
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from tests.integration.modules import Result, call, connect, one, rows

EVERYTHING = {"window_start": "2000-01-01T00:00:00Z", "max_rows": 10_000_000}
INDEX = "CREATE INDEX ON scout.bronze_events (ingested_at)"

#: Every row of bronze takes so long to be deleted.
SLOW = """
CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN OLD; END $$;
CREATE TRIGGER slowly BEFORE DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION public.slowly()
"""


class Voice(Progress):
    """Remembers what is said, and may ask to stop when something is."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.lines: list[str] = []
        self.stop_at = stop_at
        super().__init__(self._hear, every_seconds=0.0)

    def _hear(self, line: str) -> None:
        self.lines.append(line)
        if self.stop_at and self.stop_at in line:
            self.request_stop()

    def said(self, text: str) -> bool:
        """Whether a line had these words."""
        return any(text in line for line in self.lines)


def quarantine(dsn: str, progress: Progress | None = None, **options: Any) -> Result:
    """The result of a quarantine of everything, unless options say less."""
    return call("scout_quarantine", dsn, progress=progress, **({} if "event_ids" in options else EVERYTHING) | options)


def moved(dsn: str) -> int:
    """Dead letters."""
    return one(dsn, "SELECT count(*) FROM scout.bronze_events_dlq")


def unloaded(dsn: str) -> None:
    """Bronze as it is before the first run of the ETL."""
    with connect(dsn) as connection:
        connection.execute("TRUNCATE scout.silver_transactions, scout.etl_processed CASCADE")


def test_the_path_follows_what_there_is(scout_db: str) -> None:
    ids = [
        str(row[0]) for row in rows(scout_db, "SELECT event_id FROM scout.bronze_events ORDER BY ingested_at LIMIT 700")
    ]
    by_keys = quarantine(scout_db, event_ids=ids)
    assert (by_keys["batches"]["path"], by_keys["moved"]["events"]) == ("keys", 700)
    middle = one(scout_db, "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ingested_at) FROM scout.bronze_events")
    by_blocks = quarantine(scout_db, window_start=None, window_end=middle.isoformat())
    assert by_blocks["batches"]["path"] == "blocks"
    with connect(scout_db) as connection:
        connection.execute(INDEX)
    by_index = quarantine(scout_db)
    assert by_index["batches"]["path"] == "the index on ingested_at"
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events") == 0
    assert moved(scout_db) == 700 + by_blocks["moved"]["events"] + by_index["moved"]["events"]


@pytest.mark.parametrize("indexed", [True, False])
def test_many_events_of_one_moment_are_divided(scout_db: str, indexed: bool) -> None:
    unloaded(scout_db)
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.bronze_events SET ingested_at = '2026-01-02 03:04:05+00'")
        connection.execute(SLOW.format(0.0005))  # type: ignore[call-overload]
        if indexed:
            connection.execute(INDEX)
    result = quarantine(scout_db, target_seconds=0.2)
    assert result["batches"]["batches"] > 4
    assert (moved(scout_db), result["moved"]["events"]) == (2000, 2000)


def test_a_batch_that_takes_too_long_is_made_smaller(scout_db: str) -> None:
    unloaded(scout_db)
    voice = Voice()
    with connect(scout_db) as connection:
        connection.execute(SLOW.format(0.001))  # type: ignore[call-overload]
    result = quarantine(scout_db, voice, target_seconds=0.1)
    assert result["batches"]["retries"] >= 1
    assert voice.said("took too long and was rolled back")
    assert moved(scout_db) == 2000


def test_a_single_row_may_take_its_time(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(SLOW.format(0.4))  # type: ignore[call-overload]
    ids = [str(row[0]) for row in rows(scout_db, "SELECT event_id FROM scout.bronze_events LIMIT 2")]
    result = quarantine(scout_db, event_ids=ids, target_seconds=0.1)
    assert (result["moved"]["events"], result["batches"]["batches"]) == (2, 2)


def test_a_dense_part_after_a_sparse_one_is_cut(scout_db: str) -> None:
    with open_session(Settings(scout_db)) as session, session.read():
        path = Blocks(
            "scout.bronze_events", "b", sql.SQL("b.ingested_at > %(since)s"), {"since": "2000-01-01+00"}, most_rows=100
        )
        spans = []
        cursor = None
        while (span := path.span(session, cursor, 10_000)) is not None:
            query = sql.SQL("SELECT count(*) AS events FROM scout.bronze_events AS b WHERE {}").format(span.where)
            spans.append(session.row(query, **span.values)["events"])
            cursor = span.after
    assert sum(spans) == 2000
    assert max(spans) < 150


COMMITTED = """
SELECT (SELECT count(*) FROM scout.bronze_events_dlq), (effects #>> '{moved,events}')::int, effects #> '{cursor,at}'
FROM scout_ops.runs WHERE action = 'quarantine'
"""


def test_a_batch_is_committed_together_with_its_cursor(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever dies right after a commit has recorded it: the ledger says what has been moved, and from where it goes on."""
    unloaded(scout_db)
    committed: list[tuple[int, int | None, Any]] = []
    move = Session.move

    @contextlib.contextmanager
    def move_then_look(session: Session, **options: Any) -> Iterator[Session]:
        with move(session, **options):
            yield session
        committed.extend(rows(scout_db, COMMITTED))

    monkeypatch.setattr(Session, "move", move_then_look)
    quarantine(
        scout_db,
        event_ids=[str(row[0]) for row in rows(scout_db, "SELECT event_id FROM scout.bronze_events LIMIT 900")],
    )
    assert len(committed) >= 2, "one batch at least, and the end of the path"
    assert [recorded for _, recorded, _ in committed] == [there for there, _, _ in committed]
    assert committed[0][0] > 0
    assert None not in [cursor for _, _, cursor in committed]
    cursors = [cursor for _, _, cursor in committed[:-1]]
    assert len({str(cursor) for cursor in cursors}) == len(cursors), "each batch has a cursor of its own"


@pytest.fixture
def half_done(scout_db: str) -> tuple[str, Result]:
    """A quarantine that was asked to stop after its first batches, with what it said then."""
    unloaded(scout_db)
    with connect(scout_db) as connection:
        connection.execute(SLOW.format(0.0005))  # type: ignore[call-overload]
    result = quarantine(scout_db, Voice(stop_at="moved"), target_seconds=0.1)
    assert 0 < moved(scout_db) < 2000
    return scout_db, result


def test_asked_to_stop_it_ends_after_the_batch_and_goes_on_later(half_done: tuple[str, Result]) -> None:
    dsn, stopped = half_done
    assert (stopped["failed"], stopped["changed"], stopped["error"]["kind"]) == (True, True, "stopped")
    assert f"{moved(dsn):,} events of 2,000 moved" in stopped["msg"]
    assert "resume with the same command" in stopped["msg"]
    assert stopped["effects"]["moved"]["events"] == moved(dsn)
    frozen = one(dsn, "SELECT parameters #>> '{selection,window,end}' FROM scout_ops.runs WHERE action = 'quarantine'")
    with connect(dsn) as connection:
        connection.execute("INSERT INTO scout.bronze_events (event_type, event_data) VALUES ('late.v1', '{}')")
    voice = Voice()
    resumed = quarantine(dsn, voice)
    assert (resumed["resumed"], resumed["run_id"], resumed["window"]["end"]) == (True, stopped["run_id"], frozen)
    assert voice.said(f"continuing interrupted run {stopped['run_id']}")
    assert resumed["moved"]["events"] == moved(dsn) == 2000
    assert one(dsn, "SELECT count(*) FROM scout.bronze_events") == 1, "what arrived after the start stays"
    assert rows(dsn, "SELECT status FROM scout_ops.runs WHERE action = 'quarantine'") == [("succeeded",)]
    assert rows(dsn, "SELECT FROM scout_ops.related_events") == []


def test_other_words_begin_another_run(half_done: tuple[str, Result]) -> None:
    dsn, stopped = half_done
    other = quarantine(dsn, event_types=["transaction.v1"])
    assert (other["resumed"], other["run_id"] == stopped["run_id"]) == (False, False)


def test_a_half_done_run_can_be_undone(half_done: tuple[str, Result]) -> None:
    dsn, stopped = half_done
    undone = call("scout_undo", dsn, run_id=stopped["run_id"])
    assert (moved(dsn), one(dsn, "SELECT count(*) FROM scout.bronze_events")) == (0, 2000)
    assert undone["put_back"] == {"events": stopped["effects"]["moved"]["events"]}
    assert quarantine(dsn)["resumed"] is False, "what was taken back is not gone on with"


def test_it_gives_way_to_those_who_waited(scout_db: str) -> None:
    unloaded(scout_db)
    with connect(scout_db) as connection:
        connection.execute(SLOW.format(0.001))  # type: ignore[call-overload]
    over = threading.Event()

    def load() -> None:
        with connect(scout_db, user="loader") as connection:
            while not over.is_set():
                with contextlib.suppress(psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation):
                    connection.execute("SELECT scout.load_silver_from_bronze(1)")

    loader = threading.Thread(target=load)
    loader.start()
    voice = Voice()
    ids = [str(row[0]) for row in rows(scout_db, "SELECT event_id FROM scout.bronze_events LIMIT 300")]
    try:
        quarantine(scout_db, voice, target_seconds=0.2, event_ids=ids)
    finally:
        over.set()
        loader.join()
    assert voice.said("yielding: 1 session waited for this batch")
    assert moved(scout_db) == 300


class Standby:
    """Someone who streams the WAL as a standby does, and says how far it has come only when told to."""

    def __init__(self, dsn: str) -> None:
        self.connection = pq.PGconn.connect(make_conninfo(dsn, replication="true", application_name="slow").encode())
        place = self.connection.exec_(b"IDENTIFY_SYSTEM").get_value(0, 2)
        assert place
        started = self.connection.exec_(b"START_REPLICATION PHYSICAL " + place)
        assert started.status == pq.ExecStatus.COPY_BOTH

    def catch_up(self) -> None:
        """Says that everything has been replayed."""
        self.say(2**62, 2**62, 2**62)

    def say(self, written: int, flushed: int, replayed: int) -> None:
        """Says how far it has come; 0 is nowhere at all."""
        self.connection.put_copy_data(b"r" + struct.pack("!QQQQB", written, flushed, replayed, 0, 0))
        self.connection.flush()


@pytest.fixture
def with_standby() -> Iterator[tuple[str, Standby]]:
    """A server of its own with a reference and a standby."""
    with Server(settings={"wal_level": "replica", "max_wal_senders": 4}) as server:
        dsn = builder.template(server, events=200).clone("streamed")
        unloaded(dsn)
        standby = Standby(server.dsn("postgres"))
        yield dsn, standby
        standby.connection.finish()


def test_it_waits_for_a_standby_that_falls_behind(with_standby: tuple[str, Standby]) -> None:
    dsn, standby = with_standby
    with connect(dsn) as connection:
        connection.execute(SLOW.format(0.005))  # type: ignore[call-overload]
    voice = Voice()
    results: list[Result] = []
    move = threading.Thread(
        target=lambda: results.append(quarantine(dsn, voice, target_seconds=0.1, max_replica_lag_seconds=0.3))
    )
    move.start()
    deadline = time.monotonic() + 30
    while not voice.said("waiting: standby slow is") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert voice.said("waiting: standby slow is")
    waited_at = moved(dsn)
    time.sleep(0.5)
    assert moved(dsn) == waited_at < 200
    while move.is_alive():
        standby.catch_up()
        move.join(0.2)
    assert (results[0]["moved"]["events"], moved(dsn)) == (200, 200)


def test_what_only_keeps_wal_is_not_waited_for(with_standby: tuple[str, Standby]) -> None:
    """As pg_receivewal does, which flushes a segment once it is whole."""
    dsn, receiver = with_standby
    receiver.say(2**24, 2**24, 0)
    with connect(dsn) as connection:
        wait_until(connection, "SELECT FROM pg_stat_replication WHERE flush_lsn IS NOT NULL AND replay_lsn IS NULL")
        connection.execute(SLOW.format(0.005))  # type: ignore[call-overload]
    limits = {"target_seconds": 0.1, "max_replica_lag_seconds": 0.2, "max_replica_wait_seconds": 0.5}
    done = quarantine(dsn, **limits)
    assert not done.get("failed"), done["msg"]
    assert moved(dsn) == 200


def test_a_standby_that_stands_still_ends_the_move_by_name_and_can_be_left_out(
    with_standby: tuple[str, Standby],
) -> None:
    """A delayed standby is behind for ever, and a move waited for it as long, with ingestion paused."""
    dsn, _standby = with_standby
    with connect(dsn) as connection:
        connection.execute(SLOW.format(0.005))  # type: ignore[call-overload]
    limits = {"target_seconds": 0.1, "max_replica_lag_seconds": 0.2, "max_replica_wait_seconds": 0.5}
    stopped = quarantine(dsn, **limits, ignore_replicas=["another"])
    assert stopped["error"]["kind"] == "not_reached"
    assert "standby slow is" in stopped["msg"]
    assert "after a wait of 0.5 s" in stopped["msg"]
    assert """-e '{"scout_ignore_replicas": ["another", "slow"]}'""" in stopped["error"]["next_step"]
    assert moved(dsn) < 200
    for left_out in (["slow"], ["*"]):
        went_on = quarantine(dsn, **limits, ignore_replicas=left_out)
        assert not went_on.get("failed"), went_on["msg"]
        assert moved(dsn) == 200

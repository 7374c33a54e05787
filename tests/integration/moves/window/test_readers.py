# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever reads the window while it is made again sees each of its transactions, whole; and is never made to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window import recovery
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import event_queue
from tests.integration.modules import Connection, connect, rows
from tests.integration.outcomes import ran
from tests.integration.windows import Case, damaged, recover
from tests.scout.fixtures import small

EVENTS = 2500
#: A window of this size would be one batch or two, depending on the machine.
FIRST_ROWS = 50
MOST_ROWS = 250
READERS = 2

#: One statement, one snapshot: how many transactions, lines and pesos there are, and how many transactions are not whole.
LOOK = """
SELECT count(*), coalesce(sum(l.lines), 0), sum(t.total_amount), count(*) FILTER (WHERE l.lines IS DISTINCT FROM t.item_count)
FROM scout.silver_transactions AS t
LEFT JOIN (SELECT transaction_id, count(*) AS lines FROM scout.silver_line_items GROUP BY 1) AS l USING (transaction_id)
WHERE t.transaction_id IN (SELECT name FROM public.watched)
"""


@pytest.fixture(autouse=True)
def _several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "FIRST_ROWS", FIRST_ROWS)
    monkeypatch.setattr(recovery, "MOST_ROWS", MOST_ROWS)


@dataclass
class Seen:
    """What readers saw, in order, and how much a writer has written."""

    looks: list[tuple[Any, ...]] = field(default_factory=list)
    trouble: list[BaseException] = field(default_factory=list)
    arrived: int = 0
    #: Batches in whose middle all of them have been waited for.
    middles: int = 0

    def wait(self) -> None:
        """Until a look and an event have begun and ended; or somebody met trouble."""
        looks, arrived, deadline = len(self.looks) + READERS + 1, self.arrived + 2, time.monotonic() + 30
        while not self.trouble and (len(self.looks) < looks or self.arrived < arrived):
            assert time.monotonic() < deadline, "a reader or the writer hangs"
            time.sleep(0.002)


scout_template = small(EVENTS)


def watch(dsn: str, names: set[str]) -> tuple[Any, ...]:
    """Readers look at these transactions from now on; what they look like now."""
    with connect(dsn) as connection:
        connection.execute("CREATE TABLE public.watched (name text PRIMARY KEY)")
        connection.execute("INSERT INTO public.watched SELECT unnest(%s::text[])", [list(names)])
        connection.execute("ANALYZE public.watched")
        [look] = connection.execute(LOOK).fetchall()
        return look


@contextmanager
def reading(dsn: str) -> Generator[Seen]:
    """Readers and a writer, none of whom waits for a lock longer than a moment: before the first batch and after the last one,
    and in the middle of each, when the old rows are gone and the new ones not there."""
    seen, stop = Seen(), threading.Event()
    load_exactly = event_queue.load_exactly

    def read(connection: Connection) -> None:
        seen.looks.append(connection.execute(LOOK).fetchall()[0])

    def write(connection: Connection) -> None:
        generator.insert(connection, generator.transaction(31_338, seen.arrived))
        seen.arrived += 1

    def work(each: Callable[[Connection], None], lock_timeout: str) -> None:
        try:
            with connect(dsn, options=f"-c lock_timeout={lock_timeout}") as connection:
                while not stop.wait(0.01):
                    each(connection)
        except BaseException as error:  # noqa: BLE001 handed to the test
            seen.trouble.append(error)

    def load_slowly(*given: Any) -> None:
        seen.wait()
        seen.middles += 1
        load_exactly(*given)

    threads = [threading.Thread(target=work, args=[read, "50ms"], daemon=True) for _ in range(READERS)]
    threads.append(threading.Thread(target=work, args=[write, "200ms"], daemon=True))
    for thread in threads:
        thread.start()
    try:
        seen.wait()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(event_queue, "load_exactly", load_slowly)
            yield seen
        seen.wait()
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=20)


def window() -> Window:
    now = datetime.now(UTC)
    return Window(now - timedelta(days=2), now - timedelta(minutes=30))


def test_nobody_sees_a_window_half_empty_while_all_of_it_is_made_again(scout_db: str) -> None:
    """Silver was right, and must not look otherwise for a moment: same rows, same lines, same pesos."""
    case = Case(scout_db, window())
    before = watch(scout_db, case.names)
    with reading(scout_db) as seen:
        result = recover(case, mode="all")
        undone = ran("scout_undo", scout_db, run_id=result["run_id"])
    assert seen.trouble == []
    assert set(seen.looks) == {before}
    assert seen.middles >= result["batches"]["batches"] > 5
    assert undone["changed"]
    assert case.wrong() == []


@pytest.mark.parametrize("mode", ["missing", "all"])
def test_what_is_there_only_grows_while_what_is_missing_is_made(scout_db: str, mode: str) -> None:
    """Rows that were never there come; none that was there is away for a moment. Each is whole from the first moment on."""
    case = damaged(scout_db, window(), "rows_missing", "rows_and_marks_missing", count=150)
    missing = 300
    watch(scout_db, case.names)
    with reading(scout_db) as seen:
        result = recover(case, mode=mode)
    [after] = rows(scout_db, LOOK)
    assert seen.trouble == []
    counts = [look[0] for look in seen.looks]
    assert min(counts) == after[0] - missing
    assert max(counts) == after[0]
    assert {look[3] for look in seen.looks} == {0}
    assert seen.middles >= result["batches"]["batches"] > 1
    assert case.wrong() == []


def test_a_long_look_neither_waits_nor_holds_it_up(scout_db: str) -> None:
    """Somebody's report holds a snapshot of the window, and a cursor on it, from before the first batch to after the last."""
    case = Case(scout_db, window())
    watch(scout_db, case.names)
    with psycopg.connect(scout_db) as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        before = report.execute(LOOK).fetchall()
        result = recover(case, mode="all", lock_timeout_seconds=0.5)
        assert result["batches"]["batches"] > 5
        assert report.execute(LOOK).fetchall() == before
    case.check()

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever reads the window while it is made again sees each of its transactions, whole; and is never made to wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery import recovering as recovery
from tests.integration.modules import call, connect, rows
from tests.integration.storm import ran
from tests.integration.windows import Case, damaged, recover
from tests.scout import generator, reference
from tests.scout.damage import Window
from tests.scout.server import Server

EVENTS = 2500
SMALL = {"target_seconds": 0.1}

#: One statement, one snapshot: how many transactions, lines and pesos there are, and how many transactions are not whole.
LOOK = """
SELECT count(*), coalesce(sum(l.lines), 0), sum(t.total_amount), count(*) FILTER (WHERE l.lines IS DISTINCT FROM t.item_count)
FROM scout.silver_transactions AS t
LEFT JOIN (SELECT transaction_id, count(*) AS lines FROM scout.silver_line_items GROUP BY 1) AS l USING (transaction_id)
WHERE t.transaction_id IN (SELECT name FROM public.watched)
"""


@pytest.fixture(autouse=True)
def _several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of this size would be one batch."""
    monkeypatch.setattr(recovery, "FIRST_ROWS", 50)


@dataclass
class Seen:
    """What readers saw, in order."""

    looks: list[tuple[Any, ...]] = field(default_factory=list)
    trouble: list[BaseException] = field(default_factory=list)
    arrived: int = 0


@pytest.fixture(scope="module")
def scout_template(pg_server: Server) -> Iterator[reference.Template]:
    template = reference.template(pg_server, events=EVENTS)
    yield template
    template.drop()


def watch(dsn: str, names: set[str]) -> tuple[Any, ...]:
    """Readers look at these transactions from now on; what they look like now."""
    with connect(dsn) as connection:
        connection.execute("CREATE TABLE public.watched (name text PRIMARY KEY)")
        connection.execute("INSERT INTO public.watched SELECT unnest(%s::text[])", [list(names)])
        connection.execute("ANALYZE public.watched")
        [look] = connection.execute(LOOK).fetchall()
        return look


@contextmanager
def reading(dsn: str) -> Iterator[Seen]:
    """Two readers and a writer; none of them waits for a lock longer than a moment."""
    seen, stop = Seen(), threading.Event()

    def read() -> None:
        try:
            with connect(dsn, options="-c lock_timeout=50ms") as connection:
                while not stop.wait(0.01):
                    seen.looks.append(connection.execute(LOOK).fetchall()[0])
        except BaseException as error:  # noqa: BLE001 handed to the test
            seen.trouble.append(error)

    def write() -> None:
        try:
            with connect(dsn, options="-c lock_timeout=200ms") as connection:
                while not stop.wait(0.01):
                    generator.insert(connection, generator.transaction(31_338, seen.arrived))
                    seen.arrived += 1
        except BaseException as error:  # noqa: BLE001 handed to the test
            seen.trouble.append(error)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(2)]
    threads.append(threading.Thread(target=write, daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield seen
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
        result = recover(case, mode="all", target_seconds=0.02)
        undone = ran("scout_undo", scout_db, run_id=result["run_id"])
    assert seen.trouble == []
    assert set(seen.looks) == {before}
    assert len(seen.looks) > 10
    assert seen.arrived > 20
    assert result["batches"]["batches"] > 1
    assert undone["changed"]
    assert case.wrong() == []


@pytest.mark.parametrize("mode", ["missing", "all"])
def test_what_is_there_only_grows_while_what_is_missing_is_made(scout_db: str, mode: str) -> None:
    """Rows that were never there come; none that was there is away for a moment. Each is whole from the first moment on."""
    case = damaged(scout_db, window(), "rows_missing", "rows_and_marks_missing", count=150)
    missing = 300
    watch(scout_db, case.names)
    with reading(scout_db) as seen:
        result = recover(case, mode=mode, **SMALL)
    [after] = rows(scout_db, LOOK)
    assert seen.trouble == []
    counts = [look[0] for look in seen.looks]
    assert min(counts) == after[0] - missing
    assert max(counts) == after[0]
    assert {look[3] for look in seen.looks} == {0}
    assert result["changed"]
    assert case.wrong() == []


def test_a_long_look_neither_waits_nor_holds_it_up(scout_db: str) -> None:
    """Somebody's report holds a snapshot of the window, and a cursor on it, from before the first batch to after the last."""
    case = Case(scout_db, window())
    watch(scout_db, case.names)
    with psycopg.connect(scout_db) as report:
        report.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        before = report.execute(LOOK).fetchall()
        result = call("scout_window", scout_db, mode="all", lock_timeout_seconds=0.5, **case.window.options, **SMALL)
        assert not result.get("failed"), result["msg"]
        assert report.execute(LOOK).fetchall() == before
    case.check()

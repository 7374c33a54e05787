# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch counts for, which failure is worth another attempt, how far it is, and how effects add up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import batches, cursors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import errors, sql


class Hearing(Progress):
    """What is said, and for how long it waits, without waiting."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(self.lines.append, every_seconds=0.0)
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until it is set."""
    clock = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    return clock


def engine(
    effects: dict[str, Any] | None = None, *, total: int = 1000, **options: Any
) -> tuple[batches.Batches, Hearing]:
    """One way along a path of a clock, which begins with 60 seconds and never takes less than one."""
    session: Any = SimpleNamespace(settings=SimpleNamespace(lock_timeout_seconds=2.0), where="scout on db1:5432")
    run: Any = SimpleNamespace(effects=effects or {})
    path: Any = SimpleNamespace(name="clock", first_size=60.0, least_size=1.0)
    heard = Hearing()
    chosen = batches.Options(**{"target_seconds": 0.5, **options})
    return batches.Batches(session, run, path, chosen, heard, closed=(), total=total, verb="moved"), heard


def span(size: float = 60.0, *, full: bool = True) -> cursors.Span:
    return cursors.Span(sql.SQL("true").format(), {}, None, size, full)


def test_the_limits_unless_told_otherwise() -> None:
    assert batches.Options() == batches.Options(0.5, 150_000, 30.0, 300.0, (), True, None)
    assert (batches.TRIES, batches.LOCK_PATIENCE, batches.SWEEPS) == (12, 4, 50)


def test_it_begins_with_nothing_done_where_the_run_before_ended(now: SimpleNamespace) -> None:
    fresh, _ = engine()
    assert (fresh.cursor, fresh.sizes.rows, fresh.longest_seconds) == (None, 60.0, 0.0)
    now.seconds += 2.3456
    assert fresh.figures() == {
        "path": "clock", "rows": 0, "batches": 0, "retries": 0, "longest_batch_seconds": 0.0, "seconds": 2.346,
    }  # fmt: skip
    assert engine({"cursor": {"path": "clock", "at": 7}})[0].cursor == 7
    assert engine({"cursor": {"path": "ids", "at": 7}})[0].cursor is None


def test_a_batch_is_counted_and_an_empty_one_is_none() -> None:
    made, heard = engine()
    made._account(span(), 10, 0, 0.5)
    assert (made.rows, made.batches, made.longest_seconds, heard.waits) == (10, 1, 0.5, [])
    made._account(span(full=False), 0, 0, 0.0)
    assert (made.rows, made.batches, made.longest_seconds) == (10, 1, 0.5)


@pytest.mark.parametrize(("seconds", "pause"), [(0.25, 0.25), (0.75, 0.75), (3.0, 1.0)])
def test_who_waited_for_a_batch_gets_a_pause_and_a_shorter_one(seconds: float, pause: float) -> None:
    made, heard = engine()
    made._account(span(100.0), 10, 2, seconds)
    assert made.sizes.rows == pytest.approx(max(30.0, 100.0 * 0.25 / seconds))
    assert heard.waits == [pause]
    assert heard.lines[0] == "yielding: 2 sessions waited for this batch; shorter batches follow, with pauses"


def test_nobody_is_asked_for_where_nobody_is_given_way_to() -> None:
    assert engine(yield_to_waiters=False)[0]._waiting() == 0


def test_it_says_how_far_it_is(now: SimpleNamespace) -> None:
    made, heard = engine(total=1000)
    now.seconds += 4
    made._account(span(), 250, 0, 0.5)
    now.seconds += 0.5
    made._account(span(), 200, 0, 0.5)
    now.seconds += 5.5
    made._account(span(), 600, 0, 0.5)
    assert heard.lines == [
        "moved 250 of 1,000 events (25 %), 62/s, about 12 s left",
        "moved 450 of 1,000 events (45 %), 100/s, about 5.5 s left",
        "moved 1,050 of 1,000 events (100 %), 105/s, about 0.0 s left",
    ]
    for done, total in ((0, 1000), (10, 0)):
        silent, heard = engine(total=total)
        silent._account(span(), done, 0, 0.5)
        assert heard.lines == []
    soon, heard = engine(total=1000)
    soon._account(span(), 1, 0, 0.5)
    assert heard.lines == ["moved 1 of 1,000 events (0 %), 1,000/s, about 1.0 s left"]


@pytest.mark.parametrize(
    ("error", "limited_since", "seconds", "tries", "again", "waits", "size"),
    [
        # Cancelled by the limit of the batch, or by somebody who has a reason.
        (errors.QueryCanceled, 999.0, 0.0, 1, True, [], 30.0),
        (errors.QueryCanceled, 999.0, 0.0, 2, True, [], 15.0),
        (errors.QueryCanceled, 999.39, 0.0, 1, True, [], 30.0),
        (errors.QueryCanceled, 999.42, 0.0, 1, False, [], 60.0),
        (errors.QueryCanceled, 0.0, 9.0, 1, False, [], 60.0),
        # A lock is waited for during four times its timeout, whatever the number of attempts.
        (errors.LockNotAvailable, 0.0, 7.9, 99, True, [1.0], 60.0),
        (errors.LockNotAvailable, 0.0, 8.0, 1, False, [], 60.0),
        # What only another order helps is tried twelve times, at growing distances.
        (errors.DeadlockDetected, 0.0, 0.0, 1, True, [0.04], 60.0),
        (errors.SerializationFailure, 0.0, 0.0, 3, True, [0.16], 60.0),
        (errors.SerializationFailure, 0.0, 0.0, 11, True, [1.0], 60.0),
        (errors.SerializationFailure, 0.0, 0.0, 12, False, [], 60.0),
        (errors.UniqueViolation, 0.0, 0.0, 1, False, [], 60.0),
        (KeyboardInterrupt, 0.0, 0.0, 1, False, [], 60.0),
    ],
)
def test_which_failure_is_worth_another_attempt(
    now: SimpleNamespace, error: type[BaseException], limited_since: float, seconds: float, tries: int, again: bool,
    waits: list[float], size: float,
) -> None:  # fmt: skip
    assert now.seconds == 1000.0
    made, heard = engine()
    assert made._retried(error(), 60.0, limited_since, seconds, tries) is again
    assert (heard.waits, made.sizes.rows, made.retries) == (waits, size, int(again))
    assert len(heard.lines) == int(again)


def test_each_statement_gets_what_is_left_of_the_time_of_its_batch(now: SimpleNamespace) -> None:
    made, _ = engine()
    given: list[tuple[float, float]] = []
    session: Any = SimpleNamespace(
        limit_statements=lambda left, lock_timeout_seconds: given.append((left, lock_timeout_seconds))
    )
    made.session = session
    limit = made._limiter(now.seconds)
    now.seconds += 0.5
    limit()
    now.seconds += 5
    limit()
    assert given == [
        (pytest.approx(0.75), pytest.approx(0.6)),
        (pytest.approx(0.25), pytest.approx(0.2)),
        (0.05, pytest.approx(0.04)),
    ]


def test_effects_add_up() -> None:
    before = {"events": 1, "ids": ["b"], "moved": {"lines": 2}, "note": 5}
    more = {
        "events": 2,
        "ids": ["a", "b"],
        "moved": {"lines": 3, "sales": 1},
        "new": 4,
        "days": ["d"],
        "more": {"x": 1},
    }
    assert batches.added(before, more) == {
        "events": 3, "ids": ["a", "b"], "moved": {"lines": 5, "sales": 1}, "note": 5, "new": 4, "days": ["d"], "more": {"x": 1},
    }  # fmt: skip
    assert before == {"events": 1, "ids": ["b"], "moved": {"lines": 2}, "note": 5}


def test_where_it_stopped_is_said_with_what_to_do() -> None:
    made, _ = engine(total=1234)
    made._account(span(), 1, 0, 0.5)
    stopped = made._stopped("stopped on request")
    assert stopped.on == "scout on db1:5432"
    assert stopped.attempted == "stopped on request: 1 event of 1,234 moved in 1 batch"
    assert stopped.next_step == f"resume with the same command; {batches.AGAIN}"
    assert made._stopped("stopped", "remove it").next_step == "remove it"

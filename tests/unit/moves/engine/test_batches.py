# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a batch counts for, which failure is worth another attempt, how far it is, and how effects add up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import batches
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import errors


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

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a move may take, and what is said of what it took."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import batches, job
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import dead_letters

LIMITS: dict[str, Any] = {
    "target_seconds": 0.7, "max_replica_lag_seconds": 9.0, "max_replica_wait_seconds": 8.0,
    "ignore_replicas": ["r"], "yield_to_waiters": False, "stop_file": "/s", "max_rows": 0,
}  # fmt: skip


def test_limits_are_those_of_the_options() -> None:
    assert job.options(LIMITS) == batches.Options(0.7, 150_000, 9.0, 8.0, ("r",), False, "/s")
    with pytest.raises(BadInput, match="max_rows -1 is not usable"):
        job.options({**LIMITS, "max_rows": -1})


def test_as_many_as_allowed_and_no_more() -> None:
    job.refuse_too_many(1000, {"max_rows": 1000}, where="scout on db1")
    with pytest.raises(BadInput) as raised:
        job.refuse_too_many(1001, {"max_rows": 1000}, where="scout on db1", noun="sale")
    assert raised.value.attempted == "refused to move 1,001 sales: max_rows is 1,000"
    assert raised.value.next_step == "look at it with --check; if all of them are meant, -e max_rows=1001"


@pytest.mark.parametrize(
    ("verb", "effects", "seconds", "text"),
    [
        ("quarantined", {}, None, "quarantined nothing"),
        ("quarantined", {"moved": {"events": 12, "ledger": 3}}, 2.0, "quarantined 12 events (2.0 s)"),
        ("quarantined", {"moved": {"ledger": 3}}, None, "quarantined nothing"),
        ("quarantined", {"moved": {"events": 0, "transactions": 1}}, None, "quarantined 1 transaction"),
        ("quarantined", {"moved": {"events": 1}, "requeued": 0}, None, "quarantined 1 event"),
        ("quarantined", {"moved": {"events": 1}, "requeued": 2}, None,
         "quarantined 1 event; 2 events of the same transactions went back to the queue"),
        ("would quarantine", {"moved": {"events": 1}, "requeued": 1}, None,
         "would quarantine 1 event; 1 event of the same transactions would go back to the queue"),
    ],
)  # fmt: skip
def test_a_move_in_one_line(verb: str, effects: dict[str, Any], seconds: float | None, text: str) -> None:
    assert job.sentence(verb, effects, seconds) == text


def test_identifiers_of_a_batch_ascend_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a UUID of version 7: milliseconds, the version, the variant and 26 bits of chance."""
    monkeypatch.setattr(dead_letters.time, "time_ns", lambda: 0x0123456789AB * 1_000_000 + 999_999)
    for dice, rest in ((0, "7000-8000-"), (2**26 - 1, "7fff-bfff-"), (0b1_000000000011, "7003-8001-")):
        asked: list[int] = []

        def thrown(bits: int, asked: list[int] = asked, dice: int = dice) -> int:
            asked.append(bits)
            return dice

        monkeypatch.setattr(dead_letters.secrets, "randbits", thrown)
        assert dead_letters.ascending_prefix() == f"01234567-89ab-{rest}"
        assert asked == [26]

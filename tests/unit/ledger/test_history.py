# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a list of runs says of each: what it counts, and whether it can be undone, or why not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import history

AT = datetime.datetime(2026, 11, 25, 1, tzinfo=datetime.UTC)
MOVED = {"events": 3}


def run(action: str, effects: dict[str, Any], **columns: Any) -> dict[str, Any]:
    """A run as a reader is shown it."""
    row = {"action": action, "effects": effects, "undone_by": None, "started_at": AT, "finished_at": None, **columns}
    return history.described(row)


@pytest.mark.parametrize(
    ("action", "effects", "why_not"),
    [
        ("quarantine", {"moved": MOVED}, None),
        ("undo", {"put_back": MOVED}, None),
        ("rollback", {"objects": 3}, None),
        ("drain", {"loaded": 5, "poison": [{"event_id": "e"}]}, None),
        ("drain", {"loaded": 5}, "moved no data"),
        ("drain", {"loaded": 5, "poison": []}, "moved no data"),
        ("pause", {"deactivated": ["j"]}, "moved no data"),
        ("quarantine", {}, "moved nothing"),
    ],
)
def test_what_can_be_undone(action: str, effects: dict[str, Any], why_not: str | None) -> None:
    shown = run(action, effects)
    assert (shown["can_be_undone"], shown["why_not"]) == (why_not is None, why_not)
    assert "effects" not in shown


def test_what_was_undone_cannot_be_again() -> None:
    shown = run("quarantine", {"moved": MOVED}, undone_by="u-1")
    assert (shown["can_be_undone"], shown["why_not"]) == (False, "undone by u-1")


def test_what_it_counts() -> None:
    shown = run("drain", {"loaded": 5, "failed": 0, "poison": [{}, {}], "cursor": 7})
    assert shown["counts"] == {"loaded": 5, "quarantined": 2}
    assert "release" not in shown
    assert run("rollback", {"objects": 3, "release": "v1"})["release"] == "v1"
    assert run("quarantine", {"moved": MOVED})["counts"] == {"moved": MOVED}


def test_times_carry_an_offset() -> None:
    shown = run("pause", {}, finished_at=AT + datetime.timedelta(seconds=5))
    assert (shown["started_at"], shown["finished_at"]) == ("2026-11-25T01:00:00+00:00", "2026-11-25T01:00:05+00:00")
    assert run("pause", {})["finished_at"] is None

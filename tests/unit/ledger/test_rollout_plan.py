# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is in a rollout, as a table: what is at work, what failed, and what a slice of it may begin."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.rollouts.plan import Entry, next_turn

STATES = {"-": "waiting", "*": "at work", "x": "failed", "?": "lost", ".": "well"}
#: One, then two, then all others.
SIZES = (1, 2, None)


def entries(text: str) -> list[Entry]:
    """`a0. b1* c-`: each a host, its batch and its state."""
    return [
        Entry(word[0], int(word[1]) if word[1].isdigit() else None, STATES[word[-1]], "another")
        for word in text.split()
    ]


@pytest.mark.parametrize(
    ("there", "mine", "most", "says"),
    [
        ("a- b- c-", "abc", 100, "0: a"),
        ("a0* b- c- d-", "cd", 100, "waits for a"),
        ("a0. b- c- d-", "bcd", 100, "1: b c"),
        # Another slice has taken a place of the batch, and is at work.
        ("a0. b1* c- d-", "cd", 100, "1: c"),
        ("a0. b1* c1. d-", "d", 100, "waits for b"),
        ("a0. b1. c1. d- e- f-", "df", 100, "2: d f"),
        # None is left, or all were tried.
        ("a0. b1. c1.", "", 0, "none"),
        ("a0x b-", "", 0, "none"),
        # The canary failed, or its slice died.
        ("a0x b-", "b", 100, "all 1 of a batch failed in all slices (a)"),
        ("a0? b-", "b", 100, "all 1 of a batch failed in all slices (a)"),
        ("a0x b-", "b", 0, "1 of 1 failed in all slices (a), more than 0 %"),
        ("a0. b1x c1* d-", "d", 0, "1 of 2 failed in all slices (b), more than 0 %"),
        ("a0. b1x c1. d-", "d", 50, "2: d"),
        ("a0. b1x c1? d-", "d", 50, "2 of 2 failed in all slices (b, c), more than 50 %"),
        # Of all others, those that have begun count.
        ("a0. b1. c1. d2x e2* f-", "f", 20, "1 of 2 failed in all slices (d), more than 20 %"),
        ("a0. b1. c1. d2x e2* f-", "f", 100, "2: f"),
        # The same command again begins what failed or was lost in its own batch, and the earliest first.
        ("a0x b-", "ab", 0, "0: a"),
        ("a0. b1? c1x d2?", "bcd", 0, "1: b c"),
    ],
)
def test_a_turn(there: str, mine: str, most: float, says: str) -> None:
    turn = next_turn(entries(there), SIZES, most, mine)
    waits = f"waits for {' '.join(entry.host for entry in turn.waits_for)}" if turn.waits_for else "none"
    assert (turn.stopped or (f"{turn.batch}: {' '.join(turn.begin)}" if turn.begin else waits)) == says


def test_the_last_number_is_that_of_all_later_batches() -> None:
    assert next_turn(entries("a0. b1. c- d-"), (1,), 100, "cd").begin == ("c",)
    assert next_turn(entries("a- b- c-"), (None,), 100, "abc").begin == ("a", "b", "c")

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What taking a run back means, row by row, as a table of what the item holds, what is there now, and what follows."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.undo.planner import (
    TABLES,
    Current,
    Item,
    plan,
)

#: An event E with its transaction T, a line L, its mark, and K, which fed T as well and went back to the queue.
REMOVED = {"events": {"E": "1"}, "ledger": {"E": "2", "K": "3"}, "transactions": {"T": "4"}, "lines": {"L": "5"}}
LETTER = {"dead_letters": {"D": "6"}}
BACK = {"events": {"E"}, "ledger": {"E", "K"}, "transactions": {"T"}, "lines": {"L"}}
GONE = {"dead_letters": {"D"}}
KEPT = {"events": {"K": "7"}}


def now(rows: dict[str, dict[str, str]] | None = None, **more: Any) -> Current:
    """A database in which the letter and K are as the run left them, and these rows besides."""
    found = {table: {**LETTER.get(table, {}), **KEPT.get(table, {}), **(rows or {}).get(table, {})} for table in TABLES}
    return Current(found, **{"lines": {}, "feeders": {}, **more})


def some(side: dict[str, set[str]]) -> dict[str, set[str]]:
    """The tables with anything in them."""
    return {table: keys for table, keys in side.items() if keys}


def swapped(
    current: Current, on_conflict: str = "refuse", item: Item | None = None
) -> tuple[dict[str, set[str]], dict[str, set[str]], list[str]]:
    """What is taken out, what is put in, and what stands against it, of one item."""
    [swap] = plan([item or Item("D", REMOVED, LETTER)], current, on_conflict)
    return some(swap.take), some(swap.put), [f"{c.table} {c.key} {c.why}" for c in swap.conflicts]


def test_nothing_has_happened_since() -> None:
    assert swapped(now()) == (GONE, BACK, [])


def test_what_the_etl_made_of_the_rest_gives_way() -> None:
    made = {"transactions": {"T": "40"}, "lines": {"M": "50"}, "ledger": {"K": "30"}}
    current = now(made, lines={"T": ["M"]}, feeders={"T": {"K"}})
    taken = GONE | {"transactions": {"T"}, "lines": {"M"}, "ledger": {"K"}}
    assert swapped(current) == (taken, BACK, [])


MADE_OF_STRANGER = {"transactions": {"T": "40"}, "lines": {"M": "50"}, "ledger": {"S": "31"}}


@pytest.mark.parametrize(
    ("on_conflict", "taken", "put"),
    [
        ("refuse", GONE | {"transactions": {"T"}, "lines": {"M"}, "ledger": {"S"}}, BACK),
        ("restore", GONE | {"transactions": {"T"}, "lines": {"M"}, "ledger": {"S"}}, BACK),
        ("keep_current", GONE, {"events": {"E"}, "ledger": {"E", "K"}}),
    ],
)
def test_a_transaction_made_again_of_another_event(on_conflict: str, taken: Any, put: Any) -> None:
    current = now(MADE_OF_STRANGER, lines={"T": ["M"]}, feeders={"T": {"S"}})
    conflict = "transactions T has been rebuilt since, from event S"
    assert swapped(current, on_conflict) == (taken, put, [conflict])


def test_a_transaction_that_nothing_in_bronze_made() -> None:
    current = now({"transactions": {"T": "40"}})
    conflict = "transactions T has been rebuilt since, from no event in bronze"
    assert swapped(current, "keep_current")[1:] == ({"events": {"E"}, "ledger": {"E", "K"}}, [conflict])


@pytest.mark.parametrize("on_conflict", ["restore", "keep_current"])
def test_what_fed_it_as_well_is_not_there(on_conflict: str) -> None:
    current = Current({table: LETTER.get(table, {}) for table in TABLES}, {}, {})
    conflict = "events K fed the same transaction and is not in bronze: undo or redrive what moved it first"
    assert swapped(current, on_conflict) == (GONE, {"events": {"E"}}, [conflict])


def test_what_fed_it_as_well_returns_with_the_same_run() -> None:
    current = Current({table: LETTER.get(table, {}) for table in TABLES}, {}, {}, returning=frozenset({"K"}))
    assert swapped(current) == (GONE, BACK, [])


@pytest.mark.parametrize(
    ("there", "on_conflict", "taken", "put", "conflicts"),
    [
        ({"events": {"E": "1"}}, "refuse", GONE, {"ledger": {"E", "K"}, "transactions": {"T"}, "lines": {"L"}}, []),
        (
            {"events": {"E": "9"}},
            "restore",
            GONE | {"events": {"E"}},
            BACK,
            ["events E exists again, with different contents"],
        ),
        (
            {"events": {"E": "9"}},
            "keep_current",
            GONE,
            {"ledger": {"E", "K"}, "transactions": {"T"}, "lines": {"L"}},
            ["events E exists again, with different contents"],
        ),
    ],
)
def test_the_event_exists_again(there: Any, on_conflict: str, taken: Any, put: Any, conflicts: Any) -> None:
    assert swapped(now(there), on_conflict) == (taken, put, conflicts)


@pytest.mark.parametrize(
    ("on_conflict", "taken", "put"),
    [
        ("restore", GONE | {"events": {"W"}, "ledger": {"W"}}, BACK),
        ("keep_current", GONE, {"ledger": {"K"}, "transactions": {"T"}, "lines": {"L"}}),
    ],
)
def test_another_event_holds_its_hash(on_conflict: str, taken: Any, put: Any) -> None:
    current = now({"events": {"W": "9"}, "ledger": {"W": "9"}}, twins={"E": "W"})
    assert swapped(current, on_conflict) == (taken, put, ["events E exists again as event W"])


#: What the undo of such a run left: the rows are there, the letter is not.
UNDONE = Item("1", LETTER, REMOVED)
RESTORED = {"events": {"E": "1"}, "ledger": {"E": "2", "K": "3"}, "transactions": {"T": "4"}, "lines": {"L": "5"}}


def there(**changed: dict[str, str]) -> Current:
    """A database that holds what the undo left, and these rows instead or besides."""
    rows = {table: {**KEPT.get(table, {}), **RESTORED.get(table, {}), **changed.get(table, {})} for table in TABLES}
    return Current(rows, {"T": ["L"]}, {"T": {"E", "K"}}, {"E": "T"})


def test_the_undo_is_undone() -> None:
    assert swapped(there(), item=UNDONE) == (BACK, GONE, [])


@pytest.mark.parametrize("on_conflict", ["restore", "keep_current"])
def test_a_line_has_changed_since_the_undo(on_conflict: str) -> None:
    taken, put, conflicts = swapped(there(lines={"L": "55"}), on_conflict, UNDONE)
    assert (put, conflicts) == (GONE, ["lines L has changed since"])
    # Its transaction goes, and a line item cannot stay behind without one.
    assert taken == BACK


def test_an_event_that_was_put_back_has_been_loaded_since() -> None:
    item = Item("1", {"dead_letters": {"D": "6"}}, {"events": {"E": "1"}, "dead_letters": {"D": "8"}})
    rows = {
        "events": {"E": "1"},
        "ledger": {"E": "20"},
        "transactions": {"T": "40"},
        "lines": {},
        "dead_letters": {"D": "8"},
    }
    current = Current(rows, {"T": ["M"]}, {"T": {"E"}}, {"E": "T"})
    taken = {"events": {"E"}, "ledger": {"E"}, "transactions": {"T"}, "lines": {"M"}, "dead_letters": {"D"}}
    assert swapped(current, item=item) == (taken, GONE, [])


@pytest.mark.parametrize("on_conflict", ["restore", "keep_current"])
def test_an_event_that_was_put_back_is_somewhere_else_now(on_conflict: str) -> None:
    item = Item("1", {"dead_letters": {"D": "6"}}, REMOVED)
    assert swapped(now(), on_conflict, item) == ({}, {}, ["events E is gone"])


PENDING = Item("D", {"events": {"E": "1"}}, LETTER, "T")


def test_an_event_that_was_pending_comes_back_before_a_later_one_that_was_loaded() -> None:
    made = {"transactions": {"T": "40"}, "lines": {"M": "50"}, "ledger": {"S": "31"}}
    current = now(made, lines={"T": ["M"]}, feeders={"T": {"S"}})
    taken = GONE | {"transactions": {"T"}, "lines": {"M"}, "ledger": {"S"}}
    assert swapped(current, item=PENDING) == (taken, {"events": {"E"}}, [])
    assert swapped(now(), item=PENDING) == (GONE, {"events": {"E"}}, [])


KEPT_EVENT = Item("D", {"transactions": {"T": "4"}, "lines": {"L": "5"}}, LETTER, None, ("K",))


@pytest.mark.parametrize("on_conflict", ["restore", "keep_current"])
def test_silver_whose_event_was_kept_does_not_come_back_without_it(on_conflict: str) -> None:
    assert swapped(now(), item=KEPT_EVENT) == (GONE, {"transactions": {"T"}, "lines": {"L"}}, [])
    away = Current({table: LETTER.get(table, {}) for table in TABLES}, {}, {})
    conflict = "events K fed the same transaction and is not in bronze: undo or redrive what moved it first"
    assert swapped(away, on_conflict, KEPT_EVENT) == ({}, {}, [conflict])


#: A transaction T that a recovery made again of E and K: only its row and the marks are written down of what came.
REMADE = Item(
    "1",
    {"transactions": {"T": "4"}, "lines": {"L": "5"}, "ledger": {"E": "2"}},
    {"transactions": {"T": "40"}, "ledger": {"E": "20", "K": "30"}},
)
AS_REMADE = {
    "transactions": {"T": "40"},
    "lines": {"M": "50", "N": "51"},
    "ledger": {"E": "20", "K": "30"},
    "events": {"E": "1"},
}
REMADE_GOES = {"transactions": {"T"}, "lines": {"M", "N"}, "ledger": {"E", "K"}}
REMADE_COMES = {"transactions": {"T"}, "lines": {"L"}, "ledger": {"E"}}


def test_what_a_recovery_made_again_is_what_it_was_whatever_was_written_into_its_line_items() -> None:
    current = now(AS_REMADE, lines={"T": ["M", "N"]}, feeders={"T": {"E", "K"}}, made_of={"E": "T", "K": "T"})
    assert swapped(current, item=REMADE) == (REMADE_GOES, REMADE_COMES, [])


@pytest.mark.parametrize(
    ("on_conflict", "taken", "put"),
    [
        ("refuse", REMADE_GOES, REMADE_COMES),
        ("restore", REMADE_GOES, REMADE_COMES),
        ("keep_current", {}, {}),
    ],
)
def test_what_a_recovery_made_again_has_changed_since(on_conflict: str, taken: Any, put: Any) -> None:
    changed = AS_REMADE | {"transactions": {"T": "41"}}
    current = now(changed, lines={"T": ["M", "N"]}, feeders={"T": {"E", "K"}}, made_of={"E": "T", "K": "T"})
    assert swapped(current, on_conflict, REMADE) == (taken, put, ["transactions T has changed since"])


#: Moved after FIRST by the same run: a later event F, of which and of K the pipeline had made T again.
FIRST = Item("D", REMOVED, LETTER)
SECOND = Item(
    "D2",
    {"events": {"F": "1"}, "ledger": {"F": "2", "K": "33"}, "transactions": {"T": "44"}, "lines": {"M": "55"}},
    {"dead_letters": {"D2": "66"}},
)


def both(current: Current, *items: Item, on_conflict: str = "refuse") -> list[tuple[Any, Any, list[str]]]:
    """What is taken out, what is put in, and what stands against it, item by item."""
    swaps = plan(items, current, on_conflict)
    return [(some(s.take), some(s.put), [f"{c.table} {c.key} {c.why}" for c in s.conflicts]) for s in swaps]


def test_a_transaction_that_was_moved_twice_is_what_it_was_at_first_and_later_events_wait_for_the_etl() -> None:
    current = now({"dead_letters": {"D2": "66"}})
    assert both(current, FIRST, SECOND) == [(GONE, BACK, []), ({"dead_letters": {"D2"}}, {"events": {"F"}}, [])]


def test_what_was_made_of_the_events_of_a_later_move_gives_way_without_a_conflict() -> None:
    second = Item("D2", {**SECOND.removed, "ledger": {"F": "2", "K2": "33"}}, SECOND.added)
    made = {"transactions": {"T": "45"}, "lines": {"N": "56"}, "ledger": {"K2": "34"}, "events": {"K2": "8"}}
    current = now({**made, "dead_letters": {"D2": "66"}}, lines={"T": ["N"]}, feeders={"T": {"K2"}})
    taken = GONE | {"transactions": {"T"}, "lines": {"N"}, "ledger": {"K2"}}
    assert both(current, FIRST, second) == [(taken, BACK, []), ({"dead_letters": {"D2"}}, {"events": {"F"}}, [])]


def test_silver_that_was_cleaned_twice_is_what_it_was_at_first_and_the_event_that_came_later_is_loaded_again() -> None:
    first = Item("D", {"transactions": {"T": "4"}, "lines": {"L": "5"}}, LETTER, None, ("K",))
    later = Item("D2", {"transactions": {"T": "44"}, "lines": {"M": "55"}}, SECOND.added, None, ("K", "F"))
    current = now({"dead_letters": {"D2": "66"}, "events": {"F": "1"}, "ledger": {"K": "3", "F": "2"}})
    taken, put = GONE, {"transactions": {"T"}, "lines": {"L"}}
    assert both(current, first, later) == [(taken, put, []), ({"dead_letters": {"D2"}, "ledger": {"F"}}, {}, [])]


#: An undo that put E back with its mark, while the T that somebody had made by hand was kept.
KEPT_BY_HAND = Item("I", {"dead_letters": {"D": "6"}}, {"events": {"E": "1"}, "ledger": {"E": "2"}})
BY_HAND = {"events": {"E": "1"}, "transactions": {"T": "40"}, "lines": {"M": "50"}}


@pytest.mark.parametrize("on_conflict", ["refuse", "keep_current", "restore"])
def test_what_was_kept_stays_where_the_undo_is_undone(on_conflict: str) -> None:
    current = now(
        BY_HAND | {"ledger": {"E": "2"}},
        lines={"T": ["M"]},
        feeders={"T": {"E"}},
        made_of={"E": "T"},
        by_hand=frozenset("T"),
    )
    assert swapped(current, on_conflict, KEPT_BY_HAND)[0] == {"events": {"E"}, "ledger": {"E"}}
    assert swapped(current, on_conflict, KEPT_BY_HAND)[2] == []


LOADED_INTO_IT = "transactions T was not made from an event in bronze"


@pytest.mark.parametrize("kept", [True, False])
def test_what_was_loaded_into_a_row_made_by_hand_is_a_conflict(kept: bool) -> None:
    item = Item("I", {"dead_letters": {"D": "6"}}, {"events": {"E": "1"}})
    current = now(
        BY_HAND | {"ledger": {"E": "22"}},
        lines={"T": ["M"]},
        feeders={"T": {"E"}},
        made_of={"E": "T"},
        by_hand=frozenset("T"),
    )
    taken, _, conflicts = swapped(current, "keep_current" if kept else "restore", item)
    assert conflicts == [LOADED_INTO_IT]
    assert taken == {"events": {"E"}, "ledger": {"E"}} | ({} if kept else {"transactions": {"T"}, "lines": {"M"}})


def test_an_event_that_returns_pending_leaves_a_row_made_by_hand() -> None:
    item = Item("D", {"events": {"E": "1"}}, LETTER, "T")
    current = now({"transactions": {"T": "40"}, "lines": {"M": "50"}}, lines={"T": ["M"]}, by_hand=frozenset("T"))
    assert swapped(current, "keep_current", item) == (GONE, {"events": {"E"}}, [LOADED_INTO_IT])
    assert swapped(current, "restore", item)[0] == GONE | {"transactions": {"T"}, "lines": {"M"}}

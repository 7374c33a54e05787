# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two catalogs, and what goes with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.changes import Diff
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.diff import diff
from tests.unit.release.planner.entries import Entries, by_key, column, entry, table, texts, view

ID, A, B = column("w.t.id"), column("w.t.a"), column("w.t.b", "text")
TABLE = table("w.t", ID, A)
ENUM = entry("enum", "w.e", "schema:w", labels=["x", "y"])
OF_ENUM = column("w.t.e", "w.e", "enum:w.e")
F = entry("function", "w.f()", "schema:w", definition="CREATE OR REPLACE FUNCTION w.f()\nAS $$1$$", result="integer")
ONE_TEXT = dataclasses.replace(F, facts={**F.facts, "result": "text"})
CALLS = column("w.t.a", "integer", "function:w.f()", default="w.f()")
CHECK = entry("constraint", "c on w.q", "table:w.q", table="w.q", type="check", definition="CHECK ((id > 0))")
OF_PARENT = entry("constraint", "c on w.p", "table:w.p", table="w.p", type="check", definition="CHECK ((id > 0))")
PARENT = table("w.p", column("w.p.id"))
DICTIONARY = entry("other", "text search dictionary w.d", "schema:w", definition=["simple"])
PARSER = entry("other", "text search parser w.p", "schema:w")

#: What there is, what is wanted; what differs.
DIFFERENCES: dict[str, tuple[Entries, Entries, dict[str, Any]]] = {
    "nothing": (TABLE, TABLE, {}),
    "a definition that an older capture has not": (
        by_key(DICTIONARY),
        by_key(dataclasses.replace(DICTIONARY, facts={})),
        {},
    ),
    "a definition that nothing makes": (
        by_key(DICTIONARY),
        by_key(dataclasses.replace(DICTIONARY, facts={"definition": ["ispell"]})),
        {"impossible": ("other text search dictionary w.d cannot be restored: a different definition",)},
    ),
    "a column more": (
        table("w.t", ID, A, B),
        TABLE,
        {"dropped": {"column:w.t.b"}, "loses": ("column:w.t.b",)},
    ),
    "the last column is missing": (table("w.t", ID), TABLE, {"created": {"column:w.t.a"}}),
    "a column in the middle is missing": (
        table("w.t", ID, B),
        table("w.t", ID, A, B),
        {"created": {"column:w.t.a"}, "disordered": ("table:w.t",)},
    ),
    "a column of another type with a view on it": (
        by_key(*table("w.t", ID, column("w.t.a", "text")).values(), view("w.v", "column:w.t.a"), view("w.o")),
        by_key(*TABLE.values(), view("w.v", "column:w.t.a"), view("w.o")),
        {
            "altered": {"column:w.t.a": ["ALTER TABLE w.t ALTER COLUMN a TYPE integer USING a::integer"]},
            "dropped": {"view:w.v"},
            "created": {"view:w.v"},
            "loses": ("column:w.t.a",),
        },
    ),
    "a label more": (
        by_key(*table("w.t", OF_ENUM).values(), dataclasses.replace(ENUM, facts={"labels": ["x", "y", "z"]})),
        by_key(*table("w.t", OF_ENUM).values(), ENUM),
        {"dropped": {"enum:w.e"}, "created": {"enum:w.e"}, "swapped": {"enum:w.e": {"column:w.t.e"}}},
    ),
    "a label less": (
        by_key(*table("w.t", OF_ENUM).values(), dataclasses.replace(ENUM, facts={"labels": ["x"]})),
        by_key(*table("w.t", OF_ENUM).values(), ENUM),
        {"altered": {"enum:w.e": ["ALTER TYPE w.e ADD VALUE IF NOT EXISTS 'y' AFTER 'x'"]}},
    ),
    "a function of another result that a default calls": (
        by_key(*table("w.t", CALLS).values(), ONE_TEXT),
        by_key(*table("w.t", CALLS).values(), F),
        {"dropped": {"function:w.f()"}, "created": {"function:w.f()"}, "parted": {"column:w.t.a"}},
    ),
    "a table that is stored otherwise": (
        table("w.t", ID, access_method="columnar"),
        table("w.t", ID, access_method="heap"),
        {"impossible": ("table w.t cannot be restored: a different access method",)},
    ),
    "what nobody can write": (
        by_key(PARSER),
        {},
        {
            "dropped": {PARSER.key},
            "impossible": ("other text search parser w.p can be neither created nor dropped here",),
        },
    ),
    "a check of its own where a parent's is wanted": (
        by_key(*PARENT.values(), OF_PARENT, *table("w.q", column("w.q.id")).values(), CHECK),
        by_key(*PARENT.values(), OF_PARENT, *table("w.q", column("w.q.id"), inherits=["w.p"]).values()),
        {"altered": {"table:w.q": ["ALTER TABLE w.q INHERIT w.p"]}},
    ),
    "a table with its columns": (
        TABLE,
        {},
        {"dropped": {"table:w.t", "column:w.t.id", "column:w.t.a"}, "loses": ("table:w.t",)},
    ),
}


def told(found: Diff) -> dict[str, Any]:
    """The fields that say something."""
    fields = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    fields["altered"] = {key: texts(statements) for key, statements in found.altered.items()}
    return {name: value for name, value in fields.items() if value and name not in ("live", "wanted", "kept")}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_what_differs(name: str) -> None:
    live, wanted, expected = DIFFERENCES[name]
    assert told(diff(live, wanted)) == expected


def test_a_table_is_copied_only_for_the_order_of_its_columns() -> None:
    live, wanted, expected = DIFFERENCES["a column in the middle is missing"]
    standing = {"table:w.t", "column:w.t.id", "column:w.t.b"}
    assert told(diff(live, wanted, exact_order=True)) == {
        **expected,
        "copied": {"table:w.t"},
        "dropped": standing,
        "created": {*standing, "column:w.t.a"},
    }
    live, wanted, expected = DIFFERENCES["the last column is missing"]
    assert told(diff(live, wanted, exact_order=True)) == expected


def test_entries_are_left_as_they_are() -> None:
    live, wanted, _ = DIFFERENCES["a column of another type with a view on it"]
    found = diff(live, wanted)
    assert (found.live, found.wanted) == (live, wanted)
    assert diff(live, wanted) == found

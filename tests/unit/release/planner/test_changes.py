# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of each table with a difference."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.changes import Diff, TableChange
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.fill_statements import Kept, Saved
from tests.unit.release.planner.entries import column, table

ID, A, B = column("w.t.id"), column("w.t.a"), column("w.t.b", "text")
PARENT, CHILD = table("w.p", column("w.p.a")), table("w.t", A, inherits=["w.p"])
GRANDCHILD = table("w.g", column("w.g.a"), inherits=["w.t"])
COMPUTED = column("w.t.a", generated="1", generated_how="stored")
OTHER = column('w.t."a of before"')
VALUES = Kept({"w.t": Saved("c1", "w.t", ("id",), ("a",))})

#: A difference; what becomes of `w.t`.
BECOMES: dict[str, tuple[Diff, dict[str, Any]]] = {
    "columns in the order of the table": (
        Diff({}, table("w.t", ID, B, A), created=frozenset({"table:w.t", ID.key, A.key, B.key})),
        {"columns": [ID, B, A], "made": True, "added": frozenset()},
    ),
    "a column that is added": (
        Diff(table("w.t", ID), table("w.t", ID, A), VALUES, created=frozenset({A.key})),
        {"added": {A.key}, "restorable": {A.key}, "retyped": frozenset()},
    ),
    "one whose rows cannot be found again": (
        Diff(table("w.t", B), table("w.t", B, A), VALUES, created=frozenset({A.key})),
        {"added": {A.key}, "restorable": frozenset()},
    ),
    "one that comes with its parent's": (
        Diff(
            {**table("w.p"), **table("w.t", inherits=["w.p"])},
            {**PARENT, **CHILD},
            created=frozenset({A.key, "column:w.p.a"}),
        ),
        {"added": frozenset(), "following": {A.key}},
    ),
    "one whose parent is new to the table": (
        Diff(
            {**table("w.p"), **table("w.t")},
            {**PARENT, **CHILD},
            created=frozenset({A.key, "column:w.p.a"}),
        ),
        {"added": {A.key}, "following": frozenset()},
    ),
    "parents and children": (
        Diff({}, {**GRANDCHILD, **CHILD, **PARENT}),
        {"ancestors": ("w.p",), "family": {"w.t", "w.g"}},
    ),
    "one of another type": (
        Diff(table("w.t", column("w.t.a", "text")), table("w.t", A), altered={A.key: ()}),
        {"retyped": {A.key}, "uncomputed": frozenset()},
    ),
    "one that is computed no more": (
        Diff(table("w.t", COMPUTED), table("w.t", A), altered={A.key: ()}),
        {"retyped": {A.key}, "uncomputed": {A.key}},
    ),
    "one under whose name another was added": (
        Diff(table("w.t", OTHER), table("w.t", A), created=frozenset({A.key}), dropped=frozenset({OTHER.key})),
        {"aside": {A.key: OTHER}},
    ),
    "one under whose name another of another type was added": (
        Diff(table("w.t", column('w.t."a of before"', "text")), table("w.t", A), created=frozenset({A.key})),
        {"aside": {}},
    ),
}


@pytest.mark.parametrize("name", BECOMES)
def test_what_becomes_of_a_table(name: str) -> None:
    difference, expected = BECOMES[name]
    change = difference.tables["w.t"]
    assert {field: getattr(change, field) for field in expected} == expected
    assert difference.tables["w.t"] is change


def test_nothing_becomes_of_what_is_no_table() -> None:
    assert Diff({}, table("w.t", ID)).tables["w.v"] == TableChange()

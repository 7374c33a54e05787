# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the kept data comes back with a difference, and what comes back without any."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.changes import Diff
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.fill import Fills, fill
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.fill_statements import Kept, Saved
from tests.unit.release.planner.entries import NUMBERS, by_key, column, entry, table, texts

ID, A = column("w.t.id"), column("w.t.a")
#: What was added under its name when it was gone, and stands aside.
OTHER = column('w.t."a of before"')
TABLE = table("w.t", ID, A)
ALONE = table("w.t", ID)
NEW_TABLE = frozenset(TABLE)
NEW_COLUMN = frozenset({"column:w.t.a"})
TRIGGER = entry("trigger", "tg on w.t", "table:w.t", relation="w.t", definition="CREATE TRIGGER tg")
SEQUENCE = entry("sequence", "w.s", "schema:w", owned_by="w.t.id", **NUMBERS)
COUNTING = column("w.t.a", identity={"generated": "always", "sequence": "w.t_a_seq", **NUMBERS})

NOTHING = Kept()
VALUES = Kept({"w.t": Saved("c1", "w.t", ("id",), ("a",))})
ROWS = Kept({"w.t": Saved("c1", "w.t", (), ("id", "a"))})
OF_TABLE = "d.capture_id = 'c1' AND d.relation = 'w.t'"
OF_ROW = f"{OF_TABLE} AND d.key = jsonb_object(ARRAY['id', r.\"id\"::text]::text[])"
UPDATE = (
    f"UPDATE w.t AS r SET a = (d.image ->> 'a')::integer FROM scout_ops.protected_data AS d WHERE {OF_ROW} "
    "AND r.a::text IS DISTINCT FROM d.image ->> 'a'"
)
LOOSE = entry(
    "constraint",
    "low on w.t",
    "column:w.t.id",
    table="w.t",
    type="check",
    definition="CHECK ((id < 9)) NOT VALID",
    validated=False,
)
INSERT = (
    "INSERT INTO w.t (id, a) OVERRIDING SYSTEM VALUE SELECT (d.image ->> 'id')::integer, (d.image ->> 'a')::integer "
    f"FROM scout_ops.protected_data AS d WHERE {OF_TABLE} ORDER BY d.item"
)
COPY = (
    "INSERT INTO w.t (id, a) OVERRIDING SYSTEM VALUE "
    "SELECT r.id, CASE WHEN d.item IS NULL THEN NULL ELSE (d.image ->> 'a')::integer END "
    f'FROM w."t of before" AS r LEFT JOIN scout_ops.protected_data AS d ON {OF_ROW}'
)

#: A difference, what is kept; what comes back.
COMES_BACK: dict[str, tuple[Diff, Kept, dict[str, Any]]] = {
    "a column of which nothing is kept": (
        Diff(ALONE, TABLE, created=NEW_COLUMN),
        NOTHING,
        {"empty": ("column:w.t.a",)},
    ),
    "a column": (
        Diff(ALONE, TABLE, created=NEW_COLUMN),
        VALUES,
        {"values": {"column:w.t.a": [UPDATE]}, "filled": {"column:w.t.a"}},
    ),
    "a column of a table whose rows may violate a check": (
        Diff(by_key(*ALONE.values(), LOOSE), by_key(*TABLE.values(), LOOSE), created=NEW_COLUMN),
        VALUES,
        {
            "values": {
                "column:w.t.a": [
                    "ALTER TABLE w.t DROP CONSTRAINT low",
                    UPDATE,
                    "ALTER TABLE w.t ADD CONSTRAINT low CHECK ((id < 9)) NOT VALID",
                ]
            },
            "filled": {"column:w.t.a"},
        },
    ),
    "a column of a table with triggers": (
        Diff(ALONE, by_key(*TABLE.values(), TRIGGER), created=NEW_COLUMN),
        VALUES,
        {
            "values": {"column:w.t.a": ["ALTER TABLE w.t DISABLE TRIGGER USER", UPDATE]},
            "filled": {"column:w.t.a"},
        },
    ),
    "a column in whose place another one was": (
        Diff(table("w.t", ID, OTHER), TABLE, created=NEW_COLUMN, dropped=frozenset({OTHER.key})),
        VALUES,
        {"values": {"column:w.t.a": ['UPDATE w.t SET a = "a of before"', UPDATE]}, "filled": {"column:w.t.a"}},
    ),
    "a column of rows that cannot be told apart": (
        Diff(table("w.t", column("w.t.x")), TABLE, created=frozenset({"column:w.t.id", "column:w.t.a"})),
        VALUES,
        {"empty": ("column:w.t.a", "column:w.t.id")},
    ),
    "a column that gets its type again": (
        Diff(table("w.t", ID, column("w.t.a", "smallint")), TABLE, altered={"column:w.t.a": ()}),
        VALUES,
        {"values": {"column:w.t.a": [UPDATE]}, "filled": {"column:w.t.a"}},
    ),
    "a column that counts": (
        Diff(ALONE, table("w.t", ID, COUNTING), created=NEW_COLUMN),
        Kept(counters={"w.t_a_seq": (7, True)}),
        {"counters": {"column:w.t.a": "SELECT setval('w.t_a_seq'::regclass, 7, true)"}, "empty": ("column:w.t.a",)},
    ),
    "a column that counts from behind what it holds": (
        Diff(TABLE, table("w.t", ID, COUNTING), altered={"column:w.t.a": ()}),
        NOTHING,
        {"counters": {"column:w.t.a": "SELECT setval('w.t_a_seq'::regclass, max(a)) FROM w.t HAVING max(a) > 0"}},
    ),
    "a table": (
        Diff({}, TABLE, created=NEW_TABLE),
        ROWS,
        {"rows": {"table:w.t": [INSERT]}, "filled": {"table:w.t"}},
    ),
    "a table of which nothing is kept": (Diff({}, TABLE, created=NEW_TABLE), NOTHING, {"empty": ("table:w.t",)}),
    "a table of which not all columns are kept": (
        Diff({}, table("w.t", ID, A, column("w.t.b")), created=NEW_TABLE | {"column:w.t.b"}),
        ROWS,
        {"rows": {"table:w.t": [INSERT]}, "empty": ("table:w.t",)},
    ),
    "a table that is copied": (
        Diff(ALONE, TABLE, created=NEW_TABLE, dropped=frozenset(ALONE), copied=frozenset({"table:w.t"})),
        VALUES,
        {"rows": {"table:w.t": [COPY]}, "filled": {"column:w.t.a"}},
    ),
    "a sequence": (
        Diff(TABLE, by_key(*TABLE.values(), SEQUENCE), created=frozenset({"sequence:w.s"})),
        Kept(counters={"w.s": (3, False)}),
        {"counters": {"sequence:w.s": "SELECT setval('w.s'::regclass, 3, false)"}},
    ),
    "a sequence of which nothing is kept": (
        Diff(TABLE, by_key(*TABLE.values(), SEQUENCE), created=frozenset({"sequence:w.s"})),
        NOTHING,
        {"passed": {"sequence:w.s": "SELECT setval('w.s'::regclass, max(id)) FROM w.t HAVING max(id) > 0"}},
    ),
}


def told(found: Fills) -> dict[str, Any]:
    """The fields that say something."""
    fields: dict[str, Any] = {
        "rows": {key: texts(statements) for key, statements in found.rows.items()},
        "values": {key: texts(statements) for key, statements in found.values.items()},
        "counters": {key: str(statement) for key, statement in found.counters.items()},
        "passed": {key: str(statement) for key, statement in found.passed.items()},
        "filled": found.filled,
        "empty": found.empty,
    }
    return {name: value for name, value in fields.items() if value}


@pytest.mark.parametrize("name", COMES_BACK)
def test_what_comes_back(name: str) -> None:
    difference, kept, expected = COMES_BACK[name]
    assert told(fill(dataclasses.replace(difference, kept=kept))) == expected

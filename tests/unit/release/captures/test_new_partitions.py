# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables were partitions, and what a partition that stays gets with its table."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import new_partitions
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from tests.unit.release.planner.entries import Entries, by_key, column, entry, table

WHOLE = table("w.t", column("w.t.day", "date"), column("w.t.a", "text"), partition_key="RANGE (day)")


def part(name: str, *columns: Entry, first: str = "2026-12-01", last: str = "2026-12-02") -> Entries:
    bound = f"FOR VALUES FROM ('{first}') TO ('{last}')"
    return table(name, *columns, partition_of={"table": "w.t", "bound": bound})


def index(name: str, on: str, above: str = "") -> Entry:
    definition = f"CREATE INDEX {name.partition('.')[2]} ON {'' if above else 'ONLY '}{on} USING btree (a)"
    return entry(
        "index", name, f"index:{above}", table=on, definition=definition, **({"attached_to": above} if above else {})
    )


@pytest.mark.parametrize(
    ("name", "columns", "found"),
    [
        ("w.t_p20251101", {"day": "date", "a": "text"}, True),
        ("w.t_p20251101", {"day": "date", "a": "text", "b": "integer"}, True),
        ("w.t_p20251101", {"day": "date"}, False),
        ("w.t_p20251101", {"day": "date", "a": "integer"}, False),
        ("w.t_p202511", {"day": "date", "a": "text"}, False),
        ("w.t_copy", {"day": "date", "a": "text"}, False),
    ],
)
def test_a_table_that_was_a_partition_is_called_as_one_and_has_its_columns(
    name: str, columns: dict[str, str], found: bool
) -> None:
    wanted = {**WHOLE, **part("w.t_p20261201")}
    there = table(name, *(column(f"{name}.{own}", kind) for own, kind in columns.items()))
    since = new_partitions.since({**wanted, **there}, wanted)
    assert since.detached == ((f"table:{name}",) if found else ())
    assert since.newer == since.retired == ()


def test_an_index_that_is_recreated_is_there_for_a_new_partition_under_a_free_name() -> None:
    captured = part("w.t_p20261201")
    indexes = by_key(index("w.t_a", "w.t"), index("w.t_p20261201_a", "w.t_p20261201", "w.t_a"))
    newer = part("w.t_p20261202", first="2026-12-02", last="2026-12-03")
    live = {**WHOLE, **captured, **newer, **by_key(entry("view", "w.t_p20261202_a", table="w.t_p20261202_a"))}
    wanted = {**WHOLE, **captured, **indexes}
    assert new_partitions.since(live, wanted).newer == ("table:w.t_p20261202",)
    made = new_partitions.indexed(live, wanted, ["table:w.t_p20261202"])
    assert [each.facts for each in made.values()] == [
        {
            "table": "w.t_p20261202",
            "definition": "CREATE INDEX t_p20261202_a_1 ON w.t_p20261202 USING btree (a)",
            "attached_to": "w.t_a",
        }
    ]
    assert [*made] == ["index:w.t_p20261202_a_1"]
    assert [each.needs for each in made.values()] == [("index:w.t_a",)]


def test_without_a_captured_one_to_go_by_it_does_not_stay() -> None:
    wanted = {**WHOLE, **by_key(index("w.t_a", "w.t"))}
    live = {**WHOLE, **part("w.t_p20261202")}
    assert new_partitions.since(live, wanted).newer == ()

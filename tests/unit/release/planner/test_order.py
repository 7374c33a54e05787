# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a difference in their order, with what is filled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.statement import say
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.changes import Diff
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.fill import Fills
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.order import Step, order
from tests.unit.release.planner.entries import NUMBERS, by_key, column, entry, table, texts, view

ID, A = column("w.t.id"), column("w.t.a", not_null=True)
TABLE = table("w.t", ID, A)
INDEX = entry("index", "w.i", "column:w.t.a", table="w.t", definition="CREATE INDEX i ON w.t USING btree (a)")
VIEW, ON_VIEW = view("w.v", "column:w.t.a"), view("w.u", "view:w.v")
VIEWS = frozenset({"view:w.u", "view:w.v"})
WHOLE = table("w.p", column("w.p.id"), partition_key="LIST (id)")
PART = table("w.q", column("w.q.id"), partition_of={"table": "w.p", "bound": "FOR VALUES IN (1)"})
PARTS = by_key(*WHOLE.values(), *PART.values())
SEQUENCE = entry("sequence", "w.s", "schema:w", owned_by="w.t.id", **NUMBERS)
SERIAL = column("w.t.id", "integer", "sequence:w.s", default="nextval('w.s'::regclass)")
FILL, COUNT, CLOSE = say("-- fill"), say("-- count"), "ALTER TABLE w.t ALTER COLUMN a SET NOT NULL"
REGRANT = (
    'REVOKE ALL (id) ON TABLE w.t FROM "ann" CASCADE; '
    'SET LOCAL ROLE "ben"; GRANT SELECT (id) ON TABLE w.t TO "ann"; RESET ROLE'
)
ADD, MAKE = "ALTER TABLE w.t ADD COLUMN a integer", "CREATE TABLE w.t (id integer, a integer NOT NULL)"

#: A difference, what is filled; the steps.
STEPS: dict[str, tuple[Diff, Fills, list[str]]] = {
    "what stands on a column makes way, the last one first": (
        Diff(
            by_key(*TABLE.values(), VIEW, ON_VIEW),
            by_key(*TABLE.values(), VIEW, ON_VIEW),
            dropped=VIEWS,
            created=VIEWS,
            altered={"column:w.t.a": (say("-- alter"),)},
        ),
        Fills(),
        [
            "drop view:w.u: DROP VIEW w.u",
            "drop view:w.v: DROP VIEW w.v",
            "alter column:w.t.a: -- alter",
            'create view:w.v: CREATE VIEW w.v ("a") AS SELECT 1 AS a',
            'create view:w.u: CREATE VIEW w.u ("a") AS SELECT 1 AS a',
        ],
    ),
    "columns and indexes fall with their table": (
        Diff(by_key(*TABLE.values(), INDEX), {}, dropped=frozenset([*TABLE, "index:w.i"])),
        Fills(),
        ["drop table:w.t: DROP TABLE w.t"],
    ),
    "a column is closed once it has its values": (
        Diff(table("w.t", ID), TABLE, created=frozenset({"column:w.t.a"})),
        Fills(values={"column:w.t.a": (FILL,)}, counters={"column:w.t.a": COUNT}, filled=frozenset({"column:w.t.a"})),
        [f"create column:w.t.a: {ADD}; -- fill; {CLOSE}; -- count"],
    ),
    "a column of which there are no values": (
        Diff(table("w.t", ID), TABLE, created=frozenset({"column:w.t.a"})),
        Fills(empty=("column:w.t.a",)),
        [f"create column:w.t.a: {ADD} NOT NULL"],
    ),
    "a table has its rows before its indexes": (
        Diff({}, by_key(*TABLE.values(), INDEX), created=frozenset([*TABLE, "index:w.i"])),
        Fills(rows={"table:w.t": (FILL,)}, counters={"column:w.t.id": COUNT}),
        [f"create table:w.t: {MAKE}; -- fill; -- count", f"create index:w.i: {INDEX.facts['definition']}"],
    ),
    "a table with partitions has its rows once these are there": (
        Diff({}, PARTS, created=frozenset(PARTS)),
        Fills(rows={"table:w.p": (FILL,)}),
        [
            "create table:w.p: CREATE TABLE w.p (id integer) PARTITION BY LIST (id)",
            "create table:w.q: CREATE TABLE w.q (id integer)",
            "attach table:w.q: ALTER TABLE w.p ATTACH PARTITION w.q FOR VALUES IN (1)",
            "fill table:w.p: -- fill",
        ],
    ),
    "a sequence belongs to its column once that is there": (
        Diff(
            {},
            by_key(*table("w.t", SERIAL).values(), SEQUENCE),
            created=frozenset({"table:w.t", SERIAL.key, SEQUENCE.key}),
        ),
        Fills(passed={"sequence:w.s": COUNT}),
        [
            "create sequence:w.s: CREATE SEQUENCE w.s AS integer INCREMENT BY 1 MINVALUE 1 MAXVALUE 9 START WITH 1 CACHE 1 NO CYCLE",
            "create table:w.t: CREATE TABLE w.t (id integer DEFAULT nextval('w.s'::regclass))",
            "own sequence:w.s: ALTER SEQUENCE w.s OWNER TO CURRENT_USER; ALTER SEQUENCE w.s OWNED BY w.t.id; -- count",
        ],
    ),
    "a default is taken away while its function is recreated": (
        Diff(
            TABLE,
            table("w.t", ID, column("w.t.a", default="w.f()")),
            parted=frozenset({"column:w.t.a"}),
        ),
        Fills(),
        [
            "part column:w.t.a: ALTER TABLE w.t ALTER COLUMN a DROP DEFAULT",
            "rejoin column:w.t.a: ALTER TABLE w.t ALTER COLUMN a SET DEFAULT w.f()",
        ],
    ),
    "a migration leaves its row": (
        Diff(
            by_key(entry("migration", "3", version="3")),
            {},
            dropped=frozenset({"migration:3"}),
        ),
        Fills(),
        ["drop migration:3: DELETE FROM w.migrations WHERE \"version\"::text IS NOT DISTINCT FROM '3'"],
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_steps(name: str) -> None:
    difference, fills, expected = STEPS[name]
    steps = order(difference, fills, migrations_table="w.migrations")
    assert told([step for step in steps if step.does != "settle"]) == expected


def told(steps: Iterable[Step]) -> list[str]:
    """Steps in one line each."""
    return [f"{step.does} {step.key}: {'; '.join(texts(step.statements))}" for step in steps]


def test_owner_and_grants_come_last_those_of_columns_after_those_of_tables() -> None:
    granted = dataclasses.replace(ID, grants=(("ann", "SELECT", False, "ben"),))
    of_ann, of_ben = (dataclasses.replace(table("w.t", ID)["table:w.t"], owner=owner) for owner in ("ann", "ben"))
    live, wanted = by_key(of_ann, ID), by_key(granted, of_ben, VIEW)
    steps = order(Diff(live, wanted, created=frozenset({"view:w.v"})), Fills())
    assert told(steps) == [
        'create view:w.v: CREATE VIEW w.v ("a") AS SELECT 1 AS a',
        'settle table:w.t: ALTER TABLE w.t OWNER TO "ben"; REVOKE ALL ON TABLE w.t FROM PUBLIC, "ben" CASCADE',
        "settle view:w.v: REVOKE ALL ON TABLE w.v FROM PUBLIC CASCADE",
        f"settle column:w.t.id: {REGRANT}",
    ]


def test_a_circle_is_an_error() -> None:
    one, two = view("w.u", "view:w.v"), view("w.v", "view:w.u")
    with pytest.raises(errors.NotConverged, match=r"in a circle: create view:w\.u, create view:w\.v"):
        order(Diff({}, by_key(one, two), created=VIEWS), Fills())

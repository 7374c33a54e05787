# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever writes a statement says of it: lock, hazard, effect, and whose rights it needs. test_plan.py compares it with pg_locks."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import sql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl import statement as ddl_statement
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.registry import WRITERS

EXCLUSIVE, SHARE = "AccessExclusiveLock", "AccessShareLock"
CHECK = {"table": "s.t", "type": "check", "definition": "CHECK (s.f(a))"}
KEY = {"table": "s.t", "type": "foreign key", "definition": "FOREIGN KEY (a) REFERENCES s.u(b)"}
VIEW = {"definition": " SELECT 1 AS a;", "columns": [{"name": "a", "type": "integer"}]}

#: Kind, name and facts; the statements that create it; of each the lock, the hazard, and whose rights it needs.
CREATED = {
    "a column": (
        ("column", "s.t.a", {"type": "integer"}),
        [("ALTER TABLE s.t ADD COLUMN a integer", EXCLUSIVE, "blocks writes", "s.t")],
    ),
    "a column with a default": (
        ("column", "s.t.a", {"type": "integer", "default": "s.f()"}),
        [("ALTER TABLE s.t ADD COLUMN a integer DEFAULT s.f()", EXCLUSIVE, "rewrites", "s.t")],
    ),
    "a column whose type is called like a keyword of another statement": (
        ("column", 's.t."DEFAULT"', {"type": 's." DROP COLUMN "'}),
        [('ALTER TABLE s.t ADD COLUMN "DEFAULT" s." DROP COLUMN "', EXCLUSIVE, "blocks writes", "s.t")],
    ),
    "a check": (
        ("constraint", "c on s.t", CHECK),
        [("ALTER TABLE s.t ADD CONSTRAINT c CHECK (s.f(a))", EXCLUSIVE, "blocks writes", "s.t")],
    ),
    "a foreign key": (
        ("constraint", "c on s.t", KEY),
        [("ALTER TABLE s.t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES s.u(b)", EXCLUSIVE, "blocks writes", "")],
    ),
    "an index": (
        ("index", "s.i", {"table": "s.t", "definition": "CREATE INDEX i ON s.t USING btree (a)"}),
        [("CREATE INDEX i ON s.t USING btree (a)", "ShareLock", "blocks writes", "")],
    ),
    "an enum": (
        ("enum", "s.e", {"labels": ["it's"]}),
        [("CREATE TYPE s.e AS ENUM ('it''s')", SHARE, "none", "")],
    ),
    "a view": (
        ("view", "s.v", VIEW),
        [('CREATE VIEW s.v ("a") AS SELECT 1 AS a', EXCLUSIVE, "blocks writes", "")],
    ),
    "a materialized view, which the server fills with its owner's rights": (
        ("materialized_view", "s.m", VIEW),
        [
            ('CREATE MATERIALIZED VIEW s.m ("a") AS SELECT 1 AS a WITH NO DATA', SHARE, "none", ""),
            ("REFRESH MATERIALIZED VIEW s.m", EXCLUSIVE, "blocks writes", ""),
        ],
    ),
    "a job": (
        ("cron_job", "j", {"schedule": "* * * * *", "command": "SELECT 1", "active": True}),
        [
            ('SET LOCAL ROLE "me"', "", "none", ""),
            ("SELECT cron.schedule('* * * * *', 'SELECT 1')", "RowExclusiveLock", "none", ""),
            ("RESET ROLE", "", "none", ""),
        ],
    ),
}  # fmt: skip

#: Kind, name, facts of before and after, the statements, and the effect that the order of a plan depends on.
ALTERED = {
    "a label is added": (
        ("enum", "s.e", {"labels": ["a"]}, {"labels": ["a", "b"]}),
        [("ALTER TYPE s.e ADD VALUE IF NOT EXISTS 'b' AFTER 'a'", "adds a label")],
    ),
    "a default goes": (
        ("column", "s.t.a", {"type": "integer", "default": "1"}, {"type": "integer"}),
        [("ALTER TABLE s.t ALTER COLUMN a DROP DEFAULT", "drops a default")],
    ),
    "a sequence joins a column": (
        ("sequence", "s.q", {}, {"owned_by": "s.t.a"}),
        [("ALTER SEQUENCE s.q OWNED BY s.t.a", "joins a sequence to a column")],
    ),
    "an index is no longer clustered": (
        ("index", "s.i", {"table": "s.t", "definition": "x", "clustered": True}, {"table": "s.t", "definition": "x"}),
        [("ALTER TABLE s.t SET WITHOUT CLUSTER", "unclusters")],
    ),
    "another definition of a view whose columns stay": (
        ("view", "s.v", VIEW, {**VIEW, "definition": " SELECT 2 AS a;"}),
        [('CREATE OR REPLACE VIEW s.v ("a") AS SELECT 2 AS a', "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CREATED)
def test_what_creates_it_says_what_that_takes(what: str) -> None:
    (kind, name, facts), expected = CREATED[what]
    made = WRITERS[kind].create(Entry(kind, name, facts, owner="me"))
    assert [(str(each), each.lock, each.hazard, each.runs_as) for each in made] == expected


@pytest.mark.parametrize("what", ALTERED)
def test_what_alters_it_says_its_effect(what: str) -> None:
    (kind, name, before, after), expected = ALTERED[what]
    made = WRITERS[kind].alter(Entry(kind, name, before), Entry(kind, name, after))
    assert made is not None
    assert [(str(each), each.effect) for each in made] == expected


@pytest.mark.parametrize(
    ("kind", "hazard"), [("table", "loses data"), ("column", "loses data"), ("view", "blocks writes"), ("enum", "none")]
)
def test_what_drops_it_says_whether_data_goes(kind: str, hazard: str) -> None:
    [made] = WRITERS[kind].drop(Entry(kind, "s.t.a" if kind == "column" else "s.t", {}))
    assert made.hazard == hazard


def test_the_strongest_lock_and_the_worst_hazard_of_several() -> None:
    made: list[Any] = [
        ddl_statement.say("a", lock="ShareLock"),
        ddl_statement.say("b", lock="RowExclusiveLock", cost="rewrites"),
    ]
    assert (ddl_statement.strongest(made), ddl_statement.worst(made)) == ("ShareLock", "rewrites")
    assert (ddl_statement.strongest([]), ddl_statement.worst([])) == ("", "none")


def test_pieces_are_put_together_and_empty_ones_left_out() -> None:
    assert ddl_statement.joined(", ", ["", ""]) == ""
    both = ddl_statement.joined(", ", ["{} %s", "", sql.Identifier('a"b')])
    assert str(ddl_statement.say("x {} y", both)) == 'x {} %s, "a""b" y'

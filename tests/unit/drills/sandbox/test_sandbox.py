# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a drill's sandbox is pure: names and marks of scratch databases, what counts as production, what pg_dump says."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.clone import dump_statements
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox import production_guard, scratch_names

NOW = datetime(2026, 11, 25, 21, tzinfo=UTC)
NAME = "scout_drill_0123456789ab"


def said(pid: int, started: str, *, machine: str | None = None, age: float = 0.0) -> str:
    by = scratch_names.Maker(machine or scratch_names.maker().machine, pid, started)
    return scratch_names.comment(by, NOW - timedelta(seconds=age))


@pytest.fixture
def dead() -> str:
    """What a process wrote that lives no more."""
    with subprocess.Popen(["sleep", "60"]) as process:
        found = scratch_names.maker(process.pid)
        process.kill()
    return scratch_names.comment(found, NOW)


def test_a_leftover_of_a_dead_process_of_this_machine_is_ours(dead: str) -> None:
    assert scratch_names.is_leftover(NAME, dead, NOW, occupied=False)
    assert scratch_names.is_leftover(f"{NAME}_loader", dead, NOW, occupied=True)


@pytest.mark.parametrize(
    "name",
    ["scout_drill_0123456789a", "scout_drill_0123456789AB", "x_scout_drill_0123456789ab", "scout", "scout_drill_mine"],
)
def test_another_name_is_somebody_elses(name: str, dead: str) -> None:
    assert not scratch_names.is_leftover(name, dead, NOW, occupied=False)


@pytest.mark.parametrize(
    "comment", [None, "", "may be dropped", "scout-recovery: drill by me, made today; may be dropped"]
)
def test_another_comment_is_somebody_elses(comment: str | None) -> None:
    assert not scratch_names.is_leftover(NAME, comment, NOW, occupied=False)


def test_what_a_living_process_made_is_left_alone_however_old_it_is() -> None:
    me = scratch_names.maker()
    assert not scratch_names.is_leftover(NAME, said(me.pid, me.started, age=10**6), NOW, occupied=False)
    # A number that was given to another process since then.
    assert scratch_names.is_leftover(NAME, said(os.getpid(), "1"), NOW, occupied=False)


@pytest.mark.parametrize(
    ("age", "occupied", "left"), [(3601, False, True), (3601, True, False), (3599, False, False), (0, False, False)]
)
def test_of_another_machine_only_what_is_old_and_not_in_use(age: float, occupied: bool, left: bool) -> None:
    comment = said(1, "1", machine="f" * 16, age=age)
    assert scratch_names.is_leftover(NAME, comment, NOW, occupied=occupied) is left


def test_scratch_roles_fit_and_differ() -> None:
    long, taken = "Ünïcödé-Rolle " * 10, list[str]()
    for _ in range(12):
        taken.append(scratch_names.role_name(NAME, long, taken))
    assert len(set(taken)) == 12
    assert all(len(name.encode()) <= 63 and scratch_names.of_database(name) == NAME for name in taken)
    assert scratch_names.role_name(NAME, "loader") == f"{NAME}_loader"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("db-prod-01", "prod"), ("scoutprod", "prod"), ("PRODUCTION", "PROD"), ("db.production.example.org", "prod"),
        ("scout_live", "live"), ("live", "live"), ("prd2", "prd"),
        ("products", None), ("product_catalog", None), ("produce", None), ("olive", None), ("delivery", None),
        ("staging", None), ("liver", None), ("scout", None),
    ],
)  # fmt: skip
def test_names_of_production(name: str, word: str | None) -> None:
    found = production_guard.NAMED.search(name)
    assert (found[0] if found else None) == word


SCRIPT = r'''
-- a comment; with a semicolon
\restrict abc
SET check_function_bodies = false;
CREATE SCHEMA scout;
ALTER SCHEMA scout OWNER TO "Lo ad;er";
CREATE FUNCTION scout.f(a integer DEFAULT 3) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    AS $_$ BEGIN GRANT x TO y; RETURN 'it''s $$'; END $_$;
CREATE FUNCTION scout.g() RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN true THEN 1 ELSE 2 END;
 SELECT 3;
END;
CREATE RULE r AS ON INSERT TO scout.t DO ALSO (INSERT INTO scout.x VALUES (1); DELETE FROM scout.y);
CREATE POLICY "p to q" ON scout.t FOR SELECT TO loader, "ünï ""x""" USING ((a = ANY (ARRAY['to x'::text])));
CREATE POLICY all_of_it ON scout.t USING (true);
GRANT SELECT(a),UPDATE(b) ON TABLE scout.t TO dashboard_reader WITH GRANT OPTION;
REVOKE ALL ON FUNCTION scout.f(a integer) FROM PUBLIC;
SET SESSION AUTHORIZATION loader;
GRANT ALL ON TABLE scout."to" TO pg_monitor;
RESET SESSION AUTHORIZATION;
ALTER DEFAULT PRIVILEGES FOR ROLE loader IN SCHEMA scout GRANT SELECT ON TABLES TO dashboard_reader;
COMMENT ON TABLE scout.t IS E'it\'s; ALTER TABLE t OWNER TO x';
ALTER TABLE ONLY scout.t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES scout.b(a);
CREATE UNIQUE INDEX i ON scout.t USING btree (a);
CREATE MATERIALIZED VIEW scout."M v" AS SELECT 1 AS a WITH NO DATA;
'''

#: What each is about, and the roles it names.
TOLD = [
    ("", set()),
    ("schema scout", set()),
    ("ALTER SCHEMA scout OWNER", {"Lo ad;er"}),
    ("function scout.f", set()),
    ("function scout.g", set()),
    ("rule r", set()),
    ('policy "p to q" ON scout.t', {"loader", 'ünï "x"'}),
    ("policy all_of_it ON scout.t", set()),
    ("GRANT SELECT", {"dashboard_reader"}),
    ("REVOKE ALL ON FUNCTION scout.f", set()),
    ("", {"loader"}),
    ('GRANT ALL ON TABLE scout."to"', set()),
    ("RESET SESSION AUTHORIZATION", set()),
    ("ALTER", {"loader", "dashboard_reader"}),
    ("COMMENT ON TABLE scout.t", set()),
    ("ALTER TABLE ONLY scout.t ADD CONSTRAINT c FOREIGN KEY", set()),
    ("index i ON scout.t", set()),
    ('materialized view scout."M v"', set()),
]


def test_a_dump_in_statements() -> None:
    found = list(dump_statements.split(SCRIPT))
    assert [(each.about if not each.sets else "", each.roles()) for each in found] == [
        (about if each.words[0] not in ("SET", "RESET") else "", roles)
        for each, (about, roles) in zip(found, TOLD, strict=True)
    ]


def test_roles_get_other_names_and_nothing_else_does() -> None:
    roles = {"loader": "other loader", "dashboard_reader": "r", "Lo ad;er": 'x"y', "x": "wrong", "y": "wrong"}
    made = [each.renamed(roles) for each in dump_statements.split(SCRIPT)]
    assert made[2] == 'ALTER SCHEMA scout OWNER TO "x""y"'
    assert made[6].startswith('CREATE POLICY "p to q" ON scout.t FOR SELECT TO "other loader", "ünï ""x""" USING')
    assert made[8] == 'GRANT SELECT(a),UPDATE(b) ON TABLE scout.t TO "r" WITH GRANT OPTION'
    assert (made[10], made[12]) == ('SET ROLE "other loader"', "RESET ROLE")
    assert made[13] == (
        'ALTER DEFAULT PRIVILEGES FOR ROLE "other loader" IN SCHEMA scout GRANT SELECT ON TABLES TO "r"'
    )
    assert "wrong" not in " ".join(made)
    unchanged = [each.text for each in dump_statements.split(SCRIPT)]
    assert [now for now, before in zip(made, unchanged, strict=True) if now == before] == [
        each for number, each in enumerate(unchanged) if number not in (2, 6, 8, 10, 12, 13)
    ]

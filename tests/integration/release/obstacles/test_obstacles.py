# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PostgreSQL would refuse is refused in the plan, with the object, how many rows, one of them, and what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests import CHECKOUT
from tests.integration.modules import Result, call, connect, fingerprint, one
from tests.security.roles import drop_roles

#: What the release has that is captured: each of it holds.
GOOD = """
SET ROLE loader;
CREATE TYPE scout.grade AS ENUM ('low', 'high');
CREATE TABLE scout.branch (id int PRIMARY KEY, code text CONSTRAINT branch_code UNIQUE, name text NOT NULL);
CREATE TABLE scout.shelf (
    id int PRIMARY KEY, branch int CONSTRAINT shelf_branch REFERENCES scout.branch, grade scout.grade, grades scout.grade[],
    size integer, width numeric(4,1), "Odd, name" int
);
CREATE UNIQUE INDEX shelf_odd ON scout.shelf ("Odd, name", size);
INSERT INTO scout.branch VALUES (1, 'a', 'A'), (2, 'b', 'B');
INSERT INTO scout.shelf VALUES (10, 1, 'low', '{low}', 5, 2.5, 1), (11, 2, 'high', '{high}', 6, 3.5, 2);
"""

#: What a release did, and what was written since; the kind, the key, words of what is said, and what fixes it.
WRECKS: dict[str, tuple[str, str, str, str, str]] = {
    "a label that rows have": (
        "ALTER TYPE scout.grade ADD VALUE 'top'; UPDATE scout.shelf SET grade = 'top' WHERE id = 11",
        "labels", "column:scout.shelf.grade", "scout.shelf: 1 row with a label of scout.grade that goes (top), for example id 11",
        "UPDATE scout.shelf SET grade = 'high' WHERE id = 11",
    ),
    "a label in an array": (
        "ALTER TYPE scout.grade ADD VALUE 'top'; UPDATE scout.shelf SET grades = '{low,top}' WHERE id = 11",
        "labels", "column:scout.shelf.grades", "id 11", "UPDATE scout.shelf SET grades = NULL WHERE id = 11",
    ),
    "no value": (
        "ALTER TABLE scout.branch ALTER COLUMN name DROP NOT NULL; INSERT INTO scout.branch VALUES (3, 'c', NULL)",
        "no_value", "column:scout.branch.name", "scout.branch: 1 row without the value that they must have, for example id 3",
        "UPDATE scout.branch SET name = '' WHERE name IS NULL",
    ),
    "no value in a renamed column of a renamed table": (
        ("ALTER TABLE scout.branch RENAME COLUMN name TO n; ALTER TABLE scout.branch RENAME TO site; "
        "ALTER TABLE scout.site ALTER COLUMN n DROP NOT NULL; INSERT INTO scout.site VALUES (3, 'c', NULL)"),
        "no_value", "column:scout.branch.name", "1 row without the value", "DELETE FROM scout.site WHERE id = 3",
    ),
    "duplicates": (
        "ALTER TABLE scout.branch DROP CONSTRAINT branch_code; INSERT INTO scout.branch VALUES (3, 'b', 'C'), (4, NULL, ''), (5, NULL, '')",
        "duplicates", "constraint:branch_code on scout.branch",
        ("scout.branch: has 1 value of code more than once, which constraint branch_code on scout.branch forbids, "
        "for example id 2 and id 3"),
        "DELETE FROM scout.branch WHERE id = 3",
    ),
    "duplicates under an index": (
        "DROP INDEX scout.shelf_odd; INSERT INTO scout.shelf VALUES (12, 1, 'low', NULL, 5, 1, 1)",
        "duplicates", "index:scout.shelf_odd", "1 value of Odd, name, size more than once, which index scout.shelf_odd forbids",
        "DELETE FROM scout.shelf WHERE id = 12",
    ),
    "orphans": (
        "ALTER TABLE scout.shelf DROP CONSTRAINT shelf_branch; INSERT INTO scout.shelf VALUES (12, 7, 'low', NULL, 7, 1, 3)",
        "orphans", "constraint:shelf_branch on scout.shelf", "scout.shelf: 1 row with no row in scout.branch to refer to",
        "UPDATE scout.shelf SET branch = NULL WHERE id = 12",
    ),
    "a text that is no number": (
        "ALTER TABLE scout.shelf ALTER COLUMN size TYPE text; INSERT INTO scout.shelf (id, size) VALUES (12, 'wide'), (13, ' 4 ')",
        "cast", "column:scout.shelf.size", "scout.shelf: 1 row whose value is no integer, for example id 12",
        "UPDATE scout.shelf SET size = '9' WHERE id = 12",
    ),
    "a number that is too large": (
        "ALTER TABLE scout.shelf ALTER COLUMN size TYPE bigint; INSERT INTO scout.shelf (id, size) VALUES (12, 3000000000)",
        "cast", "column:scout.shelf.size", "1 row whose value is no integer, for example id 12",
        "DELETE FROM scout.shelf WHERE id = 12",
    ),
    "a number with too many digits": (
        "ALTER TABLE scout.shelf ALTER COLUMN width TYPE numeric; INSERT INTO scout.shelf (id, width) VALUES (12, 999.96)",
        "cast", "column:scout.shelf.width", "1 row whose value is no numeric(4,1), for example id 12",
        "DELETE FROM scout.shelf WHERE id = 12",
    ),
    "a view of others": (
        ("ALTER TABLE scout.branch ADD COLUMN city text; CREATE SCHEMA reports; "
        "CREATE VIEW reports.by_city AS SELECT city, count(*) FROM scout.branch GROUP BY 1"),
        "dependent", "column:scout.branch.city",
        "view reports.by_city of postgres is no part of the release, and needs column scout.branch.city", "DROP VIEW reports.by_city",
    ),
    "a function of others": (
        ("CREATE TABLE scout.extra (id int PRIMARY KEY); CREATE SCHEMA reports; CREATE FUNCTION reports.all_of() RETURNS SETOF scout.extra "
        "BEGIN ATOMIC SELECT * FROM scout.extra; END"),
        "dependent", "table:scout.extra", "function reports.all_of() of postgres is no part of the release",
        "DROP FUNCTION reports.all_of()",
    ),
    "a foreign key of others": (
        ("CREATE TABLE scout.extra (id int PRIMARY KEY); CREATE SCHEMA reports; "
        "CREATE TABLE reports.more (id int CONSTRAINT of_extra REFERENCES scout.extra)"),
        "dependent", "", "table constraint of_extra on reports.more is no part of the release",
        "DROP TABLE reports.more",
    ),
    "a publication that is gone": (
        "ALTER TABLE scout.branch ADD COLUMN more int; DROP PUBLICATION told",
        "publication", "publication_table:scout.branch in publication told", "there is no publication told",
        "CREATE PUBLICATION told",
    ),
}  # fmt: skip


@pytest.fixture
def release(scout_db: str) -> str:
    execute(scout_db, GOOD)
    execute(scout_db, "CREATE PUBLICATION told FOR TABLE scout.branch WITH (publish = 'insert')")
    captured = call("scout_capture", scout_db, release="v1")
    assert not captured.get("failed"), captured
    return scout_db


def execute(dsn: str, statements: str) -> None:
    with connect(dsn) as connection:
        for statement in statements.split("; ") if "ATOMIC" not in statements else [statements]:
            connection.execute(statement.encode())


def rolled_back(dsn: str, **options: Any) -> Result:
    return call("scout_rollback", dsn, **{"release": "v1", "rehearse": False, "allow_owners": ["postgres"], **options})


@pytest.mark.parametrize("name", WRECKS)
def test_what_would_be_refused_is_named_in_the_plan(release: str, name: str) -> None:
    wreck, kind, key, said, fixing = WRECKS[name]
    execute(release, wreck)
    before = fingerprint(release)
    planned = rolled_back(release, check=True)
    assert not planned.get("failed"), planned["msg"]
    [found] = planned["obstacles"]
    assert (found["kind"], said in found["said"]) == (kind, True), found
    assert not key or found["key"] == key
    assert planned["refused"]["attempted"] == "refused to roll back: 1 obstacle, found by reading"
    assert found["next_step"] in planned["refused"]["next_step"]
    assert any(found["said"] in warning for warning in planned["warnings"])
    refused = rolled_back(release)
    assert (refused["failed"], refused["error"]["kind"], refused["changed"]) == (True, "not_reached", False)
    assert found["said"] in refused["error"]["said"]
    assert refused["obstacles"] == [found]
    assert fingerprint(release) == before
    execute(release, fixing)
    done = rolled_back(release)
    assert not done.get("failed"), done["msg"]
    assert (done["obstacles"], done["refused"]) == ([], None)


def test_several_are_told_at_once(release: str) -> None:
    for name in ("no value", "orphans", "a view of others"):
        execute(release, WRECKS[name][0])
    refused = rolled_back(release)
    assert refused["error"]["attempted"] == "refused to roll back: 3 obstacles, found by reading"
    assert {found["kind"] for found in refused["obstacles"]} == {"no_value", "orphans", "dependent"}
    assert "DROP VIEW reports.by_city" in refused["error"]["next_step"]


def test_what_nobody_changed_is_not_looked_at(release: str) -> None:
    """A reference that holds is not asked for again, and a release that harms nothing has no obstacle."""
    execute(
        release, "ALTER TABLE scout.branch ADD COLUMN city text; ALTER TYPE scout.grade RENAME VALUE 'low' TO 'poor'"
    )
    done = rolled_back(release)
    assert not done.get("failed"), done["msg"]
    assert done["obstacles"] == []
    assert one(release, "SELECT count(*) FROM scout.branch") == 2


@pytest.fixture
def deployer(release: str) -> Iterator[str]:
    """A role made for rollbacks; afterwards neither it nor the owners of the tests are there."""
    script = str(CHECKOUT / "docs" / "operator_role.sql")
    subprocess.run([psql(), "-Xq", "-d", release, "-v", "role=deployer", "-v", "rollback=on", "-f", script], check=True)
    yield make_conninfo(release, user="deployer")
    drop_roles(release, "deployer", "night_shift", "gone_shift")


def test_the_rights_of_each_owner_are_named_with_their_grants(release: str, deployer: str) -> None:
    """Of one who owns what was made since, and of one to whom something goes back that may make nothing there."""
    execute(
        release,
        "CREATE ROLE night_shift; CREATE VIEW scout.theirs AS SELECT 1 AS one; ALTER VIEW scout.theirs OWNER TO night_shift",
    )
    refused = rolled_back(deployer)
    assert "obstacles" in refused, refused["msg"]
    [found] = refused["obstacles"]
    assert (found["kind"], found["said"]) == (
        "privilege",
        "the rights of owner night_shift are missing, to change view scout.theirs",
    )
    assert (refused["error"]["kind"], found["key"]) == ("missing_privilege", "view:scout.theirs")
    execute(release, found["next_step"])
    done = rolled_back(deployer)
    assert not done.get("failed"), done["msg"]


def test_an_owner_who_is_gone_is_named(release: str, deployer: str) -> None:
    execute(release, "CREATE ROLE gone_shift; GRANT CREATE ON SCHEMA scout TO gone_shift")
    execute(release, "CREATE VIEW scout.told AS SELECT 1 AS one; ALTER VIEW scout.told OWNER TO gone_shift")
    captured = call("scout_capture", deployer, release="v2")
    assert not captured.get("failed"), captured
    execute(release, "DROP VIEW scout.told")
    drop_roles(release, "gone_shift")
    refused = rolled_back(deployer, release="v2", allow_owners=["postgres", "gone_shift"])
    [found] = refused["obstacles"]
    assert (found["kind"], found["key"]) == ("owner", "view:scout.told")
    assert (found["said"], found["next_step"]) == ("there is no role gone_shift any more", 'CREATE ROLE "gone_shift"')


def test_rows_that_a_policy_hides_are_not_judged(release: str, deployer: str) -> None:
    """Whoever cannot see all rows cannot say that none is in the way."""
    execute(
        release,
        "ALTER TABLE scout.branch ENABLE ROW LEVEL SECURITY; ALTER TABLE scout.branch FORCE ROW LEVEL SECURITY",
    )
    assert not (captured := call("scout_capture", deployer, release="v2")).get("failed"), captured
    execute(release, "ALTER TABLE scout.branch ALTER COLUMN name DROP NOT NULL")
    refused = rolled_back(deployer, release="v2")
    [found] = refused["obstacles"]
    assert (found["kind"], found["key"]) == ("row_security", "column:scout.branch.name")
    assert 'ALTER ROLE "deployer" BYPASSRLS' in found["next_step"]


def test_rows_that_a_policy_will_hide_are_not_proved(release: str, deployer: str) -> None:
    """What comes back with data is compared with what was saved, by who does it."""
    execute(release, "ALTER TABLE scout.branch ADD COLUMN city text; UPDATE scout.branch SET city = code")
    execute(release, "ALTER TABLE scout.branch ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    refused = rolled_back(deployer)
    assert refused["error"]["kind"] == "missing_privilege"
    assert "scout.branch" in refused["msg"]
    assert 'ALTER TABLE "scout"."branch" NO FORCE ROW LEVEL SECURITY' in refused["error"]["next_step"]
    execute(release, "ALTER ROLE deployer BYPASSRLS")
    gone = rolled_back(deployer)
    assert not gone.get("failed"), gone["msg"]
    execute(release, "ALTER ROLE deployer NOBYPASSRLS")
    refused = call("scout_undo", deployer, run_id=gone["run_id"], rehearse=False)
    assert [(each["kind"], each["key"]) for each in refused["obstacles"]] == [("row_security", "table:scout.branch")]
    execute(release, refused["obstacles"][0]["next_step"])
    undone = call("scout_undo", deployer, run_id=gone["run_id"], rehearse=False)
    assert not undone.get("failed"), undone["msg"]
    assert one(release, "SELECT string_agg(city, ' ' ORDER BY id) FROM scout.branch") == "a b"


HISTORY = """
CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, name text);
INSERT INTO supabase_migrations.schema_migrations VALUES ('1', 'first')
"""
MIGRATIONS = "SELECT count(*) FROM supabase_migrations.schema_migrations"


def test_the_migration_history_of_a_superuser_is_rolled_back_and_undone(release: str) -> None:
    """By who has been granted to write it; otherwise it is refused, before anything is written, with the grant."""
    execute(release, HISTORY)
    try:
        went_back_as_deployer(release)
    finally:
        drop_roles(release, "deployer")


def went_back_as_deployer(release: str) -> None:
    """A migration of the release goes and comes back."""
    script = str(CHECKOUT / "docs" / "operator_role.sql")
    subprocess.run([psql(), "-Xq", "-d", release, "-v", "role=deployer", "-v", "rollback=on", "-f", script], check=True)
    deployer = make_conninfo(release, user="deployer")
    assert not (captured := call("scout_capture", deployer, release="v2")).get("failed"), captured
    execute(release, "INSERT INTO supabase_migrations.schema_migrations VALUES ('2', 'second')")
    execute(release, "REVOKE INSERT, DELETE ON supabase_migrations.schema_migrations FROM deployer")
    refused = rolled_back(deployer, release="v2")
    [found] = refused["obstacles"]
    assert found["said"].startswith("the migration history supabase_migrations.schema_migrations of postgres")
    assert found["next_step"] == 'GRANT DELETE ON supabase_migrations.schema_migrations TO "deployer"'
    execute(release, found["next_step"])
    gone = rolled_back(deployer, release="v2")
    assert not gone.get("failed"), gone["msg"]
    assert one(release, MIGRATIONS) == 1
    refused = call("scout_undo", deployer, run_id=gone["run_id"], rehearse=False)
    [found] = refused["obstacles"]
    assert found["next_step"] == 'GRANT INSERT ON supabase_migrations.schema_migrations TO "deployer"'
    assert one(release, MIGRATIONS) == 1
    execute(release, found["next_step"])
    undone = call("scout_undo", deployer, run_id=gone["run_id"], rehearse=False)
    assert not undone.get("failed"), undone["msg"]
    assert one(release, MIGRATIONS) == 2


def test_the_migration_history_of_another_owner_needs_his_rights(release: str, deployer: str) -> None:
    execute(
        release,
        f"CREATE ROLE night_shift; GRANT loader TO night_shift; {HISTORY};"
        "ALTER TABLE supabase_migrations.schema_migrations OWNER TO night_shift",
    )
    execute(
        release,
        "GRANT USAGE ON SCHEMA supabase_migrations TO deployer, night_shift; "
        "GRANT SELECT, INSERT, DELETE ON supabase_migrations.schema_migrations TO deployer",
    )
    assert not (captured := call("scout_capture", deployer, release="v2")).get("failed"), captured
    execute(release, "DELETE FROM supabase_migrations.schema_migrations")
    refused = rolled_back(deployer, release="v2")
    [found] = refused["obstacles"]
    assert "supabase_migrations.schema_migrations of night_shift" in found["said"]
    assert found["next_step"].startswith('GRANT "night_shift" TO "deployer"')
    execute(release, found["next_step"])
    done = rolled_back(deployer, release="v2")
    assert not done.get("failed"), done["msg"]
    assert one(release, MIGRATIONS) == 1

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment says that it has applied is rolled back with the schema, in each table that says so; its log stays."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import program
from tests.integration.modules import call, fingerprint, hand_over_ledger, one, operator, rows
from tests.integration.release.restore.test_command import captured, done, released, restored

#: As Scout's own deployments make them.
MANIFEST = """
SET ROLE loader;
CREATE TABLE scout.migration_manifest (
    file varchar(255) PRIMARY KEY, applied_at timestamp DEFAULT now(), sha256 varchar(64) NOT NULL,
    applied_by varchar(255) DEFAULT current_user, status varchar(50) DEFAULT 'completed'
);
INSERT INTO scout.migration_manifest VALUES
    ('0001_scout.sql', '2025-01-01', 'aa', 'ci', 'completed'), ('0002_it''s.sql', NULL, 'bb', NULL, 'pending'),
    ('0003_old.sql', '2025-01-03', 'cc', 'ci', 'completed');
CREATE TABLE scout.deployment_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text);
INSERT INTO scout.deployment_log (status) VALUES ('v5.2.1 deployed');
RESET ROLE;
CREATE SCHEMA supabase_migrations AUTHORIZATION loader;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text);
ALTER TABLE supabase_migrations.schema_migrations OWNER TO loader;
INSERT INTO supabase_migrations.schema_migrations VALUES ('0001', NULL, 'scout')
"""
RELEASE = """
SET ROLE loader;
ALTER TABLE scout.dim_store ADD COLUMN phone text;
INSERT INTO scout.migration_manifest VALUES ('0004_bad.sql', now(), 'dd', 'ci', 'completed');
UPDATE scout.migration_manifest SET status = 'completed', applied_at = now(), applied_by = 'ci' WHERE file LIKE '0002%';
DELETE FROM scout.migration_manifest WHERE file LIKE '0003%';
INSERT INTO scout.deployment_log (status) VALUES ('v5.3.0 deployed');
INSERT INTO supabase_migrations.schema_migrations VALUES ('0004', NULL, 'bad');
RESET ROLE
"""
STATE = "SELECT m::text FROM scout.migration_manifest AS m ORDER BY m"
LOG = "SELECT status FROM scout.deployment_log ORDER BY id"
HISTORY = "SELECT version FROM supabase_migrations.schema_migrations ORDER BY 1"
NAMED = {"table": "scout.steps", "key": "step", "state": ["done"]}


def refused(dsn: str, **options: Any) -> dict[str, Any]:
    """The error of a capture."""
    result = call("scout_capture", dsn, release="other", **options)
    assert result.get("failed"), result
    return result["error"]


def test_what_was_applied_is_rolled_back_and_the_log_stays(scout_db: str, subtests: pytest.Subtests) -> None:
    released(scout_db, MANIFEST)
    made = captured(scout_db)
    assert (made["kinds"]["migration"], made["kinds"]["manifest"], made["warnings"]) == (1, 3, [])
    before = rows(scout_db, STATE)
    with subtests.test("who applied it and when is no difference"):
        released(scout_db, "UPDATE scout.migration_manifest SET applied_by = 'someone' WHERE file LIKE '0001%'")
        assert not captured(scout_db)["changed"]
        released(scout_db, "UPDATE scout.migration_manifest SET applied_by = 'ci' WHERE file LIKE '0001%'")
    released(scout_db, RELEASE)
    after = rows(scout_db, STATE)
    with subtests.test("a check says so, and writes nothing"):
        there = fingerprint(scout_db)
        planned = done(call("scout_rollback", scout_db, check=True, release="v5.2.1", rehearse=False))
        said = {(step["does"], step["key"]) for step in planned["steps"]}
        assert ("drop", "manifest:0004_bad.sql on scout.migration_manifest") in said
        assert ("alter", "manifest:0002_it's.sql on scout.migration_manifest") in said
        assert ("create", "manifest:0003_old.sql on scout.migration_manifest") in said
        assert fingerprint(scout_db) == there
    result = done(restored(scout_db, rehearse=True, pg_dump=program("pg_dump")))
    assert rows(scout_db, STATE) == before
    assert rows(scout_db, HISTORY) == [("0001",)]
    assert rows(scout_db, LOG) == [("v5.2.1 deployed",), ("v5.3.0 deployed",)]
    with subtests.test("a second run changes nothing"):
        assert not done(restored(scout_db))["changed"]
    with subtests.test("an undo says again what was applied"):
        done(call("scout_undo", scout_db, run_id=result["run_id"], allow_owners=["postgres"], rehearse=False))
        assert rows(scout_db, STATE) == after
    with operator(scout_db) as dsn, subtests.test("by a role that is no superuser"):
        hand_over_ledger(scout_db, dsn)
        done(call("scout_rollback", dsn, release="v5.2.1", rehearse=False))
        assert rows(scout_db, STATE) == before
        released(scout_db, "DROP SCHEMA scout_ops CASCADE")
    captured(scout_db)
    with subtests.test("columns that the release dropped or renamed come back with what they said"):
        released(
            scout_db,
            "ALTER TABLE scout.migration_manifest DROP COLUMN status; ALTER TABLE scout.migration_manifest RENAME sha256 TO sha;"
            "ALTER TABLE scout.migration_manifest ADD COLUMN more int DEFAULT 1",
        )
        done(restored(scout_db, allow_lossy=True))
        assert sorted(rows(scout_db, "SELECT file, status, sha256 FROM scout.migration_manifest")) == [
            ("0001_scout.sql", "completed", "aa"),
            ("0002_it's.sql", "pending", "bb"),
            ("0003_old.sql", "completed", "cc"),
        ]
    with subtests.test("a table that was dropped comes back with its rows"):
        released(scout_db, "DROP TABLE scout.migration_manifest")
        done(restored(scout_db, allow_lossy=True))
        assert one(scout_db, "SELECT count(*) FROM scout.migration_manifest WHERE status = 'completed'") == 2
    with subtests.test("rows that nothing tells apart any more"):
        released(scout_db, "ALTER TABLE scout.migration_manifest RENAME file TO path")
        there = fingerprint(scout_db)
        error = restored(scout_db)["error"]
        assert "known by column file, which is gone: it has path, applied_at" in error["said"]
        assert fingerprint(scout_db) == there
        released(scout_db, "ALTER TABLE scout.migration_manifest RENAME path TO file")
    with subtests.test("another's table"):
        released(scout_db, "CREATE ROLE passer_by; ALTER TABLE scout.migration_manifest OWNER TO passer_by")
        assert "belongs to passer_by" in refused(scout_db)["said"]
        released(scout_db, "ALTER TABLE scout.migration_manifest OWNER TO loader; DROP ROLE passer_by")
    with subtests.test("a capture without it"):
        captured(scout_db, migrations_table="", recapture=True)
        released(scout_db, "INSERT INTO scout.migration_manifest VALUES ('0009', now(), 'x', 'ci', 'completed')")
        assert "scout.migration_manifest is no part of this capture" in str(done(restored(scout_db))["warnings"])


def test_the_tables_that_are_named(scout_db: str, subtests: pytest.Subtests) -> None:
    """Their columns are found by their names, or named; where they are neither, the columns that there are are told."""
    released(
        scout_db,
        """SET ROLE loader; CREATE TABLE scout.migration_manifest (what text, since int);
        CREATE TABLE scout.deployment_log (id int PRIMARY KEY);
        CREATE TABLE scout.steps (step text, done text, took int, label text GENERATED ALWAYS AS (step || done) STORED);
        INSERT INTO scout.steps VALUES ('one', 'yes', 1), ('two', NULL, NULL)""",
    )
    with subtests.test("found by itself, with unknown columns"):
        [warning] = captured(scout_db)["warnings"]
        assert "not captured: scout.migration_manifest, for none of its columns is known as its key or state" in warning
        assert "it has what, since; name its columns" in warning
    there = fingerprint(scout_db)
    for tables, said in (
        (["scout.migration_manifest"], "it has what, since"),
        (["scout.deployment_log"], "it is a log"),
        (['Scout."deployment_log"'], "it is a log"),
        ([{**NAMED, "key": "stop"}], "it has no column stop: it has step, done, took"),
        ([{"table": "scout.steps", "keys": "step"}], "it has 'keys'"),
        ([{"key": "step"}], "it names no table"),
        ([7], ""),
        (["a.b", "a.b"], ""),
        (["scout.migration_manifest; DROP TABLE scout.steps"], "string is not a valid identifier"),
    ):
        with subtests.test(str(tables)):
            error = refused(scout_db, migrations_table=tables)
            assert said in str(error["said"]), error
            assert error["kind"] == "bad_input"
    assert fingerprint(scout_db) == there
    with subtests.test("several tables, one of them with its columns"):
        captured(scout_db, recapture=True, migrations_table=["a.b", NAMED])
        released(
            scout_db,
            "UPDATE scout.steps SET done = 'yes', took = 5 WHERE step = 'two';"
            "INSERT INTO scout.steps (step, done) VALUES ('x', NULL), ('x', NULL), ('y', 'no'), ('y', 'yes'), ('one', 'no')",
        )
        done(restored(scout_db))
        assert rows(scout_db, "SELECT * FROM scout.steps ORDER BY 1") == [
            ("one", "yes", 1, "oneyes"),
            ("two", None, None, None),
        ]
    with subtests.test("rows of one key"):
        released(scout_db, "INSERT INTO scout.steps VALUES ('one', 'no', 3)")
        error = refused(scout_db, migrations_table=[NAMED])
        assert error["said"] == "several rows have the same step, such as one"

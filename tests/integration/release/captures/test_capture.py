# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing a release: once, twice, over an older capture, to a file, with data, with few privileges, and never by half."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import table_data
from tests.integration.modules import Result, call, connect, fingerprint, one, operator, rows

MODULE = "scout_capture"
CURRENT = "SELECT document FROM scout_ops.releases WHERE release = %s AND superseded_at IS NULL"


def capture(dsn: str, name: str = "v5.2.1", **options: Any) -> Result:
    """A capture that comes to its end."""
    result = call(MODULE, dsn, release=name, **options)
    assert not result.get("failed"), result["msg"]
    return result


def refused(dsn: str, **options: Any) -> Result:
    """The error of one that does not."""
    result = call(MODULE, dsn, **{"release": "v5.2.1", **options})
    assert result.get("failed"), result
    return result


def execute(dsn: str, statements: str) -> None:
    with connect(dsn) as connection:
        connection.execute(statements.encode())


def test_a_capture_from_check_to_the_second_run(scout_db: str) -> None:
    before = fingerprint(scout_db)
    planned = capture(scout_db, incident="INC-7")
    assert planned["changed"]
    again = call(MODULE, scout_db, release="v5.2.1", check=True)
    assert (again["changed"], again["run_id"]) == (False, None)
    kept = {name: value for name, value in fingerprint(scout_db).items() if not name.startswith("scout_ops.")}
    assert kept == before
    made = one(scout_db, CURRENT, "v5.2.1")
    captures_document.verify(made, "it")
    assert (made["digest"], made["capture_id"]) == (planned["digest"], planned["capture_id"])
    assert (made["incident"], made["scope"]["schemas"], made["scope"]["beyond"]) == ("INC-7", ["scout"], [])
    run = rows(
        scout_db, "SELECT action, status, incident, effects FROM scout_ops.runs WHERE run_id = %s", planned["run_id"]
    )
    assert run == [("capture", "succeeded", "INC-7", planned["effects"])]
    whole = fingerprint(scout_db)
    second = capture(scout_db)
    assert (second["changed"], second["run_id"], second["differing"]) == (False, None, 0)
    assert second["capture_id"] == planned["capture_id"]
    assert fingerprint(scout_db) == whole


def test_check_mode_says_what_would_be_and_writes_nothing(scout_db: str, tmp_path: Path) -> None:
    before = fingerprint(scout_db)
    path = tmp_path / "new" / "capture.json"
    result = call(MODULE, scout_db, check=True, release="v5.2.1", release_file=str(path), protect=["scout.dim_store"])
    assert (result["changed"], result["run_id"], result["compared"]) == (True, None, None)
    assert result["summary"].startswith(
        f"would capture v5.2.1: {result['objects']} objects, digest {result['digest'][:12]}"
    )
    assert fingerprint(scout_db) == before
    assert list(tmp_path.iterdir()) == []
    assert capture(scout_db)["digest"] == result["digest"]


def test_another_state_is_refused_by_name_and_kept_as_superseded_when_told(scout_db: str) -> None:
    first = capture(scout_db)
    execute(scout_db, "ALTER TABLE scout.alerts ADD COLUMN team text; COMMENT ON TABLE scout.alerts IS 'x'")
    for check in (True, False):
        result = call(MODULE, scout_db, release="v5.2.1", check=check)
        assert (result["failed"], result["changed"], result["error"]["kind"]) == (True, False, "not_reached")
        assert result["differs"]["added"] == ["column:scout.alerts.team"]
        assert "table scout.alerts (comment) changed; column scout.alerts.team added" in result["msg"]
        assert "recapture=true" in result["error"]["next_step"]
    planned = call(MODULE, scout_db, release="v5.2.1", check=True, recapture=True)
    assert "against the capture before: 1 added, 1 changed" in planned["summary"]
    second = capture(scout_db, recapture=True)
    assert second["changed"]
    assert second["diff"]["after"]["objects"] == [
        "column:scout.alerts.team",
        "table:scout.alerts (comment)",
    ]
    kept = rows(scout_db, "SELECT capture_id::text, superseded_by::text FROM scout_ops.releases ORDER BY captured_at")
    assert kept == [(first["capture_id"], second["capture_id"]), (second["capture_id"], None)]
    assert capture(scout_db, recapture=True)["changed"] is False


def test_the_next_release_is_compared_with_the_one_before(scout_db: str) -> None:
    first = capture(scout_db, "v5.2.0")
    execute(
        scout_db,
        """
        ALTER TABLE scout.dim_store RENAME COLUMN opened_on TO opened_at;
        DROP VIEW scout.v_product_linking_stats;
        GRANT SELECT ON scout.dim_store TO PUBLIC""",
    )
    second = capture(scout_db, "v5.3.0")
    assert second["compared"]["capture_id"] == first["capture_id"]
    assert second["differs"] == {
        "added": [],
        "dropped": ["view:scout.v_product_linking_stats"],
        "renamed": [["column:scout.dim_store.opened_on", "column:scout.dim_store.opened_at"]],
        "changed": {"table:scout.dim_store": ["grants"]},
    }
    assert second["differing"] == 3
    assert second["summary"].endswith("against v5.2.0: 1 dropped, 1 renamed, 1 changed")
    other = capture(scout_db, "jobs", schemas=["cron"])
    assert other["compared"] is None


def test_the_file_is_whole_private_and_never_another_release(scout_db: str, tmp_path: Path) -> None:
    path = tmp_path / "made" / "capture.json"
    first = capture(scout_db, release_file=str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert captures_document.load(path) == one(scout_db, CURRENT, "v5.2.1")
    assert capture(scout_db, release_file=str(path))["changed"] is False
    path.unlink()
    again = capture(scout_db, release_file=str(path))
    assert (again["changed"], again["run_id"]) == (True, None)
    assert again["summary"].endswith(f"; wrote {path}")
    result = refused(scout_db, release="v5.2.2", release_file=str(path))
    assert "it holds release v5.2.1" in result["msg"]
    execute(scout_db, "COMMENT ON TABLE scout.alerts IS 'x'")
    capture(scout_db, release_file=str(path), recapture=True)
    assert {p.name for p in path.parent.iterdir()} == {path.name, f"{path.name}.{first['capture_id'][:8]}"}
    assert captures_document.load(path.with_name(f"{path.name}.{first['capture_id'][:8]}"))["digest"] == first["digest"]


@pytest.mark.parametrize("damage", ["alter", "cut", "foreign", "older"])
def test_a_file_that_is_no_whole_capture_is_refused(scout_db: str, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "capture.json"
    capture(scout_db, release_file=str(path))
    text = path.read_text()
    made = json.loads(text)
    made["entries"][0]["facts"]["type"] = "other"
    damaged = {
        "alter": json.dumps(made),
        "cut": text[:1000],
        "foreign": "[1, 2]",
        "older": text.replace("scout-release/2", "scout-release/0"),
    }[damage]
    path.write_text(damaged)
    before = fingerprint(scout_db)
    result = refused(scout_db, release_file=str(path))
    assert "is not a capture that can be used" in result["msg"]
    assert path.read_text() == damaged
    assert fingerprint(scout_db) == before


def test_a_capture_that_was_altered_in_the_ledger_is_refused(scout_db: str) -> None:
    capture(scout_db)
    execute(scout_db, "UPDATE scout_ops.releases SET document = jsonb_set(document, '{entries,0,owner}', '\"me\"')")
    result = refused(scout_db)
    assert "the capture of v5.2.1 in scout_ops.releases is not a capture that can be used" in result["msg"]
    assert "it was altered" in result["msg"]


def test_without_a_ledger_the_file_is_the_capture(scout_db: str, tmp_path: Path) -> None:
    path = tmp_path / "capture.json"
    before = fingerprint(scout_db)
    made = capture(scout_db, ledger="off", release_file=str(path))
    assert (made["changed"], made["run_id"]) == (True, None)
    assert fingerprint(scout_db) == before
    assert capture(scout_db, ledger="off", release_file=str(path))["changed"] is False
    execute(scout_db, "COMMENT ON TABLE scout.alerts IS 'x'")
    assert "table scout.alerts (comment) changed" in refused(scout_db, ledger="off", release_file=str(path))["msg"]
    assert "without the ledger" in refused(scout_db, ledger="off")["msg"]
    with_data = refused(scout_db, ledger="off", release_file=str(tmp_path / "b"), protect=["scout.dim_store"])
    assert "data is saved in the ledger alone" in with_data["msg"]


def test_protected_data_is_saved_to_the_last_value(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_data, "BATCH_ROWS", 7)
    execute(
        scout_db,
        """
        CREATE TABLE scout."odd % table" (
            "a b" text COLLATE "C", n numeric, at timestamptz, "%s" bytea, doubled numeric GENERATED ALWAYS AS (n * 2) STORED,
            f float8, i interval, PRIMARY KEY ("a b", n));
        INSERT INTO scout."odd % table" SELECT 'it''s %' || g, g / 3.0, now(), decode(md5(g::text), 'hex')
        FROM generate_series(1, 30) AS g;
        INSERT INTO scout."odd % table" VALUES ('', 'NaN', 'infinity', NULL, DEFAULT, 'NaN', '-1 year 3.5 s')""",
    )
    made = capture(scout_db, protect=['scout."odd % table"', "scout.dim_store.city", "scout.dim_store.region"])
    assert [(p["relation"], p["rows"], p["columns"]) for p in made["protected"]] == [
        ("scout.dim_store", 60, ["region", "city"]),
        ('scout."odd % table"', 31, ["a b", "n", "at", "%s", "f", "i"]),
    ]
    assert made["effects"]["protected_rows"] == 91
    saved = rows(
        scout_db,
        """
        SELECT count(*) FROM scout_ops.protected_data AS d JOIN scout."odd % table" AS t
            ON t."a b" = d.image ->> 'a b' AND t.n = (d.image ->> 'n')::numeric
            AND t.at = (d.image ->> 'at')::timestamptz AND t."%s" IS NOT DISTINCT FROM (d.image ->> '%s')::bytea
            AND t.f IS NOT DISTINCT FROM (d.image ->> 'f')::float8 AND t.i IS NOT DISTINCT FROM (d.image ->> 'i')::interval
            AND d.key = jsonb_build_object('a b', t."a b", 'n', t.n::text)
        WHERE d.capture_id = '{}' AND d.relation = 'scout."odd % table"'""".format(made["capture_id"]),
    )
    assert saved == [(31,)]


def test_protected_data_that_has_changed_is_saved_anew_only_when_told(scout_db: str) -> None:
    first = capture(scout_db, protect=["scout.dim_store.city"])
    assert capture(scout_db, protect=["scout.dim_store.city"], recapture=True)["changed"] is False
    execute(scout_db, "UPDATE scout.dim_store SET city = 'Naga' WHERE store_id = 'S001'")
    assert capture(scout_db, protect=["scout.dim_store.city"])["changed"] is False
    second = capture(scout_db, protect=["scout.dim_store.city"], recapture=True)
    assert (second["changed"], second["digest"]) == (True, first["digest"])
    assert one(scout_db, "SELECT count(*) FROM scout_ops.protected_data") == 120
    assert "data protected: scout.dim_store.city" in refused(scout_db)["msg"]


@pytest.mark.parametrize(
    ("protect", "said"),
    [
        ("scout.nothing", "not a table of the captured schemas"),
        ("scout.v_pipeline_throughput", "not a table of the captured schemas"),
        ("cron.job", "not a table of the captured schemas"),
        ("scout.dim_store.nothing", "no stored column 'nothing'"),
        ("scout.keyless", "no primary key"),
        ("dim_store", "it has 1 parts"),
        ('scout."dim', "is not usable"),
        ("scout.bronze_events", "refused to save more than 100 rows"),
    ],
)
def test_what_cannot_be_protected_is_refused_before_anything_is_kept(scout_db: str, protect: str, said: str) -> None:
    execute(scout_db, "CREATE TABLE scout.keyless (a int)")
    result = refused(scout_db, protect=[protect], max_rows=100)
    assert said in result["msg"]
    assert result["error"]["kind"] == "bad_input"
    assert rows(scout_db, "SELECT release FROM scout_ops.releases") == []


def test_an_interrupted_capture_leaves_nothing(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_data, "BATCH_ROWS", 10)
    capture(scout_db, "before")
    after = table_data._after
    batches = itertools.count(1)

    def ended_at_the_third(*given: Any) -> Any:
        if next(batches) == 3:
            one(
                scout_db,
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'scout-recovery/%%'",
            )
        return after(*given)

    with monkeypatch.context() as ended:
        ended.setattr(table_data, "_after", ended_at_the_third)
        result = refused(scout_db, protect=["scout.dim_store"])
    assert next(batches) > 3
    assert result["error"]["kind"] == "connection_lost"
    assert rows(scout_db, "SELECT release FROM scout_ops.releases") == [("before",)]
    assert one(scout_db, "SELECT count(*) FROM scout_ops.protected_data") == 0
    assert capture(scout_db, protect=["scout.dim_store"])["effects"]["protected_rows"] == 60


def test_two_at_the_same_moment_leave_one_current_capture(scout_db: str) -> None:
    capture(scout_db, "before")
    results: list[Result] = []
    threads = [
        threading.Thread(target=lambda: results.append(call(MODULE, scout_db, release="v5.2.1"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(bool(r.get("changed")) for r in results) == 1
    for result in results:
        if result.get("failed"):
            assert "someone else captured it at the same moment" in result["msg"]
    assert one(scout_db, "SELECT count(*) FROM scout_ops.releases WHERE release = 'v5.2.1'") == 1


def test_a_paused_pipeline_is_captured_as_it_will_be(scout_db: str) -> None:
    first = capture(scout_db)
    paused = call("scout_ingestion", scout_db, state="paused")
    assert paused["changed"]
    second = capture(scout_db)
    assert (second["changed"], second["digest"]) == (False, first["digest"])
    execute(scout_db, "UPDATE cron.job SET active = NOT active WHERE jobname = 'store-activity-simulation'")
    assert "cron job store-activity-simulation of loader (active) changed" in refused(scout_db)["msg"]


def test_a_role_with_few_privileges_captures_the_same(scout_db: str) -> None:
    mine = capture(scout_db)["digest"]
    execute(scout_db, "DROP SCHEMA scout_ops CASCADE")
    with operator(scout_db) as dsn:
        made = capture(dsn)
        assert made["digest"] == mine
        assert made["warnings"] == []
        assert capture(dsn)["changed"] is False


def test_what_a_role_may_not_see_is_named_with_its_grant(scout_db: str) -> None:
    execute(
        scout_db,
        "CREATE TABLE scout.private (id int PRIMARY KEY); CREATE SCHEMA supabase_migrations;"
        "CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, name text);"
        "INSERT INTO supabase_migrations.schema_migrations VALUES ('1', 'first')",
    )
    with operator(scout_db) as dsn:
        role = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
        history = refused(dsn)
        assert history["error"]["kind"] == "missing_privilege"
        grant = f'GRANT SELECT ON "supabase_migrations"."schema_migrations" TO "{role}"'
        assert grant in history["error"]["next_step"]
        data = refused(dsn, protect=["scout.private"], migrations_table="")
        assert f'GRANT SELECT ON scout.private TO "{role}"' in data["error"]["next_step"]
        execute(scout_db, history["error"]["next_step"])
        execute(scout_db, data["error"]["next_step"])
        made = capture(dsn, protect=["scout.private"])
        assert made["kinds"]["migration"] == 1
        execute(scout_db, "ALTER TABLE supabase_migrations.schema_migrations ENABLE ROW LEVEL SECURITY")
        hidden = refused(dsn, release="another")
        assert "a policy hides rows" in hidden["msg"]
        execute(scout_db, "ALTER TABLE supabase_migrations.schema_migrations DISABLE ROW LEVEL SECURITY")
    with operator(scout_db, without="member") as dsn:
        jobs = refused(dsn, release="third", migrations_table="")
        assert "could not see the jobs of loader" in jobs["msg"]
        assert 'GRANT "loader" TO' in jobs["error"]["next_step"]


def test_without_pg_cron_the_rest_is_captured(scout_db: str) -> None:
    execute(scout_db, "DROP SCHEMA cron CASCADE")
    assert "cron_job" not in capture(scout_db)["kinds"]


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(folder), *words],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip


def test_the_commit_of_the_application_belongs_to_the_release(scout_db: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "one")
    head = git(tmp_path, "rev-parse", "HEAD")
    first = capture(scout_db, git_dir=str(tmp_path))
    assert (first["git_commit"], first["warnings"]) == (head, [])
    assert one(scout_db, "SELECT git_commit FROM scout_ops.releases") == head
    assert one(scout_db, CURRENT, "v5.2.1")["application"]["branch"] == "main"
    assert capture(scout_db)["changed"] is False
    (tmp_path / "a").write_text("2")
    assert "1 file in git_dir differ" in capture(scout_db, git_dir=str(tmp_path))["warnings"][0]
    git(tmp_path, "commit", "-qam", "two")
    assert f"git_commit {head[:12]}, not " in refused(scout_db, git_dir=str(tmp_path))["msg"]
    assert capture(scout_db, recapture=True, git_commit="A" * 40)["git_commit"] == "a" * 40
    for options in ({"git_commit": "v1"}, {"git_dir": str(tmp_path / "nowhere")}):
        assert refused(scout_db, **options)["error"]["kind"] == "bad_input"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"release": ""}, "no release is named"),
        ({"release": "a b"}, "is not usable"),
        ({"release": "../x"}, "is not usable"),
        ({"schemas": ["nowhere"]}, "there is no schema 'nowhere'"),
        ({"schemas": []}, "no schema is named"),
        ({"schemas": ["scout", "scout_ops"]}, "schema scout_ops belongs to no release"),
        ({"schemas": ["pg_catalog"]}, "belongs to no release"),
        ({"migrations_table": "schema_migrations"}, "it has 1 parts"),
        ({"migrations_table": "scout.bad_history"}, "neither a column version nor a primary key"),
        ({"max_rows": -1}, "is not usable"),
    ],
)
def test_bad_input_is_one_clear_line(scout_db: str, options: dict[str, Any], said: str) -> None:
    execute(scout_db, "CREATE TABLE scout.bad_history (a int)")
    result = refused(scout_db, **options)
    assert (result["error"]["kind"], said in result["msg"]) == ("bad_input", True), result["msg"]
    assert "\n" not in result["msg"]


def test_objects_known_by_name_alone_are_named(scout_db: str) -> None:
    execute(scout_db, "CREATE TEXT SEARCH CONFIGURATION scout.words (PARSER = pg_catalog.default)")
    assert capture(scout_db)["warnings"] == [
        "recorded by name only, not by definition: text search configuration scout.words"
    ]
    execute(
        scout_db,
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE scout.file (a text) SERVER files OPTIONS (filename '/x')",
    )
    assert "not captured: foreign server files" in capture(scout_db, "v2")["warnings"]


def test_a_capture_goes_on_beside_somebody_who_holds_the_lease(scout_db: str) -> None:
    held = call("scout_lease", scout_db, state="held", ttl_seconds=60)
    capture(scout_db)
    joined = call(MODULE, scout_db, release="v5.2.2", lease_token=held["token"])
    parent = one(scout_db, "SELECT parent_run_id::text FROM scout_ops.runs WHERE run_id = %s", joined["run_id"])
    assert parent == held["run_id"]
    execute(scout_db, "UPDATE scout_ops.leases SET token = token + 1")
    lost = call(MODULE, scout_db, release="v5.2.3", lease_token=held["token"])
    assert lost["error"]["kind"] == "lease_lost"

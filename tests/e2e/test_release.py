# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""capture_release.yml as a person and a pipeline run it: with --check, once, twice, after a change, and with few privileges."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, psql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage

WITHOUT_LEDGER = "scout_ops."


def kept(pipeline: Pipeline) -> dict[str, str]:
    """The fingerprint of all but the ledger."""
    return {name: value for name, value in pipeline.fingerprint().items() if not name.startswith(WITHOUT_LEDGER)}


def test_a_release_from_check_to_the_second_run_and_the_next(healthy: Pipeline, stage: Stage) -> None:
    before, jobs, path = healthy.fingerprint(), healthy.active_jobs(), stage.home / "v1.json"
    options = {
        "release": "v5.2.1",
        "release_file": str(path),
        "protect": ["scout.dim_store.city"],
        "incident": "DEPLOY-7",
    }
    planned = stage.play("capture_release", healthy.dsn, "--check", **options)
    assert (planned.rc, planned.result["outcome"]) == (0, "planned"), planned.text
    assert planned.result["release"]["objects"] > 150
    assert "nothing was written" in planned.summary
    assert healthy.fingerprint() == before
    assert not path.exists()

    played = stage.play("capture_release", healthy.dsn, **options)
    assert (played.rc, played.result["outcome"], played.recap()["changed"]) == (0, "done", 1), played.text
    made = played.result["release"]
    assert made["digest"] == planned.result["release"]["digest"]
    assert made["digest"][:12] in played.summary
    assert "columns" in played.summary
    assert str(path.name) in played.summary
    assert "next deploy, then ansible-playbook scout.recovery.acceptance_gate" in played.summary
    assert captures_document.load(path)["digest"] == made["digest"]
    assert healthy.one("SELECT count(*) FROM scout_ops.protected_data") == 60
    assert kept(healthy) == before
    assert (healthy.active_jobs(), healthy.lease_owner(), healthy.lingering()) == (jobs, None, [])

    whole = healthy.fingerprint()
    again = stage.play("capture_release", healthy.dsn, **options)
    assert (again.rc, again.result["outcome"], again.recap()["changed"]) == (0, "unchanged", 0), again.text
    assert healthy.fingerprint() == whole

    listed = stage.play("runs", healthy.dsn, of_action="capture")
    assert [run["action"] for run in listed.result["runs"]] == ["capture"]
    assert f"v5.2.1, {made['objects']} objects, 60 protected rows" in listed.text

    healthy.execute("ALTER TABLE scout.alerts ADD COLUMN team text")
    refused = stage.play("capture_release", healthy.dsn, **options)
    assert (refused.rc, refused.result["outcome"]) == (2, "failed")
    assert "column scout.alerts.team added" in refused.summary
    assert "recapture=true" in refused.summary
    following = stage.play("capture_release", healthy.dsn, release="v5.3.0")
    assert following.rc == 0, following.text
    assert "since v5.2.1 of" in following.summary
    assert following.result["release"]["differs"]["added"] == ["column:scout.alerts.team"]


def test_without_a_name_it_says_how_to_give_one(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("capture_release", healthy.dsn)
    assert played.rc == 2
    assert "name it: -e scout_release=v5.2.1" in played.summary


def test_the_commit_comes_from_the_folder_or_is_named(healthy: Pipeline, stage: Stage, tmp_path: Path) -> None:
    clone = tmp_path / "application"
    for words in (["init", "-q", str(clone)], ["-C", str(clone), "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True)
    head = subprocess.run(
        ["git", "-C", str(clone), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    played = stage.play("capture_release", healthy.dsn, release="v1", application_dir=str(clone))
    assert played.result["release"]["git_commit"] == head, played.text
    played = stage.play("capture_release", healthy.dsn, release="v2", application_dir=str(clone), git_commit="b" * 40)
    assert played.result["release"]["git_commit"] == "b" * 40, played.text


@pytest.mark.parametrize("history", [False, True])
def test_the_documented_role_captures_what_a_superuser_does(
    healthy: Pipeline, stage: Stage, pg_server: Server, history: bool
) -> None:
    if history:
        healthy.execute(
            "CREATE SCHEMA supabase_migrations",
            "CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text)",
            "INSERT INTO supabase_migrations.schema_migrations VALUES ('20250101000000', '{}', 'first')",
        )
    role = f"capturer_{'b' if history else 'a'}"
    script = str(CHECKOUT / "docs" / "operator_role.sql")
    subprocess.run(
        [psql(), "-Xq", "-d", healthy.dsn, "-v", f"role={role}", "-f", script], check=True, stdout=subprocess.DEVNULL
    )
    try:
        played = stage.play(
            "capture_release", make_conninfo(healthy.dsn, user=role), release="by-role", ledger="required"
        )
        assert (played.rc, played.result["warnings"]) == (0, []), played.text
        assert played.result["release"]["kinds"].get("migration", 0) == int(history)
        # Whoever uses the ledger of another role is a member of it.
        healthy.execute(f"GRANT {role} TO CURRENT_USER")
        same = stage.play("capture_release", healthy.dsn, release="by-superuser")
        assert same.result["release"]["digest"] == played.result["release"]["digest"]
    finally:
        healthy.execute(f"DROP OWNED BY {role} CASCADE")
        with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}".encode())

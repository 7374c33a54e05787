# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a restore, or the promotion of a standby that was behind, what is missing is named, and what is of the past is closed."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.failover.fixtures import Paired
from tests.failover.pair import DATABASE, Pair, until
from tests.failover.test_phases import SLOW, play
from tests.integration.modules import Result, call, connect, fingerprint, off, one, rows

EVENTS = "SELECT event_id::text FROM scout.bronze_events ORDER BY ingested_at, event_id LIMIT 8"


def kept(dsn: str, folder: Path) -> Result:
    """Evidence, as a reset keeps it before its first write."""
    return done("scout_evidence", dsn, folder=str(folder), incident="INC-1", budget_seconds=60)


def done(name: str, dsn: str, **options: Any) -> Result:
    result = call(name, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


def endless(folder: Path) -> Path:
    """A snapshot of somebody else beside one, which fits its name, and whose runs are 300 kB on disk and a third of a gigabyte."""
    packed = gzip.compress(b" " * (300 << 20), 1)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for entry in manifest["files"]:
        if entry["file"] == "runs.jsonl.gz":
            entry |= {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
    data = json.dumps(manifest).encode()
    made = folder.with_name(f"{folder.name.rpartition('-')[0]}-{hashlib.sha256(data).hexdigest()[:16]}")
    shutil.copytree(folder, made)
    (made / "runs.jsonl.gz").write_bytes(packed)
    (made / "manifest.json").write_bytes(data)
    return made


@pytest.fixture
def restored(paired: Paired, tmp_path: Path) -> tuple[str, Path, dict[str, str]]:
    """A database of which a backup was restored: the dsn, the evidence, and the runs before and after the point."""
    pair = paired(synchronous=False)
    dsn = builder.operator(pair.first.dsn(DATABASE))
    events = [row[0] for row in rows(dsn, EVENTS)]
    done("scout_ingestion", dsn, state="paused", incident="INC-1")
    first = done("scout_quarantine", dsn, event_ids=events[:4], incident="INC-1")["run_id"]
    held = done("scout_lease", dsn, incident="INC-1")
    with connect(dsn) as session:
        # As it is in the middle of a move: it runs, and has moved something.
        session.execute("UPDATE scout_ops.runs SET status = 'running', finished_at = NULL WHERE run_id = %s", [first])
    kept(dsn, tmp_path)
    pair.settle()
    pair.second.kill()
    with connect(dsn) as session:
        session.execute(
            "UPDATE scout_ops.runs SET status = 'succeeded', finished_at = now() WHERE run_id = %s", [first]
        )
    done("scout_lease", dsn, state="released", lease_token=held["token"])
    done("scout_redrive", dsn, of_incident="INC-1", require_pause=False)
    second = done("scout_quarantine", dsn, event_ids=events[4:], incident="INC-1")["run_id"]
    kept(dsn, tmp_path)
    pair.first.kill()
    pair.second.revive()
    pair.second.promote()
    return pair.second.dsn(DATABASE, user="scout_operator"), tmp_path, {"before": first, "after": second}


def test_what_came_after_is_named_and_what_is_of_the_past_is_closed(
    restored: tuple[str, Path, dict[str, str]], subtests: pytest.Subtests
) -> None:
    dsn, folder, runs = restored
    with connect(dsn, user="postgres") as session:
        # Whoever restores has enabled the jobs by hand.
        session.execute("UPDATE cron.job SET active = true")
        session.execute("UPDATE scout_ops.leases SET expires_at = now() - interval '1 hour'")
    before = fingerprint(make_conninfo(dsn, user="postgres"))
    planned = done("scout_restored", dsn, folder=str(folder), check=True)
    with subtests.test("a check writes nothing"):
        assert fingerprint(make_conninfo(dsn, user="postgres")) == before
        assert planned["changed"]
        assert planned["run_id"] is None
    made = done("scout_restored", dsn, folder=str(folder))
    with subtests.test("what came after"):
        assert {run["run_id"] for run in made["after"]["runs"]} >= {runs["after"]}
        assert len(made["after"]["snapshots"]) == 1
        assert made["after"]["audit_entries"] > 0
        assert len(made["after"]["redriven"]) == 4
        assert made["after"] == planned["after"]
        assert any(runs["after"] in line for line in made["warnings"])
        assert any('redrive.yml -e \'{"dlq_ids":' in line for line in made["warnings"])
    with subtests.test("what is closed"):
        assert made["closed"] == planned["closed"]
        assert [run["run_id"] for run in made["closed"]["runs"]] == [runs["before"]]
        assert made["closed"]["pause"]["incident"] == "INC-1"
        assert made["closed"]["lease"]["incident"] == "INC-1"
        assert one(dsn, "SELECT status FROM scout_ops.runs WHERE run_id = %s", runs["before"]) == "interrupted"
        assert one(dsn, "SELECT count(*) FROM scout_ops.pauses WHERE resumed_at IS NULL") == 0
        assert one(dsn, "SELECT owner FROM scout_ops.leases") is None
        assert any(f"undo.yml -e run_id={runs['before']}" in line for line in made["warnings"])
    with subtests.test("nothing keeps the pipeline failing"):
        assert "interrupted_runs" not in done("scout_health_info", dsn)["failing"]
    with subtests.test("the audit trail has it"):
        assert one(dsn, "SELECT count(*) FROM scout_audit.entries WHERE entry ->> 'action' = 'restored'") == 2
    with subtests.test("a second run is unchanged"):
        before = fingerprint(make_conninfo(dsn, user="postgres"))
        again = done("scout_restored", dsn, folder=str(folder))
        assert not again["changed"]
        assert again["after"]["snapshots"] == made["after"]["snapshots"]
        assert again["after"]["audit_entries"] == made["after"]["audit_entries"]
        assert fingerprint(make_conninfo(dsn, user="postgres")) == before
    with subtests.test("what was half done is undone by its id"):
        done("scout_undo", dsn, run_id=runs["before"], require_pause=False)


def test_evidence_that_is_missing_agrees_with_nothing(
    restored: tuple[str, Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An empty folder, one that is not there, none, and one of another database."""
    dsn, folder, _runs = restored
    of_others = tmp_path_factory.mktemp("others")
    with connect(dsn, user="postgres", dbname="postgres") as session:
        session.execute("CREATE DATABASE other TEMPLATE scout")
    kept(make_conninfo(dsn, user="postgres", dbname="other"), of_others)
    for given in (tmp_path_factory.mktemp("empty"), folder / "not there", None, of_others):
        made = call("scout_restored", dsn, folder=given and str(given), takeover=True, check=True)
        assert "agree" not in made["summary"]
        assert "no evidence is from after it, so what came then is not known" in made["summary"]
        [said] = [line for line in made["warnings"] if line.startswith("no evidence of this database is in ")]
        assert str(given or "any folder") in said
        assert ("(1 snapshot there of other databases or clusters)" in said) == (given is of_others)
        assert "evidence_dir" in said


def test_a_move_that_was_at_work_at_the_point_is_closed(paired: Paired, tmp_path: Path) -> None:
    """It had begun after the ledger last noted where it is written."""
    pair = paired(synchronous=False)
    dsn = pair.first.dsn(DATABASE)
    events = [row[0] for row in rows(dsn, EVENTS)]
    with connect(dsn) as session:
        session.execute(SLOW)
    moving = threading.Thread(
        target=lambda: call("scout_quarantine", dsn, event_ids=events, incident="INC-1", target_seconds=0.05)
    )
    moving.start()
    until(lambda: bool(rows(dsn, "SELECT FROM scout.bronze_events_dlq")))
    with connect(dsn) as session:
        # As it is after the application went and before the schema does.
        session.execute(
            "INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller) "
            "VALUES (gen_random_uuid(), 'rollback', 'INC-1', 'ben@laptop', 'laptop')"
        )
    pair.settle()
    pair.second.kill()
    moving.join()
    kept(dsn, tmp_path)
    pair.first.kill()
    pair.second.revive()
    pair.second.promote()
    dsn = pair.second.dsn(DATABASE)
    run_id = one(dsn, "SELECT run_id::text FROM scout_ops.runs WHERE action = 'quarantine' AND status = 'running'")
    made = done("scout_restored", dsn, folder=str(tmp_path), takeover=True)
    assert [run["action"] for run in made["closed"]["runs"]] == ["quarantine", "rollback"]
    assert any(line.startswith("rollback ") and "the same command does the rest" in line for line in made["warnings"])
    assert any(f"undo.yml -e run_id={run_id}" in line for line in made["warnings"])
    assert "interrupted_runs" not in done("scout_health_info", dsn)["failing"]


def test_a_backup_from_before_the_ledger_lacks_all_that_evidence_lists(paired: Paired, tmp_path: Path) -> None:
    """Before the first run there makes a ledger, and after it."""
    pair = paired(synchronous=False)
    dsn = pair.first.dsn(DATABASE)
    pair.second.kill()
    runs = [
        done("scout_quarantine", dsn, event_ids=[row[0]], incident="INC-1")["run_id"] for row in rows(dsn, EVENTS)[:5]
    ]
    kept(dsn, tmp_path)
    pair.first.kill()
    pair.second.revive()
    pair.second.promote()
    dsn = pair.second.dsn(DATABASE)
    for check in (True, False):
        made = done("scout_restored", dsn, folder=str(tmp_path), check=check)
        assert [run["run_id"] for run in made["after"]["runs"]] == runs
        assert len(made["after"]["snapshots"]) == 1
        assert "nothing shows" not in made["summary"]
        assert not made["changed"]
        assert all(any(run in line for line in made["warnings"]) for run in runs)
        if check:
            done("scout_lease", dsn)


def test_a_pause_that_is_in_force_stays_and_a_lease_that_may_be_alive_is_asked_for(
    restored: tuple[str, Path, dict[str, str]],
) -> None:
    dsn, folder, _runs = restored
    with connect(dsn) as session:
        session.execute(
            "UPDATE scout_ops.leases SET owner = 'bob@bastion', host_key = 'another', ttl_seconds = 900, "
            "expires_at = now() + interval '15 minutes'"
        )
    refused = call("scout_restored", dsn, folder=str(folder))
    assert refused["error"]["kind"] == "lease_held"
    assert "bob@bastion" in refused["msg"]
    jobs = make_conninfo(dsn, user="postgres")
    paused = off(jobs)
    made = done("scout_restored", dsn, folder=str(folder), takeover=True)
    assert made["closed"]["pause"] is None
    assert made["ingestion"]["state"] == "paused"
    assert off(jobs) == paused


def test_the_playbook_checks_runs_and_runs_again(
    restored: tuple[str, Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A check writes nothing, before and after; the second run changes nothing; and none of them changes the evidence."""
    dsn, folder, runs = restored
    home = tmp_path_factory.mktemp("home")
    superuser = make_conninfo(dsn, user="postgres")
    with connect(superuser) as session:
        session.execute("UPDATE cron.job SET active = true")
        session.execute("UPDATE scout_ops.leases SET expires_at = now() - interval '1 hour'")

    def seen() -> tuple[dict[str, Any], dict[str, bytes]]:
        return fingerprint(superuser), {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def played(*, check: bool, changed: bool, writes: bool) -> str:
        before = seen()
        done = play(home, "restored", dsn, check=check, evidence_dir=str(folder))
        after = seen()
        assert (done.rc, done.result["changed"], after != before) == (0, changed, writes), done.text
        assert after[1] == before[1]
        return done.text

    assert runs["after"] in played(check=True, changed=True, writes=False)
    assert runs["after"] in played(check=False, changed=True, writes=True)
    assert runs["after"] in played(check=False, changed=False, writes=False)
    assert runs["after"] in played(check=True, changed=False, writes=False)


def test_bad_points_and_altered_evidence_change_nothing(restored: tuple[str, Path, dict[str, str]]) -> None:
    dsn, folder, _runs = restored
    before = fingerprint(make_conninfo(dsn, user="postgres"))
    for wrong in ("yesterday", "2026-11-25T01:00:00", "2999-01-01T00:00:00Z"):
        refused = call("scout_restored", dsn, folder=str(folder), restored_at=wrong)
        assert refused["error"]["kind"] == "bad_input"
        assert wrong in refused["msg"]
    bomb = endless(min(folder.iterdir()))
    told = done("scout_restored", dsn, folder=str(folder), check=True)
    assert any("not believed" in line and bomb.name in line for line in told["warnings"])
    last = max(folder.iterdir())
    (last / "manifest.json").write_text("{}")
    told = done("scout_restored", dsn, folder=str(folder), check=True)
    assert any("not believed" in line and last.name in line for line in told["warnings"])
    assert any("without --check: refused to start while another run is active" in line for line in told["warnings"])
    assert told["after"]["snapshots"] == []
    assert fingerprint(make_conninfo(dsn, user="postgres")) == before


def test_a_healthy_database_is_left_alone(paired: Paired, tmp_path: Path) -> None:
    pair: Pair = paired(synchronous=False)
    dsn = pair.first.dsn(DATABASE)
    done("scout_ingestion", dsn, state="paused")
    kept(dsn, tmp_path)
    before = fingerprint(make_conninfo(dsn, user="postgres"))
    made = done("scout_restored", dsn, folder=str(tmp_path))
    assert not made["changed"]
    assert "nothing shows that a backup was restored" in made["summary"]
    assert fingerprint(make_conninfo(dsn, user="postgres")) == before
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("DROP SCHEMA scout_ops CASCADE")
    refused = call("scout_restored", dsn, folder=str(tmp_path))
    assert refused["error"]["kind"] == "bad_input"

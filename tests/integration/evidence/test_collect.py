# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot is whole, private, verifiable, quick, and holds no secret."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import Result, call, connect, executed, fingerprint, one, start_ad_hoc

EVIDENCE = "scout_evidence"
SAMPLES = {"dead_letters", "bad_transactions", "bad_lines", "pending_events"}
SECTIONS = {"sessions", "locks", "settings", "runs", "tables", "jobs", "job_runs"} | SAMPLES


def keep(dsn: str, folder: Path, **options: Any) -> Result:
    result = call(EVIDENCE, dsn, **{"folder": str(folder), "budget_seconds": 60, **options})
    assert not result.get("failed"), result
    return result


def section(result: Result, name: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in gzip.decompress(Path(result["folder"], f"{name}.jsonl.gz").read_bytes()).splitlines()
    ]


def names(result: Result) -> set[str]:
    return {entry["file"].removesuffix(".jsonl.gz") for entry in result["files"]}


def pipeline(dsn: str) -> dict[str, Any]:
    """All tables but those of the ledger, which knows of each snapshot."""
    return {name: value for name, value in fingerprint(dsn).items() if not name.startswith("scout_ops.")}


def everything(folder: Path) -> str:
    files = [gzip.decompress(path.read_bytes()).decode() for path in folder.rglob("*.jsonl.gz")]
    return "\n".join([*files, *(path.read_text() for path in folder.rglob("*.json"))])


def test_it_is_whole_private_and_verifiable(scout_db: str, tmp_path: Path) -> None:
    before = pipeline(scout_db)
    with library.lock_holder(scout_db) as held:
        health = call("scout_health_info", scout_db)
        result = keep(scout_db, tmp_path / "a" / "b", incident="INC-2041", health=health)
    assert pipeline(scout_db) == before
    folder = Path(result["folder"])
    assert folder.name.startswith("INC-2041-")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == "scout-recovery-evidence/2"
    assert hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest() == result["manifest_sha256"]
    assert folder.name.endswith(f"-{result['manifest_sha256'][:16]}")
    assert manifest["incident"] == "INC-2041"
    assert manifest["problems"] == {}
    assert names(manifest) == SECTIONS | {"health"}
    assert {path.name for path in folder.iterdir()} == {entry["file"] for entry in manifest["files"]} | {
        "manifest.json"
    }
    for entry in manifest["files"]:
        data = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert (len(data), len(gzip.decompress(data).splitlines())) == (entry["bytes"], entry["rows"])
    assert held.pids["holder"] in {row["pid"] for row in section(result, "sessions")}
    assert 94752052 in {row["objid"] for row in section(result, "locks")}
    assert "bronze-to-silver-etl" in {row["jobname"] for row in section(result, "jobs")}
    assert len(section(result, "job_runs")) > 10
    assert section(result, "health")[0]["verdict"] == health["verdict"]
    assert (result["changed"], result["warnings"]) == (False, [])
    assert str(folder) in result["summary"]


def test_both_ways_give_the_same_and_each_run_a_folder_of_its_own(scout_db: str, tmp_path: Path) -> None:
    first = keep(scout_db, tmp_path)
    second = executed(EVIDENCE, scout_db, folder=str(tmp_path))
    assert first["folder"] != second["folder"]
    assert names(first) == names(second)
    assert (first["number"], second["number"]) == (1, 2)
    manifest = json.loads(Path(second["folder"], "manifest.json").read_text())
    assert manifest["previous"] == {"folder": Path(first["folder"]).name, "manifest_sha256": first["manifest_sha256"]}


def test_check_mode_writes_nothing(scout_db: str, tmp_path: Path) -> None:
    result = call(EVIDENCE, scout_db, check=True, folder=str(tmp_path / "new"))
    assert (result["folder"], result["changed"]) == (None, False)
    assert "sessions" in result["summary"]
    assert list(tmp_path.iterdir()) == []


def test_one_section_that_hangs_costs_itself_alone(scout_db: str, tmp_path: Path) -> None:
    with psycopg.connect(scout_db) as other:
        other.execute("LOCK TABLE cron.job IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        result = keep(scout_db, tmp_path, budget_seconds=5)
        assert time.monotonic() - began < 30
    assert names(result) == SECTIONS - {"jobs", "job_runs"}
    manifest = json.loads(Path(result["folder"], "manifest.json").read_text())
    assert manifest["problems"] == {
        "jobs": "another session has locked it",
        "job_runs": "another session has locked it",
    }
    assert result["warnings"] == [
        "evidence without jobs: another session has locked it",
        "evidence without job_runs: another session has locked it",
    ]


WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'scout-recovery/INC-1/%'
"""


def test_what_a_killed_run_left_is_gone_with_the_next_of_its_incident(scout_db: str, tmp_path: Path) -> None:
    """And what one that is still at work has written stays."""

    def parts() -> list[str]:
        return sorted(path.name for path in tmp_path.glob("*.part"))

    def until(wanted: bool) -> None:
        deadline = time.monotonic() + 40
        while (bool(parts()), one(scout_db, WAITING) > 1) != (True, wanted):
            assert time.monotonic() < deadline, f"{parts()}, {one(scout_db, WAITING)} sessions"
            time.sleep(0.05)

    options: dict[str, Any] = {"dsn": scout_db, "folder": str(tmp_path), "incident": "INC-1"}
    with psycopg.connect(scout_db) as other:
        other.execute("LOCK TABLE scout.alerts IN ACCESS EXCLUSIVE MODE")
        with start_ad_hoc(EVIDENCE, full=["alerts"], full_seconds=300, **options) as killed:
            until(True)
            [left] = parts()
            keep(scout_db, tmp_path, incident="INC-1")
            assert parts() == [left]
            # The one that writes; where only its controller dies it tidies up itself.
            os.kill(int(left.split("-")[1]), signal.SIGKILL)
            killed.communicate()
        until(False)
        assert parts() == [left]
        kept = keep(scout_db, tmp_path, incident="INC-1")
    assert parts() == []
    assert kept["number"] == 2


def test_a_budget_too_small_names_what_is_missing(scout_db: str, tmp_path: Path) -> None:
    result = keep(scout_db, tmp_path, budget_seconds=0.000001)
    assert result["files"] == []
    assert len(result["warnings"]) == len(SECTIONS)
    for bad in (0, -1, "nan"):
        assert call(EVIDENCE, scout_db, folder=str(tmp_path), budget_seconds=bad)["error"]["kind"] == "bad_input"


def test_without_cron_the_rest_is_kept(scout_db: str, tmp_path: Path) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("DROP SCHEMA cron CASCADE")
    result = keep(scout_db, tmp_path)
    assert names(result) >= SECTIONS - {"jobs", "job_runs"}


def test_no_password_and_no_secret_setting_is_in_it(scout_db: str, pg_server: Server, tmp_path: Path) -> None:
    if pg_server.external:
        pytest.skip("alters settings of the server")
    name = conninfo_to_dict(scout_db)["dbname"]
    dsn = pg_server.tcp_dsn(str(name))
    password = str(conninfo_to_dict(dsn)["password"])
    secret_settings = {
        "primary_conninfo": "host=h user=u password=hush1",
        "archive_cleanup_command": "curl -H hush2",
        "restore_command": "curl -u me:hush3",
    }
    with connect(scout_db) as superuser, connect(scout_db) as talker:
        for setting, value in secret_settings.items():
            superuser.execute(f"ALTER SYSTEM SET {setting} = '{value}'")  # type: ignore[call-overload]
        superuser.execute(
            "SELECT cron.schedule('call', '* * * * *', $$SELECT net.http_post(headers => '{\"Authorization\": \"Bearer hush4\"}')$$)"
        )
        superuser.execute("SELECT pg_reload_conf()")
        talker.execute("SELECT 'CREATE ROLE x PASSWORD ''hush5''', 'postgresql://me:hush6@db/scout', 'api_key=hush7'")
        try:
            result = keep(dsn, tmp_path, password=password)
        finally:
            superuser.execute("ALTER SYSTEM RESET ALL")
            superuser.execute("SELECT pg_reload_conf()")
    text = everything(tmp_path) + json.dumps(result)
    assert password not in text
    assert dsn not in text
    assert "hush" not in text
    assert "CREATE ROLE x PASSWORD ***" in text
    assert "postgresql://***" in text


@pytest.mark.parametrize("incident", ["../../etc", "a/b", "a b", "", "x" * 65, "a\nb", "$(id)", ".hidden"])
def test_a_hostile_incident_is_refused(scout_db: str, tmp_path: Path, incident: str) -> None:
    result = call(EVIDENCE, scout_db, folder=str(tmp_path), incident=incident)
    assert result["error"]["kind"] == "bad_input"
    assert "\n" not in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(scout_db: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call(EVIDENCE, scout_db, folder=str(tmp_path / "file" / "sub"))
    assert result["msg"].startswith(f"could not write evidence to {tmp_path}/file/sub: ")
    assert "evidence_folder" in result["msg"]
    assert "\n" not in result["msg"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

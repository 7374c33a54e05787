# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot is whole, private, verifiable, quick, and holds no secret."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.recovery.plugins.module_utils.recovery import evidence
from tests.integration.modules import Result, call, connect, executed, fingerprint
from tests.scout import faults
from tests.scout.server import Server

EVIDENCE = "scout_evidence"
SECTIONS = {"sessions", "locks", "settings", "tables", "jobs", "job_runs"}


def keep(dsn: str, folder: Path, **options: Any) -> Result:
    result = call(EVIDENCE, dsn, folder=str(folder), **options)
    assert not result.get("failed"), result
    return result


def section(result: Result, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(result["folder"], f"{name}.json").read_text())
    return found


def everything(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.rglob("*.json"))


def test_it_is_whole_private_and_verifiable(scout_db: str, tmp_path: Path) -> None:
    before = fingerprint(scout_db)
    with faults.lock_holder(scout_db) as held:
        health = call("scout_health_info", scout_db)
        result = keep(scout_db, tmp_path / "a" / "b", incident="INC-2041", health=health)
    assert fingerprint(scout_db) == before
    folder = Path(result["folder"])
    assert folder.name.startswith("INC-2041-")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == "scout-recovery-evidence/1"
    assert manifest["incident"] == "INC-2041"
    assert manifest["problems"] == {}
    assert {Path(entry["file"]).stem for entry in manifest["files"]} == SECTIONS | {"health"}
    for entry in manifest["files"]:
        data = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert (len(data), len(json.loads(data))) == (entry["bytes"], entry["rows"])
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
    assert {entry["file"] for entry in first["files"]} == {entry["file"] for entry in second["files"]}


def test_check_mode_writes_nothing(scout_db: str, tmp_path: Path) -> None:
    result = call(EVIDENCE, scout_db, check=True, folder=str(tmp_path / "new"))
    assert (result["folder"], result["changed"]) == (None, False)
    assert "sessions" in result["summary"]
    assert list(tmp_path.iterdir()) == []


def test_one_section_that_hangs_costs_itself_alone(scout_db: str, tmp_path: Path) -> None:
    with psycopg.connect(scout_db) as other:
        other.execute("LOCK TABLE cron.job IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        result = keep(scout_db, tmp_path, budget_seconds=1)
        assert time.monotonic() - began < 1.3
    assert {Path(entry["file"]).stem for entry in result["files"]} == SECTIONS - {"jobs", "job_runs"}
    manifest = json.loads(Path(result["folder"], "manifest.json").read_text())
    assert manifest["problems"] == {
        "jobs": "another session has locked it",
        "job_runs": "another session has locked it",
    }
    assert result["warnings"] == [
        "evidence without jobs: another session has locked it",
        "evidence without job_runs: another session has locked it",
    ]


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
    assert {Path(entry["file"]).stem for entry in result["files"]} >= SECTIONS - {"jobs", "job_runs"}


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
    assert "postgresql://me:***@db/scout" in text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ALTER ROLE a PASSWORD 'it''s me'", "ALTER ROLE a PASSWORD ***"),
        ("dblink('host=x password=abc dbname=y')", "dblink('host=x password=*** dbname=y')"),
        ('{"token": "abc.def", "n": 1}', '{"token": ***, "n": 1}'),
        ("postgresql://u:p%40ss@host/db", "postgresql://u:***@host/db"),
        ("SELECT * FROM scout.load_silver_from_bronze(2000)", "SELECT * FROM scout.load_silver_from_bronze(2000)"),
        (
            "UPDATE t SET ts = '2026-01-01 10:00:00' WHERE id = 1",
            "UPDATE t SET ts = '2026-01-01 10:00:00' WHERE id = 1",
        ),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert evidence.masked(text) == masked


@pytest.mark.parametrize("incident", ["../../etc", "a/b", "a b", "", "x" * 65, "a\nb", "$(id)", ".hidden"])
def test_a_hostile_incident_is_refused(scout_db: str, tmp_path: Path, incident: str) -> None:
    result = call(EVIDENCE, scout_db, folder=str(tmp_path), incident=incident)
    assert result["error"]["kind"] == "bad_input"
    assert "\n" not in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(scout_db: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call(EVIDENCE, scout_db, folder=str(tmp_path / "file" / "sub"))
    assert result["msg"].startswith(f"could not write evidence to {tmp_path}/file/sub/adhoc-")
    assert "evidence_folder" in result["msg"]
    assert "\n" not in result["msg"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot is complete, private and quick, and has neither a secret nor a payload."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import files
from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import folder as evidence_folder
from tests.integration.evidence.snapshots import EVIDENCE, arrive, keep, names, section
from tests.integration.modules import call, connect, executed, fingerprint

SAMPLES = {"dead_letters", "bad_transactions", "bad_lines", "pending_events"}
SECTIONS = {"sessions", "locks", "settings", "runs", "tables", "jobs", "job_runs", "about"} | SAMPLES


def test_it_is_whole_private_and_verifiable(scout_db: str, tmp_path: Path) -> None:
    before = fingerprint(scout_db)
    with library.lock_holder(scout_db) as held:
        health = call("scout_health_info", scout_db)
        result = keep(scout_db, tmp_path / "a" / "b", incident="INC-2041", health=health)
    assert fingerprint(scout_db) == before
    folder = Path(result["folder"])
    assert folder.name.startswith("INC-2041-")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert names(result) == SECTIONS | {"health"}
    assert {path.name for path in folder.iterdir()} == {entry["file"] for entry in result["files"]} | {"SHA256SUMS"}
    for entry in result["files"]:
        data = (folder / entry["file"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["bytes"])
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert checked.stdout.count(": OK") == len(result["files"])
    about = section(result, "about")
    assert (about["incident"], about["problems"]) == ("INC-2041", {})
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
    assert section(result, "about")["problems"] == {
        "jobs": "another session has locked it",
        "job_runs": "another session has locked it",
    }
    assert result["warnings"] == [
        "evidence without jobs: another session has locked it",
        "evidence without job_runs: another session has locked it",
    ]


def test_it_is_complete_or_absent(scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up at any file leaves nothing, and what a killed run left is gone with the next."""
    left = tmp_path / ".unfinished-INC-1-scout-20261125T010000.000000Z"
    left.mkdir()
    (left / "sessions.json").write_text("[")
    write = evidence_folder._write  # pyright: ignore[reportPrivateUsage]
    room = 0

    def write_while_there_is_room(path: Path, data: bytes) -> None:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room -= 1
        write(path, data)

    monkeypatch.setattr(evidence_folder, "_write", write_while_there_is_room)
    # The checksums are a file, too.
    for number in range(len(SECTIONS) + 1):
        room = number
        result = call(EVIDENCE, scout_db, folder=str(tmp_path), budget_seconds=60)
        assert "No space left on device" in result["msg"]
        assert list(tmp_path.iterdir()) == []
    room = len(SECTIONS) + 1
    assert names(keep(scout_db, tmp_path)) == SECTIONS


def test_two_snapshots_are_not_written_into_one_another(scout_db: str, tmp_path: Path) -> None:
    """Whoever writes holds the folder, so what is unfinished there is never somebody else's who is at work."""
    with files.locked(tmp_path), pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "LOCK_SECONDS", 0.2)
        refused = call(EVIDENCE, scout_db, folder=str(tmp_path), budget_seconds=60)
    assert refused["msg"].startswith(f"could not write evidence to {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_budget_too_small_names_what_is_missing(scout_db: str, tmp_path: Path) -> None:
    result = keep(scout_db, tmp_path, budget_seconds=0.000001)
    assert names(result) == {"about"}
    assert len(result["warnings"]) == len(SECTIONS) - 1
    for bad in (0, -1, "nan"):
        assert call(EVIDENCE, scout_db, folder=str(tmp_path), budget_seconds=bad)["error"]["kind"] == "bad_input"


def test_without_cron_the_rest_is_kept(scout_db: str, tmp_path: Path) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("DROP SCHEMA cron CASCADE")
    result = keep(scout_db, tmp_path)
    assert names(result) >= SECTIONS - {"jobs", "job_runs"}


def test_affected_rows_are_sampled(scout_db: str, tmp_path: Path) -> None:
    library.poison_event(scout_db, "bad_ts")
    with connect(scout_db) as superuser:
        superuser.execute(
            "UPDATE scout.silver_transactions SET total_amount = -5, processed_at = now() - interval '1 minute' WHERE transaction_id IN "
            "(SELECT transaction_id FROM scout.silver_transactions ORDER BY transaction_id LIMIT 7)"
        )
        superuser.execute(
            "UPDATE scout.silver_line_items SET quantity = -1, updated_at = now() - interval '1 minute' WHERE line_id IN "
            "(SELECT line_id FROM scout.silver_line_items ORDER BY line_id LIMIT 3)"
        )
    result = keep(scout_db, tmp_path, sample_rows=5)
    found = section(result, "bad_transactions")
    assert len(found) == 5
    assert {(row["total_amount"], tuple(row["violates"])) for row in found} == {(-5.0, ("negative_total",))}
    assert [row["quantity"] for row in section(result, "bad_lines")] == [-1, -1, -1]


def test_the_dead_letters_are_those_of_the_incident(scout_db: str, tmp_path: Path) -> None:
    made = {"INC-1": [arrive(scout_db, Jsonb({"transaction_id": f"x{n}"})) for n in range(3)]}
    made["INC-2"] = [arrive(scout_db, Jsonb({"transaction_id": "y"}))]
    for incident, ids in made.items():
        assert call("scout_quarantine", scout_db, incident=incident, event_ids=ids)["changed"]
    with connect(scout_db) as superuser:
        for when in ("now()", "now() - interval '2 days'"):
            superuser.execute(
                "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, failed_at) "
                f"VALUES ('{{}}', 'BY_HAND', 'x', {when})"
            )
    before = fingerprint(scout_db)
    found = section(keep(scout_db, tmp_path, incident="INC-1"), "dead_letters")
    assert {row["event_id"] for row in found if row["event_id"]} == set(made["INC-1"])
    assert [row["error_code"] for row in found if not row["event_id"]] == ["BY_HAND"], "what came in its time"
    assert fingerprint(scout_db) == before


@pytest.mark.parametrize("options", [{"sample_rows": -1}, {"sample_rows": 10_001}, {"window_start": "yesterday"}])
def test_what_cannot_be_used_is_refused(scout_db: str, tmp_path: Path, options: dict[str, Any]) -> None:
    assert call(EVIDENCE, scout_db, folder=str(tmp_path), **options)["error"]["kind"] == "bad_input"
    assert list(tmp_path.iterdir()) == []


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

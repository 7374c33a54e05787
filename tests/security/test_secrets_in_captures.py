# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: whoever may read captures, their files, plans or results looks for the token that a job sends."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from tests.integration.modules import Result, call, connect, one, rows

TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2VydmljZQ.c2lnbmF0dXJl"
OTHER = "eyJhbGciOiJIUzI1NiJ9.b3RoZXI.c2lnbmF0dXJl"
SEND = "SELECT net.http_post('https://hooks.example/{path}', headers => '{{\"Authorization\": \"Bearer {token}\"}}')"
CAPTURED, ROTATED = SEND.format(path="v1", token=TOKEN), SEND.format(path="v1", token=OTHER)
RELEASED = SEND.format(path="v2", token=TOKEN)

LEDGER = """
SELECT coalesce(string_agg(t::text, ' '), '') FROM (
    SELECT to_jsonb(r) FROM scout_ops.runs AS r UNION ALL SELECT to_jsonb(c) FROM scout_ops.releases AS c
) AS t
"""
COMMAND = "SELECT command FROM cron.job WHERE jobname = 'notify'"


@pytest.fixture
def results() -> list[Any]:
    """All that was said, which is looked through in the end."""
    return []


@pytest.fixture
def captured(scout_db: str, tmp_path: Path, results: list[Any]) -> str:
    """A database with a job that sends a token, captured as v1, and a view that is newer."""
    with connect(scout_db, options="-c role=loader") as session:
        session.execute("SELECT cron.schedule('notify', '*/5 * * * *', %s)", [CAPTURED])
    done = call("scout_capture", scout_db, release="v1", release_file=str(tmp_path / "v1.json"))
    assert any("secrets in the commands of 1 job (notify of loader)" in text for text in done["warnings"]), done
    results.append(done)
    with connect(scout_db, options="-c role=loader") as session:
        session.execute("CREATE VIEW scout.newer AS SELECT 1 AS one")
    return scout_db


def becomes(dsn: str, command: str) -> None:
    """What the job does from now on."""
    with connect(dsn, options="-c role=loader") as session:
        session.execute("SELECT cron.alter_job(jobid, command => %s) FROM cron.job WHERE jobname = 'notify'", [command])


def rolled_back(dsn: str, results: list[Any], **options: Any) -> Result:
    result = call("scout_rollback", dsn, release="v1", rehearse=False, **options)
    results.append(result)
    return result


def nothing_told(dsn: str, folder: Path, results: list[Any]) -> None:
    kept = [one(dsn, LEDGER), json.dumps(results, default=str), *(f.read_text() for f in folder.glob("*.json"))]
    assert len(kept) > 1
    assert not [text for text in kept for token in (TOKEN, OTHER) if token in text]


def test_the_token_is_in_no_capture_and_the_job_stays_as_it_is(
    captured: str, tmp_path: Path, results: list[Any]
) -> None:
    before = rows(captured, "SELECT * FROM cron.job ORDER BY jobid")
    rolled_back(captured, results, check=True)
    done = rolled_back(captured, results)
    assert done["changed"], done
    assert one(captured, "SELECT to_regclass('scout.newer') IS NULL")
    results.append(call("scout_undo", captured, run_id=done["run_id"]))
    assert not results[-1].get("failed"), results[-1]
    assert one(captured, "SELECT to_regclass('scout.newer') IS NOT NULL")
    assert rows(captured, "SELECT * FROM cron.job ORDER BY jobid") == before
    nothing_told(captured, tmp_path, results)


def test_its_schedule_is_rolled_back_without_its_command(captured: str, results: list[Any], tmp_path: Path) -> None:
    with connect(captured, options="-c role=loader") as session:
        session.execute("SELECT cron.alter_job(jobid, schedule => '0 0 * * *') FROM cron.job WHERE jobname = 'notify'")
    assert rolled_back(captured, results)["changed"]
    found = rows(captured, "SELECT schedule, command FROM cron.job WHERE jobname = 'notify'")
    assert found == [("*/5 * * * *", CAPTURED)]
    nothing_told(captured, tmp_path, results)


def test_a_token_that_was_renewed_stays(captured: str, results: list[Any], tmp_path: Path) -> None:
    becomes(captured, ROTATED)
    done = rolled_back(captured, results)
    assert done["changed"], done
    assert any("job notify of loader keeps the secret that it has now" in text for text in done["warnings"])
    assert one(captured, COMMAND) == ROTATED
    nothing_told(captured, tmp_path, results)


@pytest.mark.parametrize("now", ["another", "plain", "none"])
def test_what_would_need_the_token_is_refused_with_what_to_do_by_hand(
    now: str, captured: str, results: list[Any], tmp_path: Path
) -> None:
    if now == "none":
        with connect(captured, options="-c role=loader") as session:
            session.execute("SELECT cron.unschedule('notify')")
    else:
        becomes(captured, RELEASED if now == "another" else "SELECT 1")
    before = rows(captured, "SELECT * FROM cron.job ORDER BY jobid")
    planned = rolled_back(captured, results, check=True)
    assert any("held a secret that is not stored" in text for text in planned["warnings"])
    assert "***" not in str(planned["steps"])
    refused = rolled_back(captured, results)
    said = refused["error"]["said"]
    assert "job notify of loader" in said
    assert "its command held a secret that is not stored" in said
    assert rows(captured, "SELECT * FROM cron.job ORDER BY jobid") == before
    assert one(captured, "SELECT to_regclass('scout.newer') IS NOT NULL")

    by_hand = said[said.index("SELECT cron.") : said.index(", with the secret in place of ***")]
    assert by_hand.startswith("SELECT cron.schedule(" if now == "none" else "SELECT cron.alter_job(")
    with connect(captured, options="-c role=loader") as session:
        session.execute(by_hand.replace("***", f'"Bearer {TOKEN}"'))  # type: ignore[call-overload]
    assert one(captured, COMMAND) == CAPTURED
    assert rolled_back(captured, results)["changed"]
    nothing_told(captured, tmp_path, results)


def test_a_secret_that_goes_with_a_rollback_is_told_of(scout_db: str, results: list[Any], tmp_path: Path) -> None:
    """The undo cannot bring it back, and says so."""
    results.append(call("scout_capture", scout_db, release="v1", release_file=str(tmp_path / "v1.json")))
    with connect(scout_db, options="-c role=loader") as session:
        session.execute("SELECT cron.schedule('notify', '*/5 * * * *', %s)", [CAPTURED])
    done = rolled_back(scout_db, results)
    assert any("job notify of loader loses its command" in text for text in done["warnings"]), done
    assert rows(scout_db, COMMAND) == []
    undone = call("scout_undo", scout_db, run_id=done["run_id"])
    results.append(undone)
    assert "job notify of loader is missing" in undone["error"]["said"], undone
    nothing_told(scout_db, tmp_path, results)


def test_a_capture_of_before_is_of_use_and_never_installs_a_hidden_text(captured: str, results: list[Any]) -> None:
    """It kept the token; what it says is compared as it would be captured today."""
    made = one(captured, "SELECT document FROM scout_ops.releases WHERE release = 'v1'")
    for entry in made["entries"]:
        if entry["facts"].pop("command_digest", None):
            entry["facts"]["command"] = CAPTURED
    # Digests as they are made of all that defines an entry.
    whole = {entry["key"]: {name: entry[name] for name in captures_document.DEFINITION} for entry in made["entries"]}
    made["digests"] = {
        key: hashlib.sha256(captures_document.canonical(entry)).hexdigest() for key, entry in whole.items()
    }
    made = captures_document.sealed(
        {**made, "format": captures_document.FORMAT_WITH_ORDER, "digest": captures_document.digest(made["digests"])}
    )
    with connect(captured) as session:
        session.execute("UPDATE scout_ops.releases SET document = %s, digest = %s", [json.dumps(made), made["digest"]])
    assert rolled_back(captured, results)["changed"]
    assert one(captured, COMMAND) == CAPTURED

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger that the code of before 1.0 wrote: read with a word, upgraded by whatever writes, and everything in it still works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import schema
from tests.integration.modules import Result, call, connect, fingerprint, off, one, rows

EARLIER = Path(__file__).with_name("earlier.sql")
WRITTEN_BY = 7
INCIDENT = "INC-2041"
JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
#: What a person reads where it was not upgraded yet.
NOT_READ = "whatever changes something upgrades it first"
LETTERS = (
    "SELECT dlq_id::text FROM scout.bronze_events_dlq WHERE error_details ->> 'run_id' = %s AND resolved_at IS NULL"
)
IN_BRONZE = "SELECT count(*) FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[])"
LATER = "INSERT INTO scout_ops.versions (version) SELECT generate_series(%s::int, %s::int)"


@pytest.fixture
def earlier(scout_db: str) -> str:
    """A database as that code left it."""
    with connect(scout_db) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(EARLIER.read_text(encoding="utf-8"))  # type: ignore[call-overload]
    assert one(scout_db, "SELECT max(version) FROM scout_ops.versions") == WRITTEN_BY
    return scout_db


def runs(dsn: str) -> dict[str, str]:
    """Which run did what: pause, capture, quarantine, redrive, and killed for the quarantine that did not end."""
    found = rows(dsn, "SELECT run_id::text, action, status FROM scout_ops.runs ORDER BY started_at DESC")
    return {"killed" if status == "running" else action: run_id for run_id, action, status in reversed(found)}


def first_quarantine(dsn: str) -> str:
    """The one of six events."""
    query = "SELECT run_id::text FROM scout_ops.runs WHERE effects #>> '{moved,events}' = '6'"
    return one(dsn, query)


def events_of(dsn: str, run_id: str) -> list[str]:
    """The events that it was asked to move."""
    return one(dsn, "SELECT asked -> 'event_ids' FROM scout_ops.runs WHERE run_id = %s", run_id)


def written(dsn: str, name: str, **options: Any) -> Result:
    """The result of a module that works."""
    result = call(name, dsn, incident=INCIDENT, **options)
    assert not result.get("failed"), result["msg"]
    return result


def versions(dsn: str) -> int:
    return one(dsn, "SELECT count(*) FROM scout_ops.versions")


def test_who_only_reads_is_told_and_changes_nothing(earlier: str) -> None:
    before = fingerprint(earlier)
    health = call("scout_health_info", earlier)
    assert health["ingestion"]["state"] == "paused"
    assert any(NOT_READ in warning for warning in health["warnings"])
    assert any("whether a pause explains it is not known" in found["cause"] for found in health["diagnoses"])
    gate = call("scout_gate_info", earlier)
    assert not gate.get("failed"), gate
    listed = call("scout_runs_info", earlier)
    refused = call("scout_undo", earlier, check=True, run_id=first_quarantine(earlier))
    for each in (listed, refused):
        assert each["failed"]
        assert each["error"]["kind"] == "ledger_version"
        assert f"it is of version {WRITTEN_BY}" in each["msg"]
        assert NOT_READ in each["msg"]
    assert fingerprint(earlier) == before


def test_what_it_paused_is_resumed_and_every_run_is_listed(earlier: str) -> None:
    assert off(earlier) >= JOBS
    known = {run_id for (run_id,) in rows(earlier, "SELECT run_id::text FROM scout_ops.runs")}
    written(earlier, "scout_ingestion", state="running", takeover=True)
    assert off(earlier) == set()
    assert versions(earlier) == len(schema.VERSIONS)
    listed = {run["run_id"]: run for run in call("scout_runs_info", earlier)["runs"]}
    assert set(listed) > known
    assert {listed[run]["action"] for run in known} == {"pause", "capture", "quarantine", "redrive"}
    assert {listed[run]["actor"] for run in known} == {"maria@laptop"}


def test_an_undo_restores_what_it_had_removed_once_somebody_has_looked(earlier: str) -> None:
    """That code left no digests of its dead letters, so an undo does not know them from forged ones."""
    run = first_quarantine(earlier)
    asked, letters = events_of(earlier, run), [letter for (letter,) in rows(earlier, LETTERS, run)]
    assert (len(letters), one(earlier, IN_BRONZE, asked)) == (6, 0)
    refused = call("scout_undo", earlier, incident=INCIDENT, run_id=run)
    assert refused["failed"]
    assert {conflict["key"] for conflict in refused["conflicts"]} == set(letters)
    assert "name it in dlq_ids" in refused["msg"]

    looked = call("scout_undo", earlier, incident=INCIDENT, run_id=run, dlq_ids=letters, check=True)
    assert (looked["put_back"]["events"], looked["conflicting"]) == (6, 0)
    done = written(earlier, "scout_undo", run_id=run, dlq_ids=letters)
    assert {name: done["put_back"][name] for name in ("events", "transactions", "lines")} == {
        "events": 6,
        "transactions": 6,
        "lines": 16,
    }
    assert one(earlier, IN_BRONZE, asked) == 6
    assert rows(earlier, LETTERS, run) == []
    again = written(earlier, "scout_undo", run_id=done["run_id"])
    assert (again["changed"], one(earlier, IN_BRONZE, asked), len(rows(earlier, LETTERS, run))) == (True, 0, 6)


def test_a_letter_that_was_not_looked_at_is_not_believed(earlier: str) -> None:
    run = first_quarantine(earlier)
    letters = [letter for (letter,) in rows(earlier, LETTERS, run)]
    refused = call("scout_undo", earlier, incident=INCIDENT, run_id=run, dlq_ids=letters[:5])
    assert [conflict["key"] for conflict in refused["conflicts"]] == letters[5:]
    done = written(earlier, "scout_undo", run_id=run, dlq_ids=letters[:5], on_conflict="keep_current")
    assert (done["put_back"]["events"], done["conflicting"]) == (5, 1)


def test_what_it_redrove_is_undone(earlier: str) -> None:
    redriven = runs(earlier)["redrive"]
    done = written(earlier, "scout_undo", run_id=redriven)
    assert done["put_back"]["dead_letters"] == 2
    assert one(earlier, "SELECT undone_by::text FROM scout_ops.runs WHERE run_id = %s", redriven) == done["run_id"]


def test_what_was_killed_is_gone_on_with_by_the_same_command(earlier: str) -> None:
    killed = runs(earlier)["killed"]
    asked = events_of(earlier, killed)
    assert (len(asked), one(earlier, IN_BRONZE, asked)) == (6, 4)
    done = written(earlier, "scout_quarantine", event_ids=asked)
    assert done["run_id"] == killed
    assert one(earlier, IN_BRONZE, asked) == 0
    assert len(rows(earlier, LETTERS, killed)) == 6
    assert one(earlier, "SELECT status FROM scout_ops.runs WHERE run_id = %s", killed) == "succeeded"


def test_its_capture_is_what_a_rollback_goes_back_to(earlier: str) -> None:
    with connect(earlier) as connection:
        connection.execute("ALTER TABLE shop.stores ADD COLUMN manager text, ALTER COLUMN opened DROP NOT NULL")
    written(earlier, "scout_rollback", release="v5.2.0", allow_owners=["postgres"])
    columns = (
        "SELECT attname::text, attnotnull FROM pg_attribute WHERE attrelid = 'shop.stores'::regclass AND attnum > 0"
    )
    assert rows(earlier, columns + " AND NOT attisdropped ORDER BY attnum") == [("store_id", True), ("opened", True)]


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_a_ledger_of_a_later_release_is_neither_read_nor_written(scout_db: str, mode: str) -> None:
    assert call("scout_lease", scout_db)["token"]
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout_ops.leases SET owner = NULL, expires_at = NULL")
        connection.execute(LATER, [len(schema.VERSIONS) + 1, len(schema.VERSIONS) + 2])
    before = fingerprint(scout_db)
    tried: tuple[tuple[str, dict[str, Any]], ...] = (
        ("scout_ingestion", {"state": "paused"}),
        ("scout_lease", {}),
        ("scout_runs_info", {}),
        ("scout_undo", {"run_id": "last"}),
    )
    for name, options in tried:
        refused = call(name, scout_db, ledger=mode, **options)
        assert refused["failed"], name
        assert refused["error"]["kind"] == "ledger_version", refused
        assert f"it is of version {len(schema.VERSIONS) + 2}" in refused["msg"]
        assert "a later one, and run the same command again" in refused["msg"]
    if mode == "auto":
        assert any("install the release" in each for each in call("scout_health_info", scout_db)["warnings"])
    assert fingerprint(scout_db) == before
    # As the message says.
    assert call("scout_ingestion", scout_db, ledger="off", state="paused")["changed"]

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: an event with a megabyte of `a://a://…` in a note holds up the reset while it collects evidence."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import psycopg

from tests.e2e.play import Stage
from tests.integration.modules import call

POISON = """
INSERT INTO scout.bronze_events (event_type, event_data, ingested_at)
SELECT 'transaction.v1', jsonb_build_object('note', repeat(%s, %s), 'total', 'x', 'nth', n), now() - interval '1 hour'
FROM generate_series(1, %s) AS n
"""
UNITS = ("a://", "Key (", "authorization :\n", "password=", "row contains (", "{", "$$")


def poison(dsn: str, *units: str, rows: int = 1, size: int = 1_000_000) -> None:
    with psycopg.connect(dsn) as attacker:
        for unit in units:
            attacker.execute(POISON, (unit, size // len(unit), rows))


def test_evidence_of_such_events_is_kept_in_seconds(scout_db: str, tmp_path: Path) -> None:
    poison(scout_db, *UNITS)
    poison(scout_db, "x", size=120_000_000)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    result = call("scout_evidence", scout_db, folder=str(tmp_path), budget_seconds=5)
    assert not result.get("failed"), result
    assert time.monotonic() - began < 60
    pending = json.loads(Path(result["folder"], "pending_events.json").read_bytes())
    assert len(pending) >= len(UNITS) + 1
    assert max(row["payload_bytes"] for row in pending) > 100_000, "its size is kept, and nothing of it"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (64 << 10)


def test_a_reset_among_them_goes_on(scout_db: str, tmp_path: Path) -> None:
    poison(scout_db, *UNITS)
    stage, began = Stage(tmp_path), time.monotonic()
    with stage.start("emergency_reset", scout_db, incident="INC-1") as running:
        played = running.wait(120)
    assert time.monotonic() - began < 90
    assert Path(played.result["evidence"]).is_dir(), played.text
    assert played.result["ingestion"] in ("running", "paused"), played.text


def test_a_reset_goes_on_where_no_evidence_can_be_kept(scout_db: str, tmp_path: Path) -> None:
    poison(scout_db, "x", size=10)
    played = Stage(tmp_path).play("emergency_reset", scout_db, evidence_dir="/proc/nowhere")
    assert played.rc == 0, played.text
    assert played.result["evidence"] is None
    assert "no evidence was kept: could not write evidence to /proc/nowhere" in " ".join(played.text.split())

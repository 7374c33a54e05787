# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: an event with a megabyte of `a://a://…` in a note holds up the reset while it collects evidence."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import redaction, subprocesses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput, Stopped
from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence import collect, verify
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


def section(folder: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(Path(folder, f"{name}.jsonl.gz").read_bytes()).splitlines()]


def test_evidence_of_such_events_is_kept_in_seconds(scout_db: str, tmp_path: Path) -> None:
    poison(scout_db, *UNITS)
    began = time.monotonic()
    # All of it is read, and not only the fields that usually stay.
    result = call("scout_evidence", scout_db, folder=str(tmp_path), budget_seconds=5, readable=["*"])
    assert not result.get("failed"), result
    assert time.monotonic() - began < 60
    notes = [row["event_data"]["note"] for row in section(result["folder"], "pending_events")]
    long = [note for note in notes if note.startswith("a://")]
    assert len(notes) >= len(UNITS)
    assert len(long) == 1
    assert len(long[0]) < collect.MOST.value_characters + 100
    assert re.search(r"… \(1,000,000 characters, digest [0-9a-f]{20}\)$", long[0])


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
    played = Stage(tmp_path).play("emergency_reset", scout_db, evidence_folder="/proc/nowhere")
    assert played.rc == 0, played.text
    assert played.result["evidence"] is None
    assert "no evidence was kept: could not write evidence to /proc/nowhere" in " ".join(played.text.split())


def test_a_section_ends_at_its_size(scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(scout_db, "x y ", rows=20)
    monkeypatch.setattr(collect, "MOST", collect.Most(value_characters=8192, section_bytes=1 << 16, seconds=5.0))
    result = call("scout_evidence", scout_db, folder=str(tmp_path), budget_seconds=5, readable=["*"])
    kept = section(result["folder"], "pending_events")
    assert 1 < len(kept) < 20
    assert any(f"only the first {len(kept)} rows of it" in warning for warning in result["warnings"])


def test_a_huge_event_is_named_and_the_others_stay(scout_db: str, tmp_path: Path) -> None:
    """Neither packed, as most are, nor unpacked is it fetched: the worker has no more memory for it than for any other."""
    poison(scout_db, "x", size=10)
    huge = """
    INSERT INTO scout.bronze_events (event_type, event_data, ingested_at)
    SELECT 'transaction.v1', jsonb_build_object('note', text), now() - interval '3 hours' FROM (VALUES
        (repeat('x', 120000000)), ((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 20000) AS n))) AS v (text)
    UNION ALL SELECT 'transaction.v1', jsonb_object_agg('key ' || n, n), now() - interval '3 hours' FROM generate_series(1, 20000) AS n
    RETURNING event_id::text
    """
    with psycopg.connect(scout_db) as attacker:
        ids = {row[0] for row in attacker.execute(huge.encode()).fetchall()}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    result = call("scout_evidence", scout_db, folder=str(tmp_path), budget_seconds=20, full=["bronze_events"])
    assert not result.get("failed"), result
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < max(before, 400 << 10)
    for name in ("pending_events", "full_bronze_events"):
        kept = section(result["folder"], name)
        left = {row["event_id"]: row["left_out"] for row in kept if "left_out" in row}
        assert len(kept) > len(left)
        assert set(left) <= ids
        assert all(text.startswith("event_data") for text in left.values())
    assert {row["event_id"] for row in section(result["folder"], "pending_events") if "left_out" in row} == ids
    assert any("left_out" in warning for warning in result["warnings"]), result["warnings"]


def test_what_never_ends_is_killed_and_the_rest_is_kept(
    scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a pattern that nobody has thought of would hold it up."""
    poison(scout_db, "x", size=10)
    line = redaction.Redactor.line

    def busy(self: redaction.Redactor, raw: bytes, *most: int | None) -> bytes:
        return line(self, raw, *most) if b'"nth"' not in raw else re.sub(rb"(x+x+)+y", b"", b"x" * 64)

    monkeypatch.setattr(redaction.Redactor, "line", busy)
    monkeypatch.setattr(
        "ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence.command.HANDLING_SECONDS", 3
    )
    began = time.monotonic()
    result = call("scout_evidence", scout_db, folder=str(tmp_path))
    assert not result.get("failed"), result
    assert time.monotonic() - began < 60
    assert any("evidence without the rest" in warning for warning in result["warnings"])
    names = {entry["file"] for entry in result["files"]}
    assert "sessions.jsonl.gz" in names
    assert "pending_events.jsonl.gz" not in names
    assert {path.name for path in Path(result["folder"]).iterdir()} == names | {"manifest.json"}
    assert not verify.verify(Path(result["folder"]), lambda: None).problems


def test_the_process_apart_tells_raises_and_dies_with_us() -> None:
    heard: list[Any] = []
    assert subprocesses.apart(lambda tell: tell(1), seconds=5, heard=heard.append, checkpoint=lambda: None)
    assert heard == [1]

    def refuses(_: Any) -> None:
        raise BadInput("no", next_step="yes")

    with pytest.raises(BadInput, match=r"no\. Next: yes"):
        subprocesses.apart(refuses, seconds=5, heard=heard.append, checkpoint=lambda: None)

    def stop() -> None:
        if len(heard) > 1:
            raise Stopped("stopped")

    def tells_its_number(tell: Any) -> None:
        tell(os.getpid())
        time.sleep(60)

    with pytest.raises(Stopped):
        subprocesses.apart(tells_its_number, seconds=60, heard=heard.append, checkpoint=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(heard[-1], 0)

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of an incident through the playbooks: kept, chained by what a reset keeps, verified, and found out when touched."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage


def pipeline(of: Pipeline) -> dict[str, str]:
    """All of it but the ledger, which knows of each snapshot."""
    return {name: value for name, value in of.fingerprint().items() if not name.startswith("scout_ops.")}


def test_evidence_is_kept_and_verified(broken: Pipeline, stage: Stage) -> None:
    before = pipeline(broken)
    played = stage.play("evidence", broken.dsn, incident="INC-1", evidence_full=["bronze_events_dlq", "etl_processed"])
    assert played.rc == 0, played.text
    assert played.recap()["changed"] == 0
    assert pipeline(broken) == before
    folder = Path(played.result["evidence"])
    assert folder.parent == stage.evidence
    assert (folder / "full_etl_processed.jsonl.gz").is_file()
    [health] = [json.loads(line) for line in gzip.decompress((folder / "health.jsonl.gz").read_bytes()).splitlines()]
    assert health["verdict"] == played.result["verdict_before"]

    reset = stage.play("emergency_reset", broken.dsn, incident="INC-1")
    assert reset.rc == 0, reset.text
    manifest = json.loads((Path(reset.result["evidence"]) / "manifest.json").read_text())
    assert (manifest["number"], manifest["previous"]["folder"]) == (2, folder.name)

    # Without evidence_dir it is the folder that evidence goes to; no database is named, and no inventory needed.
    for where in ("", str(stage.evidence), str(folder)):
        verified = stage.play("evidence_verify", None, env={"PGHOST": "/nowhere"}, evidence_dir=where)
        assert verified.rc == 0, verified.text
        assert "are unaltered" in verified.summary
        assert verified.result["outcome"] == "unchanged"
    assert stage.play("evidence_verify", None, "-i", "localhost,").rc == 0

    # Where a database is named, its ledger says what has to be there.
    compared = stage.play("evidence_verify", broken.dsn, evidence_dir=str(stage.evidence))
    assert compared.rc == 0, compared.text
    assert "all that the ledger knows of is there" in " ".join(compared.text.split())
    newest = Path(reset.result["evidence"])
    newest.rename(stage.home / newest.name)
    assert stage.play("evidence_verify", None, evidence_dir=str(stage.evidence)).rc == 0
    missed = stage.play("evidence_verify", broken.dsn, evidence_dir=str(stage.evidence))
    assert missed.rc == 2, missed.text
    assert "number 2 of INC-1, as the ledger has it, is missing" in missed.result["error"]["said"]
    (stage.home / newest.name).rename(newest)

    held = (folder / "sessions.jsonl.gz").read_bytes()
    (folder / "sessions.jsonl.gz").write_bytes(held[:-4])
    (folder / "note.txt").write_text("")
    verified = stage.play("evidence_verify", None, evidence_dir=str(stage.evidence))
    assert verified.rc == 2, verified.text
    assert "2 problems" in verified.summary
    screen = " ".join(verified.text.split())
    assert "sessions.jsonl.gz is truncated" in screen
    assert "note.txt was added" in screen
    assert verified.result["outcome"] == "failed"
    said = verified.result["error"]["said"]
    assert "sessions.jsonl.gz is truncated" in said
    assert "note.txt was added" in said


def test_check_mode_keeps_nothing(healthy: Pipeline, quick: Quick) -> None:
    played = quick.play("evidence", healthy.dsn, "--check", evidence_full=["alerts"])
    assert played.rc == 0, played.text
    assert "all of alerts" in " ".join(played.text.split())
    assert not quick.evidence.exists()


def test_fields_and_tables_that_are_none_are_one_clear_line(healthy: Pipeline, quick: Quick) -> None:
    played = quick.play("evidence", healthy.dsn, evidence_mask=["a b"])
    assert played.rc == 2, played.text
    assert "mask: 'a b' is not the name of a field" in played.summary
    played = quick.play("evidence", healthy.dsn, evidence_full=["pg_authid"])
    assert played.rc == 2, played.text
    assert "pg_authid" in played.summary
    assert not quick.evidence.exists()


def test_there_is_nothing_to_verify(stage: Stage) -> None:
    played = stage.play("evidence_verify", None, evidence_dir=str(stage.home / "none"))
    assert played.rc == 2, played.text
    assert "there is no such folder" in played.summary

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: who can write the folder of evidence rewrites a file with all manifests and names, or removes the newest snapshot, a
whole incident, or all that came after some day."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.evidence.archive import NAME
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.trust import signatures
from tests.integration.modules import call, connect, one, rows

OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)


def keep(dsn: str, folder: Path, incident: str = "INC-1") -> dict[str, Any]:
    result = call("scout_evidence", dsn, folder=str(folder), incident=incident, budget_seconds=10)
    assert not result.get("failed"), result["msg"]
    assert result["warnings"] == []
    return result


def told(folder: Path, dsn: str | None = None, **options: Any) -> list[str]:
    """What verifying says is wrong."""
    result = call("scout_evidence_verify", dsn, folder=str(folder), **options)
    problems = [f"{problem['folder']} {problem['problem']}" for problem in result["problems"]]
    assert bool(problems) == bool(result.get("failed")), result
    return problems


def folders(base: Path, incident: str = "INC-1") -> list[Path]:
    return sorted(path for path in base.iterdir() if path.name.startswith(f"{incident}-"))


def rewrite(base: Path, sign_with: str | None = None) -> None:
    """The 25 lines: one file is exchanged, and each manifest, link and name made again so that they fit."""
    before: dict[str, str] | None = None
    for folder in folders(base):
        found, path = NAME.fullmatch(folder.name), folder / "manifest.json"
        assert found
        manifest = json.loads(path.read_text())
        if before is None:
            data = gzip.compress(b'{"pid":1,"role":"somebody else"}\n')
            (folder / "sessions.jsonl.gz").write_bytes(data)
            [entry] = [each for each in manifest["files"] if each["file"] == "sessions.jsonl.gz"]
            entry |= {"rows": 1, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest["previous"] = before
        if sign_with is not None:
            signed = {name: value for name, value in manifest.items() if name != "signature"}
            content = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            manifest["signature"] = signatures.sign("evidence", content)
        whole = json.dumps(manifest, indent=1) + "\n"
        path.write_text(whole)
        digest = hashlib.sha256(whole.encode()).hexdigest()
        name = f"{found['stem']}-{digest[:16]}"
        folder.rename(base / name)
        before = {"folder": name, "manifest_sha256": digest}


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The key of this controller."""
    made = tmp_path / "key"
    made.touch(mode=0o600)
    made.write_text(OLD)
    monkeypatch.setenv(signatures.KEY_FILE, str(made))
    return made


@pytest.fixture
def kept(scout_db: str, tmp_path: Path) -> Path:
    """Three snapshots of one incident, and one of another, without a key unless one was set."""
    base = tmp_path / "evidence"
    for incident in ("INC-1", "INC-1", "INC-1", "INC-2"):
        keep(scout_db, base, incident)
    return base


def test_a_file_with_all_manifests_and_names_is_rewritten(
    key: Path, kept: Path, scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(kept) == []
    assert told(kept, scout_db) == []
    rewrite(kept)
    assert [problem.split(" ", 1)[1] for problem in told(kept)] == [
        "is not to be believed: its signature is wrong"
    ] * 3, "with the signature that was there"
    # With a key of his own, and under the id of ours.
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_text(NEW)
    monkeypatch.setenv(signatures.KEY_FILE, str(other))
    rewrite(kept, sign_with=NEW)
    monkeypatch.setenv(signatures.KEY_FILE, str(key))
    found = told(kept)
    assert len(found) == 3
    assert all("is not to be believed: it is signed by key " in problem for problem in found)
    for folder in folders(kept):
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        del manifest["signature"]
        path.write_text(json.dumps(manifest))
    assert [problem for problem in told(kept) if "is not to be believed: it is not signed" in problem]


def test_without_a_key_the_ledger_tells_of_it(kept: Path, scout_db: str) -> None:
    rewrite(kept)
    assert told(kept) == [], "nothing else knows what was there"
    found = told(kept, scout_db)
    assert len(found) == 3
    assert all("of INC-1, as the ledger has it, is missing" in problem for problem in found)


def test_the_newest_an_incident_and_the_last_days_are_removed(kept: Path, scout_db: str, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(kept, earlier)
    missing = "as the ledger has it, is missing"
    for gone, expected in (
        (folders(kept)[2:], [f"number 3 of INC-1, {missing}"]),
        (folders(kept, "INC-2"), [f"number 3 of INC-1, {missing}", f"number 1 of INC-2, {missing}"]),
        (folders(kept)[1:2], [f"number {n} of INC-{i}, {missing}" for n, i in ((2, 1), (3, 1), (1, 2))]),
    ):
        for folder in gone:
            shutil.rmtree(folder)
        assert told(kept) == [], "what is left follows on, as it did on that day"
        assert [problem.split(" ", 1)[1] for problem in told(kept, scout_db)] == expected
    # Another snapshot takes the number of the one that was removed, and hides nothing.
    keep(scout_db, kept)
    assert len(told(kept, scout_db)) == 3
    shutil.rmtree(kept)
    assert len(told(kept, scout_db)) == 5, "nor is it hidden where all is gone"
    # A copy is known again by what its manifests say of where they were written; the last one came after it.
    assert [problem.split(" ", 1)[1] for problem in told(earlier, scout_db)] == [f"number 2 of INC-1, {missing}"]


def test_what_was_kept_elsewhere_is_counted(kept: Path, scout_db: str, tmp_path: Path) -> None:
    keep(scout_db, tmp_path / "another")
    result = call("scout_evidence_verify", scout_db, folder=str(kept))
    assert not result.get("failed"), result["msg"]
    assert f"1 more is recorded of {os.uname().nodename}:{tmp_path / 'another'}" in result["summary"]
    alone = call("scout_evidence_verify", scout_db, folder=str(folders(kept)[0]))
    assert not alone.get("failed"), alone["msg"]


def test_a_key_is_exchanged(key: Path, kept: Path, scout_db: str) -> None:
    key.write_text(f"{NEW}\n{OLD}\n")
    keep(scout_db, kept)
    assert told(kept, scout_db) == []
    key.write_text(NEW)
    assert len(told(kept, scout_db)) == 4


def test_evidence_is_kept_where_the_ledger_cannot_be_written(scout_db: str, tmp_path: Path) -> None:
    keep(scout_db, tmp_path)
    with connect(scout_db) as superuser:
        superuser.execute("BEGIN; LOCK TABLE scout_ops.evidence")
        result = call("scout_evidence", scout_db, folder=str(tmp_path), incident="INC-1", lock_timeout_seconds=0.2)
    assert result["number"] == 2
    [warning] = result["warnings"]
    assert "the ledger does not know of this evidence" in warning
    assert one(scout_db, "SELECT count(*) FROM scout_ops.evidence") == 1
    assert told(tmp_path, scout_db) == []
    keep(scout_db, tmp_path)
    assert rows(scout_db, "SELECT number FROM scout_ops.evidence ORDER BY number") == [(1,), (3,)]
    assert call("scout_evidence", scout_db, folder=str(tmp_path), ledger="off")["warnings"] == []


def test_check_writes_nothing(scout_db: str, tmp_path: Path) -> None:
    call("scout_evidence", scout_db, check=True, folder=str(tmp_path))
    assert one(scout_db, "SELECT to_regclass('scout_ops.evidence')") is None

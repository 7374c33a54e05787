# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of an incident through the playbooks: what an assessment keeps if asked, and a reset always."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage


def test_evidence_is_kept_and_verified(broken: Pipeline, stage: Stage) -> None:
    before = broken.fingerprint()
    played = stage.play("assess", broken.dsn, save_evidence=True, incident="INC-1")
    assert played.rc == 0, played.text
    assert played.recap()["changed"] == 0
    assert broken.fingerprint() == before
    folder = Path(played.result["evidence"])
    assert folder.parent == stage.evidence
    [health] = json.loads((folder / "health.json").read_bytes())
    assert health["verdict"] == played.result["verdict_before"]

    reset = stage.play("emergency_reset", broken.dsn, incident="INC-1")
    assert reset.rc == 0, reset.text
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    for kept in (folder, Path(reset.result["evidence"])):
        subprocess.run(check, cwd=kept, check=True)
    with (folder / "sessions.json").open("a") as file:
        file.write(" ")
    told = subprocess.run(check, cwd=folder, check=False, capture_output=True, text=True)
    assert (told.returncode, told.stdout.strip()) == (1, "sessions.json: FAILED")


def test_check_mode_keeps_nothing(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("assess", healthy.dsn, "--check", save_evidence=True)
    assert played.rc == 0, played.text
    assert not stage.evidence.exists()

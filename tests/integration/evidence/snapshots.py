# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps snapshots and reads them, for the tests of evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.modules import Result, call, one

EVIDENCE = "scout_evidence"


def keep(dsn: str, folder: Path, **options: Any) -> Result:
    """The result of a snapshot."""
    result = call(EVIDENCE, dsn, **{"folder": str(folder), "budget_seconds": 60, **options})
    assert not result.get("failed"), result
    return result


def section(result: Result, name: str) -> Any:
    """What a file of the snapshot has."""
    return json.loads(Path(result["folder"], f"{name}.json").read_bytes())


def names(result: Result) -> set[str]:
    """The sections of a snapshot."""
    return {entry["file"].removesuffix(".json") for entry in result["files"]}


def all_text(folder: Path) -> str:
    """Everything that is in all snapshots below a folder."""
    return "\n".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def arrive(dsn: str, payload: Any) -> str:
    """The id of an event that has just come."""
    query = "INSERT INTO scout.bronze_events (event_type, event_data) VALUES ('transaction.v1', %s) RETURNING event_id"
    return str(one(dsn, query, payload))

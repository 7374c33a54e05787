# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records what each module of a day of playbooks is given and returns, on the deployed reference.

python -m tests.e2e.records FILE    a line of JSON a module: playbook, module, options, result; scripts/compare-records compares two files
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.fixtures import RAN
from tests.e2e.in_process import REACHED, recorded
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.scout.fixtures import memory

EVENTS, BACKLOG = 600, 80
#: Ids, and what a folder of one run is called.
IDS = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|/[\w./-]*/(?:records_\w+|recovery/roles)")
#: And names made of a digest; words that have a digit, with their unit; how wide a table is.
CHANGING = re.compile(rf"{IDS.pattern}|\bbefore-\w+|[^\s'\"(),;=]*\d[^\s'\"(),;=]*(?: (?:ms|s|min|h|d|kB|MB)\b)?|\s+")

#: What depends on how long the machine took: what there was time to read, and how old things were by then.
BUSY = frozenset({"absent", "charts", "checks", "diagnoses", "files", "lines", "look", "reason", "table", "warnings"})

POISON = """
SELECT event_id FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id) ORDER BY ingested_at LIMIT 5
"""
LOADED = (
    "SELECT event_id FROM scout.bronze_events JOIN scout.etl_processed USING (event_id) ORDER BY ingested_at LIMIT 20"
)


def masked(value: Any) -> Any:
    """A result without what differs between two runs that are alike: of a number, whether it is 0."""
    if isinstance(value, dict):
        return {_text(key): "#" if key in BUSY else masked(each) for key, each in value.items() if key != "warnings"}
    if isinstance(value, list):
        return [masked(each) for each in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "#" if value else 0
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    return CHANGING.sub(lambda found: " " if found[0].isspace() else "#", text)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Options as they were given, without ids; what is the result of another module is masked as that is."""
    kept = {name: value for name, value in options.items() if name not in REACHED}
    return {
        name: masked(value)
        if isinstance(value, dict) or name in ("steps", "lease_token")
        else json.loads(IDS.sub("#", json.dumps(value)))
        for name, value in kept.items()
    }


class Day:
    """Playbooks one after the other on one pipeline, and a record of each module that they run."""

    def __init__(self, home: Path, dsn: str) -> None:
        self.stage, self.pipeline = Stage(home), Pipeline(dsn)
        self.records: list[list[Any]] = []

    def play(self, playbook: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        """What it came to."""
        played, ran = recorded(self.stage, playbook, self.pipeline.dsn, *(["--check"] if check else []), **options)
        named = f"{playbook}{' --check' if check else ''}"
        self.records += [[named, each.name, given(each.params), masked(each.result)] for each in ran]
        self.records.append([named, "", {"rc": played.rc}, masked(played.result)])
        return played.result

    def lived(self) -> None:
        """From a release through faults to a drain, moves and their undo."""
        self.play("preflight")
        self.play("capture_release", release="v1")
        for fault in (library.poison_event, library.negative_totals, library.gold_stale):
            fault(self.pipeline.dsn)
        self.play("assess", stuck_after_seconds=300, required_jobs=[])
        self.play(
            "acceptance_gate", smoke=True, thresholds={"backlog_events": {"ok": 10, "fail": 1000}}, warn_passes=True
        )
        self.play("pause_ingestion", incident="INC-1", time_zone="Asia/Manila")
        self.play("evidence", incident="INC-1", evidence_budget_seconds=600)
        self.play("resume_ingestion", incident="INC-1")
        poison = [str(event) for [event] in self.pipeline.rows(POISON)]
        loaded = [str(event) for [event] in self.pipeline.rows(LOADED)]
        self.play("quarantine", check=True, event_ids=poison + loaded, max_rows=5000)
        made = self.play("quarantine", event_ids=poison + loaded, incident="INC-1", compare_by="count")
        self.play("redrive", of_incident="INC-1", event_ids=loaded, max_rows=400)
        self.play("undo", check=True, run_id=made["move"]["run_id"])
        self.play("undo", run_id=made["move"]["run_id"], target_seconds=0.4)
        self.play("window_recovery", check=True, last="2h", stores=["101"])
        self.play("window_recovery", last="2h", max_rows=7000)
        self.play("quality_cleanup", last="30d", defects=["negative_total"])
        self.play("undo", run_id="last")
        self.play("emergency_reset", check=True)
        self.play("emergency_reset", stuck_after_seconds=30, poison="quarantine")
        self.play("emergency_reset", resume=False, poison="stop")
        self.play("resume_ingestion")
        self.play("terminate_sessions", stuck_after_seconds=60)
        self.play("refresh_gold")
        self.pipeline.execute("ALTER TABLE scout.alerts ADD COLUMN team text")
        self.play("rollback", check=True, release="v1")
        made = self.play("rollback", release="v1", rehearse=False)
        self.play("undo", run_id=made["rollback"]["schema"]["undo"], rehearse=False)
        self.play("dead_letters", last="7d")
        self.play("runs", of_incident="INC-1")
        self.play("incident_report", incident="INC-1", report_dir=str(self.stage.home / "reports"))


def main(file: Path) -> None:
    """One day."""
    with tempfile.TemporaryDirectory(prefix="records_") as home, Server(folder=memory()) as server:
        day = Day(Path(home), builder.build(server.create_database("day"), "deployed", EVENTS, pending=BACKLOG))
        day.pipeline.execute(RAN)
        try:
            day.lived()
        finally:
            file.write_text("".join(f"{json.dumps(record, sort_keys=True)}\n" for record in day.records))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

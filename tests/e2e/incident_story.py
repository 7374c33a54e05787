# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An incident as it happens: opened, reset, watched, quarantined, noted, told and closed, all with the playbooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage

TITLE = "The loader stands still, and sales of two days are missing in silver"
CAUSE = "A till in Makati sends amounts as text. The loader takes the oldest events first, so one such event stops all others."
STORY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("incident_open", {"incident": "INC-2041", "title": TITLE, "severity": "high", "next_update_minutes": 30}),
    ("assess", {}),
    ("incident_note", {"text": "Store managers see yesterday's figures; three stores have called."}),
    ("emergency_reset", {}),
    ("acceptance_gate", {"warn_passes": True}),
    ("quarantine", {"window_start": "{start}", "window_end": "{end}"}),
    ("incident_update", {"text": "It runs again; the events of one till are quarantined", "next_update_minutes": 60}),
    ("incident_note", {"root_cause": CAUSE}),
    ("acceptance_gate", {"warn_passes": True}),
    ("incident_close", {"force": True}),
)


def play(stage: Stage, pipeline: Pipeline, story: tuple[tuple[str, Mapping[str, Any]], ...] = STORY) -> list[Played]:
    """All of it; the window is that of some of the oldest events that were loaded."""
    start, end = pipeline.rows(
        "SELECT min(ingested_at), max(ingested_at) FROM (SELECT ingested_at FROM scout.bronze_events AS b "
        "JOIN scout.etl_processed USING (event_id) ORDER BY ingested_at LIMIT 40) AS oldest"
    )[0]
    window = {"{start}": start.isoformat(), "{end}": end.isoformat()}
    played = []
    for playbook, options in story:
        if playbook == "acceptance_gate":
            pipeline.link_and_wait()
        given = {name: window.get(value, value) if isinstance(value, str) else value for name, value in options.items()}
        played.append(stage.play(playbook, pipeline.dsn, **given))
        assert played[-1].rc == 0, played[-1].text
    return played

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead letter queue from the command line, after a reset has quarantined what could not be loaded."""

from __future__ import annotations

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

UNRESOLVED = "SELECT count(*) FROM scout.bronze_events_dlq WHERE resolved_at IS NULL"


def test_what_a_reset_has_quarantined(broken: Pipeline, stage: Stage) -> None:
    """The list says how to redrive them, and changes nothing."""
    assert stage.play("emergency_reset", broken.dsn, incident="INC-2041").rc == 0
    before = broken.fingerprint()
    played = stage.play("dead_letters", broken.dsn)
    assert (played.rc, played.result["outcome"], played.recap()["changed"]) == (0, "unchanged", 0), played.text
    queue = played.result["dead_letters"]
    assert queue["entries"] == broken.one(UNRESOLVED) == 3
    assert sum(queue["ages"].values()) == 3
    assert {group["sample"]["incident"] for group in queue["groups"]} == {"INC-2041"}
    assert "dead letters by age: 3 of the last hour" in played.text
    assert "incident INC-2041" in played.text
    assert (
        "next once the cause is fixed, ansible-playbook scout.recovery.redrive -e scout_error_codes=" in played.summary
    )
    [redrive] = [command for command in played.result["commands"] if "scout.recovery.redrive" in command]
    _, *options = redrive.split(" -e ")
    selected = stage.play("redrive", broken.dsn, "--check", **dict(option.split("=", 1) for option in options))
    assert selected.rc == 0, selected.text
    assert "3 back in bronze" in selected.summary
    [listing] = [
        command for command in stage.play("assess", broken.dsn).result["commands"] if "dead_letters" in command
    ]
    assert listing == "ansible-playbook scout.recovery.dead_letters"
    planned = stage.play("dead_letters", broken.dsn, "--check", error_codes="NO_SUCH")
    assert (planned.rc, planned.result["dead_letters"]["entries"]) == (0, 0), planned.text
    assert broken.fingerprint() == before


def test_without_a_queue_it_says_so(healthy: Pipeline, stage: Stage) -> None:
    healthy.execute("DROP TABLE scout.bronze_events_dlq CASCADE")
    played = stage.play("dead_letters", healthy.dsn)
    assert (played.rc, played.result["outcome"], played.result["dead_letters"]) == (2, "failed", None), played.text
    assert "there is no such table" in played.summary

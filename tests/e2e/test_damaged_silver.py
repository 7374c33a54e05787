# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silver that is wrong where its events are sound: the screen leads to the window, and following it loses nothing."""

from __future__ import annotations

import shlex

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import silver_is_what_bronze_makes
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.integration.outcomes import scout_tables

WINDOW = "ansible-playbook playbooks/window_recovery.yml"


def test_the_window_is_advised_and_recovers_all_of_it(healthy: Pipeline, stage: Stage) -> None:
    library.lost_window(healthy.dsn)
    letters = scout_tables(healthy.dsn)["scout.bronze_events_dlq"]
    assessed = stage.play("assess", healthy.dsn)
    causes = [diagnosis["cause"] for diagnosis in assessed.result["diagnoses"]]
    assert any(cause.startswith("silver has lost or altered ") for cause in causes), causes
    reset = stage.play("emergency_reset", healthy.dsn)
    assert reset.rc == 2, reset.text
    # Which of the lost sales has lost its lines is chance: without a critical one there is nothing that a pause would keep from.
    blocked = bool(reset.result["blockers"])
    assert reset.result["ingestion"] == ("paused" if blocked else "running"), reset.text
    [command] = {line for line in reset.result["next"] if line.startswith(WINDOW)}
    assert "quality_cleanup" not in assessed.text + reset.text
    window = dict(word.split("=", 1) for word in shlex.split(command)[2:] if word != "-e")
    recovered = stage.play("window_recovery", healthy.dsn, **window)
    assert recovered.rc == 0, recovered.text
    assert silver_is_what_bronze_makes(healthy.dsn) == {}
    assert scout_tables(healthy.dsn)["scout.bronze_events_dlq"] == letters
    resumed = stage.play("emergency_reset", healthy.dsn)
    assert (resumed.rc, resumed.result["ingestion"]) == (0, "running"), resumed.text

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

WINDOW = "ansible-playbook scout.recovery.window_recovery"


def test_the_window_is_advised_and_recovers_all_of_it(healthy: Pipeline, stage: Stage) -> None:
    # At night an hour has few sales; those that are damaged have to be of the last one, whose alerts keep from resuming.
    library.backlog(healthy.dsn, 100, age_seconds=1800)
    healthy.execute("SELECT FROM scout.load_silver_from_bronze(NULL)")
    library.lost_window(healthy.dsn)
    letters = scout_tables(healthy.dsn)["scout.bronze_events_dlq"]
    assessed = stage.play("assess", healthy.dsn)
    causes = [diagnosis["cause"] for diagnosis in assessed.result["diagnoses"]]
    assert any(cause.startswith("silver has lost or altered ") for cause in causes), causes
    reset = stage.play("emergency_reset", healthy.dsn)
    assert (reset.rc, reset.result["ingestion"]) == (2, "paused"), (assessed.text, reset.text)
    [command] = {line for line in reset.result["next"] if line.startswith(WINDOW)}
    assert "quality_cleanup" not in assessed.text + reset.text
    window = dict(word.split("=", 1) for word in shlex.split(command)[2:] if word != "-e")
    recovered = stage.play("window_recovery", healthy.dsn, **window)
    assert recovered.rc == 0, recovered.text
    assert silver_is_what_bronze_makes(healthy.dsn) == {}
    assert scout_tables(healthy.dsn)["scout.bronze_events_dlq"] == letters
    resumed = stage.play("emergency_reset", healthy.dsn)
    assert (resumed.rc, resumed.result["ingestion"]) == (0, "running"), resumed.text

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole field of actions as scout_operator, on a pipeline that a superuser owned until docs/pipeline_owner.sql."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.security.roles import drop_roles

BAD_RELEASE = "ALTER TABLE scout.alerts ADD COLUMN team text"

SPOILED = """
UPDATE scout.silver_transactions SET total_amount = -1
WHERE transaction_id = (SELECT min(transaction_id) FROM scout.silver_transactions)
"""
SPOILED_AT = """
SELECT to_char(date_trunc('minute', event_ts AT TIME ZONE 'UTC'), 'YYYY-MM-DD"T"HH24:MI"Z"'),
       to_char(date_trunc('minute', event_ts AT TIME ZONE 'UTC') + interval '1 minute', 'YYYY-MM-DD"T"HH24:MI"Z"')
FROM scout.bronze_events JOIN scout.silver_transactions ON source_event_id = event_id WHERE total_amount = -1
"""
OWNERS = "SELECT pg_get_userbyid(proowner)::text FROM pg_proc WHERE pronamespace = 'scout'::regnamespace"


@pytest.fixture
def operator(deployed_db: str) -> Iterator[str]:
    """The dsn of the role that both scripts make, with the rights of a rollback."""
    yield builder.operator(deployed_db, rollback=True)
    drop_roles(deployed_db, "scout_operator", "scout_owner")


def went_well(played: Played) -> Played:
    assert played.rc == 0, played.text
    assert "GRANT" not in played.text
    return played


def test_the_whole_field_of_actions(
    deployed_db: str, operator: str, stage: Stage, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(deployed_db)
    monkeypatch.setenv("SCOUT_ALLOW_SUPERUSER", "0")
    jobs, events = pipeline.active_jobs(), pipeline.events()
    env = {"SCOUT_ALLOW_SUPERUSER": "0"}
    assert "nothing is missing" in went_well(stage.play("preflight", operator, env=env)).text
    went_well(quick.play("capture_release", operator, release="v5.2.1"))
    library.poison_event(deployed_db, "bad_ts")
    library.backlog(deployed_db, 50)
    with library.stuck_etl(builder.pipeline_owner(deployed_db), "idle_in_transaction") as stuck:
        pipeline.rows("SELECT pg_sleep(1.1)")
        went_well(stage.play("emergency_reset", operator, env=env, stuck_after_seconds=1, ledger="required"))
        assert not stuck.alive()
    assert (pipeline.pending(), pipeline.active_jobs()) == (0, jobs)
    ids = pipeline.rows("SELECT event_id::text FROM scout.etl_processed ORDER BY event_id LIMIT 5")
    moved = went_well(quick.play("quarantine", operator, event_ids=[row[0] for row in ids], incident="INC-1"))
    went_well(quick.play("undo", operator, run_id=moved.result["move"]["run_id"]))
    went_well(quick.play("quarantine", operator, event_ids=[row[0] for row in ids], incident="INC-2"))
    went_well(quick.play("redrive", operator, of_incident="INC-2"))
    library.negative_totals(deployed_db, 3)
    went_well(quick.play("quality_cleanup", operator))
    pipeline.execute(SPOILED)
    window = pipeline.rows(SPOILED_AT)[0]
    went_well(quick.play("window_recovery", operator, window_start=window[0], window_end=window[1]))
    went_well(quick.play("refresh_gold", operator))
    pipeline.execute(BAD_RELEASE)
    went_well(stage.play("rollback", operator, env=env, release="v5.2.1", rehearse=False))
    assert pipeline.active_jobs() == jobs
    assert set(pipeline.rows(OWNERS)) == {("scout_owner",)}
    # What was redriven is in bronze again, and its entry is kept, resolved.
    assert {event for [event] in pipeline.unaccounted(events)} <= {UUID(event) for [event] in ids}

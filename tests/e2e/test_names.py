# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All our variables begin with scout_, or with the name of a role; what an inventory has by any other name is somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.test_own_plays import JOBS, paused

#: What anybody may have in the variables of a group, for purposes of their own.
ANYBODYS: dict[str, Any] = {
    "last": "7d",
    "force": True,
    "resume": "maybe",
    "mode": "all",
    "reason": "x",
    "target": "other",
    "serial": 1,
    "text": "{{ nobody.knows }}",
    "pause": "perhaps",
    "drain": False,
    "refresh": "never",
    "rules": {"a": 1},
    "release": 12,
    "stores": ["nowhere"],
    "max_rows": 1,
    "incident": "x'; --",
    "ledger": "lost",
    "takeover": "maybe",
    "result_file": "/nowhere/at/all.json",
    "budget_seconds": "soon",
    "time_zone": "Mars",
    "poison": "kill",
    "require_tls": True,
    "allow_superuser": "who",
    "allow_owner": "who",
    "rate_per_second": "fast",
}
#: Several resets in one test need no run of each job.
QUIET = {"scout_proof": False}


def came_to(made: dict[str, Any]) -> tuple[str, Any, list[tuple[str, bool]]]:
    """What is said of a host that does not depend on when and where it ran."""
    move: dict[str, Any] = made.get("move") or {}
    steps = [(step["name"], step["changed"]) for step in made["steps"]]
    return made["outcome"], (made["ingestion"], move.get("moved")), steps


def options_of(playbook: str, *alike: Pipeline) -> dict[str, Any]:
    """What is typed for it."""
    if playbook == "quarantine":
        rows = alike[0].rows("SELECT event_id::text FROM scout.etl_processed ORDER BY event_id LIMIT 40")
        return {"event_ids": [row[0] for row in rows]}
    if playbook == "window_recovery":
        for pipeline in alike:
            pipeline.execute(
                "DELETE FROM scout.silver_transactions WHERE transaction_id IN "
                "(SELECT transaction_id FROM scout.silver_transactions ORDER BY 1 LIMIT 5)"
            )
        return {"window_start": "2000-01-01T00:00Z"}
    return {}


@pytest.mark.parametrize("playbook", ["assess", "pause_ingestion", "emergency_reset", "quarantine", "window_recovery"])
def test_a_variable_of_anybodys_has_no_effect(
    playbook: str, another_broken: Callable[[], Pipeline], stage: Stage
) -> None:
    without, has = another_broken(), another_broken()
    inventory = stage.inventory({"without": {"scout_dsn": without.dsn}, "has": {"scout_dsn": has.dsn}}, **QUIET)
    with Path(inventory).open("a") as file:
        file.write(yaml.safe_dump({"theirs": {"hosts": {"has": {}}, "vars": ANYBODYS}}))
    played = stage.play(playbook, None, "-i", inventory, **options_of(playbook, without, has))
    assert played.rc == 0, played.text
    assert came_to(played.results["has"]) == came_to(played.results["without"])


def test_a_variable_of_an_inventory_is_its_hosts_and_what_is_typed_goes_before_it(
    another_broken: Callable[[], Pipeline], stage: Stage
) -> None:
    stays, goes_on = another_broken(), another_broken()
    hosts = {"stays": {"scout_dsn": stays.dsn, "scout_resume": False}, "goes_on": {"scout_dsn": goes_on.dsn}}
    inventory = stage.inventory(hosts, **QUIET)
    played = stage.play("emergency_reset", None, "-i", inventory)
    assert played.rc == 0, played.text
    assert (paused(stays), paused(goes_on)) == (True, False)
    assert stage.play("emergency_reset", None, "-i", inventory, "--limit", "stays", resume=True).rc == 0
    assert not paused(stays)
    assert stage.play("pause_ingestion", goes_on.dsn).rc == 0
    assert stage.play("emergency_reset", None, "-i", inventory, "--limit", "goes_on", resume=False).rc == 0
    assert paused(goes_on)


def test_who_imports_a_playbook_says_it_too(broken: Pipeline, stage: Stage) -> None:
    site = stage.home / "site.yml"
    imported = {"ansible.builtin.import_playbook": "scout.recovery.emergency_reset", "vars": {"scout_resume": False}}
    site.write_text(yaml.safe_dump([imported]))
    inventory = stage.inventory({"one": {"scout_dsn": broken.dsn}}, **QUIET, scout_resume=True)
    played = stage.play(str(site), None, "-i", inventory)
    assert played.rc == 0, played.text
    assert paused(broken)
    assert broken.active_jobs().isdisjoint(JOBS)

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: who may write the ledger plants a run that was broken off, or an open incident, whose command an operator pastes."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.integration.modules import Result, call, connect

RUN = "00000000-0000-4000-8000-000000000001"
BROKEN_OFF = """
INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller, asked, effects, status)
VALUES (%s, %s, 'adhoc', 'maria@laptop', 'laptop', %s, '{"moved": {"events": 1}}', 'stopped')
"""
EVIL = "x'; touch ran; echo '\n$(touch ran)"


def planted(dsn: str, statement: str, *values: Any) -> Result:
    """What an assessment says of it."""
    call("scout_ingestion", dsn, state="paused")
    call("scout_ingestion", dsn, state="running")
    with connect(dsn) as attacker:
        attacker.execute(statement, values)  # type: ignore[call-overload]
    return call("scout_health_info", dsn)


def advised(assessed: Result) -> dict[str, Any]:
    """What is advised about the planted run."""
    [found] = [each for each in assessed["diagnoses"] if RUN in each["cause"]]
    return found


def test_a_value_stays_one_word_of_the_command(scout_db: str) -> None:
    [command] = advised(planted(scout_db, BROKEN_OFF, RUN, "quarantine", Jsonb({"transactions": [EVIL]})))["commands"]
    words = shlex.split(command)
    assert words[:3] == ["ansible-playbook", "scout.recovery.quarantine", "-e"]
    assert [json.loads(word) for word in words[3:]] == [{"scout_transactions": [EVIL]}]
    assert "\n" not in command


@pytest.mark.parametrize("action", ["quarantine", "cleanup", "redrive", "undo", "window_recovery"])
def test_no_variable_is_offered_that_the_action_does_not_have(scout_db: str, action: str) -> None:
    """Such a one may name the program that Ansible runs."""
    asked = {"ansible_python_interpreter": "/tmp/evil", "scout_dsn": "host=evil"}
    found = advised(planted(scout_db, BROKEN_OFF, RUN, action, Jsonb(asked)))
    assert "evil" not in json.dumps(found)
    assert found["commands"] == [f"ansible-playbook scout.recovery.undo -e scout_run_id={RUN}"]

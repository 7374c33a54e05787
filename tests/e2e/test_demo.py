# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration keeps its promises, says so on screens of 80 columns, and fails where a promise does not hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import CHECKOUT
from tests.door import Door
from tests.e2e.screens import holds, misses, screens_of, shows
from tests.scout import demo

SMALL = ("--events", "2000", "--backlog", "300")
PROMISES = 12
TYPED = ["assess", "emergency_reset", "assess", "emergency_reset"]


@pytest.fixture(scope="module")
def screens() -> str:
    """What a small demonstration writes where nobody looks at it with colours."""
    return screens_of("demo", *SMALL)


def results(name: str) -> dict[str, Any]:
    return json.loads((CHECKOUT / demo.STATE / f"{name}.json").read_text(encoding="utf-8"))


def test_what_it_shows(screens: str, subtests: pytest.Subtests) -> None:
    shows(screens, PROMISES, TYPED, subtests)
    assert "Every promise held" in screens
    shown = re.findall(r"^\$ (\S+)", screens, re.MULTILINE)
    assert shown == [".", "export", "export", *["ansible-playbook"] * 4]


def test_every_promise_holds_where_the_pipeline_is_as_deployed(door: Door) -> None:
    assert holds(screens_of("demo", *SMALL, "--variant", "deployed", door=door)) == PROMISES


def test_results_follow_their_schema(screens: str) -> None:
    schema = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
    for name in ("broken", "reset", "recovered", "again"):
        jsonschema.validate(results(name), schema)
    assert len(results("reset")["results"][0]["poison"]) == len(demo.POISON)


def test_a_promise_that_does_not_hold_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], door: Door, pg_server: Server, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "_reset", lambda *_: None)
    monkeypatch.setattr(demo, "_reset_again", lambda *_: None)
    story = replace(demo.STORY, state=tmp_path)
    said = misses(story, list(SMALL), monkeypatch, capsys, door=door, server=pg_server)
    assert "NO 304 events wait for the ETL" in said
    assert "NO 0 of 3 poison events are in the dead letter queue" in said


def test_shell_without_a_demonstration_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pg_server: Server
) -> None:
    monkeypatch.setattr(demo, "persistent", lambda: pg_server)
    monkeypatch.setattr(demo, "DATABASE", "never_made")
    assert demo.main(["psql"]) == 1
    assert "make it with: make demo" in capsys.readouterr().err

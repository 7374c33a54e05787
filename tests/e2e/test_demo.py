# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration keeps its promises, says so on screens of 80 columns, and fails where a promise does not hold."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import CHECKOUT
from tests.e2e.screens import holds, is_plain, screens_of
from tests.scout import demo

SMALL = ("--events", "2000", "--backlog", "300")
PROMISES = 12


@pytest.fixture(scope="module")
def screens() -> str:
    """What a small demonstration writes where nobody looks at it with colours."""
    return screens_of("demo", *SMALL)


def results(name: str) -> dict[str, Any]:
    return json.loads((CHECKOUT / demo.STATE / f"{name}.json").read_text(encoding="utf-8"))


def test_every_promise_holds(screens: str) -> None:
    assert holds(screens) == PROMISES
    assert "Every promise held" in screens


def test_every_promise_holds_where_the_pipeline_is_as_deployed() -> None:
    assert holds(screens_of("demo", *SMALL, "--variant", "deployed")) == PROMISES


def test_screens_are_for_80_columns_without_colour_or_emoji(screens: str) -> None:
    assert is_plain(screens)
    assert not re.search(r"[\U0001F000-\U0001FAFF\u2600-\u27BF]", screens)


def test_commands_shown_are_those_a_person_types(screens: str) -> None:
    shown = re.findall(r"^\$ (.*)$", screens.replace(" \\\n   ", ""), re.MULTILINE)
    assert [line.split()[0] for line in shown] == [".", "export", "export", *["ansible-playbook"] * 4]
    assert all((CHECKOUT / line.split()[1]).is_file() for line in shown if line.startswith("ansible-playbook"))


def test_the_page_of_the_reset_shows_such_a_screen(screens: str) -> None:
    page = (CHECKOUT / "docs" / "emergency-reset.md").read_text(encoding="utf-8")
    shown, found = (
        re.search(r"^emergency reset of.*?\n(?=```|\n)", text, re.DOTALL | re.MULTILINE) for text in (page, screens)
    )
    assert shown
    assert found
    labels = re.compile(r"^  (\w+) ", re.MULTILINE)
    assert labels.findall(shown[0]) == labels.findall(found[0])


def test_results_follow_their_schema(screens: str) -> None:
    schema = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text(encoding="utf-8"))
    for name in ("broken", "reset", "recovered", "again"):
        jsonschema.validate(results(name), schema)
    assert len(results("reset")["results"][0]["poison"]) == len(demo.POISON)


def test_a_promise_that_does_not_hold_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_reset", lambda *_: None)
    monkeypatch.setattr(demo, "_reset_again", lambda *_: None)
    assert demo.main(list(SMALL)) == 1
    said = capsys.readouterr().out
    assert "   NO   304 events wait for the ETL" in said
    assert "   NO   0 of 3 poison events are in the dead letter queue" in said
    assert "do not hold" in said


def test_shell_without_a_demonstration_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pg_server: Server
) -> None:
    monkeypatch.setattr(demo, "persistent", lambda: pg_server)
    monkeypatch.setattr(demo, "DATABASE", "never_made")
    assert demo.main(["psql"]) == 1
    assert "make it with: make demo" in capsys.readouterr().err

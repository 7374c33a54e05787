# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault of the toolkit itself says where it happened, what to do, and which file has the traceback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import text
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from tests.unit.summary.test_summary import START, on_screen, story


def divides(_call: Any, params: dict[str, Any]) -> dict[str, Any]:
    """What breaks a function that nobody gives this to."""
    return {"rows": text.in_words(params["token"])}


def test_a_fault_of_ours_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = invoke.invoke(divides, "scout_drain", {"token": "hunter2"}, check=False)
    assert (result["failed"], result["error"]["kind"]) == (True, "unexpected")
    assert re.search(r"scout_drain broke off because of a fault in it, at \S*text.py line \d+, in \w+", result["msg"])
    (kept,) = tmp_path.iterdir()
    assert str(kept) in result["error"]["next_step"]
    assert oct(kept.stat().st_mode)[-3:] == "600"
    assert kept.read_text().startswith("Traceback (most recent call last):")
    screen = on_screen(render.lines(story({**START, "drain": result})))
    assert "-vvv" not in screen
    assert result["error"]["commands"] == [render.ASSESS]


def test_its_traceback_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def tells(_call: Any, params: dict[str, Any]) -> dict[str, Any]:
        raise LookupError(params["token"])

    result = invoke.invoke(tells, "scout_notify", {"token": "hunter2"}, check=False)
    (kept,) = tmp_path.iterdir()
    assert "hunter2" not in kept.read_text() + str(result)


def test_where_it_cannot_be_kept_there_is_still_what_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    result = invoke.invoke(divides, "scout_drain", {"token": "x"}, check=False)
    assert "please report this with what stands here" in result["msg"]

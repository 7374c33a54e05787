# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How backlog and gold went since the live screen began, drawn, or in words, and what is typed where a session blocks others."""

from __future__ import annotations

import io
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.plugin_utils.command import keys, live


def seen(events: int | None, *gold: float | None, blocking: bool = False) -> dict[str, Any]:
    ages = {"gold": [{"view": "v", "seconds": each} for each in gold]}
    return {"backlog": {"events": events}, "ages": ages, "blocking": [{"pid": 1}] if blocking else []}


def test_the_first_look_has_no_trend_and_each_host_has_its_own() -> None:
    trend = live.Trend(plain=False)
    assert trend.lines("luzon", seen(10, 60.0)) == []
    assert trend.lines("visayas", seen(900)) == []
    assert trend.lines("luzon", seen(1200, 120.0)) == ["  trend         backlog ▁█ 10 to 1,200; gold ▁█ 1 min to 2 min"]


def test_it_is_drawn_from_the_lowest_to_the_highest_and_kept_short() -> None:
    trend = live.Trend(plain=False)
    for events in (1000, *range(live.LOOKS - 1)):
        trend.lines("a", seen(events))
    [line] = trend.lines("a", seen(28))
    assert line.startswith("  trend         backlog ▁▁")
    assert line.endswith("██ 0 to 28")
    assert sum(sign in live.BARS for sign in line) == live.LOOKS


def test_what_does_not_change_is_flat_and_what_is_unknown_is_left_out() -> None:
    trend = live.Trend(plain=False)
    for each in (seen(5, None), seen(None, None), seen(5, None)):
        lines = trend.lines("a", each)
    assert lines == ["  trend         backlog ▁▁ 5 to 5"]


def test_for_a_reader_of_screens_it_is_words() -> None:
    trend = live.Trend(plain=True)
    trend.lines("a", seen(10))
    assert trend.lines("a", seen(20)) == ["  trend         backlog 10 to 20"]


def test_a_blocked_session_names_the_command_that_ends_what_blocks_it() -> None:
    trend = live.Trend(plain=False)
    assert trend.lines("a", seen(None, blocking=True)) == ["  type          scout terminate --check"]
    assert trend.lines("b", seen(None, blocking=True), several=True) == ["  type          scout terminate --check -l b"]


def test_a_command_that_is_shown_is_for_what_is_looked_at() -> None:
    passed = ["-i", "my hosts.yml", "-e", "scout_password=secret"]
    assert live.typed("scout pause", passed, []) == ["scout pause -i 'my hosts.yml' -e 'scout_password=***'"]
    assert live.typed("scout pause", [], ["luzon", "panay"]) == ["scout pause -l luzon", "scout pause -l panay"]
    assert live.typed("scout pause", [], [*"abcd"]) == ["scout pause -l HOST"]


def test_without_a_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("q"))
    with keys.listening(wanted=True) as pressed:
        assert (pressed.there, pressed.wait(0.01), pressed.ended) == (False, False, False)

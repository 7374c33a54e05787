# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line for each phase: in place on a terminal, once elsewhere, never cut within a word, never silent."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.scout.recovery.plugins.plugin_utils import phases
from tests.e2e.terminal import Terminal


class Screen:
    """A board, and what it printed for good."""

    def __init__(self, *, live: bool = False, plain: bool = False, width: int = 79) -> None:
        self.lines: list[str] = []
        self.board = phases.Board(
            lambda text, _: self._print(text), threading.RLock(), lambda: width, live=live, plain=plain
        )
        self.live = live

    def _print(self, text: str) -> None:
        self.lines.append(text)
        if self.live:
            print(text)


def reset(board: phases.Board) -> None:
    """Three phases of one host, of which the second has two steps, and the last fails."""
    for name, texts in {"check": ["options, lease"], "load": ["", "loaded 1,200 events in 0.9 s"]}.items():
        for text in texts:
            board.begins("local", name, name)
            board.says("local", "loaded 300 of 1,200 events (25 %), 62/s, about 12 s left")
            board.ends("local", text, news=bool(text))
    board.begins("local", "gold", "Refresh gold")
    board.ends("local", "could not refresh gold: canceled", news=False, failed=True)
    board.closes("local")
    board.stops()


def test_a_phase_is_printed_once_when_it_is_over() -> None:
    screen = Screen()
    screen.board.head = ["emergency reset"]
    reset(screen.board)
    assert [" ".join(line.split()) for line in screen.lines] == [
        "emergency reset",
        "",
        "✓ check options, lease 0.0 s",
        "✓ load loaded 1,200 events 0.0 s",
        "✗ gold could not refresh gold: canceled 0.0 s",
    ]
    assert {len(line) for line in screen.lines[2:]} == {79}


def test_on_a_terminal_it_changes_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(live=True)
    reset(screen.board)
    sent = capsys.readouterr().out
    assert "◐ load      loaded 300 of 1,200 events ▕██░░░░░░░░▏ 62/s, about 12 s left" in sent
    shown = Terminal(80)
    shown.feed(sent.replace("\n", "\r\n"))
    assert [line.rstrip() for line in shown.lines if line] == screen.lines


def test_what_has_nothing_to_say_is_left_out_and_who_stops_is_told_where() -> None:
    screen = Screen()
    screen.board.begins("local", "sessions", "Terminate stuck sessions")
    screen.board.ends("local", "no stuck session", news=False)
    screen.board.begins("local", "load", "Drain the backlog")
    screen.board.says("local", "loaded 3 of 9 events")
    screen.board.stops("interrupted")
    assert [" ".join(line.split()) for line in screen.lines] == ["✗ load interrupted: loaded 3 of 9 events 0.0 s"]

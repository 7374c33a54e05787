# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line for each phase: in place on a terminal, once elsewhere, never cut within a word, never silent."""

from __future__ import annotations

import re
import threading
import time

import pytest

from ansible_collections.scout.recovery.plugins.plugin_utils import phases
from tests import CHECKOUT
from tests.e2e.terminal import Terminal

TITLE = re.compile(r"\(\d+/\d+\) ([^\"|\n]+)")


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
    screen.board.head = ["scout reset"]
    reset(screen.board)
    assert [" ".join(line.split()) for line in screen.lines] == [
        "scout reset",
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


def test_words_stand_for_signs() -> None:
    screen = Screen(plain=True)
    reset(screen.board)
    assert [line.split()[0] for line in screen.lines] == ["done", "done", "failed"]
    assert "".join(screen.lines).isascii()


def test_what_has_nothing_to_say_is_left_out_and_who_stops_is_told_where() -> None:
    screen = Screen()
    screen.board.begins("local", "sessions", "Terminate stuck sessions")
    screen.board.ends("local", "no stuck session", news=False)
    screen.board.begins("local", "load", "Drain the backlog")
    screen.board.says("local", "loaded 3 of 9 events")
    screen.board.stops("interrupted")
    assert [" ".join(line.split()) for line in screen.lines] == ["✗ load interrupted: loaded 3 of 9 events 0.0 s"]


def test_several_hosts_are_named_and_many_have_each_phase_once() -> None:
    few, many = Screen(), Screen()
    few.board.named = many.board.many = True
    for board in (few.board, many.board):
        for host in ("luzon", "panay"):
            board.begins(host, "load", "Drain the backlog")
        for host in ("luzon", "panay"):
            board.ends(host, "loaded 3 events", news=True)
            board.closes(host)
        board.stops()
    assert [" ".join(line.split()[:5]) for line in few.lines] == [
        "✓ load [luzon] loaded 3",
        "✓ load [panay] loaded 3",
    ]
    assert [" ".join(line.split()) for line in many.lines] == ["· load Drain the backlog"]


def test_silence_is_broken_where_nothing_changes_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(phases, "TICK_SECONDS", 0.01)
    screen = Screen()
    screen.board.begins("local", "prove", "Prove it")
    deadline = time.monotonic() + 20
    while len(screen.lines) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    screen.board.stops()
    assert len(screen.lines) >= 3
    assert all(line.startswith(" ◐ prove     Prove it") for line in screen.lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("loaded 1,200 events", "loaded 1,200 events"),
        ("kept 11 files in evidence/adhoc-1234567890", "kept 11 files"),
        ("loaded 9 events (3 kinds (22P02) of them)", "loaded 9 events"),
        ("could not say insufficient things", "could not say …"),
        ("a" * 40, "a" * 24 + "…"),
    ],
)
def test_no_word_is_cut_in_two_that_fits_a_line(text: str, shown: str) -> None:
    assert phases.fit(text, 25) == shown


def test_each_module_and_each_phase_has_a_short_word() -> None:
    modules = {path.stem for path in (CHECKOUT / "plugins" / "action").glob("scout_*.py")} - {"scout_summary"}
    titles = [
        title.strip()
        for folder in ("playbooks", "roles", "drills/playbooks")
        for path in (CHECKOUT / folder).rglob("*.yml")
        for title in TITLE.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(titles) > 60
    for title in titles:
        for module in modules:
            word = phases.label(f"scout.recovery.{module}", title)
            assert 0 < len(word) <= phases.LABEL, (module, title)
    assert phases.label("scout.recovery.scout_ingestion", "Resume ingestion") == "resume"
    assert phases.label("scout.recovery.scout_ingestion", "Pause ingestion") == "pause"
    assert phases.label("scout.recovery.scout_undo", "Plan") == "plan"

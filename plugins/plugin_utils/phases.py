# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a run, a line each: changed in place on a terminal, printed once when it is done elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import threading
import time
import typing as t

from ..module_utils.recovery.core.text import in_words
from ..module_utils.recovery.summary import layout

if t.TYPE_CHECKING:
    from collections.abc import Callable

#: What a phase is called, by the module that does most of it; of scout_ingestion and of moves its title decides.
LABELS: t.Final = {
    "options": "check",
    "preflight_info": "check",
    "begin": "check",
    "lease": "check",
    "health_info": "assess",
    "report_info": "report",
    "evidence": "evidence",
    "ingestion": "pause",
    "terminate_sessions": "sessions",
    "drain": "load",
    "refresh_gold": "gold",
    "proof": "prove",
    "gate_info": "gate",
    "notify": "notify",
    "capture": "capture",
    "rollback": "schema",
    "edge_function": "function",
    "runs_info": "runs",
    "dead_letters_info": "dlq",
    "quarantine": "move",
    "cleanup": "move",
    "redrive": "redrive",
    "window_recovery": "rebuild",
    "undo": "undo",
    "drill": "drill",
}
#: What a check looked at, where its result says something else.
CHECKED: t.Final = {
    "options": "options",
    "preflight_info": "options, privileges",
    "begin": "options, privileges, lease, state",
    "lease": "lease",
}
#: Phases that are news only where they changed something, or failed.
QUIET: t.Final = (*("Terminate stuck sessions", "Complete the pause", "Assess the pipeline again", "Look for what"),)
#: Modules whose lines are what is asked for, each to be read.
LOGGED: t.Final = frozenset({"drill"})
#: How a phase stands, for the eye and, with SCOUT_OUTPUT=plain, in a word.
GLYPHS: t.Final = {"done": "✓", "failed": "✗", "now": "◐", "begun": "·"}
WORDS: t.Final = {"done": "done   ", "failed": "failed ", "now": "now    ", "begun": "begun  "}
LABEL: t.Final = 9
#: Never silent for five seconds, with what it takes to notice.
SILENCE_SECONDS: t.Final = 4.0
TICK_SECONDS: t.Final = 0.5
BAR: t.Final = 10
PACE: t.Final = re.compile(r"(.+?) ([\d,]+) of ([\d,]+) (\S+) \((\d+) %\)(?:, (.*))?")
#: A time stands at the end of the line.
TOOK: t.Final = re.compile(r" in [\d.]+ (?:ms|s)\b| \([\d.]+ s\)$")
#: What a line does without where it is too long.
IN_BRACKETS: t.Final = re.compile(r" \([^()]*(?:\([^()]*\)[^()]*)*\)$")
IN_A_FOLDER: t.Final = re.compile(r" in \S*/\S*$")
NARROWEST: t.Final = 40


def label(action: str, title: str) -> str:
    """The word for a phase of at most nine characters; `title` is its name without its number, `action` a module of ours."""
    name = action.rpartition(".")[2].removeprefix("scout_")
    if title.startswith("Plan"):
        return "plan"
    if name == "ingestion" and "esume" in title:
        return "resume"
    if name == "terminate_sessions" and title.startswith("Pause"):
        return "pause"
    return LABELS[name]


def is_news(action: str, title: str) -> bool:
    """Whether a phase that changed nothing is shown once it is over."""
    return bool(title) and not title.startswith(QUIET) and not action.endswith(("terminate_sessions", "scout_options"))


def fit(text: str, room: int) -> str:
    """As many whole words as there is room for, an ellipsis where more follow; brackets at the end, and a folder, go first."""
    for left_out in (IN_BRACKETS, IN_A_FOLDER):
        text = left_out.sub("", text) if len(text) > room else text
    return layout.whole_words(text, room)


@dataclasses.dataclass
class Row:
    """One phase of one host that is not over yet."""

    label: str
    began: float
    title: str
    text: str = ""
    mark: str = "now"
    #: Whether it is shown once it is over.
    news: bool = False


class Board:
    """The lines of all phases. `out` prints a line for good; `width` gives the columns there are; `live` is whether a line can
    be changed in place; `named` whether lines begin with their host; `many` whether phases are shown once for all hosts."""

    def __init__(
        self, out: Callable[[str, str], None], lock: t.Any, width: Callable[[], int], *, live: bool, plain: bool
    ) -> None:
        self._out, self._lock, self._width, self._live = out, lock, width, live
        self._marks = WORDS if plain else GLYPHS
        self._plain = plain
        self.named = self.many = False
        #: Lines above all phases, until the first is printed.
        self.head: list[str] = []
        self.printed = False
        self._rows: dict[str, Row] = {}
        self._seen: set[str] = set()
        self._drawn = 0
        self._spoke = time.monotonic()
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None

    def begins(self, host: str, name: str, title: str) -> None:
        """A step of a phase begins on a host; the phase before it is over there."""
        with self._lock:
            if self._ticker is None:
                self._spoke = time.monotonic()
                self._ticker = threading.Thread(target=self._tick, daemon=True)
                self._ticker.start()
            row = self._rows.get(host)
            if row is not None and row.mark == "done":
                row.mark = "now"
            if row is None or row.label != name:
                self.closes(host)
                self._rows[host] = Row(name, time.monotonic(), title)
                if self.many and name not in self._seen:
                    self._seen.add(name)
                    self.line(f" {self._marks['begun']} {name:<{LABEL}} {title}")
            self._draw()

    def says(self, host: str, text: str, *, kept: bool = False) -> None:
        """A host tells how far it is; `kept` lines stay."""
        with self._lock:
            row = self._rows.get(host)
            if kept or row is None:
                told = " ".join(f"{f'[{host}] ' if self.named or self.many else ''}{text}".split())
                self.line(f"{'':{layout.BESIDE}}{layout.whole_words(told, self._width() - layout.BESIDE)}")
                return
            row.text = " ".join(text.split())
            self._draw()

    def ends(self, host: str, text: str, *, news: bool, failed: bool = False) -> None:
        """A step of the phase ended with these words; a phase has those of its last step that has any."""
        with self._lock:
            row, text = self._rows.get(host), " ".join(text.split())
            if row is None:
                return
            if failed or row.mark != "failed":
                row.mark = "failed" if failed else "done"
                row.text = text if news or failed or not row.news else row.text
                row.news = row.news or (news and bool(text)) or failed
            if failed and self.many:
                self.closes(host)

    def also(self, host: str, text: str) -> str:
        """What this phase has said of its steps until now, and this."""
        row = self._rows.get(host)
        before = row.text.split(", ") if row and row.news and row.mark != "failed" else []
        return ", ".join(dict.fromkeys([*before, *text.split(", ")]))

    def closes(self, host: str) -> None:
        """The phase of a host is over."""
        with self._lock:
            row = self._rows.pop(host, None)
            if row is None:
                return
            if row.mark == "now":
                row.mark = "done"
            if row.news and (not self.many or row.mark == "failed"):
                self.line(self._of(host, row, self._width()))
            else:
                self._draw()

    def line(self, text: str, color: str = "") -> None:
        """Prints a line for good, above what still changes."""
        with self.paused():
            for each in [*self.head, ""] if self.head else []:
                self._out(each, "")
            self.head, self.printed = [], True
            self._out(text, color)

    @contextlib.contextmanager
    def paused(self) -> t.Generator[None]:
        """Within it something else can be printed for good, where nothing changes in place."""
        with self._lock:
            self._erase()
            try:
                yield
            finally:
                sys.stdout.flush()
                self._spoke = time.monotonic()
                self._draw()

    def stops(self, why: str = "") -> None:
        """Nothing changes any more; phases that are not over are printed with why."""
        with self._lock:
            self._over.set()
            for host, row in list(self._rows.items()):
                if why and row.mark == "now":
                    row.mark, row.news = "failed", True
                    row.text = f"{why}{f': {row.text}' if row.text else ''}"
                self.closes(host)
            self._erase()
            for each in self.head:
                self._out(each, "")
            self.head = []

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            with self._lock:
                silent = time.monotonic() - self._spoke >= SILENCE_SECONDS
                if self._over.is_set():
                    return
                if self._live:
                    self._draw()
                elif self._rows and silent:
                    # What stands above all may not be known yet.
                    with self.paused():
                        for host, row in list(self._rows.items())[-1 if self.many else 0 :]:
                            self._out(self._of(host, row, self._width(), now=True), "")

    def _draw(self) -> None:
        """What is under way, in place."""
        if not self._live or self._over.is_set():
            return
        self._erase()
        shown = list(self._rows.items())[-1 if self.many else -3 :]
        width = self._width()
        sys.stdout.write("\n".join(self._of(host, row, width, now=True) for host, row in shown))
        sys.stdout.flush()
        self._drawn = len(shown)

    def _erase(self) -> None:
        if self._drawn:
            up = f"\x1b[{self._drawn - 1}A" if self._drawn > 1 else ""
            sys.stdout.write(f"\r{up}\x1b[J")
            self._drawn = 0

    def _of(self, host: str, row: Row, width: int, *, now: bool = False) -> str:
        """` ✓ load      loaded 6,002 events   1.5 s`, no wider than the screen."""
        mark = self._marks["now" if now else row.mark]
        before = f" {mark} {row.label:<{LABEL}} {f'[{host}] ' if self.named or self.many else ''}"
        took = in_words(time.monotonic() - row.began)
        room = max(width - len(before), 10)
        text = self._paced(row.text or row.title) if now else TOOK.sub("", row.text)
        if len(text) > room - len(took) - 2:
            short = fit(text, room - len(took) - 2)
            # A path is whole, if need be without the time.
            if len(short) < len(text) <= room:
                return f"{before}{text}"
            text = short
        return f"{before}{text}{took:>{room - len(text)}}"

    def _paced(self, text: str) -> str:
        """`250 of 1,000 events ▕██░░░░░░░░▏ 62/s, about 12 s left` of what has a pace."""
        found = PACE.fullmatch(text)
        if not found or self._plain:
            return text
        verb, done, total, noun, percent, rest = found.groups()
        bar = "█" * (int(percent) * BAR // 100)
        return f"{verb} {done} of {total} {noun} ▕{bar:░<{BAR}}▏ {rest or ''}".rstrip()


#: That of the screen of this process, where there is one.
current: Board | None = None


def columns(usual: int) -> int:
    """How wide a line may be: that of the terminal as it is now, else as usual."""
    try:
        return max(NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns - 1)
    except (OSError, ValueError, AttributeError):
        return usual


def can_change(runner: bool) -> bool:
    """Whether standard output is a terminal that a person looks at."""
    return not runner and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

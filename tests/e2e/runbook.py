# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/runbook.md as a script: its commands typed one after the other on a pipeline that breaks in between, and its screens.

`PYTHONPATH=.collections python -m tests.e2e.runbook` types them all and writes the screens into the page, that of the emergency
reset into docs/emergency-reset.md. What differs from one night to the next (clocks,
durations) is left as it is there, unless `--anew` is given; `-v` shows the screens.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import ALLOW_SUPERUSER
from tests import CHECKOUT
from tests.e2e.play import Played, environment

PAGE = CHECKOUT / "docs" / "runbook.md"
REWRITE = "PYTHONPATH=.collections python -m tests.e2e.runbook writes the page anew"
RESET = CHECKOUT / "docs" / "emergency-reset.md"

#: When the story on the page begins, where its database is, and where the team has its application.
BEGINS = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)
DSN = "postgresql://oncall@db1/scout"
WHERE = "scout on db1:5432"
HERE = re.compile(r"\bscout on localhost:\d+")
APPLICATION = "/srv/deploy/scout"
PERSON = "ana@laptop"
#: Of the same length, so that lines break where they do.
PROGRAMS = {"fault/stuck_etl/etl": "nightly loader v2.1", "fault/stuck_etl/blocker": "DBeaver 24.2.3 - Script"}

#: What the person's folder has not in common with the checkout.
WRITTEN = (".git", ".venv", ".scout", ".cache", "drills", "history", "evidence", "reports", "drill-results")

#: Where a line that was cut ends depends on what stands before.
CUT = re.compile(r"^(.{30}).* …(?: +\S+ \w+(?: \d+ \w+)?)?$", re.MULTILINE)
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)")
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?)(?=\D)")
COMPACT = re.compile(r"\b(\d{8}T\d{6})\.(\d{6}Z)")
COMMAND = re.compile(r"^(?:\. \./activate|export |ansible-playbook )")

RESET_SCREEN = re.compile(r"^```\nRECOVERED: emergency reset .*?^```$", re.DOTALL | re.MULTILINE)

#: What another night would show otherwise, and what stands for it when two screens are compared.
PASSING = (
    # Of a dead letter any one may stand for those of its kind.
    (re.compile(r"\b\d[\d,]* bytes(?:, amount [-\d.]+)?"), "SIZE"),
    (re.compile(r"[+-]?\d+/min \(\d+ arrive, \d+ are loaded\)"), "SLOPE"),
    (re.compile(r"\b(evidence|drill-results)/\S+"), r"\1/…"),
    (re.compile(r"; loaded \d+ a min(?: to \d+ a min)?"), ""),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|\+00:00)?)?"), "DATE"),
    (re.compile(r"\bDATE(?:, DATE)*(?: and \d+ more)?"), "DATE"),
    (re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"), "CLOCK"),
    (re.compile(r"\b\d[\d,.]*(?: ms| s| min| h| d)\b(?: \d+ (?:s|min|h)\b)?"), "SPAN"),
    (re.compile(r"\bSPAN to SPAN\b"), "SPAN"),
    (re.compile(r"\ball of \d+ checks pass"), "all checks pass"),
    (re.compile(r"\bpid \d+"), "pid N"),
    # A machine with much to do has no time for some of them.
    (re.compile(r"\bkept \d+ files|(?<=verify )\d+ files|\b\d+ files(?= in \d+ folders)"), "N files"),
    # Whoever waited for a session that is ended may be stage enough to end by itself.
    (
        re.compile(r"1 session (?:terminated|cancelled), 1 session ended by itself|2 sessions terminated"),
        "2 sessions ended",
    ),
    (re.compile(r"1 session cancelled, 1 session terminated"), "2 sessions ended"),
    (re.compile(r"\bPostgreSQL \d+"), "PostgreSQL N"),
    (re.compile(r"\d[\d.,]* [KM]i?B\b"), "SIZE"),
    (re.compile(r"\b(?=\w*\d)(?<!-)[0-9a-f]{8,64}\b(?!-)"), "DIGEST"),
)


@dataclass
class Block:
    """A command of the page, and the screen that follows it there, if one does."""

    section: str
    command: str
    shown: str | None = None


def blocks(page: str) -> list[Block]:
    """Every command of the page in order, as it is typed."""
    found: list[Block] = []
    section = ""
    for kind, text in _pieces(page):
        if kind == "heading":
            section = text
        elif kind == "text":
            assert found, "the page begins with a screen"
            found[-1].shown = text
        elif kind == "":
            lines = text.replace("\\\n", " ").splitlines()
            found += [Block(section, " ".join(line.split())) for line in lines if line.strip()]
    return found


def mentioned(page: str) -> list[str]:
    """Every command that stands within a sentence or a table."""
    plain = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    return [text for text in re.findall(r"`([^`\n]+)`", plain) if COMMAND.match(text)]


def _pieces(page: str) -> Iterator[tuple[str, str]]:
    """Headings as they are, and what is fenced with the word behind the fence."""
    fence: list[str] | None = None
    word = ""
    for line in page.splitlines():
        if fence is not None:
            if line == "```":
                yield word, "\n".join(fence)
                fence = None
            else:
                fence.append(line)
        elif line.startswith("```"):
            fence, word = [], line[3:]
        elif line.startswith("## "):
            yield "heading", line[3:]
    assert fence is None, "the page ends within a block"


def passing(screen: str, *more: tuple[re.Pattern[str], str]) -> str:
    """A screen without what passes, and `more` of it, and wherever it was folded."""
    text = " ".join(CUT.sub(r"\1 …", screen).split())
    for pattern, word in (*PASSING, *more):
        text = pattern.sub(word, text)
    return text


@dataclass
class Names:
    """What things are called on the page, and here."""

    dsn: str
    application: str
    began: datetime
    #: Names of here that stand for those of the page, as long as they are.
    others: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def here(self, command: str) -> str:
        """A command of the page, as it has to be typed here."""
        for found in UUID.findall(command):
            assert found in self.ids, f"no screen above has the id in: {command}"
        text = UUID.sub(lambda found: self.ids[found[0]], command)
        text = STAMP.sub(lambda found: self._moved(found[0]), text)
        return text.replace(DSN, self.dsn).replace(APPLICATION, self.application)

    def there(self, screen: str) -> str:
        """A screen from here, as the page shows it."""
        text = UUID.sub(lambda found: self._example(found[0]), screen)
        text = text.replace(self.application, APPLICATION)
        text = HERE.sub(WHERE, text)
        text = MOMENT.sub(lambda found: self._back(f"{found[1]} {found[2]}", found[0]), text)
        text = COMPACT.sub(lambda found: self._back(found[1], found[1]) + f".{found[2]}", text)
        for here, there in PROGRAMS.items():
            text = text.replace(here, there)
        for here, there in self.others.items():
            text = re.sub(rf"(?<![\w.]){here}(?![\w.])", there, text)
        return re.sub(r"\b\w+@[\w.-]+(?=[ ,;:)]|$)", PERSON, text, flags=re.MULTILINE)

    def _moved(self, stamp: str) -> str:
        moment = datetime.fromisoformat(stamp)
        return (moment + (self.began - BEGINS)).isoformat(timespec="seconds")

    def _back(self, moment: str, as_written: str) -> str:
        """A moment of here in the time of the page, written in the same way."""
        form = {16: "%Y-%m-%d %H:%M", 19: "%Y-%m-%d %H:%M:%S", 15: "%Y%m%dT%H%M%S"}[len(moment)]
        apart = self.began - BEGINS
        if len(moment) == 16:
            # What has no seconds has been cut, and must not be moved into the minute before.
            apart -= apart % timedelta(minutes=1)
        there = datetime.strptime(moment, form).replace(tzinfo=UTC) - apart
        return there.strftime(form.replace(" ", "T") if "T" in as_written else form)

    def _example(self, found: str) -> str:
        known = {here: there for there, here in self.ids.items()}
        if found not in known:
            known[found] = str(uuid5(NAMESPACE_URL, f"run {len(self.ids) + 1} of the runbook"))
            self.ids[known[found]] = found
        return known[found]


@dataclass
class Typed:
    """What a command came to."""

    block: Block
    exit_code: int
    text: str
    screen: str

    @property
    def as_shown(self) -> bool:
        """Whether the page shows what came."""
        return self.block.shown is None or passing(self.block.shown) == passing(self.screen)


class Desk:
    """A shell in a folder that looks like the checkout, so that what playbooks write stays out of it."""

    def __init__(self, home: Path, names: Names, path: str, first: str = "") -> None:
        """`path` goes before that of the tests; `first` before what the page activates."""
        self.home, self.names, self.path, self.first = home, names, path, first
        (home / "drills").mkdir()
        for entry in [*CHECKOUT.iterdir(), *(CHECKOUT / "drills").iterdir()]:
            if entry.name not in WRITTEN and not (home / entry.relative_to(CHECKOUT)).exists():
                (home / entry.relative_to(CHECKOUT)).symlink_to(entry)
        self._exports: list[str] = []

    def type(self, block: Block) -> Typed:
        """Types a command of the page, exactly, in a shell that has been told all that was told before."""
        command = self.names.here(block.command)
        if command.startswith("export "):
            self._exports.append(command)
        before = "" if command.endswith("activate") else f". ./activate && cd '{self.home}' && PATH='{self.first}'$PATH"
        script = "\n".join(["set -e", before, *self._exports, command])
        made = environment(self.home) | {"PATH": f"{self.path}{os.pathsep}{os.environ['PATH']}", "LOGNAME": "ana"}
        made = {name: value for name, value in made.items() if not name.startswith("SCOUT_") or name == ALLOW_SUPERUSER}
        done = subprocess.run(
            ["bash", "-c", script], cwd=CHECKOUT, env=made, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip
        return Typed(block, done.returncode, done.stdout + done.stderr, self._screen(block, done.stdout))

    def _screen(self, block: Block, text: str) -> str:
        """The summary, as the page shows it; ids that no screen of the page shows are not counted."""
        screen = drawn(text)
        screen = screen.replace(f"{self.home}/", "")
        return self.names.there(screen) if block.shown is not None else screen


def drawn(text: str) -> str:
    """What a person reads of a run once it is over: its summary."""
    return "\n".join(Played(0, text).said)


def written(page: str, typed: list[Typed], *, anew: bool = False, command: re.Pattern[str] = COMMAND) -> str:
    """The page with the screens that came, where they say something else than those that are there, or all of them anew."""
    fresh = iter(typed)
    lines: list[str] = []
    current: Typed | None = None
    inside, word, skipping = False, "", False
    for line in page.splitlines():
        if inside and line == "```":
            inside = skipping = False
        elif inside and word == "" and command.match(line):
            current = next(fresh)
        elif not inside and line.startswith("```"):
            inside, word = True, line[3:]
            if word == "text":
                assert current
                if anew or not current.as_shown:
                    lines += [line, *current.screen.splitlines()]
                    skipping = True
                    continue
        if not skipping:
            lines.append(line)
    return "\n".join(lines) + "\n"


def reset_screen(page: str) -> str:
    """The screen of the emergency reset."""
    return next(
        block.shown for block in blocks(page) if block.shown and block.shown.startswith("RECOVERED: emergency reset ")
    )  # fmt: skip


def main() -> int:
    """Types all commands, and writes the pages."""
    from tests.e2e.runbook_story import Story

    page = PAGE.read_text(encoding="utf-8")
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        typed: list[Typed] = []
        for done in Story(server, Path(folder)).told(blocks(page)):
            mark = "" if done.as_shown else "  (another screen)"
            print(f"{done.exit_code}  {done.block.command}{mark}", flush=True)
            if "-v" in sys.argv[1:]:
                print(done.screen or done.text, flush=True)
            typed.append(done)
    made = written(page, typed, anew="--anew" in sys.argv[1:])
    reset = RESET.read_text(encoding="utf-8")
    for path, before, after in (
        (PAGE, page, made),
        (RESET, reset, RESET_SCREEN.sub(lambda _: f"```\n{reset_screen(made)}\n```", reset)),
    ):
        if before != after:
            path.write_text(after, encoding="utf-8")
            print(f"wrote {path.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

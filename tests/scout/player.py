# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a story on a database made for it: a person who types playbooks, the summaries on the screen, the facts."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.shop import Connection, Watch
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, persistent
from tests import CHECKOUT
from tests.scout.screen import Screen

PROGRAM = Path(sys.executable).with_name("ansible-playbook")

#: An entry of the plain runbook, which is nobody's business here.
OLD_LETTER = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, failed_at)
VALUES ('{"transaction_id": "from-last-year"}', 'QUARANTINE', 'moved by hand', now() - interval '1 year')
"""

JOBS = "SELECT jsonb_object_agg(jobname, active ORDER BY jobname) FROM cron.job"

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

COLOUR = re.compile(r"\x1b\[[0-9;]*m")

#: A line of what a task shows is folded already, and a command is to be copied.
FOLDED = " " * 8

#: Number and digest of rows by the name of their table.
Prints = dict[str, tuple[int, Any]]


@dataclass(frozen=True)
class Story:
    """What a demonstration is about; `show` is what happens in it, and `last` what it says where all of it held."""

    #: Of its module.
    name: str
    does: str
    database: str
    #: The folder for what is written.
    state: Path
    events: int
    show: Callable[[Stage], None]
    ends: str = "Every fact holds"
    last: Callable[[Stage], None] | None = None
    #: Of the command line, besides those that all have.
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class Stage:
    """A story on its way: its options, its screen, and its database as a superuser sees it."""

    story: Story
    given: argparse.Namespace
    server: Server
    screen: Screen
    dsn: str
    connection: Connection
    began: float
    #: What is said of the database at the end.
    shown: str

    @property
    def events(self) -> int:
        """So many before the first playbook."""
        return int(self.given.events)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def hands(self, operator: str) -> Hands:
        """A person who works as an operator."""
        self.shown = operator
        return Hands(self.screen, operator, self.story.state)


@dataclass(frozen=True)
class Ran:
    """One playbook that came to its end."""

    name: str
    exit_code: int
    changed: int
    seconds: float
    #: What it wrote for a machine; empty where it wrote nothing.
    result: dict[str, Any]

    def part(self, name: str) -> dict[str, Any]:
        """What it wrote about the move, the gate or the watch; empty where there was none."""
        return self.result.get(name) or {}

    @property
    def run_id(self) -> str:
        """Of the move, for the undo."""
        return str(self.part("move").get("run_id", ""))


@dataclass
class Hands:
    """The person at the keyboard; what the playbooks write goes to the folder `state`."""

    screen: Screen
    dsn: str
    state: Path
    first: list[Ran] = field(default_factory=list)
    again: list[Ran] = field(default_factory=list)

    def begin(self) -> None:
        """What is typed first."""
        print()
        self.screen.command(". ./activate")
        self.screen.export("SCOUT_DSN", self.dsn)
        self.screen.export("SCOUT_EVIDENCE", str(self.state / "evidence"))

    def types(self, name: str, *options: str, fails: bool = False, live: bool = False) -> Ran:
        """A playbook and its summary, with the lines it shows while it works if they are to be seen; fails where it should."""
        ran = self._play(name, options, lambda lines: _summary(lines, live=live), fails=fails)
        if "--check" not in options:
            self.first.append(ran)
        return ran

    def types_again(self, name: str, *options: str) -> Ran:
        """The very same once more; of the screen only its recap."""
        self.again.append(self._play(name, options, _recap))
        return self.again[-1]

    def types_out(self, name: str, *options: str, into: str, whole: bool = False) -> dict[str, Any]:
        """A playbook that is told to write its result into a file, which is given; of the screen all, as it comes, or the end."""
        option = f"scout_result_file={self.state / into}"
        return self._play(name, (*options, option), None if whole else _ending, into=into).result

    def _play(
        self, name: str, options: Sequence[str], shows: Callable[[list[str]], list[str]] | None, *,
        fails: bool = False, into: str = "result.json",
    ) -> Ran:  # fmt: skip
        self.screen.command("ansible-playbook", f"scout.recovery.{name}", *map(" ".join, map(words, options)))
        result = CHECKOUT / self.state / into
        result.unlink(missing_ok=True)
        extra = [word for option in (*options, f"scout_result_file={self.state / into}") for word in words(option)]
        began = time.monotonic()
        lines: list[str] = []
        with subprocess.Popen(
            [str(PROGRAM), f"scout.recovery.{name}", *extra],
            cwd=CHECKOUT, env=environment(self.screen, self.dsn, self.state), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            assert process.stdout
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if shows is None:
                    self._shows(lines[-1])
        seconds = time.monotonic() - began
        as_meant = (process.returncode != 0) == fails
        if shows is not None:
            for line in shows(lines) if as_meant else lines:
                self._shows(line)
        print(flush=True)
        if not as_meant:
            self.screen.promise(False, f"scout.recovery.{name} ends with exit code {process.returncode}")
        changed = re.search(r"changed=(?:\x1b\[[\d;]*m)*(\d+)", "\n".join(lines[_end(lines) :]))
        return Ran(name, process.returncode, int(changed[1]) if changed else -1, seconds, _written(result))

    def _shows(self, line: str) -> None:
        (print if COLOUR.sub("", line).startswith(FOLDED) else self.screen.output)(line)


def _end(lines: list[str]) -> int:
    """Where the recap begins."""
    return next((number for number, line in enumerate(lines) if "PLAY RECAP" in line), len(lines))


def _recap(lines: list[str]) -> list[str]:
    """In a line."""
    end = _end(lines)
    return [" ".join(line.split()) for line in lines[end + 1 : end + 2]]


def _said(lines: list[str]) -> list[str]:
    """The lines of the last message that a task showed: the summary."""
    plain = [COLOUR.sub("", line) for line in lines]
    begin = max((number for number, line in enumerate(plain) if line == "    msg: |-"), default=len(plain))
    found = itertools.takewhile(lambda line: not line or line.startswith(FOLDED), plain[begin + 1 :])
    return "\n".join(line.removeprefix(FOLDED) for line in found).rstrip().splitlines()


def _summary(lines: list[str], *, live: bool) -> list[str]:
    """The summary and the recap, and what came while it worked."""
    return [
        *(line for line in lines if live and COLOUR.sub("", line).startswith("[local] ")),
        *_said(lines),
        *_recap(lines),
    ]


def _ending(lines: list[str]) -> list[str]:
    """The same without what came while it worked."""
    return ["(the tasks are left out here)", *_summary(lines, live=False)]


def _written(result: Path) -> dict[str, Any]:
    """What the result file says of the only database."""
    try:
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))["results"][0]
    except (OSError, ValueError, LookupError):
        return {}
    return found


def words(option: str) -> list[str]:
    """An option as it is typed."""
    return [option] if option.startswith("--") else ["-e", option]


def stamp(moment: datetime) -> str:
    """As an option says it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def session(dsn: str, *, autocommit: bool = True) -> Connection:
    """Writes values as the oracle does, whatever the server is set to."""
    return psycopg.connect(
        dsn, autocommit=autocommit, application_name="demo", options="-c TimeZone=UTC -c DateStyle=ISO"
    )


def rows(connection: Connection, query: Any, **values: Any) -> list[tuple[Any, ...]]:
    """All that a query finds."""
    return connection.execute(query, values or None).fetchall()


def table(before: Mapping[str, tuple[int, Any]], after: Mapping[str, tuple[int, Any]]) -> None:
    """The prints of two moments beside each other."""
    print(f"\n        {'':<22}{'rows':>9}  {'before':<18}now")
    for name, (number, digest) in before.items():
        print(f"        {name:<22}{number:>9,}  {_hexadecimal(digest):<18}{_hexadecimal(after[name][1])}")
    print()


def _hexadecimal(digest: Any) -> str:
    return f"{int(digest) % 2**64:016x}"


def waits(screen: Screen, watch: Watch) -> None:
    """How long our transactions kept others waiting."""
    screen.pair("longest transaction", f"{watch.moving_seconds:.2f} s of those that keep the ETL waiting")
    screen.pair("longest of all", f"{watch.other_seconds:.2f} s ({watch.other_action}), which keeps nobody waiting")


def play(story: Story, given: argparse.Namespace, server: Server, screen: Screen) -> None:
    """All screens, on a database made for them; the caller looks at screen.broken_promises."""
    began = time.monotonic()
    server.drop_database(given.database)
    dsn = server.create_database(given.database)
    (CHECKOUT / story.state).mkdir(parents=True, exist_ok=True)
    with session(dsn) as connection:
        stage = Stage(story, given, server, screen, dsn, connection, began, shown=dsn)
        story.show(stage)
    if screen.broken_promises:
        screen.title(f"Not as promised: {len(screen.broken_promises)} of the facts above, marked NO, do not hold")
        for broken in screen.broken_promises:
            screen.item(broken)
    elif story.last:
        screen.title(f"{story.ends}, in {stage.seconds:.0f} s. What to try next")
        story.last(stage)
    else:
        screen.title(f"{story.ends}, in {stage.seconds:.0f} s")
    print(f"\n   What this run wrote is in {story.state}. The database is\n   {stage.shown}", flush=True)


def environment(screen: Screen, dsn: str, state: Path) -> dict[str, str]:
    """What `. ./activate` and the exports shown would give, whatever the caller's own settings are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANSIBLE_", "PG", "SCOUT_")) and name not in {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
    }
    colour = {"ANSIBLE_FORCE_COLOR": "1"} if screen.colour else {"ANSIBLE_NOCOLOR": "1"}
    return (
        kept
        | colour
        | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "SCOUT_DSN": dsn,
            "SCOUT_EVIDENCE": str(state / "evidence"),
        }
    )


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server accepting connections; stopped again unless it ran before or somebody else came to use it."""
    ran = server.running()
    server.start()
    try:
        yield server
    finally:
        if not ran and _unused(server):
            server.stop()


def _unused(server: Server) -> bool:
    """Whether no session is left; ours may take a moment to end."""
    for _ in range(20):
        try:
            with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
                if not rows(connection, OTHERS)[0][0]:
                    return True
        except psycopg.OperationalError:
            return True
        time.sleep(0.1)
    return False


def main(story: Story, arguments: list[str] | None = None) -> int:
    """The command line of a story; 0 only when everything in it holds."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.scout.{story.name}", description=story.does)
    parser.add_argument("--events", type=int, default=story.events, help="events before the first playbook")
    parser.add_argument("--database", default=story.database, help="its name; it is made anew")
    parser.add_argument("--throwaway", action="store_true", help="on a server that is gone afterwards")
    for name, option in story.options.items():
        parser.add_argument(f"--{name}", **option)
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)

    def show(screen: Screen) -> None:
        with Server() if given.throwaway else running(persistent()) as server:
            play(story, given, server, screen)

    return ended(show)


def ended(show: Callable[[Screen], int | None]) -> int:
    """The exit code of what is shown: its own, or 0 only when every promise held."""
    screen = Screen()
    try:
        own = show(screen)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except (AssertionError, RuntimeError, OSError, psycopg.Error) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return own or int(bool(screen.broken_promises))

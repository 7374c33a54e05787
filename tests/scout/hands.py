# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demonstrations share: a person who types playbooks on a database made for it, the summaries on the screen, the facts."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.shop import Connection, Watch
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, persistent
from tests import CHECKOUT
from tests.scout import demo

#: An entry of the plain runbook, which is nobody's business here.
OLD_LETTER = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, failed_at)
VALUES ('{"transaction_id": "from-last-year"}', 'QUARANTINE', 'moved by hand', now() - interval '1 year')
"""

#: The ways back in a summary, which are longer than a line may be.
UNFOLDED = re.compile(r"  ansible-playbook playbooks/(undo|rollback)\.yml")

#: Number and digest of rows by the name of their table.
Prints = dict[str, tuple[int, Any]]


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

    screen: demo.Screen
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
        ran = self._play(name, options, fails=fails, live=live)
        if "--check" not in options:
            self.first.append(ran)
        return ran

    def types_again(self, name: str, *options: str) -> Ran:
        """The very same once more; of the screen only its recap."""
        self.again.append(self._play(name, options, brief=True))
        return self.again[-1]

    def _play(
        self, name: str, options: Sequence[str], *, fails: bool = False, live: bool = False, brief: bool = False
    ) -> Ran:
        self.screen.command("ansible-playbook", f"playbooks/{name}.yml", *map(" ".join, map(words, options)))
        result = CHECKOUT / self.state / "result.json"
        result.unlink(missing_ok=True)
        extra = [word for option in (*options, f"result_file={self.state / 'result.json'}") for word in words(option)]
        began = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), f"playbooks/{name}.yml", *extra],
            cwd=CHECKOUT, env=self._environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        seconds = time.monotonic() - began
        lines = done.stdout.splitlines()
        recap = next((number for number, line in enumerate(lines) if "PLAY RECAP" in line), len(lines))
        changed = re.search(r"changed=(?:\x1b\[[\d;]*m)*(\d+)", "\n".join(lines[recap:]))
        as_meant = (done.returncode != 0) == fails
        if as_meant:
            at_work = [line for line in lines[:recap] if live and line.startswith("[local] ")]
            ending = [" ".join(line.split()) for line in lines[recap + 1 : recap + 2]]
            lines = [*at_work, *ending, *(() if brief else lines[recap + 2 :])]
        for line in lines:
            # A command is not folded, so that it can be copied.
            (print if UNFOLDED.search(line) else self.screen.output)(line)
        print(flush=True)
        if not as_meant:
            self.screen.promise(False, f"playbooks/{name}.yml ends with exit code {done.returncode}")
        return Ran(name, done.returncode, int(changed[1]) if changed else -1, seconds, _written(result))

    def _environment(self) -> dict[str, str]:
        return demo.environment(self.screen, self.dsn) | {"SCOUT_EVIDENCE": str(self.state / "evidence")}


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


def waits(screen: demo.Screen, watch: Watch) -> None:
    """How long our transactions kept others waiting."""
    screen.pair("longest transaction", f"{watch.moving_seconds:.2f} s of those that keep the ETL waiting")
    screen.pair("longest of all", f"{watch.other_seconds:.2f} s ({watch.other_action}), which keeps nobody waiting")


def end(screen: demo.Screen, hands: Hands, seconds: float) -> None:
    """Whether every fact holds, and where everything is."""
    if screen.broken_promises:
        screen.title(f"Not as promised: {screen.broken_promises} of the facts above, marked NO, do not hold")
    else:
        screen.title(f"Every fact holds, in {seconds:.0f} s")
    print(f"\n   What this run wrote is in {hands.state}. The database is\n   {hands.dsn}", flush=True)


def fresh(server: Server, database: str, state: Path) -> str:
    """The dsn of an empty database of that name, and a folder for what is written."""
    server.drop_database(database)
    dsn = server.create_database(database)
    (CHECKOUT / state).mkdir(parents=True, exist_ok=True)
    return dsn


def command_line(
    module: str, does: str, demonstrate: Callable[[Server, demo.Screen, str, int], None],
    arguments: list[str] | None, *, database: str, events: int,
) -> int:  # fmt: skip
    """The command line of a demonstration; 0 only when every fact holds."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.scout.{module}", description=does)
    parser.add_argument("--events", type=int, default=events, help="events before the first playbook")
    parser.add_argument("--database", default=database, help="its name; it is made anew")
    parser.add_argument("--throwaway", action="store_true", help="on a server that is gone afterwards")
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)

    def show(screen: demo.Screen) -> None:
        with Server() if given.throwaway else demo.running(persistent()) as server:
            demonstrate(server, screen, given.database, given.events)

    return demo.ended(show)

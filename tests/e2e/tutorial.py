# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tutorial.md as a script: its commands typed one after the other, on a pipeline that they build, break and recover.

`PYTHONPATH=.collections python -m tests.e2e.tutorial` types them all and writes the screens into the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import ALLOW_SUPERUSER
from tests import CHECKOUT
from tests.door import Door
from tests.e2e.play import environment
from tests.e2e.runbook import BEGINS, WHERE, Block, Names, Typed, blocks, drawn, passing, written

PAGE = CHECKOUT / "docs" / "tutorial.md"
COMMAND = re.compile(r"^(?:\. \./activate|export |ansible-playbook |make )")
#: Where the database of the page is.
HERE = "scout on localhost:5432"
#: What makes the environment is there already, or no test would run.
READY = ("make setup", ". ./activate")
#: What depends on which sales the fault takes: their ids, and so where a line ends and what there is room for.
PASSING = (
    (re.compile(r"\b\d+-0{8}\b"), "SALE"),
    (re.compile(r"\b\d+ lines?\b|\bsilver_line_items \d+"), "LINES"),
    (re.compile(r"and 1 more: -v|3\. unresolved dead letters \(.*?resolved_at\)"), "MORE"),
)


def plain(screen: str) -> str:
    """A screen without what another day would show otherwise."""
    return passing(screen, *PASSING)


@dataclass
class Learner:
    """Somebody who types the page, in a shell that is told all that was told before."""

    server: Server
    home: Path
    #: What has its playbooks forked.
    door: Door | None = None

    @property
    def database(self) -> str:
        """Its name, and another as long for a server that may have it in earnest."""
        return "tutor" if self.server.external else "scout"

    def typed(self, page: list[Block]) -> Iterator[Typed]:
        """What each command comes to, in order; what prepares is passed over."""
        dsn = self.server.create_database(self.database)
        began = datetime.now(UTC).replace(microsecond=0)
        names = Names(dsn, "/nowhere", began, {self.database: "scout"})
        exports = ""
        try:
            for block in page:
                if block.command in READY:
                    yield Typed(block, 0, "", "")
                    continue
                # What is made is on the server of the tests; the environment is not looked at again.
                command = block.command.replace("make reference", f"make reference DSN='{dsn}'")
                command = re.sub(r"\bmake ", "make -o setup ", command)
                if command.startswith("export "):
                    command += ' && export -p | grep -E " (FAULTS|SCOUT)_DSN="'
                done = self._run(f"{exports}\n{command}")
                if block.command.startswith("export "):
                    exports = done.stdout
                yield Typed(block, done.returncode, done.stdout, _screen(block, done.stdout, names, began))
        finally:
            self._cleared(dsn)

    def _run(self, script: str) -> subprocess.CompletedProcess[str]:
        made = environment(self.home)
        first = [str(self.door.folder)] if self.door else []
        made["PATH"] = os.pathsep.join([*first, str(CHECKOUT / "bin"), made["PATH"]])
        made.pop(ALLOW_SUPERUSER)
        # Of the `make` that runs the tests.
        made.pop("ARGS", None)
        return subprocess.run(
            ["bash", "-c", f"set -e -o pipefail\n{script}"], cwd=CHECKOUT, env=made, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def _cleared(self, dsn: str) -> None:
        """Roles belong to the whole server, which others use as well; theirs in other databases stays."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            if connection.execute("SELECT to_regrole(%s) IS NOT NULL AS there", [builder.OPERATOR]).fetchone() == (
                True,
            ):
                connection.execute(f"DROP OWNED BY {builder.OPERATOR} CASCADE".encode())
        self.server.drop_database(self.database)


def _screen(block: Block, text: str, names: Names, began: datetime) -> str:
    """The summary, as the page shows it; empty for a command whose screen it does not show."""
    if block.shown is None:
        return ""
    shown = names.there(drawn(text)).replace(WHERE, HERE)
    return shown.replace(f"{began:%Y-%m-%d}", f"{BEGINS:%Y-%m-%d}")


def main() -> None:
    """Types all commands, and writes the page."""
    page = PAGE.read_text(encoding="utf-8")
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        typed: list[Typed] = []
        for done in Learner(server, Path(folder)).typed(blocks(page)):
            mark = "" if plain(done.screen) == plain(done.block.shown or "") else "  (another screen)"
            print(f"{done.exit_code}  {done.block.command}{mark}", flush=True)
            if done.exit_code:
                print(done.text)
            typed.append(done)
    PAGE.write_text(written(page, typed, command=COMMAND), encoding="utf-8")


if __name__ == "__main__":
    main()

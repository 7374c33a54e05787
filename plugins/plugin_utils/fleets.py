# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays of a run: which hosts each of them has, and what came of every host, so that none is forgotten."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible import context
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

from ..module_utils.recovery.core import files
from ..module_utils.recovery.core.advice import HERE, Typed
from ..module_utils.recovery.core.errors import ConnectionFailed, NotBegun, RecoveryError, Unexpected
from ..module_utils.recovery.core.text import LONGEST, printable
from . import settings, slices, standing, summaries

if t.TYPE_CHECKING:
    from collections.abc import Iterator

#: What is to be done with a host that has no summary.
AGAIN: t.Final = "run the same command again"
#: Variables of a host that lead to the file with the documents, where a team has it in its inventory.
RESULT_FILE: t.Final = "result_file"


class Play:
    """One play, over all of its batches: its hosts as the inventory orders them, and what came of each."""

    def __init__(self, play: t.Any, playbook: str) -> None:
        self.play, self.playbook = play, playbook
        self.hosts = _hosts(play)
        #: The summaries in the order in which they came.
        self.handed: list[summaries.Handed] = []
        #: Blocks of hosts that have no summary, and why they have none.
        self.unreachable: dict[str, list[str]] = {}
        self._problems: dict[str, RecoveryError] = {}
        self._begun: set[str] = set()

    @property
    def is_fleet(self) -> bool:
        """Whether its hosts are shown in a table."""
        from ..module_utils.recovery.fleet import screen

        return len(self.hosts) > screen.FEW or slices.current is not None

    def began(self, host: str) -> None:
        """A host has begun."""
        self._begun.add(host)

    def failed(self, host: str, why: t.Any) -> None:
        """A step of a host failed; its summary says so too, if it comes to it."""
        self._problems[host] = Unexpected(
            "a step failed, and no summary was made", said=printable(why or "it says nothing", LONGEST), next_step=AGAIN
        )

    def not_reached(self, host: str, why: str, lines: list[str]) -> None:
        """A host that Ansible could not reach, with the lines that say so."""
        self.unreachable[host] = lines
        self._problems[host] = ConnectionFailed(
            f"could not reach {host}", said=why, next_step=f"check the connection, then {AGAIN}"
        )

    def operations(self) -> list[str]:
        """Those that summaries came of, in their order; where none came, what the playbook is called."""
        return list(dict.fromkeys(each.row["operation"] for each in self.handed)) or [self.playbook]

    def missing(self, operation: str) -> list[str]:
        """The hosts of which no summary came."""
        told = {each.row["host"] for each in self.handed if each.row["operation"] == operation}
        if slices.current is not None:
            told.update(slices.current.elsewhere())
        return [host for host in self.hosts if host not in told]

    def without(self, host: str) -> RecoveryError:
        """Why a host has no summary."""
        begun = host in self._begun
        return self._problems.get(host) or NotBegun(
            "nothing was done: the run ended before its turn" if not begun else "the run ended before its summary",
            next_step=AGAIN,
        )


def of_missing(play: Play, operation: str, host: str, error: RecoveryError, typed: Typed = HERE) -> summaries.Handed:
    """What stands for the summary of a host that made none; its document is written to the result file, if there is one."""
    from ..module_utils.recovery.fleet import row
    from ..module_utils.recovery.invoke import failure
    from ..module_utils.recovery.summary import command, render

    story = render.Story(
        operation,
        host,
        "adhoc",
        bool(context.CLIARGS.get("check")),
        True,
        {"not_begun" if isinstance(error, NotBegun) else "host": failure(error)},
        folder=str(Path.cwd()),
        typed=typed,
    )
    made = command.document(story)
    if path := result_file(play.play, host):
        from ..action.scout_summary import run_key

        render.save(Path(path), made, run_key(os.getpid()))
    return summaries.Handed(play.unreachable.get(host) or render.lines(story), row.of(made))


def result_file(play: t.Any, host: str) -> str:
    """The file that documents go to: as it was typed, else as the inventory has it for the host; empty without one."""
    if typed := typed_result_file():
        return typed
    try:
        manager = play.get_variable_manager()
        variables = manager.get_vars(play=play, host=manager._inventory.get_host(host))
        found = play.get_vars().get(RESULT_FILE) or variables.get(settings.long(RESULT_FILE))
    except Exception:  # noqa: BLE001 whatever is wrong, what can be said is said
        return ""
    return found if isinstance(found, str) and "{{" not in found else ""


def typed_result_file() -> str:
    """The file as it was typed, by either name; empty where it was not."""
    typed: dict[str, t.Any] = load_extra_vars(DataLoader())
    return str(typed.get(RESULT_FILE) or typed.get(settings.long(RESULT_FILE)) or "")


def screen_of(
    play: Play, operation: str, missing: list[summaries.Handed], width: int, *, verbose: bool
) -> Iterator[list[str]]:
    """The blocks of a fleet's screen: the table, each that is to be read in full, the count with what is typed next."""
    from ..module_utils.recovery.fleet import screen

    order = {host: at for at, host in enumerate(play.hosts)}
    latest = {each.row["host"]: each for each in [*play.handed, *missing] if each.row["operation"] == operation}
    found = sorted(latest.values(), key=lambda each: order.get(each.row["host"], len(order)))
    rows, shared = [each.row for each in found], slices.current
    others = shared.others(operation, (row["host"] for row in rows)) if shared else []
    yield screen.table([*rows, *others], width)
    lines = {each.row["host"]: each.lines for each in found}
    for row in screen.ordered(rows):
        if row["in_full"] or verbose:
            yield lines[row["host"]]
    again = standing.same_command(limited=False)
    target = str(load_extra_vars(DataLoader()).get("target") or "")
    retry = _retry_file(play, screen.left(rows))
    of = shared.described() if shared else ""
    yield list(screen.ending([*rows, *others], screen.following(rows, again, target, retry), width, of))


def _retry_file(play: Play, hosts: list[str]) -> str:
    """Names the hosts that are not well in a file beside the result file, for `--limit @file`; empty without that file."""
    path = result_file(play.play, play.hosts[0])
    if not path:
        return ""
    file = Path(path).with_suffix(".retry")
    try:
        if not hosts:
            file.unlink(missing_ok=True)
            return ""
        files.write(file, "".join(f"{host}\n" for host in hosts).encode(), "the list of hosts to repeat")
    except (OSError, RecoveryError):
        return ""
    return str(file)


def _hosts(play: t.Any) -> list[str]:
    """The names of all its hosts that --limit leaves, those of later batches too."""
    try:
        inventory = play.get_variable_manager()._inventory
        return [str(host.get_name()) for host in inventory.get_hosts(play.hosts, ignore_restrictions=True)]
    except Exception:  # noqa: BLE001 what cannot be told is no fleet
        return []

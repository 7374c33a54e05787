# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the summaries of all hosts as the very last lines on the screen."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Show what the operations did as the last lines on the screen
version_added: 1.0.0
description:
  - Shows the lines of each M(scout.recovery.scout_summary) task after everything else.
  - Without it, the same lines appear where that task runs.
requirements:
  - enable it as C(callbacks_enabled = scout.recovery.summary)
author:
  - Scout Recovery contributors (@scout-recovery)
"""

import atexit
import os
import sys
import textwrap
import time
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible import constants as C  # noqa: N812  # its name everywhere
from ansible import context
from ansible.errors import AnsibleError
from ansible.plugins.callback import CallbackBase
from ansible.utils.color import stringc

from ..plugin_utils import preload  # noqa: F401  # isort: skip  # first: the imports below are then served from bytecode
from ..module_utils.recovery.core import errors
from ..module_utils.recovery.core.advice import Typed
from ..module_utils.recovery.core.text import LONGEST, printable
from ..module_utils.recovery.summary import layout
from ..plugin_utils import events, fleets, given_options, phases, slices, summaries, typed_secrets, voice
from .screen import heading

if t.TYPE_CHECKING:
    from ..module_utils.recovery.fleet.row import Row

#: What is to be said of an operation, and of a drill, that was broken off.
OPERATION = (
    "what was committed stays; ingestion state unknown, it may be paused",
    "run the same command again, or ansible-playbook playbooks/assess.yml",
)
PROOF = (
    "ingestion is running, unproven: no run of its jobs was waited for to its end",
    "ansible-playbook playbooks/assess.yml shows whether its next run works",
)
DRILL = (
    "the drill's processes are stopped; it touched no database of the inventory",
    "see drill.json in the newest folder of drill_output_dir, or run it again",
)
COLOURS: t.Final = {"ok": C.COLOR_OK, "changed": C.COLOR_CHANGED, "error": C.COLOR_ERROR}
#: How a pipeline stands that could not be asked.
UNKNOWN: t.Final[Mapping[str, t.Any]] = {"state": "unknown", "run_id": None}
#: For how long the databases of a fleet are asked, one after the other.
LOOK_UP_SECONDS = 15.0


class CallbackModule(CallbackBase):
    """Collects the summaries and prints them after the recap."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "scout.recovery.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        typed_secrets.hide()
        summaries.offer()
        self._plays: dict[str, fleets.Play] = {}
        self._unfinished = ""
        self._operation = ""
        self._waiting: list[str] = []
        self._told: set[str] = set()
        self._play: t.Any = None
        self._now = fleets.Play(None, "")
        self._step = ""
        self._draws = events.drawn(self._display.verbosity)
        # After Ctrl-C no other method is called.
        atexit.register(self._interrupted, os.getpid())

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """Remembers what is done."""
        self._operation = Path(str(playbook._file_name)).stem

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        """Remembers where the variables of a host are, and all hosts of all batches."""
        self._play = play
        self._now = self._plays.setdefault(str(play._uuid), fleets.Play(play, self._operation))

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:  # noqa: ARG002
        """Remembers a host of which a summary is still to come."""
        name = str(host.get_name())
        self._now.began(name)
        if name not in self._waiting and name not in self._told:
            self._waiting.append(name)

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Remembers that something of the collection has begun, and what."""
        if ".scout_" in f".{task.action}":
            self._unfinished = str(task.action)
            self._step = heading(task) or str(task.name)
            given_options.read_before_fork(task.get_vars().get(given_options.ROLES, ()))

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Keeps the lines of a summary."""
        self._keep(result, failed=False)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """Keeps the lines of a summary of something that ended badly."""
        self._keep(result, failed=True)
        if not ignore_errors:
            self._now.failed(str(result._host.get_name()), result._result.get("msg"))

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Says of a bastion out of reach what no task can say there."""
        why = printable(result._result.get("msg", ""), LONGEST)
        lines = [f"{result._host.get_name()} could not be reached"]
        for name, text in (("failed", why), ("next", "check the connection, then run the same command again")):
            lines += layout.labelled(name, textwrap.wrap(text, 70, break_on_hyphens=False))
        self._now.not_reached(str(result._host.get_name()), why, lines)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:  # noqa: ARG002
        """Prints what was kept: of a few hosts all of it, of many a table."""
        ours, self._unfinished = bool(self._unfinished), ""
        if slices.current is not None:
            slices.current.leave()
            ours = True
        for play in self._plays.values():
            if events.wanted():
                self._emit(play, ours=ours)
                continue
            for each in self._blocks(play, ours=ours):
                self._show(each)
        if ours:
            _ring()

    def _emit(self, play: fleets.Play, *, ours: bool) -> None:
        """The summary of each host of a play as an event."""
        for operation in play.operations() if ours or play.handed else ():
            missing = play.missing(operation) if play.is_fleet else play.unreachable
            made = [self._of_missing(play, operation, host) for host in missing]
            for each in [*play.handed, *made]:
                if each.row["operation"] == operation:
                    voice.say(self._display, events.line("summary", **each.row, lines=each.lines))

    def _blocks(self, play: fleets.Play, *, ours: bool) -> t.Iterator[summaries.Block]:
        """What the screen says of a play, block by block, the worst first. `ours` where a step of this collection ran in any."""
        if not play.is_fleet or not (ours or play.handed):
            for operation in play.operations() if ours or play.handed else ():
                for host in play.missing(operation):
                    if host in play.unreachable:
                        self._of_missing(play, operation, host)
            unreachable = [summaries.Block(lines) for lines in play.unreachable.values()]
            if not self._draws:
                yield from (summaries.Block(each.lines) for each in play.handed)
                yield from unreachable
                return
            yield from unreachable
            yield from (
                each.block if each.block.lines else summaries.Block(each.lines) for each in _worst_first(play.handed)
            )
            return
        for operation in play.operations():
            missing = [self._of_missing(play, operation, host) for host in play.missing(operation)]
            for lines in fleets.screen_of(
                play, operation, missing, self._display.columns, verbose=self._display.verbosity > 0
            ):
                yield summaries.Block(lines)

    def _of_missing(self, play: fleets.Play, operation: str, host: str) -> summaries.Handed:
        return fleets.of_missing(play, operation, host, play.without(host), self._typed(host))

    def _show(self, block: summaries.Block) -> None:
        """Line by line; the verdict alone in colour, else how ingestion is and what failed. Below phases, the last line is the
        last one there is."""
        if self._draws:
            voice.say(self._display, "")
        part = ""
        for line in block.lines:
            if block.words:
                rest = line.removeprefix(block.words)
                voice.say(
                    self._display, line if rest == line else f"{stringc(block.words, COLOURS[block.colour])}{rest}"
                )
                continue
            part = line[2:9].strip() or part if line.startswith("  ") else ""
            voice.say(self._display, line, color=_colour(part, line))
        if not self._draws:
            voice.say(self._display, "")

    def _interrupted(self, pid: int) -> None:
        """Says how things stand where no summary could."""
        if self._unfinished and os.getpid() == pid:
            if phases.current is not None:
                phases.current.stops("interrupted")
            now, then = self._how_it_stands()
            then = self._typed("").text(then)
            for play in self._plays.values():
                if play is self._now and play.is_fleet:
                    for lines in self._fleet_broken_off(now, then):
                        self._interrupts(lines)
                    return
                for each in play.handed:
                    self._interrupts(each.block.lines or each.lines)
            if self._unfinished.endswith(("scout_drill", "scout_proof")):
                self._save(now, then)
                what = f"{self._operation.replace('_', ' ')}, interrupted"
                following = layout.labelled("next", layout.wrapped(then, layout.WIDTH - layout.INDENT))
                self._interrupts([what, f"  now    {now}", *following])
                return
            self._save(now, then)
            for host in self._waiting or [""]:
                found = self._standing(host)
                if self._draws:
                    self._show(self._stopped(host, found))
                else:
                    self._interrupts(self._broken_off(host, found))

    def _interrupts(self, lines: list[str]) -> None:
        """Shows them below the line that a terminal has for Ctrl-C."""
        self._show(summaries.Block(lines if self._draws else ["", *lines]))

    def _fleet_broken_off(self, now: str, then: str) -> t.Iterator[list[str]]:
        """The table of a fleet whose play was broken off, and a block for each host that was at work."""
        until = time.monotonic() + LOOK_UP_SECONDS
        for operation in self._now.operations():
            missing: list[summaries.Handed] = []
            for host in self._now.missing(operation):
                if host not in self._waiting:
                    missing.append(self._of_missing(self._now, operation, host))
                    continue
                error = errors.Stopped("interrupted", said=now, next_step=then)
                made = fleets.of_missing(self._now, operation, host, error, self._typed(host))
                found = self._standing(host) if time.monotonic() < until else dict(UNKNOWN)
                row = t.cast("Row", {**made.row, "now": found["state"], "command": ""})
                missing.append(summaries.Handed(self._broken_off(host, found), row))
            yield from fleets.screen_of(
                self._now, operation, missing, self._display.columns, verbose=self._display.verbosity > 0
            )

    def _standing(self, host: str) -> dict[str, t.Any]:
        """How ingestion is on a host now, and which run is unfinished there."""
        from ansible.parsing.dataloader import DataLoader

        from ..plugin_utils import standing, whose_password

        try:
            variables = self._play.get_variable_manager().get_vars(play=self._play) if self._play else {}
            hostvars = variables.get("hostvars")
            found = dict((hostvars or {}).get(host) or variables)
            if whose_password.is_of_another({**found, "inventory_hostname": host}, DataLoader(), hostvars=hostvars):
                found["scout_password"] = None
            return standing.of(found)
        except Exception:  # noqa: BLE001 whatever is wrong, what can be said is said
            return dict(UNKNOWN)

    def _broken_off(self, host: str, found: Mapping[str, t.Any]) -> list[str]:
        """How far it came on a host, how ingestion is now, what finishes it, and what undoes it."""
        from ..plugin_utils import standing

        title = f"{self._operation.replace('_', ' ')} of {host or 'no host'}, interrupted"
        lines = [title, f"  did    {self._came_to}", f"  now    {self._state_of(found)}"]
        undo = self._undo_of(host, found)
        lines += [f"  {'undo' if not at else '':<7}{command}" for at, command in enumerate(undo)]
        return [*lines, f"  next   {standing.same_command()}", "         run the same command again to finish it"]

    def _stopped(self, host: str, found: Mapping[str, t.Any]) -> summaries.Block:
        """The same below the lines for the phases: whether ingestion is paused, and last what continues it."""
        from ..plugin_utils import standing

        width = max(layout.WIDTH, self._display.columns)
        words = f"INTERRUPTED{f' on {host}' if host and len(self._waiting) > 1 else ''}"
        first, told = layout.verdict(words, self._state_of(found), "exit 99", width)
        lines = [first] if told else [first, *layout.labelled("now", [self._state_of(found)])]
        lines += layout.labelled("did", textwrap.wrap(self._came_to, width - layout.INDENT, break_on_hyphens=False))
        room = width - layout.BESIDE
        lines += layout.commands(
            "undo", [line for each in self._undo_of(host, found) for line in layout.folded(each, room)]
        )
        return summaries.Block(
            [*lines, *layout.commands("next", layout.folded(standing.same_command(), room))], words, "changed"
        )

    @property
    def _came_to(self) -> str:
        return f"came to: {self._step or 'nothing yet'}; what was committed stays"

    def _state_of(self, found: Mapping[str, t.Any]) -> str:
        unproven = ", unproven" if self._unfinished.endswith("scout_proof") else ""
        return (
            f"ingestion is {found['state'].upper()}{unproven}"
            if found["state"] != "unknown"
            else "ingestion state unknown"
        )

    def _undo_of(self, host: str, found: Mapping[str, t.Any]) -> list[str]:
        run_id = found["run_id"]
        undo = [f"ansible-playbook playbooks/undo.yml -e run_id={run_id}"] if run_id else []
        undo += ["ansible-playbook playbooks/resume_ingestion.yml"] if found["state"] in ("paused", "pausing") else []
        return self._typed(host).within(undo)

    def _typed(self, host: str) -> Typed:
        """How a command for a host is typed; for no host, one that is for all of them."""
        from ..plugin_utils import printed

        try:
            groups = self._play.get_variable_manager()._inventory.get_groups_dict() if self._play else {}
        except Exception:  # noqa: BLE001 whatever is wrong, what can be said is said
            groups = {}
        return printed.typed(groups if host else {"scout": [host]}, host)

    def _how_it_stands(self) -> tuple[str, str]:
        """What the task that was broken off leaves behind, and what to do next."""
        if self._unfinished.endswith("scout_proof"):
            return PROOF
        return DRILL if self._unfinished.endswith("scout_drill") else OPERATION

    def _keep(self, result: t.Any, *, failed: bool) -> None:
        name = str(result._host.get_name())
        if handed := summaries.take(result._task, name):
            self._now.handed.append(handed)
            if slices.current is not None:
                slices.current.hear(handed.row, failed=failed)
            if self._now.is_fleet and not events.wanted():
                done = len({each.row["host"] for each in self._now.handed})
                voice.say(self._display, f"[{name}] {handed.row['verdict']} ({done} of {len(self._now.hosts)})")
            self._told.add(name)
            self._waiting = [each for each in self._waiting if each != name]

    def _save(self, now: str, then: str) -> None:
        """Writes the result file that was asked for with -e, for each host without one; an older one would mislead."""
        from ..action.scout_summary import run_key
        from ..module_utils.recovery.core.errors import RecoveryError, Stopped
        from ..module_utils.recovery.invoke import failure
        from ..module_utils.recovery.summary import render
        from ..module_utils.recovery.summary.command import document

        try:
            path = fleets.typed_result_file()
            stopped = {"interrupted": failure(Stopped("interrupted", said=now, next_step=then))}
            if now == PROOF[0]:
                stopped = {"resume": {"state": "running", "changed": True}, **stopped}
            for host in self._waiting if path else ():
                story = render.Story(
                    self._operation,
                    host,
                    "adhoc",
                    bool(context.CLIARGS.get("check")),
                    True,
                    stopped,
                    folder=str(Path.cwd()),
                    typed=self._typed(host),
                )
                render.save(Path(str(path)), document(story), run_key(os.getpid()))
        except (RecoveryError, AnsibleError) as e:
            voice.say(self._display, f"  failed {e}")


def _worst_first(handed: t.Sequence[summaries.Handed]) -> list[summaries.Handed]:
    """The summaries of a few hosts; those that are equal in the order in which they came."""
    from ..module_utils.recovery.fleet import screen

    return sorted(handed, key=lambda each: screen.rank(each.row))


def _ring() -> None:
    """Wakes who sits at a terminal; not with SCOUT_BELL=0."""
    if sys.stdout.isatty() and os.environ.get("SCOUT_BELL") != "0" and voice.is_ours():
        sys.stdout.write("\a")
        sys.stdout.flush()


def _colour(part: str, line: str) -> str | None:
    """Ansible's own colours, which NO_COLOR and a pipe switch off."""
    if part == "failed":
        return C.COLOR_ERROR
    if part != "now":
        return None
    if "paus" in line.lower() or "unknown" in line:
        return C.COLOR_CHANGED
    return C.COLOR_OK if "ingestion is running" in line.lower() else None

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the summary as the last lines on the screen; with several hosts, each summary when its host has it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Show what the operations did as the last lines on the screen
version_added: 1.0.0
description:
  - Shows the lines of a M(scout.recovery.scout_summary) task after everything else.
  - In a play with several hosts, it shows the lines of each host when that host has its summary.
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
from ..module_utils.recovery.invoke import failure
from ..module_utils.recovery.summary import layout
from ..plugin_utils import events, given_options, phases, settings, summaries, typed_secrets, voice
from .screen import heading, hosts_of

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
#: For how long the databases of an interrupted play are queried, one after the other.
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
        #: The summaries that stand last on the screen.
        self._held: list[summaries.Block] = []
        self._events: list[events.Event] = []
        self._unfinished = ""
        self._operation = ""
        self._waiting: list[str] = []
        self._told: set[str] = set()
        self._play: t.Any = None
        self._many = False
        self._step = ""
        self._draws = events.drawn(self._display.verbosity)
        # After Ctrl-C no other method is called.
        atexit.register(self._interrupted, os.getpid())

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """Remembers what is done."""
        self._operation = Path(str(playbook._file_name)).stem

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        """Remembers where the variables of a host are, and whether there are several hosts."""
        self._play = play
        self._many = len(hosts_of(play)) > 1

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:  # noqa: ARG002
        """Remembers a host of which a summary is still to come."""
        name = str(host.get_name())
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
        self._keep(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """Keeps the lines of a summary of something that ended badly."""
        self._keep(result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Makes the summary of a host that runs no task because Ansible cannot reach it."""
        host = str(result._host.get_name())
        error = errors.ConnectionFailed(
            f"could not reach {host}",
            said=printable(result._result.get("msg", ""), LONGEST),
            next_step="check the connection, then run the same command again",
        )
        lines = self._write(host, {"host": failure(error)})
        self._hold(summaries.Handed(lines, host, self._operation, exit_code=4))

    def v2_playbook_on_stats(self, stats: t.Any) -> None:  # noqa: ARG002
        """Prints what was kept."""
        ours, self._unfinished = bool(self._unfinished), ""
        for event in self._events:
            voice.say(self._display, event)
        for block in self._held:
            self._show(block)
        if ours:
            _ring()

    def _hold(self, handed: summaries.Handed) -> None:
        """Shows the summary of one of several hosts, and keeps that of the only one for the end."""
        if events.wanted():
            _, host, operation, block, code = handed
            fields = {"operation": operation, "host": host, "verdict": block.words, "exit_code": code}
            self._events.append(events.line("summary", **fields, lines=handed.lines))
            return
        block = handed.block if handed.block.lines else summaries.Block(handed.lines)
        if self._many:
            self._show(block)
        else:
            self._held.append(block)

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
            for block in self._held:
                self._interrupts(block.lines)
            if self._unfinished.endswith(("scout_drill", "scout_proof")):
                self._save(now, then)
                what = f"{self._operation.replace('_', ' ')}, interrupted"
                following = layout.labelled("next", layout.wrapped(then, layout.WIDTH - layout.INDENT))
                self._interrupts([what, f"  now    {now}", *following])
                return
            self._save(now, then)
            until = time.monotonic() + LOOK_UP_SECONDS
            for host in self._waiting or [""]:
                found = self._standing(host) if time.monotonic() < until else dict(UNKNOWN)
                if self._draws:
                    self._show(self._stopped(host, found))
                else:
                    self._interrupts(self._broken_off(host, found))

    def _interrupts(self, lines: list[str]) -> None:
        """Shows them below the line that a terminal has for Ctrl-C."""
        self._show(summaries.Block(lines if self._draws else ["", *lines]))

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

    def _keep(self, result: t.Any) -> None:
        name = str(result._host.get_name())
        if handed := summaries.take(result._task, name):
            self._hold(handed)
            self._told.add(name)
            self._waiting = [each for each in self._waiting if each != name]

    def _save(self, now: str, then: str) -> None:
        """Writes the result file for each host without a summary; an older one would mislead."""
        stopped = {"interrupted": failure(errors.Stopped("interrupted", said=now, next_step=then))}
        if now == PROOF[0]:
            stopped = {"resume": {"state": "running", "changed": True}, **stopped}
        for host in self._waiting:
            self._write(host, stopped)

    def _write(self, host: str, steps: dict[str, t.Any]) -> list[str]:
        """Writes the result file of a host that has no summary, and returns the lines of one."""
        from ..action.scout_summary import run_key
        from ..module_utils.recovery.core.errors import RecoveryError
        from ..module_utils.recovery.summary import render
        from ..module_utils.recovery.summary.command import document

        check, here = bool(context.CLIARGS.get("check")), str(Path.cwd())
        story = render.Story(self._operation, host, "adhoc", check, True, steps, folder=here, typed=self._typed(host))
        try:
            if path := self._result_file(host):
                render.save(Path(path), document(story), run_key(os.getpid()))
        except (RecoveryError, AnsibleError) as e:
            voice.say(self._display, f"  failed {e}")
        return render.lines(story)

    def _result_file(self, host: str) -> str:
        """The file that documents go to: as it was typed, else as the inventory has it for the host; empty without one."""
        from ansible.parsing.dataloader import DataLoader

        try:
            manager = self._play.get_variable_manager()
            found = manager.get_vars(play=self._play, host=manager._inventory.get_host(host))
            name = settings.find("result_file", found, DataLoader()) or "scout_result_file"
            named = self._play.get_vars().get("result_file") or found.get(name)
        except Exception:  # noqa: BLE001 without variables there is no file to write
            return ""
        return named if isinstance(named, str) and "{{" not in named else ""


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

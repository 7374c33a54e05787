# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own screen, on which our steps are called by their phase, and one that fails takes two lines and not thirty."""

from __future__ import annotations

DOCUMENTATION = r"""
name: screen
type: stdout
short_description: Ansible's screen with numbered phases, and failures in a sentence
version_added: 1.0.0
description:
  - Shows what P(ansible.builtin.default#callback) shows, with the same options.
  - A step of this collection is called by the phase of its playbook that it belongs to, such as C((6/11) Terminate stuck sessions),
    and what it ensures. The numbers are those of all phases, also where some are skipped. Where a file of ours is included is
    shown with C(-v).
  - What a step does stands before it is done, with the time since the run began, and its progress below it. What is skipped, and
    that a step of this collection found nothing to change, is shown with C(-v).
  - Where a play has more than three hosts, each step is shown when the first of them comes to it, and a line for each host that is at
    its end.
  - With E(SCOUT_OUTPUT=json) all of it is lines of JSON, an event each.
  - Where a step of this collection refuses or fails, it shows the sentence for a person, and neither the place in the role nor
    the whole result, which says the same three times. With C(-v) they are shown.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - enable it as C(stdout_callback = scout.recovery.screen)
author:
  - Scout Recovery contributors (@scout-recovery)
"""

import os
import re
import textwrap
import typing as t

from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

from ..plugin_utils import preload  # noqa: F401  # isort: skip  # first: the imports below are then served from bytecode
from ..module_utils.recovery.core.text import visible_in
from ..plugin_utils import events, fleets, typed_secrets, voice

if t.TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping


WIDTH = 79
COLLECTIONS = ("scout.recovery.", "scout.drills.")
PHASE = re.compile(r"\(\d+/\d+\) ")


def heading(task: t.Any) -> str | None:
    """The phase that a task of ours belongs to, else the step, and what it ensures; None for a task of somebody else's."""
    if not _is_ours(task):
        return None
    text = str(task.name or task.action)
    if PHASE.match(text) or isinstance(task, TaskInclude):
        return text
    phase = next((name for name in _around(task) if PHASE.match(name)), None) or next(_around(task), None)
    return " | ".join(part for part in (phase, text.rpartition(" | ")[2]) if part)


def _around(task: t.Any) -> t.Iterator[str]:
    """The names under which the roles around a task were imported, the nearest first."""
    around = task._parent
    while around is not None:
        if isinstance(around, IncludeRole) and around.name:
            yield str(around.name)
        around = around._parent


def _is_ours(task: t.Any) -> bool:
    return bool(task._role) and str(task._role.get_name()).startswith(COLLECTIONS)


def _seen(result: t.Any) -> t.Any:
    """The result, of which each callback has a copy of its own, with every text in it visible."""
    made = result._result
    made.update(visible_in(dict(made), None))
    return result


class CallbackModule(Default):
    """Shows phases by their numbers, and says a refusal once."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "scout.recovery.screen"

    def __init__(self) -> None:
        super().__init__()
        typed_secrets.hide()
        self._begun: dict[str, t.Any] = {}
        self._failed_summary = False
        self._json = events.wanted()
        self._many = False
        self._headed: set[str] = set()
        self._process = os.getpid()
        self._plain = self._display.display

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """From now on what a worker says comes through here."""
        events.begin()
        self._display.display = self._shown
        super().v2_playbook_on_start(playbook)
        if value := events.unknown():
            self._display.warning(
                f"{events.VARIABLE} is {value!r}, which is not known, so the screen is as usual: it may be json"
            )

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        """Sees whether there are many hosts."""
        found = fleets.Play(play, "")
        self._many = found.is_fleet
        if self._json:
            self._play = play
            self._emit(events.line("play", name=str(play.get_name()).strip(), hosts=found.hosts))
            return
        super().v2_playbook_on_play_start(play)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Ansible's recap."""
        if not self._json:
            super().v2_playbook_on_stats(stats)
            return
        for host in sorted(stats.processed):
            self._emit(events.line("recap", host=host, **stats.summarize(host)))

    def _emit(self, event: events.Event | None) -> None:
        if event is not None:
            self._plain(event)

    def _ended(self, event: str, result: t.Any) -> bool:
        """Says by an event how a step ended; False where a person reads."""
        if self._json:
            task = result._task
            phase = heading(task) or str(task.get_name()).strip()
            self._emit(events.of_result(event, str(result._host.get_name()), phase, _seen(result)._result))
        return self._json

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        """Remembers what may soon have something to say."""
        self._begun[str(task._uuid)] = task
        super().v2_runner_on_start(host, task)

    def _shown(self, msg: str, *args: t.Any, **kwargs: t.Any) -> None:
        """Shows a line below the header of its task; a worker, which is a copy of this process, hands it over."""
        if isinstance(msg, voice.Line) and os.getpid() == self._process:
            task = self._begun.get(msg.task)
            if task is not None and self._last_task_banner != task._uuid:
                self._head(task)
            if not msg:
                return
        if self._json and not kwargs.get("stderr") and os.getpid() == self._process:
            self._emit(events.of_text(msg))
            return
        self._plain(msg, *args, **kwargs)

    def _head(self, task: t.Any) -> None:
        """The header of a task that begins; of many hosts that come to it, the first has it."""
        if not self._many or self._display.verbosity or heading(task) not in self._headed:
            self._print_task_banner(task)

    def get_option(self, option: str, hostvars: t.Any = None) -> t.Any:
        """Ansible's options; what is skipped is shown to who asks for more."""
        if option == "display_skipped_hosts" and not self._display.verbosity:
            return False
        return super().get_option(option, *(() if hostvars is None else (hostvars,)))

    def _print_task_banner(self, task: t.Any) -> None:
        self._headed.add(str(heading(task)))
        if self._json:
            self._last_task_banner = task._uuid
            self._emit(events.line("phase", phase=heading(task) or str(task.get_name()).strip()))
            return
        cached, banner = self._last_task_name, self._display.banner
        self._last_task_name = heading(task) or cached
        if _is_ours(task) and (elapsed := events.elapsed()):
            self._display.banner = lambda msg, *args, **kwargs: banner(f"{msg} {elapsed}", *args, **kwargs)
        try:
            super()._print_task_banner(task)
        finally:
            self._display.banner = banner
        self._last_task_name = cached

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Says nothing of a file of ours that is included: what is in it follows. Nor of a step of ours that changed nothing, or,
        of many hosts, of one that did: its lines say so."""
        task = result._task
        changed = bool(result._result.get("changed"))
        if self._json:
            if not isinstance(task, TaskInclude):
                self._ended("changed" if changed else "ok", result)
            return
        if (
            self._display.verbosity
            or not _is_ours(task)
            or (changed and not self._many and not isinstance(task, TaskInclude))
        ):
            super().v2_runner_on_ok(_seen(result))
        elif not isinstance(task, TaskInclude):
            self._warn(_seen(result))

    def _warn(self, result: t.Any) -> None:
        """Shows the warnings of a step that is not shown itself."""
        if handle := getattr(self, "_handle_warnings_and_exception", None):
            handle(result)
        else:
            self._handle_warnings(result._result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """What others wrote is shown as a screen may show it, here and below."""
        self._failed_summary = str(result._task.action).endswith(".scout_summary")
        if self._ended("ignored" if ignore_errors else "failed", result):
            return
        super().v2_runner_on_failed(_seen(result), ignore_errors)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        """As it may be shown."""
        if self._json:
            if self._display.verbosity:
                self._ended("skipped", result)
            return
        super().v2_runner_on_skipped(_seen(result))

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._ended("unreachable", result):
            super().v2_runner_on_unreachable(_seen(result))

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._json:
            super().v2_runner_item_on_ok(_seen(result))

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._json:
            super().v2_runner_item_on_failed(_seen(result))

    def v2_runner_item_on_skipped(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._json:
            super().v2_runner_item_on_skipped(_seen(result))

    def v2_runner_retry(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._json:
            super().v2_runner_retry(_seen(result))

    def v2_on_file_diff(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._json:
            super().v2_on_file_diff(_seen(result))

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        """Nor of where it is."""
        if not self._json and (self._display.verbosity or not _is_ours(included_file._task)):
            super().v2_playbook_on_include(included_file)

    def _handle_exception(self, result: MutableMapping[str, t.Any], use_stderr: bool = False) -> None:
        if self._is_told(result):
            result.pop("exception", None)
        super()._handle_exception(result, use_stderr=use_stderr)

    def _dump_results(self, result: Mapping[str, t.Any], *args: t.Any, **kwargs: t.Any) -> str:
        if not self._is_told(result):
            return super()._dump_results(result, *args, **kwargs)
        text = " ".join(str(result["msg"]).split())
        return "\n" + textwrap.fill(
            text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False, break_long_words=False
        )

    def _run_is_verbose(self, result: t.Any, verbosity: int = 0) -> bool:
        """A result of ours is a thousand lines: with -v there are its step and all causes, with -vv itself."""
        return super()._run_is_verbose(result, verbosity + (1 if _is_ours(result._task) else 0))

    def _is_told(self, result: Mapping[str, t.Any]) -> bool:
        """Whether a failure says in its sentence, or in the summary below, what is to be done, and nobody asked for all of it."""
        if self._display.verbosity > 1 or not result.get("msg"):
            return False
        error = result.get("error")
        ours = (
            isinstance(error, dict) and {"kind", "attempted", "next_step"} <= t.cast("dict[str, t.Any]", error).keys()
        )
        return ours or self._failed_summary

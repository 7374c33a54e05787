# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line for each phase of our playbooks; else Ansible's own screen, on which our steps are called by their phase."""

from __future__ import annotations

DOCUMENTATION = r"""
name: screen
type: stdout
short_description: A line for each phase, and Ansible's screen for what is not of this collection
version_added: 1.0.0
description:
  - A playbook of this collection is shown as a line for each of its phases, which changes in place on a terminal and is printed once
    when it is done elsewhere, and below them the summary by P(scout.recovery.summary#callback), which begins with the verdict.
  - With C(-v), with E(SCOUT_OUTPUT=steps), and for playbooks of your own it shows what P(ansible.builtin.default#callback) shows,
    with the same options. A step of this collection is called by its phase, such as C((6/11) Terminate stuck sessions), and what it
    ensures, and stands there before it is done, with the time since the run began, and its progress below it. What is skipped, that a
    step found nothing to change, and where a file of ours is included is shown with one C(-v) more.
  - If a play has more than three hosts, each phase is shown once, when the first of them reaches it.
  - With E(SCOUT_OUTPUT=plain) it says by a word and not by a sign how a phase stands, and nothing is changed in place.
  - With E(SCOUT_OUTPUT=json) all of it is lines of JSON, an event each.
  - Where a step of this collection refuses or fails, it shows the sentence for a person, and neither the place in the role nor
    the whole result, which says the same three times. With C(-vv) they are shown.
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
import time
import typing as t
from pathlib import Path

from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

from ..plugin_utils import preload  # noqa: F401  # isort: skip  # first: the imports below are then served from bytecode
from ..module_utils.recovery.core.text import LONGEST, count, visible, visible_in
from ..module_utils.recovery.core.values import as_list
from ..module_utils.recovery.summary import layout
from ..plugin_utils import events, extra_vars, phases, typed_secrets, voice

if t.TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping


WIDTH = 79
SUMMARY = "scout.recovery.summary"
DEBUG = "ansible.builtin.debug"
COLLECTIONS = ("scout.recovery.", "scout.drills.")
PHASE = re.compile(r"\(\d+/\d+\) ")
#: With more hosts than this, a phase is shown when the first of them comes to it.
FEW = 3


def hosts_of(play: t.Any) -> list[str]:
    """The names of the hosts of a play in all of its batches, as --limit leaves them."""
    try:
        inventory = play.get_variable_manager()._inventory
        return [str(host.get_name()) for host in inventory.get_hosts(play.hosts, ignore_restrictions=True)]
    except Exception:  # noqa: BLE001 a play whose hosts cannot be listed is shown as one of a single host
        return []


def _operation(playbook: str) -> str:
    """The operation of a playbook, as `emergency reset`."""
    return Path(playbook).stem.replace("_", " ")


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


def _is_summary(task: t.Any) -> bool:
    """Whether a failure is one that the summary explains: of its module, or of the task that ends the play for a host."""
    return str(task.action).endswith(".scout_summary") or (_is_ours(task) and task._role.get_name() == SUMMARY)


def _module(task: t.Any) -> str:
    """The name of a module of ours without what all of them have in common; empty for another."""
    return str(task.action).rpartition(".scout_")[2]


def _said(result: Mapping[str, t.Any]) -> str:
    """What a step says of itself; where it failed, what: the summary below says why."""
    error: Mapping[str, t.Any] = result.get("error") or result.get("refused") or {}
    what = error.get("attempted") or result.get("summary") or (result.get("msg") if result.get("failed") else "") or ""
    return visible(what, LONGEST)


def _went_wrong(result: Mapping[str, t.Any]) -> bool:
    """Whether a step that Ansible calls ok did not reach what it is for, such as a proof, a gate that does not pass, or a
    check of what would be refused."""
    return bool(result.get("error") or result.get("refused")) or result.get("ok") is False


def _seen(result: t.Any) -> t.Any:
    """The result, of which each callback has a copy of its own, with every text in it visible."""
    made = result._result
    made.update(visible_in(dict(made), None))
    return result


class CallbackModule(Default):
    """Shows a line for each phase of ours; else steps by their phase, and a refusal once."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "scout.recovery.screen"

    def __init__(self) -> None:
        super().__init__()
        typed_secrets.hide()
        self._begun: dict[str, t.Any] = {}
        self._failed_summary = False
        self._json = events.wanted()
        self._draws = events.drawn(self._display.verbosity)
        #: Whether the play that is under way is drawn, and whether all until now were.
        self._drawn = False
        self._only_drawn = True
        self._ended_hosts: set[str] = set()
        self._board = phases.Board(
            self._out,
            self._display._lock,
            lambda: phases.columns(self._display.columns or WIDTH),
            live=self._draws and not events.plain() and phases.can_change(runner=voice.is_run()),
            plain=events.plain(),
        )
        phases.current = self._board
        self._begun_at = time.gmtime()
        #: What stands above the phases.
        self._above: dict[str, str] = {}
        self._many = False
        self._headed: set[str] = set()
        self._process = os.getpid()
        self._plain = self._display.display

    @property
    def _more(self) -> bool:
        """Whether somebody asks for more than each step that does something: one -v asks for the steps."""
        return self._display.verbosity > (os.environ.get(events.VARIABLE, "").lower() != "steps")

    def _out(self, text: str, color: str) -> None:
        self._plain(text, color=color or None)

    def _phase(self, task: t.Any) -> str:
        """The phase of a task without its number; empty for what stands beside the phases."""
        found = PHASE.match(heading(task) or "")
        return (heading(task) or "")[found.end() :].partition(" | ")[0] if found else ""

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        """From now on what a worker says comes through here."""
        events.begin()
        self._above["what"] = _operation(str(playbook._file_name))
        self._display.display = self._shown
        super().v2_playbook_on_start(playbook)
        if value := events.unknown():
            self._display.warning(
                f"{events.VARIABLE} is {value!r}, which is not known, so the screen is as usual: it may be plain, steps or json"
            )

    def v2_playbook_on_play_start(self, play: t.Any) -> None:
        """Sees whether there are many hosts."""
        hosts = hosts_of(play)
        self._many = len(hosts) > FEW
        if self._json:
            self._play = play
            self._emit(events.line("play", name=str(play.get_name()).strip(), hosts=hosts))
            return
        self._drawn = self._draws and extra_vars.ours(
            str(play.get_variable_manager().get_vars(play=play).get("playbook_dir", ""))
        )
        self._only_drawn = self._only_drawn and self._drawn
        if not self._drawn:
            super().v2_playbook_on_play_start(play)
            return
        self._play = play
        self._board.many, self._board.named = self._many, len(hosts) > 1
        if len(hosts) > 1:
            self._above["where"] = count(len(hosts), "database")
        self._headline()

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Ansible's recap."""
        if self._only_drawn and not self._json:
            for host in list(stats.processed):
                self._board.closes(host)
            self._board.stops()
            # Where a host has no summary, the recap says what there is to say.
            if not set(stats.processed) <= self._ended_hosts or self.get_option("show_custom_stats"):
                super().v2_playbook_on_stats(stats)
            return
        if not self._json:
            self._board.stops()
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
        phase = self._phase(task) if self._drawn else ""
        if phase and _module(task) in phases.LABELS:
            self._board.begins(str(host.get_name()), phases.label(str(task.action), phase), phase)
        super().v2_runner_on_start(host, task)

    def _shown(self, msg: str, *args: t.Any, **kwargs: t.Any) -> None:
        """Shows a line below the header of its task; a worker, which is a copy of this process, hands it over."""
        if isinstance(msg, voice.Line) and os.getpid() == self._process:
            task = self._begun.get(msg.task)
            if task is not None and self._drawn:
                self._progress(task, msg)
                return
            if task is not None and self._last_task_banner != task._uuid:
                self._head(task)
            if not msg:
                return
        if self._json and not kwargs.get("stderr") and os.getpid() == self._process:
            self._emit(events.of_text(msg))
            return
        if os.getpid() != self._process or kwargs.get("log_only"):
            self._plain(msg, *args, **kwargs)
            return
        with self._board.paused():
            self._plain(msg, *args, **kwargs)

    def _progress(self, task: t.Any, line: voice.Line) -> None:
        """What a step says while it is at work; of one beside the phases, for good."""
        found = events.OF_HOST.match(line.strip("\n"))
        if found and found[2].strip():
            # A phase that one step does after another is no news.
            text = PHASE.sub("", found[2])
            kept = not self._phase(task) or (_module(task) in phases.LOGGED and not text.startswith("still working"))
            self._board.says(found[1], text, kept=kept)
        elif line.strip():
            self._board.line(str(line))

    def _headline(self) -> None:
        """What stands above the phases, as far as it is known."""
        words = [self._above[name] for name in ("what", "where", "incident", "who") if self._above.get(name)]
        at = time.strftime("%H:%M:%S UTC", self._begun_at)
        width = phases.columns(self._display.columns or WIDTH)
        first = layout.whole_words("   ".join(words), width - len(at) - 2)
        lines = [f"{first}{at:>{width - len(first)}}"]
        if self._above.get("was"):
            lines += layout.labelled("was", layout.shortened(self._above["was"], width - layout.INDENT, 2))
        if not self._board.printed:
            self._board.head = lines

    def _learn(self, task: t.Any, made: Mapping[str, t.Any]) -> None:
        """Takes from a result what stands above the phases."""
        if self._board.named or self._board.many:
            return
        if made.get("database"):
            self._above.setdefault("where", visible(made["database"], LONGEST))
        if made.get("incident") not in (None, "", "adhoc"):
            self._above["incident"] = visible(made["incident"], LONGEST)
        if _module(task) in ("begin", "lease") and (owner := (made.get("lease") or made).get("owner")):
            self._above["who"] = visible(owner, LONGEST)
        if _module(task) == "begin" and made.get("summary") and not made.get("failed"):
            causes = as_list((made.get("assess") or {}).get("diagnoses"))
            cause = f"{causes[0]['cause']} ({made['summary']})" if causes else str(made["summary"])
            self._above["was"] = visible(cause, LONGEST)
        self._headline()

    def _draw(self, result: t.Any, *, failed: bool = False) -> None:
        """A step of a phase ended; of one beside the phases only what it changed, or that it failed."""
        task, made, host = result._task, _seen(result)._result, str(result._host.get_name())
        if str(task.action).endswith(".scout_summary"):
            if not made.get("body"):
                self._board.closes(host)
                self._ended_hosts.add(host)
            return
        self._learn(task, made)
        phase, changed = self._phase(task), bool(made.get("changed"))
        module = _module(task)
        if module not in phases.LABELS:
            return
        text = _said(made)
        if not phase and (changed or failed):
            self._board.begins(host, phases.label(str(task.action), phase), phase)
        if module in phases.CHECKED and not failed:
            text = self._board.also(host, phases.CHECKED[module])
        elif module == "health_info" and not failed and (judged := as_list(made.get("indicators"))):
            # What it found is below.
            text = f"{count(len(judged), 'check')}, {sum(each['status'] == 'fail' for each in judged)} failing"
        news = bool(text) and (changed or phases.is_news(str(task.action), phase))
        if phase or changed or failed:
            self._board.ends(host, text, news=news, failed=failed)
        if not phase and (changed or failed):
            self._board.closes(host)

    def _head(self, task: t.Any) -> None:
        """The header of a task that begins; of many hosts that come to it, the first has it."""
        if not self._many or self._more or heading(task) not in self._headed:
            self._print_task_banner(task)

    def get_option(self, option: str, hostvars: t.Any = None) -> t.Any:
        """Ansible's options; what is skipped is shown to who asks for more."""
        if option == "display_skipped_hosts" and not self._more:
            return False
        return super().get_option(option, *(() if hostvars is None else (hostvars,)))

    def _run_is_verbose(self, result: t.Any, verbosity: int = 0) -> bool:
        """Of a step of ours whole results are for who asks for more than the steps."""
        return super()._run_is_verbose(result, verbosity + (_is_ours(result._task) and not self._more))

    def _print_task_banner(self, task: t.Any) -> None:
        if self._drawn:
            self._last_task_banner = task._uuid
            return
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
        """Shows the table of several databases as it is. Says nothing of a file of ours that is included: what is in it follows.
        Nor of a step of ours that changed nothing, or, of many hosts, of one that did: its lines say so."""
        task = result._task
        changed = bool(result._result.get("changed"))
        if self._json:
            if not isinstance(task, TaskInclude):
                self._ended("failed" if _went_wrong(result._result) else "changed" if changed else "ok", result)
            return
        if _is_ours(task) and str(task.action) == DEBUG:
            self._board.line("")
            for line in str(_seen(result)._result.get("msg", "")).splitlines():
                self._board.line(line)
            return
        if self._drawn:
            if not isinstance(task, TaskInclude):
                self._draw(result, failed=_went_wrong(result._result))
                # Of a phase the summary says them, and of preflight where it is all there is.
                if not (self._phase(task) or str(task.action).endswith(".scout_preflight_info")):
                    self._warn(result)
            return
        if self._more or not _is_ours(task) or (changed and not self._many and not isinstance(task, TaskInclude)):
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
        self._failed_summary = _is_summary(result._task)
        if self._ended("ignored" if ignore_errors else "failed", result):
            return
        if self._drawn:
            self._draw(result, failed=not ignore_errors)
            if self._is_told(result._result):
                return
        super().v2_runner_on_failed(_seen(result), ignore_errors)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        """As it may be shown."""
        if self._json:
            if self._display.verbosity:
                self._ended("skipped", result)
            return
        if not self._drawn:
            super().v2_runner_on_skipped(_seen(result))

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._ended("unreachable", result):
            super().v2_runner_on_unreachable(_seen(result))

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._json and not self._drawn:
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
        """What a step of ours found before it looks again, which is no failure."""
        if self._json:
            return
        if not _is_ours(result._task):
            super().v2_runner_retry(_seen(result))
            return
        host, text = str(result._host.get_name()), _said(_seen(result)._result)
        if self._drawn:
            self._board.says(host, text)
        else:
            self._display.display(f"[{host}] {text}")

    def v2_on_file_diff(self, result: t.Any) -> None:
        """As it may be shown."""
        if not self._json:
            super().v2_on_file_diff(_seen(result))

    def v2_playbook_on_include(self, included_file: t.Any) -> None:
        """Nor of where it is."""
        if not self._json and not self._drawn and (self._more or not _is_ours(included_file._task)):
            super().v2_playbook_on_include(included_file)

    def _handle_exception(self, result: MutableMapping[str, t.Any], use_stderr: bool = False) -> None:
        if self._is_told(result):
            result.pop("exception", None)
        super()._handle_exception(result, use_stderr=use_stderr)

    def _dump_results(self, result: Mapping[str, t.Any], *args: t.Any, **kwargs: t.Any) -> str:
        if not self._is_told(result):
            return super()._dump_results(result, *args, **kwargs)
        why, _, following = " ".join(str(result["msg"]).split()).partition(". Next: ")
        lines = textwrap.wrap(why, WIDTH - 4, break_on_hyphens=False, break_long_words=False)
        if following:
            lines += ["Next:", *layout.wrapped(following, WIDTH - 4)]
        return "".join(f"\n    {line}" for line in lines)

    def _is_told(self, result: Mapping[str, t.Any]) -> bool:
        """Whether a failure says in its sentence, or in the summary below, what is to be done, and nobody asked for more."""
        if self._more or not result.get("msg"):
            return False
        error = result.get("error")
        ours = (
            isinstance(error, dict) and {"kind", "attempted", "next_step"} <= t.cast("dict[str, t.Any]", error).keys()
        )
        return ours or self._failed_summary

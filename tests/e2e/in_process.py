# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a playbook in this process: the tasks of its roles as they are written, each by its module's own `run`."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.filter.core import combine
from ansible.plugins.test.core import truthy
from jinja2 import ChainableUndefined, Environment, StrictUndefined
from jinja2.runtime import Context, missing

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.command import summarize
from ansible_collections.scout.recovery.plugins.plugin_utils import task_options
from tests import CHECKOUT, results
from tests.e2e.pasting import assert_accepted
from tests.e2e.play import PLUGINS, Played, Stage, environment, listed
from tests.integration.modules import as_declared

OURS = "scout.recovery."
BUILTIN = "ansible.builtin."
SUMMARY = "scout_summary"
OPTIONS = "scout_options"
FAILED_EXIT_CODE = 2

#: Parts of a result that are for the screen, or that Ansible adds.
SHOWN_ONLY = frozenset({"failed", "warnings", "ansible_stats", "lines", "diff", "exception"})
#: How a database is reached, which is in the environment of one and an option of the other.
REACHED = frozenset({"dsn", "password"})

OMIT = object()
EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
#: What a task may say besides its action. Whatever else one says is refused, for nothing here would do it.
KNOWN = frozenset(
    {
        "name",
        "when",
        "register",
        "vars",
        "tags",
        "failed_when",
        "changed_when",
        "check_mode",
        "diff",
        "block",
        "rescue",
        "always",
    }
)


class EndOfRole(Exception):
    """A `meta: end_role` whose condition holds."""


class TaskFailed(Exception):
    """A task failed, and nobody has rescued it yet."""


@dataclass(frozen=True)
class Scope:
    """Where a task stands: its role, and what those who import it say."""

    role: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Any, ...] = ()

    def of(self, task: Mapping[str, Any]) -> Scope:
        """That of a task, a block or a role in this one."""
        when = task.get("when", [])
        own = tuple(when) if isinstance(when, list) else (when,)
        return Scope(self.role, {**self.variables, **task.get("vars", {})}, self.conditions + own)


@dataclass(frozen=True)
class Ran:
    """A module that ran: its options as it was given them, and its result."""

    name: str
    params: dict[str, Any]
    result: dict[str, Any]

    @property
    def told(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """What two runs on databases that are alike have in common: the options, and how it ended. Of results that are passed
        on, only whether there is one, and of which parts."""
        same = {name: value for name, value in self.params.items() if name not in REACHED}
        for name in same.keys() & {"health", "found"}:
            same[name] = _outline(same[name])
        if "steps" in same:
            same["steps"] = [{name: _outline(result) for name, result in step.items()} for step in same["steps"]]
        return self.name, same, _outline(self.result)


def _outline(result: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("changed", "failed", "skipped", "false_condition", "verdict", "state", "status", "proven")
    return {"parts": sorted(result.keys() - SHOWN_ONLY)} | {name: result[name] for name in shown if result.get(name)}


def recorded(stage: Stage, playbook: str, dsn: str, **options: Any) -> tuple[Played, list[Ran]]:
    """The playbook, played by Ansible itself, and the modules that it ran."""
    report = stage.home / "ran.jsonl"
    report.unlink(missing_ok=True)
    env = {
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "scout.recovery.summary,ran",
        "SCOUT_RAN": str(report),
    }
    played = stage.play(playbook, dsn, env=env, **options)
    return played, [Ran(*json.loads(line)) for line in report.read_text().splitlines()]


class Unknown(ChainableUndefined, StrictUndefined):
    """What is not defined has no parts that are; whoever uses it without a default has made a mistake."""


class Lazy(Context):
    """Templates a variable when an expression asks for it, as Ansible does."""

    def resolve_or_missing(self, key: str) -> Any:
        found = super().resolve_or_missing(key)
        return found if found is missing or key in self.parent["data"] else self.parent["template"](found)


@functools.cache
def _loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.exists() else None


@functools.cache
def _environment() -> Environment:
    made = Environment(undefined=Unknown)
    made.context_class = Lazy
    made.filters |= {"combine": combine, "bool": lambda value: str(value).lower() in ("true", "yes", "on", "1")}
    made.tests |= {name: functools.partial(_is, name) for name in ("changed", "failed", "skipped")}
    made.tests["truthy"] = truthy
    return made


def _is(name: str, result: Mapping[str, Any]) -> bool:
    return bool(result.get(name))


@functools.cache
def _compiled(expression: str) -> Callable[..., Any]:
    return _environment().compile_expression(expression, undefined_to_none=False)


class InProcess:
    """One playbook on one database; `ran` is what it has done."""

    def __init__(
        self,
        stage: Stage,
        dsn: str,
        *,
        on_task: Callable[[str], None] = lambda _task: None,
        controller: int | None = None,
        check: bool = False,
        **settings: Any,
    ) -> None:
        self.stage, self.dsn, self.on_task, self.check = stage, dsn, on_task, check
        #: The process whose end ends its lease; that of whoever started this one, where none is given.
        self.controller = controller or os.getppid()
        self.settings = {"result_file": str(stage.home / "result.json"), **settings}
        self.ran: list[Ran] = []
        #: How many tasks have changed something.
        self.changed = 0
        self.screen: list[str] = []
        self.summary: list[str] = []
        self._playbook = ""
        self._registered: dict[str, Any] = {}
        self._variables: dict[str, Any] = {}

    def play(self, playbook: str) -> Played:
        """Runs the playbook to its end; a bare name is a playbook of the checkout."""
        path = Path(playbook) if "/" in playbook else CHECKOUT / "playbooks" / f"{playbook}.yml"
        (self.stage.home / "result.json").unlink(missing_ok=True)
        try:
            for place, play in _plays(path):
                self._playbook = str(place.relative_to(CHECKOUT))
                self._variables |= {"ansible_playbook_python": sys.executable, "playbook_dir": str(place.parent)}
                for role in _roles(play["tasks"]):
                    self._variables |= _own(role, "defaults")
                self._tasks(play["tasks"], Scope())
            code = 0
        except TaskFailed:
            code = FAILED_EXIT_CODE
        played = Played(code, "\n".join([*self.screen, "", *self.summary, ""]), self.stage.results())
        assert_accepted(played.text, played.results.values())
        return played

    def _tasks(self, tasks: Sequence[Mapping[str, Any]], scope: Scope) -> None:
        for task in tasks:
            if "block" in task:
                self._block(task, scope.of(task))
            else:
                self._task(task, scope.of(task))

    def _block(self, block: Mapping[str, Any], scope: Scope) -> None:
        try:
            try:
                self._tasks(block["block"], scope)
            except TaskFailed:
                if "rescue" not in block:
                    raise
                self._tasks(block["rescue"], scope)
        finally:
            self._tasks(block.get("always", []), scope)

    def _task(self, task: Mapping[str, Any], scope: Scope) -> None:
        [action] = task.keys() - KNOWN
        given, kind = task[action], action.removeprefix(BUILTIN)
        if kind == "import_role":
            self._role(given, scope)
            return
        if kind == "import_tasks":
            self._tasks(_loaded(CHECKOUT / "roles" / scope.role / "tasks" / given), scope)
            return
        self.on_task(task.get("name", ""))
        refused = next((each for each in scope.conditions if not self._true(each, scope)), None)
        if refused is not None:
            if "register" in task:
                skipped = {"changed": False, "skipped": True, "skip_reason": "Conditional result was False"}
                self._registered[task["register"]] = skipped | {"false_condition": refused}
        elif kind in ("include_role", "include_tasks"):
            self._included(kind, given, Scope(scope.role, scope.variables))
        elif action.startswith(BUILTIN):
            self._builtin(kind, given, task, scope)
        else:
            self._module(action.removeprefix(OURS), given, task, scope)

    def _included(self, kind: str, given: Any, scope: Scope) -> None:
        if kind == "include_role":
            self._role(given, scope)
        else:
            self._tasks(_loaded(CHECKOUT / "roles" / scope.role / "tasks" / given), scope)

    def _builtin(self, kind: str, given: Any, task: Mapping[str, Any], scope: Scope) -> None:
        match kind:
            case "meta":
                assert given == "end_role", given
                raise EndOfRole
            case "set_fact":
                self._registered |= self._template(given, scope)
            case "debug":
                self.screen.append(self._template(given["msg"], scope))
            case "fail":
                self._failed(task, self._template(given["msg"], scope))
            case "wait_for":
                time.sleep(given["timeout"])
            case "command":
                self._command(self._template(given["argv"], scope), task, scope)
            case _:
                raise AssertionError(f"{kind} is not played here")

    def _role(self, given: Mapping[str, str], scope: Scope) -> None:
        role = self._template(given["name"], scope).removeprefix(OURS)
        try:
            self._tasks(
                _loaded(CHECKOUT / "roles" / role / "tasks" / given["tasks_from"]),
                Scope(role, {**_own(role, "defaults"), **_own(role, "vars"), **scope.variables}, scope.conditions),
            )
        except EndOfRole:
            return

    def _module(self, name: str, given: Mapping[str, Any], task: Mapping[str, Any], scope: Scope) -> None:
        args = {option: self._template(value, scope) for option, value in given.items()}
        check = self._true(self._template(task.get("check_mode", self.check), scope), scope)
        result = self._result(name, {option: value for option, value in args.items() if value is not OMIT}, check=check)
        if "failed_when" in task:
            assert task["failed_when"] is False, task
            result["failed"] = False
        if "register" in task:
            self._registered[task["register"]] = result
        if result["failed"]:
            self._failed(task, result["msg"])
        self._count(result["changed"], task, scope)

    def _command(self, argv: list[str], task: Mapping[str, Any], scope: Scope) -> None:
        """A program of somebody else's, in the environment of a playbook."""
        env = environment(self.stage.home, {"SCOUT_DSN": self.dsn})
        done = subprocess.run(argv, env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        if done.returncode:
            self._failed(task, done.stderr)
        self._count(True, task, scope)

    def _failed(self, task: Mapping[str, Any], said: str) -> None:
        self.screen.append(f"[ERROR]: {task['name']}: {said}")
        raise TaskFailed(said)

    def _count(self, changed: bool, task: Mapping[str, Any], scope: Scope) -> None:
        self.changed += self._true(task.get("changed_when", changed), scope)

    def _result(self, name: str, args: dict[str, Any], *, check: bool) -> dict[str, Any]:
        """As the front for all modules makes it, and those of the summary and of the options."""
        module = results.module(name)
        if name == OPTIONS:
            # What is wrong in options is found by Ansible's own templating, and tested with it.
            return {"changed": False, "failed": False}
        variables = {**self._registered, **listed(self.settings), "scout_dsn": self.dsn}
        left_open = task_options.left_open(module.SPEC, args, variables, self, DataLoader())
        checked = ArgumentSpecValidator(module.SPEC, **getattr(module, "RULES", {})).validate(args | left_open)
        assert not checked.error_messages, checked.error_messages
        params = json.loads(json.dumps(checked.validated_parameters))
        if name == SUMMARY:
            result: dict[str, Any] = {**summarize(params, check=check, again=f"ansible-playbook {self._playbook}")}
            # What is said before a run is waited for comes at once, the rest last of all, as the callback has it.
            (self.screen if params["first"] else self.summary).extend(result.get("lines", []))
        else:
            progress = Progress(lambda line: self.screen.append(f"[localhost] {line}"))
            result = invoke(module.run, name, params, check=check, progress=progress, controller_pid=self.controller)
            as_declared(name, result)
        self.ran.append(Ran(name, params, result))
        kept = {part: value for part, value in result.items() if part not in ("diff", "lines")}
        return {"changed": False, "failed": False, **json.loads(json.dumps(kept))}

    def template(self, value: Any) -> Any:
        """For options that a task leaves open: none of them is a template here."""
        return value

    def _template(self, value: Any, scope: Scope) -> Any:
        if isinstance(value, dict):
            return {name: self._template(each, scope) for name, each in value.items()}
        if isinstance(value, list):
            return [self._template(each, scope) for each in value]
        if not isinstance(value, str) or "{{" not in value:
            return value
        if whole := EXPRESSION.fullmatch(value.strip()):
            return self._evaluated(whole[1], scope)
        return EXPRESSION.sub(lambda found: str(self._evaluated(found[1], scope)), value)

    def _true(self, condition: Any, scope: Scope) -> bool:
        return condition if isinstance(condition, bool) else bool(self._evaluated(condition, scope))

    def _evaluated(self, expression: str, scope: Scope) -> Any:
        return _compiled(expression.strip())(
            self._variables
            | dict(scope.variables)
            | self._registered
            # What is typed after -e comes before everything.
            | self.settings
            | {
                "data": {*self._registered, *self.settings},
                "template": lambda value: self._template(value, scope),
                "lookup": self._lookup,
                "omit": OMIT,
                "ansible_check_mode": self.check,
                "inventory_hostname": "localhost",
            }
        )

    def _lookup(self, plugin: str, name: str, default: Any = None) -> Any:
        if plugin == "ansible.builtin.env":
            return {"SCOUT_EVIDENCE": str(self.stage.home / "evidence")}.get(name, default)
        if plugin == "ansible.builtin.vars":
            return self._registered.get(name, default)
        assert plugin == "scout.recovery.setting", plugin
        return self.settings.get(name, default)


def _plays(path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The plays of a playbook and of those that it imports, each with where it is written."""
    for play in _loaded(path):
        if imported := play.get(f"{BUILTIN}import_playbook"):
            yield from _plays(CHECKOUT / "playbooks" / f"{imported.removeprefix(OURS)}.yml")
        else:
            yield path, play


def _own(role: str, kind: str) -> dict[str, Any]:
    return _loaded(CHECKOUT / "roles" / role / kind / "main.yml") or {}


def _roles(tasks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The roles that are reached by import, whose defaults every task of a play knows."""
    for task in tasks:
        for part in ("block", "rescue", "always"):
            yield from _roles(task.get(part, []))
        if imported := task.get(f"{BUILTIN}import_role"):
            role = imported["name"].removeprefix(OURS)
            yield role
            yield from _roles(_loaded(CHECKOUT / "roles" / role / "tasks" / imported["tasks_from"]))

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
import unittest.mock
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import yaml
from ansible.module_utils.common.parameters import remove_values
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.filter.core import FilterModule as CoreFilters
from ansible.plugins.filter.mathstuff import FilterModule as SetFilters
from ansible.plugins.test.core import TestModule as CoreTests
from ansible.utils.vars import load_extra_vars
from jinja2 import ChainableUndefined, Environment, StrictUndefined
from jinja2.runtime import Context, missing

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import failure, invoke, secrets
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.command import summarize
from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars, front, given_options, task_options
from tests import CHECKOUT, results
from tests.e2e.pasting import assert_accepted
from tests.e2e.play import Played, Stage, environment
from tests.integration.modules import as_declared

OURS = "scout.recovery."
BUILTIN = "ansible.builtin."
SUMMARY = "scout_summary"
OPTIONS = "scout_options"
FAILED_EXIT_CODE = 2
#: The one host of the inventory that playbooks have where none is named.
HOST = "local"

#: What test_in_process.py compares with the playbook that Ansible plays, by the story in which it does; no other is played so.
COMPARED = {
    "resets": {"emergency_reset"},
    "moves": {"quarantine", "redrive", "undo", "runs", "window_recovery", "quality_cleanup"},
    "steps": {
        *("assess", "acceptance_gate", "evidence", "pause_ingestion", "refresh_gold", "resume_ingestion"),
        *("terminate_sessions", "preflight", "dead_letters"),
    },
    "releases": {"capture_release", "rollback", "undo"},
}

OMIT = object()
EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
#: What a task may say besides its action. Whatever else one says is refused, for nothing here would do it.
KNOWN = frozenset(
    {
        *("name", "when", "register", "vars", "tags", "failed_when", "changed_when", "check_mode", "diff"),
        *("ignore_errors", "delegate_to", "become", "environment", "timeout", "until", "retries", "delay"),
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
    file: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Any, ...] = ()
    #: The roles of the operation, where those that import say them: their options are checked before a module runs.
    begins: Any = None
    ignores_errors: bool = False

    def of(self, task: Mapping[str, Any]) -> Scope:
        """That of a task, a block or a role in this one."""
        when = task.get("when", [])
        own = tuple(when) if isinstance(when, list) else (when,)
        said = task.get("vars", {})
        return Scope(
            self.role,
            self.file,
            {**self.variables, **said},
            self.conditions + own,
            said.get(given_options.ROLES, self.begins),
            self.ignores_errors or task.get("ignore_errors", False),
        )

    def included(self) -> Scope:
        """That of the tasks in a file, or a role, that is included: its condition was asked once."""
        return replace(self, conditions=())


@dataclass(frozen=True)
class Standing:
    """What the front asks of a task."""

    args: dict[str, Any]
    action: str
    scope: Scope

    @property
    def _role(self) -> Any:
        """Its role, by the folder."""
        return SimpleNamespace(_role_path=str(CHECKOUT / "roles" / self.scope.role)) if self.scope.role else None

    def get_path(self) -> str:
        """The file that it stands in, and a line."""
        return f"{self.scope.file}:1"


class Missing(ChainableUndefined, StrictUndefined):
    """What is not there, and each part of it, may be asked for whether it is there, and for nothing else, as Ansible has it."""


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
    made = Environment(undefined=Missing)
    made.context_class = Lazy
    made.filters = {**CoreFilters().filters(), **SetFilters().filters(), **made.filters}
    made.filters["bool"] = lambda value: str(value).lower() in ("true", "yes", "on", "1")
    made.tests |= CoreTests().tests() | {
        name: functools.partial(_is, name) for name in ("changed", "failed", "skipped")
    }
    made.tests["truthy"] = bool
    return made


def _is(name: str, result: Mapping[str, Any]) -> bool:
    return bool(result.get(name))


@functools.cache
def _compiled(expression: str) -> Callable[..., Any]:
    return _environment().compile_expression(expression, undefined_to_none=False)


class InProcess:
    """One playbook on one database."""

    def __init__(
        self,
        stage: Stage,
        dsn: str,
        *,
        check: bool = False,
        on_task: Callable[[str], None] = lambda _task: None,
        controller: int | None = None,
        **settings: Any,
    ) -> None:
        self.stage, self.dsn, self.check, self.on_task = stage, dsn, check, on_task
        #: The process whose end ends its lease; that of whoever started this one, where none is given.
        self.controller = controller or os.getppid()
        self.settings = {"result_file": str(stage.home / "result.json"), **settings}
        self.screen: list[str] = []
        self.summary: list[str] = []
        self.recap = Counter({"ok": 0, "changed": 0, "failed": 0})
        self._began = time.monotonic()
        self._playbook = ""
        self._registered: dict[str, Any] = {}
        self._variables: dict[str, Any] = {}

    def play(self, playbook: str) -> Played:
        """Runs the playbook to its end; a bare name is a playbook of the checkout."""
        path = Path(playbook) if "/" in playbook else CHECKOUT / "playbooks" / f"{playbook}.yml"
        (self.stage.home / "result.json").unlink(missing_ok=True)
        try:
            # As the command line says them.
            with unittest.mock.patch.object(load_extra_vars, "extra_vars", dict(self.settings), create=True):
                for place, play in _plays(path):
                    self._playbook = str(place.relative_to(CHECKOUT))
                    self._variables |= {"ansible_playbook_python": sys.executable, "playbook_dir": str(place.parent)}
                    for role in _roles(play["tasks"]):
                        self._variables |= _own(role, "defaults")
                    self._tasks(play["tasks"], Scope())
            code = 0
        except TaskFailed:
            code = FAILED_EXIT_CODE
        recap = " ".join(f"{name}={number}" for name, number in self.recap.items())
        screen = [*self.screen, "", f"{HOST} : {recap}", "", *self.summary, ""]
        played = Played(code, "\n".join(screen), self.stage.results())
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
            except TaskFailed as e:
                if "rescue" not in block:
                    raise
                self._registered["ansible_failed_result"] = {"msg": str(e)}
                self._tasks(block["rescue"], scope)
        except (TaskFailed, EndOfRole):
            self._tasks(block.get("always", []), scope)
            raise
        self._tasks(block.get("always", []), scope)

    def _task(self, task: Mapping[str, Any], scope: Scope) -> None:
        [action] = task.keys() - KNOWN
        given, kind = task[action], action.removeprefix(BUILTIN)
        if kind == "import_role":
            self._role(given, scope)
            return
        if kind == "import_tasks":
            self._file(given, scope)
            return
        self.on_task(task.get("name", ""))
        if (refused := next((each for each in scope.conditions if not self._true(each, scope)), None)) is not None:
            if "register" in task:
                skipped = {"changed": False, "skipped": True, "skip_reason": "Conditional result was False"}
                self._registered[task["register"]] = skipped | {"false_condition": refused}
        elif kind == "include_role":
            self._role(given, scope.included())
        elif kind == "include_tasks":
            self._file(given, scope.included())
        elif action.startswith(BUILTIN):
            self._builtin(kind, given, task, scope)
        else:
            self._module(action.removeprefix(OURS), given, task, scope)

    def _builtin(self, kind: str, given: Any, task: Mapping[str, Any], scope: Scope) -> None:
        match kind:
            case "meta":
                assert given == "end_role", given
                raise EndOfRole
            case "debug":
                self.screen.append(self._template(given["msg"], scope))
            case "set_fact":
                self._registered |= {name: self._template(value, scope) for name, value in given.items()}
                self.recap["ok"] += 1
                self.recap["changed"] += self._true(task.get("changed_when", False), scope)
            case "fail":
                self._failed(task, self._template(given["msg"], scope))
            case "assert":
                if not all(self._true(each, scope) for each in given["that"]):
                    self._failed(task, self._template(given["fail_msg"], scope))
                self.recap["ok"] += 1
            case "wait_for":
                time.sleep(given["timeout"])
            case "command":
                self._command(given, task, scope)
            case _:
                raise AssertionError(f"{kind} is not played here")

    def _command(self, given: Mapping[str, Any], task: Mapping[str, Any], scope: Scope) -> None:
        """A program of somebody else's, in the environment of a playbook."""
        if self._template(task.get("check_mode", self.check), scope):
            self._registered[task.get("register", "")] = {"changed": False, "skipped": True}
            return
        env = environment(self.stage.home, {"SCOUT_DSN": self.dsn})
        argv, folder = self._template(given["argv"], scope), self._template(given.get("chdir", str(CHECKOUT)), scope)
        done = subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=False)
        self._registered[task.get("register", "")] = {
            "changed": task.get("changed_when", True),
            "rc": done.returncode,
            "stdout": done.stdout.rstrip("\n"),
            "stdout_lines": done.stdout.splitlines(),
            "stderr": done.stderr.rstrip("\n"),
            "stderr_lines": done.stderr.splitlines(),
        }
        if self._true(task.get("failed_when", done.returncode != 0), scope):
            self._failed(task, done.stderr)
        self.recap["ok"] += 1
        self.recap["changed"] += task.get("changed_when", True)

    def _failed(self, task: Mapping[str, Any], said: str) -> None:
        self.recap["failed"] += 1
        self.screen.append(f"[ERROR]: {task['name']}: {said}")
        raise TaskFailed(said)

    def _file(self, name: str, scope: Scope) -> None:
        path = CHECKOUT / "roles" / scope.role / "tasks" / name
        self._tasks(_loaded(path), replace(scope, file=str(path)))

    def _role(self, given: Mapping[str, str], scope: Scope) -> None:
        role = self._template(given["name"], scope).removeprefix(OURS)
        try:
            self._file(
                given["tasks_from"],
                replace(
                    scope, role=role, variables=_own(role, "defaults") | _own(role, "vars") | dict(scope.variables)
                ),
            )
        except EndOfRole:
            return

    def _module(self, name: str, given: Mapping[str, Any], task: Mapping[str, Any], scope: Scope) -> None:
        # What is asked again is played by Ansible.
        assert int(self._template(task.get("retries", 0), scope)) == 0, task
        args = {option: self._template(value, scope) for option, value in (given or {}).items()}
        args = {option: value for option, value in args.items() if value is not OMIT}
        standing = Standing(args, name, scope)
        templar = Templar(lambda value: self._template(value, scope))
        args = task_options.given(standing, results.module(name).SPEC, self._known(scope), templar)
        check = self._true(self._template(task.get("check_mode", self.check), scope), scope)
        result: dict[str, Any]
        try:
            if name != SUMMARY:
                self._refuse_wrong(args["roles"] if name == OPTIONS else scope.begins, scope)
            result = self._result(name, args, check=check)
        except BadInput as e:
            begins = {} if name == OPTIONS or scope.begins is None else {"options_refused": True}
            result = {"changed": False, **failure(e), **begins}
        if "register" in task:
            self._registered[task["register"]] = result
        for part in ("failed_when", "changed_when"):
            if part in task:
                result[part.removesuffix("_when")] = self._true(task[part], scope)
        failed = result["failed"] and not scope.ignores_errors
        self.recap["failed" if failed else "ok"] += 1
        self.recap["changed"] += bool(result["changed"] and not failed)
        self.screen += [f"[WARNING]: {warning}" for warning in result.get("warnings", [])]
        if result["failed"]:
            self.screen.append(f"[ERROR]: {task['name']}: {result['msg']}")
            if failed:
                raise TaskFailed(result["msg"])

    def _refuse_wrong(self, roles: Any, scope: Scope) -> None:
        """BadInput where an option is not as its role specifies it, or what was typed is nearly one, as the front says."""
        variables = self._known(scope)
        if roles is not None:
            templar = Templar(lambda value: self._template(value, scope))
            given_options.refuse_wrong(self._template(roles, scope), variables, templar, DataLoader())
        extra_vars.refuse_placeholders(self.settings)
        extra_vars.refuse_unclear(variables, self.settings)
        assert not extra_vars.check(self.settings), self.settings

    def _known(self, scope: Scope) -> dict[str, Any]:
        """What a task's variables are, as templates."""
        return self._variables | dict(scope.variables) | self._registered | self.settings

    def _result(self, name: str, args: dict[str, Any], *, check: bool) -> dict[str, Any]:
        """As the front for all modules makes it, and that of the summary; BadInput where an option cannot be used."""
        if name == OPTIONS:
            return {"changed": False, "failed": False}
        module = results.module(name)
        variables = {**self._registered, **self.settings, "scout_dsn": self.dsn}
        left_open = task_options.left_open(module.SPEC, args, variables, self, DataLoader())
        if name == SUMMARY:
            try:
                params = front.validated(module, args | left_open)
            except BadInput:
                # A step was given the same and refused it.
                params = front.validated(module, args | left_open | {"resume": True})
            assert '"kind": "connection_lost"' not in json.dumps(params["steps"]), (
                "a lost session is looked up by Ansible only"
            )
            seconds, again = time.monotonic() - self._began, f"ansible-playbook {self._playbook}"
            result: dict[str, Any] = {**summarize(params, check=check, host=HOST, seconds=seconds, again=again)}
            # What is said before a run is waited for comes at once, the rest last of all, as the callback has it.
            (self.screen if params["first"] else self.summary).extend(result.get("lines", []))
        else:
            params = front.validated(module, args | left_open)
            progress = Progress(lambda line: self.screen.append(f"[{HOST}] {line}"))
            result = invoke(module.run, name, params, check=check, progress=progress, controller_pid=self.controller)
            as_declared(name, result)
            result = cast("dict[str, Any]", remove_values(result, secrets(params)))
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
        if (whole := EXPRESSION.fullmatch(value.strip())) and "{{" not in whole[1]:
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
                "lookup": functools.partial(self._lookup, scope),
                "omit": OMIT,
                "ansible_check_mode": self.check,
                "ansible_play_hosts_all": [HOST],
                "inventory_hostname": HOST,
                "role_path": str(CHECKOUT / "roles" / scope.role),
            }
        )

    def _lookup(self, scope: Scope, plugin: str, name: str, default: Any = None, **only: bool) -> Any:
        if plugin == "ansible.builtin.vars":
            return self._template(self._known(scope).get(name, default), scope)
        if only.get("only_artifacts"):
            return ""
        if plugin in ("ansible.builtin.env", "scout.recovery.kept"):
            return {"SCOUT_EVIDENCE": str(self.stage.home / "evidence")}.get(name, default)
        assert plugin == "scout.recovery.setting", plugin
        return self.settings.get(name, default)


@dataclass(frozen=True)
class Templar:
    """What the check of options wants of Ansible's: each template as the playbook has it."""

    template: Callable[[Any], Any]

    def copy_with_new_env(self, *, available_variables: Mapping[str, Any]) -> Templar:  # noqa: ARG002 they are the same
        """The same."""
        return self


class Quick(Stage):
    """A stage on which playbooks are played in this process, and not by Ansible."""

    def play(
        self,
        playbook: str,
        dsn: str | None = None,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path = CHECKOUT,
        **options: Any,
    ) -> Played:
        """As a stage does, with what it gives; `--check` is all that may be typed besides."""
        assert dsn, "one database"
        assert set(arguments) <= {"--check"}, arguments
        assert (env, cwd) == (None, CHECKOUT)
        return InProcess(self, dsn, check=bool(arguments), **options).play(playbook)


def _plays(path: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The plays of a playbook and of those that it imports, each with where it is written."""
    if path.parent == CHECKOUT / "playbooks":
        assert any(path.stem in compared for compared in COMPARED.values()), path
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

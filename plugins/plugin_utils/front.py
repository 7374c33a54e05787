# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every module of the collection in the worker process on local connections; elsewhere executes it as usual."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import threading
import time
import typing as t
from pathlib import Path

from ansible import context
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader, lookup_loader, shell_loader
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from . import preload  # isort: skip  # first: the imports below are then served from bytecode
from ..module_utils.recovery import invoke
from ..module_utils.recovery.core.errors import BadInput, Stopped
from ..module_utils.recovery.core.progress import Progress
from ..module_utils.recovery.postgres.dsn import NAMES_A_SERVER
from . import (
    arguments,
    extra_vars,
    given_options,
    keeping,
    printed,
    right_database,
    role_options,
    settings,
    stray_words,
    task_options,
    voice,
    whose_password,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping

display = Display()
# Read once, before the controller forks a worker for each task.
extra_vars.known()
extra_vars.switches()
task_options.handed_on()
connection_loader.get("local", class_only=True)
shell_loader.get("sh")
lookup_loader.get(f"{role_options.COLLECTION}.setting", class_only=True)


PR_SET_PDEATHSIG = 1
#: How long a worker whose controller is gone may take to end by itself; what it has not committed is rolled back either way.
LEAVE_SECONDS = 10.0

#: Who stops a task by which signal; Ansible sets the alarm for a task with a timeout.
CALLERS: dict[int, str] = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "a signal, or because the controller is gone",
    signal.SIGALRM: "the task's timeout",
}


class ActionModule(ActionBase):
    """One front for all modules: same options, same `run`, live lines on the screen."""

    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The module's result, from this process where it can be, else from the module executed on the target."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        # Given with the first phase of an operation, so that nothing begins with an option that is refused later.
        begins = given_options.ROLES in t.cast("dict[str, t.Any]", self._task.get_vars())
        try:
            ignored = self._refuse_wrong(variables, begins=begins)
        except BadInput as e:
            return {**invoke.failure(e), **({"options_refused": True} if begins else {})}
        module = module_of(self._task.action)
        given = task_options.given(self._task, module.SPEC, variables, self._templar)
        args: dict[str, t.Any] = settings.decrypted(
            given | task_options.left_open(module.SPEC, given, variables, self._templar, self._loader)
        )
        if task_options.withholds(set(module.SPEC) - set(given), variables, self._templar, self._loader):
            display.warning(whose_password.WARNING)
        environment: dict[str, str] = {}
        self._compute_environment_string(environment)
        try:
            self._refuse_nameless(module, args, variables, environment)
        except BadInput as e:
            return invoke.failure(e)
        if self._connection.transport != "local" or self._task.async_val or self._connection.become is not None:
            made = self._execute_module(module_args=args, task_vars=variables, wrap_async=bool(self._task.async_val))
            return _as_typed(made, variables)
        os.environ.update(environment)
        try:
            params = validated(module, args)
        except BadInput as e:
            return invoke.failure(e)
        host = variables.get("inventory_hostname", "localhost")
        hidden = invoke.secrets(params)

        def say(line: str) -> None:
            if not self._task.no_log:
                voice.say(display, f"[{host}] {remove_values(line, hidden)}", self._task, color="cyan")

        voice.begin(display, self._task)
        leave_with(os.getppid())
        with stoppable(Progress(say)) as progress:
            result = invoke.invoke(
                module.run,
                module.__name__.rpartition(".")[2],
                params,
                check=bool(self._task.check_mode),
                progress=progress,
                controller_pid=os.getppid(),
            )
        keeping.begin(params, result, os.getppid())
        if not self._task.diff:
            result.pop("diff", None)
        if ignored:
            result["warnings"] = [*(result.get("warnings") or []), *ignored]
        return _as_typed(t.cast("dict[str, t.Any]", remove_values(result, hidden)), variables)

    def _refuse_wrong(self, variables: dict[str, t.Any], *, begins: bool) -> list[str]:
        """BadInput where a variable is mistyped, or an option of a role is not as it is specified; warnings of others."""
        ignored = mistyped(self._loader, variables)
        role = t.cast("t.Any", self._task)._role
        # A playbook of ours names its roles where it begins.
        if role and not extra_vars.ours(variables.get("playbook_dir", "")):
            given_options.refuse_nearly(Path(role._role_path), variables)
        if begins:
            roles: list[str] = self._templar.template(variables[given_options.ROLES])
            given_options.refuse_wrong(roles, variables, self._templar, self._loader)
            ignored += given_options.unread(roles, variables, self._loader)
        return ignored

    def _refuse_nameless(
        self, module: t.Any, args: Mapping[str, t.Any], variables: Mapping[str, t.Any], environment: Mapping[str, str]
    ) -> None:
        """BadInput where several hosts of a play would take the database that the environment of this process names."""
        hosts: list[str] = variables.get("ansible_play_hosts_all") or []
        named = args.get("dsn") or environment.keys() & {"SCOUT_DSN", "PGURI", *NAMES_A_SERVER}
        from_here = "dsn" in module.SPEC and self._connection.transport == "local"
        if from_here and not named and not self._task.run_once and len(hosts) > 1:
            raise right_database.no_dsn(variables.get("inventory_hostname", "localhost"), len(hosts))


def _as_typed(result: dict[str, t.Any], variables: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The result, with each command on the screen as it is typed here; a summary sees to what is in the other parts."""
    if not result.get("failed"):
        return result
    typed = printed.typed(variables.get("groups") or {}, variables.get("inventory_hostname", "localhost"))
    return result | {name: typed.within(result[name]) for name in ("msg", "warnings") if name in result}


def mistyped(loader: t.Any, variables: Mapping[str, t.Any]) -> list[str]:
    """Refuses a variable of a host that is nearly scout_dsn or the like. For our own playbooks also words outside the quotes,
    values that are only `…`, switches that are neither on nor off, and names given with -e that are nearly one of ours; what
    is to be said of others that nothing here reads. What a team's own playbook reads is its affair."""
    typed = load_extra_vars(loader)
    extra_vars.refuse_misspelt(variables.keys() - typed.keys(), variables.get("inventory_hostname", "localhost"))
    if not extra_vars.ours(variables.get("playbook_dir", "")):
        return []
    stray_words.refuse(context.CLIARGS.get("extra_vars") or ())
    extra_vars.refuse_placeholders(typed)
    extra_vars.refuse_unclear(variables, typed)
    return extra_vars.check(typed)


def validated(module: t.Any, args: dict[str, t.Any]) -> dict[str, t.Any]:
    """The task's options by the module's own spec, as plain values; BadInput names each that cannot be used."""
    args = {name: arguments.as_list(module.SPEC.get(name, {}), value) for name, value in args.items()}
    checked = ArgumentSpecValidator(module.SPEC, **getattr(module, "RULES", {})).validate(args)
    if checked.error_messages:
        name = module.__name__.rpartition(".")[2]
        if checked.unsupported_parameters:
            known = f"{name} knows {', '.join(sorted(module.SPEC))}"
            unknown = ", ".join(sorted(map(str, checked.unsupported_parameters)))
            raise BadInput(f"unknown options for {name}: {unknown}", next_step=known)
        problems = [arguments.in_plain_words(message, args) for message in checked.error_messages]
        raise BadInput("; ".join(problems), next_step="correct it and run the same command again")
    aliases = {alias for option in module.SPEC.values() for alias in option.get("aliases", ())}
    for option, spec in module.SPEC.items():
        for old in spec.get("deprecated_aliases", ()):
            if old["name"] in args:
                display.deprecated(
                    f"{module.__name__.rpartition('.')[2]}: {old['name']} is called {option} now",
                    version=old["version"],
                    collection_name=old["collection_name"],
                )
    # The controller's strings carry tags that other libraries need not know.
    plain = json.loads(json.dumps(checked.validated_parameters))
    return {name: value for name, value in plain.items() if name not in aliases}


def module_of(action: str) -> t.Any:
    """The module a task names."""
    return preload.module(action.rpartition(".")[2])


def leave_with(controller_pid: int) -> None:
    """From now on this process ends soon after its controller, whatever it waits for then: a statement, or a pipe nobody reads."""

    def watch() -> None:
        while os.getppid() == controller_pid:
            time.sleep(0.5)
        # The kernel's signal may have come too early, or there is none.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LEAVE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def stoppable(progress: Progress) -> t.Generator[Progress]:
    """Ctrl-C, SIGTERM, the task's timeout and the death of the controller roll back the transaction in flight and end the task."""

    def stop(signum: int, _frame: t.Any) -> None:
        progress.request_stop()
        if progress.deferring:
            return
        # What is cleaned up now must not be stopped once more: Ctrl-C is followed by the controller's end.
        for number in previous:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped(
            f"stopped by {CALLERS.get(signum, 'a signal')}",
            next_step="run the same command again: it continues from the last commit",
        )

    numbers = [signal.SIGINT, signal.SIGTERM]
    if callable(signal.getsignal(signal.SIGALRM)):
        numbers.append(signal.SIGALRM)
    previous = {number: signal.signal(number, stop) for number in numbers}
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        yield progress
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

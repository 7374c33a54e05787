# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of the action plugins: on a local connection a module runs in the worker, with its progress on the screen."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import typing as t

from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.recovery import invoke
from ..module_utils.recovery.core.errors import BadInput, Stopped
from ..module_utils.recovery.core.progress import Progress
from ..module_utils.recovery.core.text import visible_in
from ..module_utils.recovery.postgres.dsn import NAMES_A_SERVER

if t.TYPE_CHECKING:
    from types import FrameType, ModuleType

display = Display()

#: How long a worker may take to end once its controller is gone; what it has not committed is rolled back either way.
LEAVE_SECONDS = 10.0
#: Who stops a task by which signal; Ansible sets the alarm for a task with a timeout.
CALLERS: t.Final[dict[int, str]] = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "a signal, or because the controller is gone",
    signal.SIGALRM: "the task's timeout",
}
NAMES_A_DATABASE: t.Final = {"SCOUT_DSN", "PGURI", *NAMES_A_SERVER}


class InWorker(ActionBase):
    """Runs `module` in the worker; over any other connection, with become or async, Ansible executes it as usual."""

    module: ModuleType
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The result of the module."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        task = self._task
        if self._connection.transport != "local" or task.async_val or self._connection.become is not None:
            return self._execute_module(task_vars=variables, wrap_async=bool(task.async_val))
        given = t.cast("list[dict[str, str]]", task.environment or [])
        environment = {name: value for each in given for name, value in each.items()}
        hosts: list[str] = variables.get("ansible_play_hosts_all") or []
        host = variables.get("inventory_hostname", "localhost")
        named = any(task.args.get(option) for option in ("dsn", "login_host", "login_db"))
        if len(hosts) > 1 and not named and not environment.keys() & NAMES_A_DATABASE:
            return invoke.failure(no_dsn(host, len(hosts)))
        os.environ.update(environment)
        _, options = self.validate_argument_spec(self.module.SPEC, **getattr(self.module, "RULES", {}))
        # The controller's values carry tags that other libraries need not know.
        params: dict[str, t.Any] = json.loads(json.dumps(options))
        hidden = invoke.secrets(params)

        def say(line: str) -> None:
            if not task.no_log:
                display.display(f"[{host}] {remove_values(line, hidden)}", color="cyan", stderr=True)

        controller = os.getppid()
        leave_with(controller)
        with stoppable(Progress(say)) as progress:
            result = invoke.invoke(
                self.module.run,
                self.module.__name__.rpartition(".")[2],
                params,
                check=bool(task.check_mode),
                progress=progress,
                controller_pid=controller,
            )
        if not task.diff:
            result.pop("diff", None)
        # A callback shows what others wrote as it is, with -v or after a failure.
        return t.cast("dict[str, t.Any]", remove_values(visible_in(result, None), hidden))


def no_dsn(host: str, among: int) -> BadInput:
    """The refusal of a host of several that does not say where its database is."""
    return BadInput(
        f"host {host} has no scout_dsn, and is one of {among}",
        said="it would work on whichever database the environment names, for all of them",
        next_step=f"give {host} its scout_dsn in the inventory, or choose one host with --limit",
    )


def leave_with(controller_pid: int) -> None:
    """From now on this process ends soon after its controller, whatever it waits for then: a statement, or a pipe nobody reads."""

    def watch() -> None:
        while os.getppid() == controller_pid:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LEAVE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def stoppable(progress: Progress) -> t.Generator[Progress]:
    """Ctrl-C, SIGTERM and the task's timeout roll back the transaction in flight and end the task."""

    def stop(signum: int, _frame: FrameType | None) -> None:
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
    try:
        yield progress
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts Ansible's commands by forking a process that has Ansible and the collection loaded, so that a start costs 0.5 s of CPU less.

A command started so is a controller like any other: the leader of a session and of a process group of its own, with its own
environment, folder and streams, and dead when it is killed. What it does not show is what happens before Ansible is loaded;
tests of that start the command itself. What Ansible reads while it is loaded is the same for every run of one forker, which is
why there is one for each set of such variables (LOADING), apart from those in OWN.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tests import CHECKOUT

#: Variables read while a playbook runs, never while Ansible or the collection is loaded.
OWN = ("SCOUT_", "PG", "COLUMNS", "SUDO_USER", "PYTEST_CURRENT_TEST", "ANSIBLE_CACHE_PLUGIN_CONNECTION", "AWX_")
#: Those that Python, Ansible and what they import read while they are loaded.
LOADING = ("ANSIBLE_", "PYTHON", "LC_", "LANG", "HOME", "TMPDIR", "TZ", "ORIGINAL_STDOUT_CALLBACK")
#: No forker is worth its start for an environment that only a few tests have.
USUAL = {
    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "tests" / "e2e" / "callback_plugins"),
    "ANSIBLE_CALLBACKS_ENABLED": "documents",
}
#: But this one, with the callback that kills the controller at a task boundary: each test that has it has many runs.
CRASHING = {"ANSIBLE_CALLBACKS_ENABLED": "documents,crash"}
BIN = Path(sys.executable).parent
COMMANDS = {"ansible-playbook": "playbook.PlaybookCLI", "ansible": "adhoc.AdHocCLI"}
#: What every run looks through.
KINDS = "become cache callback connection filter inventory shell strategy test vars"

_forkers: dict[frozenset[tuple[str, str]], _Forker] = {}
_starting = threading.Lock()


def usual(env: Mapping[str, str]) -> bool:
    """Whether a command with this environment may be started by a fork."""
    given = {name: value for name, value in env.items() if name.startswith("ANSIBLE_")}
    known = ("PATH", "PYTHONUNBUFFERED", *USUAL, *CRASHING)
    same = {name: value for name, value in _shared(env).items() if name not in known}
    return given in (USUAL, USUAL | CRASHING) and hasattr(os, "pidfd_open") and same.items() <= os.environ.items()


def loading(env: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """What is read of an environment while Ansible is loaded; runs in which it is the same have one forker."""
    return frozenset((name, value) for name, value in _shared(env).items() if name.startswith(LOADING))


def loaded(env: Mapping[str, str]) -> bool:
    """Whether there is a forker for such an environment."""
    return loading(env) in _forkers


def start(
    command: list[str],
    env: Mapping[str, str],
    cwd: Path,
    screen: int,
    errors: int | None = None,
    umask: int | None = None,
) -> Controller:
    """The command on its way, with nothing to read; its output goes to file descriptors, its errors to the screen unless told."""
    key = loading(env)
    with _starting:
        if key not in _forkers:
            _forkers[key] = _Forker(_shared(env))
    return _forkers[key].start({"command": command, "env": dict(env), "cwd": str(cwd), "umask": umask}, screen, errors)


def stop() -> None:
    """Ends the processes that fork; a command that still runs goes on."""
    while _forkers:
        _forkers.popitem()[1].stop()


def _shared(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith(OWN)}


class Controller:
    """A forked command, with as much of subprocess.Popen as tests use."""

    def __init__(self, pid: int, command: list[str], connection: socket.socket) -> None:
        self.pid, self.args = pid, command
        self.returncode: int | None = None
        self._connection = connection

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; subprocess.TimeoutExpired when it still runs after so many seconds."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(_received(self._connection))
            self._connection.close()
        return self.returncode

    def fileno(self) -> int:
        """Ready to be read as soon as it has ended; for select."""
        return self._connection.fileno()

    def send_signal(self, number: int) -> None:
        """Sends a signal to the controller alone; nothing when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class _Forker:
    """The process that forks, which ends with this one."""

    def __init__(self, env: dict[str, str]) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line = ours
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                env=env | {"PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), env.get("PYTHONPATH")]))},
                # Ansible looks for its configuration there where the environment names none.
                cwd=os.sep,
                stdin=its,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 no thread is running yet
            )

    def start(self, order: dict[str, Any], screen: int, errors: int | None) -> Controller:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            socket.send_fds(self._line, [b"order"], [screen, screen if errors is None else errors, its.fileno()])
        ours.send(json.dumps(order).encode())
        return Controller(int(_received(ours)), order["command"], ours)

    def stop(self) -> None:
        self._line.close()
        self._process.wait()


def _received(line: socket.socket) -> bytes:
    said = line.recv(1 << 20)
    if not said:
        raise RuntimeError("the process that forks is gone; what it said last is on the screen of the tests")
    return said


def main() -> None:
    """Forks what is ordered until nobody is there any more to order; in a forked process, runs the command."""
    _load()
    gc.freeze()
    _run(_ordered(socket.socket(fileno=os.dup(0))))


def _load() -> None:
    """Imports what nearly every run needs; what is left, a run imports itself."""
    from ansible.cli import adhoc, playbook  # noqa: F401
    from ansible.plugins import loader

    loader.init_plugin_loader([])
    for path in sorted((CHECKOUT / "library").glob("*.py")):
        loader.action_loader.get(f"scout.recovery.{path.stem}", class_only=True)
    for name in ("minimal",):
        loader.callback_loader.get(name, class_only=True)
    for kind in KINDS.split():
        # Those of a program that runs Ansible look at its environment, and at Ansible itself, as they are loaded.
        if kind == "callback" and "ANSIBLE_CALLBACK_PLUGINS" in os.environ:
            continue
        list(getattr(loader, f"{kind}_loader").all(class_only=True))


def _ordered(line: socket.socket) -> dict[str, Any]:
    """Returns in each forked process, with its order; the forking process itself leaves with the last who orders."""
    working: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([line, *working], [], [])[0]:
            if ready is not line:
                _report(ready, *working.pop(ready))
                continue
            said, descriptors, *_ = socket.recv_fds(line, 16, 3)
            if not said:
                sys.exit()
            *streams, number = descriptors
            answer = socket.socket(fileno=number)
            order = json.loads(_received(answer))
            if (pid := os.fork()) == 0:
                _become(order, streams)
                for descriptor in (line, answer, *working, *(other for _, other in working.values())):
                    os.close(descriptor if isinstance(descriptor, int) else descriptor.detach())
                return order
            for stream in streams:
                os.close(stream)
            answer.send(str(pid).encode())
            working[os.pidfd_open(pid)] = (pid, answer)


def _report(handle: int, pid: int, answer: socket.socket) -> None:
    os.close(handle)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with answer, contextlib.suppress(BrokenPipeError):
        answer.send(str(code).encode())


def _become(order: Mapping[str, Any], streams: list[int]) -> None:
    """What the kernel and the shell give a command that is started."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    os.chdir(order["cwd"])
    if order["umask"] is not None:
        os.umask(order["umask"])
    sys.argv[:] = order["command"]


def _run(order: Mapping[str, Any]) -> None:
    """Runs the command, to the end of the process."""
    import ansible.cli
    from ansible import constants
    from ansible.utils.path import cleanup_tmp_file

    # The folder for temporary files is that of the process that forks, and would go with the first run.
    atexit.unregister(cleanup_tmp_file)
    for name in ("ANSIBLE_HOME", "DEFAULT_LOCAL_TMP"):
        setattr(constants, name, constants.config.get_config_value(name, variables=vars(constants)))
    ansible.cli.init_plugin_loader = lambda _paths: None
    module, _, name = COMMANDS[Path(order["command"][0]).name].partition(".")
    try:
        getattr(getattr(ansible.cli, module), name).cli_executor(order["command"])
    except SystemExit as e:
        if not isinstance(e.code, int):
            raise
        _leave(e.code)


def _leave(code: int) -> NoReturn:
    """Ends as the interpreter would, but does not take its memory apart: that would copy all of it first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()

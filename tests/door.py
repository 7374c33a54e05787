# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder with `ansible-playbook` and `ansible` in it for what starts them itself: a script, ansible-runner, a drill.

What is started from there is forked as tests/warm.py does it, and the program that was called stands for it: signals that
reach it reach the run, when it is killed so is the run, and it ends with the run's exit code or signal. One with another
configuration than that of the checkout, and the first with an environment, is the command itself.

`python -m tests.door COMMAND …` runs a command with that folder on its PATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests import CHECKOUT, warm

CLIENT = Path(__file__).with_name("door_client.py")
CONFIGURATION = CHECKOUT / "ansible.cfg"


class Door:
    """A context manager; `folder` goes first on a PATH."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="scout-door-"))
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.bind(str(self.folder / "line"))
        self._asked: Counter[frozenset[tuple[str, str]]] = Counter()
        for name in warm.COMMANDS:
            told = shlex.join([sys.executable, "-IS", str(CLIENT), str(self.folder / "line"), str(warm.BIN / name)])
            program = self.folder / name
            program.write_text(f'#!/bin/sh\nexec {told} "$0" "$@"\n')
            program.chmod(0o755)

    def __enter__(self) -> Self:
        self._line.listen(64)
        threading.Thread(target=self._answer, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()
        shutil.rmtree(self.folder)

    def _answer(self) -> None:
        while True:
            try:
                line = self._line.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=[line], daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        # Whoever called may have been killed in the meantime.
        with line, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            said, screens, *_ = socket.recv_fds(line, 16, 2)
            if not said:
                return
            try:
                run = self._begin(json.loads(line.recv(1 << 20)), *screens)
            finally:
                for screen in screens:
                    os.close(screen)
            if run is None:
                line.send(b"unusual")
                return
            line.send(b"begun")
            while run.poll() is None:
                ready = select.select([line, run], [], [])[0]
                if line not in ready:
                    continue
                number = line.recv(16)
                run.send_signal(int(number) if number else signal.SIGKILL)
                if not number:
                    run.wait()
                    return
            line.send(str(run.wait()).encode())

    def _begin(self, order: Mapping[str, Any], screen: int, errors: int) -> warm.Controller | None:
        env = dict(order["env"])
        configuration = Path(env.get("ANSIBLE_CONFIG", Path(order["cwd"]) / "ansible.cfg"))
        if configuration.resolve() == CONFIGURATION:
            env["ANSIBLE_CONFIG"] = str(CONFIGURATION)
        elif configuration.exists() or "ANSIBLE_CONFIG" in env:
            return None
        loading = warm.loading(env)
        self._asked[loading] += 1
        if self._asked[loading] == 1 and not warm.loaded(env):
            return None
        return warm.start(order["command"], env, Path(order["cwd"]), screen, errors, order["umask"])


def main() -> int:
    """The exit code of the command in the arguments."""
    with Door() as door:
        path = f"{door.folder}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(sys.argv[1:], env=os.environ | {"PATH": path}, check=False)
    warm.stop()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

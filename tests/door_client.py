# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for a command of Ansible's: has it forked by tests/door.py, passes signals on, and ends as it ends.

A program that is copied to a folder on a PATH. Where the door will not do it, it becomes the command itself.
"""

import json
import os
import signal
import socket
import sys

door, command = sys.argv[1:3]
words = [command, *sys.argv[4:]]


def become() -> None:
    """The command itself."""
    os.execv(command, words)


try:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.connect(door)
except OSError:
    become()
mask = os.umask(0)
os.umask(mask)
order = {"command": words, "env": dict(os.environ), "cwd": os.getcwd(), "umask": mask}  # noqa: PTH109 pathlib would double its start
socket.send_fds(line, [b"order"], [1, 2])
line.send(json.dumps(order).encode())
if line.recv(64) != b"begun":
    become()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda number, _frame: line.send(str(int(number)).encode()))
code = int(line.recv(64) or 1)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)

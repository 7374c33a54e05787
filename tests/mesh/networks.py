# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nodes of a mesh are connected by: ports of this machine, or for root a network namespace each, as machines of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Generator, Sequence
from pathlib import Path

#: Every node of a namespace finds the hop by its name, as deploy/receptor has it.
PORT = 27199


class Ports:
    """All nodes on one machine. A link is cut by ending the hop, and a machine lost by killing all that runs on it."""

    name = "ports of this machine"

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.hop = f"localhost:{self.port}"
        #: Where a node reaches what listens on this machine.
        self.here = "127.0.0.1"

    @staticmethod
    def within(_node: str) -> list[str]:
        """What starts a program on a node."""
        return []


class Namespaces:
    """A namespace for each node, with a link to the hop's and one to this machine, where its databases are."""

    name = "network namespaces"
    port = PORT
    hop = f"hop:{PORT}"

    def __init__(self, nodes: Sequence[str]) -> None:
        self._mark = f"s{os.getpid() % 65536:x}"
        self._nodes = list(nodes)
        self.net = f"10.{200 + os.getpid() % 50}"
        self.here = f"{self.net}.0.1"

    def up(self) -> None:
        """Makes all of it."""
        for name in ["hop", *self._nodes]:
            _ip("netns", "add", self._space(name))
            self._ip(name, "link", "set", "lo", "up")
        _ip("link", "add", f"{self._mark}br", "type", "bridge")
        _ip("addr", "add", f"{self.here}/24", "dev", f"{self._mark}br")
        _ip("link", "set", f"{self._mark}br", "up")
        for number, name in enumerate(self._nodes):
            _ip(
                "link",
                "add",
                f"{self._mark}d{number}",
                "type",
                "veth",
                "peer",
                "name",
                "db",
                "netns",
                self._space(name),
            )
            _ip("link", "set", f"{self._mark}d{number}", "master", f"{self._mark}br", "up")
            self._ip(name, "addr", "add", f"{self.net}.0.{10 + number}/24", "dev", "db")
            self._ip(name, "link", "set", "db", "up")
            _ip(
                "-n",
                self._space("hop"),
                "link",
                "add",
                f"n{number}",
                "type",
                "veth",
                "peer",
                "name",
                "mesh",
                "netns",
                self._space(name),
            )
            for where, device, last in (("hop", f"n{number}", 1), (name, "mesh", 2)):
                self._ip(where, "addr", "add", f"{self.net}.{number + 1}.{last}/30", "dev", device)
                self._ip(where, "link", "set", device, "up")
            hosts = Path("/etc/netns") / self._space(name) / "hosts"
            hosts.parent.mkdir(parents=True)
            hosts.write_text(f"127.0.0.1 localhost\n{self.net}.{number + 1}.1 hop\n")

    def down(self) -> None:
        """Removes it."""
        for name in ["hop", *self._nodes]:
            _ip("netns", "del", self._space(name), check=False)
            shutil.rmtree(Path("/etc/netns") / self._space(name), ignore_errors=True)
        # What is at its end in a namespace keeps that, and what is in it, a little longer.
        for device in (f"{self._mark}br", *(f"{self._mark}d{number}" for number in range(len(self._nodes)))):
            _ip("link", "del", device, check=False)

    def within(self, node: str) -> list[str]:
        """What starts a program on a node, which is a machine of its own by its name, too."""
        named = 'echo "$0" > /proc/sys/kernel/hostname; exec "$@"'
        return ["ip", "netns", "exec", self._space(node), "unshare", "--uts", "/bin/sh", "-c", named, node]

    def link(self, node: str, device: str, state: str) -> None:
        """Takes a link of a node down, or up: `mesh` to the hop, `db` to its databases."""
        self._ip(node, "link", "set", device, state)

    def _space(self, name: str) -> str:
        return f"scout-{self._mark}-{name}"

    def _ip(self, node: str, *words: str) -> None:
        _ip("-n", self._space(node), *words)


Network = Ports | Namespaces


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)


def can_have_namespaces() -> bool:
    """Whether this is root on a Linux with iproute2 that lets it make one."""
    if not (shutil.which("ip") and shutil.which("unshare")) or os.geteuid() != 0:
        return False
    name = f"scout-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return tried.returncode == 0


@contextlib.contextmanager
def best(nodes: Sequence[str]) -> Generator[Network]:
    """Namespaces where they can be had, else ports; the same tests run on both."""
    if not can_have_namespaces():
        yield Ports()
        return
    made = Namespaces(nodes)
    try:
        made.up()
        yield made
    finally:
        made.down()

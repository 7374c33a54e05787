# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at the keyboard, in which process, and whether another such process is still alive."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import getpass
import os
import socket
import typing as t
from pathlib import Path

from ..core import place
from ..core.text import printable

if t.TYPE_CHECKING:
    from ..postgres.session import Row

#: Marks whom a controller of automation says that it works for.
TOLD: t.Final = " (told by controller)"
LONGEST: t.Final = 64


@dataclasses.dataclass(frozen=True)
class Controller:
    """The process that runs the playbook; `pid` is None where it cannot be looked up again. `told` is whoever a controller of
    automation says that it works for; `nameless`, whether the account here is nobody's, as in a container."""

    actor: str
    host: str
    host_key: str
    pid: int | None
    process_started: str | None
    told: str = ""
    nameless: bool = False

    def logged_in(self, login: str) -> Controller:
        """With the role that the database knows it by, where nothing else does, and beside whom a controller of automation
        tells: nobody here has seen that person."""
        if self.told:
            return dataclasses.replace(self, actor=f"{self.told}{TOLD} as {login}")
        return dataclasses.replace(self, actor=f"{login}@{self.host}") if self.nameless else self

    def process(self, pid: int) -> Controller:
        """The same person, in another process of this machine."""
        return dataclasses.replace(self, pid=pid, process_started=_process_started(pid))

    @property
    def name(self) -> str:
        """`host:pid`, for the ledger."""
        return f"{self.host}:{self.pid or '-'}"


def this_controller(pid: int | None, told: str | None = None) -> Controller:
    """Describes the operator, or whom SCOUT_ACTOR or a controller of automation tells, and the process `pid` on this machine."""
    host = socket.gethostname()
    told = " ".join(printable(os.environ.get("SCOUT_ACTOR") or told or "").replace(TOLD, " ").split())[:LONGEST]
    try:
        login = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        login = f"uid {os.getuid()}"
    nameless = place.in_container() and (login == "root" or login.startswith("uid "))
    actor = f"{told}{TOLD}" if told else f"{login}@{host}"
    return Controller(actor, host, _host_key(host), pid, _process_started(pid) if pid else None, told, nameless)


def same_login(one: str, other: str) -> bool:
    """Whether two actors, `login@host` or one who is told, are one person: who works with several machines, as a deploy
    pipeline does, has the same login on each."""
    return _person(one) == _person(other)


def _person(actor: str) -> str:
    return actor.partition(TOLD if TOLD in actor else "@")[0]


def _host_key(host: str) -> str:
    """Tells this boot of this machine and this pid namespace from every other."""
    parts = [host]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)


class Life(enum.Enum):
    """How a process is: running, stopped by a signal or a debugger, or gone."""

    RUNS = "runs"
    STOPPED = "stopped"
    GONE = "gone"


def life_of(pid: int, started: str | None) -> Life:
    """How the process `pid` is that started at `started`, as `Controller.process_started` has it; None where that is not known."""
    if not Path("/proc/self").is_dir():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return Life.GONE
        except PermissionError:
            pass
        return Life.RUNS
    state, since = _stat(pid)
    if since is None or since != (started or since):
        return Life.GONE
    return Life.STOPPED if state in "Tt" else Life.RUNS


def _process_started(pid: int) -> str | None:
    """The start of a process in kernel ticks, or None where that cannot be told or only a zombie is left of it."""
    return _stat(pid)[1]


def _stat(pid: int) -> tuple[str, str | None]:
    """A process's state, as /proc has it, and its start; None where that cannot be told or only a zombie is left of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19] if fields[0] not in "ZX" else None
    except (OSError, IndexError):
        return "", None


def holder_is_dead(lease: Row, here: Controller) -> bool:
    """True only when the holder ran on this machine and its process is gone; anything uncertain counts as alive.

    What this very process held before is left over from a task whose session was lost: it does one thing at a time.
    """
    if lease["host_key"] != here.host_key or not lease["pid"] or not lease["process_started"]:
        return False
    if lease["pid"] == os.getpid():
        return True
    if not Path("/proc/self").is_dir():
        return False
    return _process_started(lease["pid"]) != lease["process_started"]

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at the keyboard, and in which process."""

from __future__ import annotations

import dataclasses
import getpass
import os
import socket
import typing as t

from ..core import place
from ..core.text import printable

#: Marks whom a controller of automation says that it works for.
TOLD: t.Final = " (told by controller)"
LONGEST: t.Final = 64


@dataclasses.dataclass(frozen=True)
class Controller:
    """The process that runs the playbook; `pid` is None where it is not known. `told` is whoever a controller of automation says
    that it works for; `nameless`, whether the account here is nobody's, as in a container."""

    actor: str
    host: str
    pid: int | None
    told: str = ""
    nameless: bool = False

    def logged_in(self, login: str) -> Controller:
        """With the role that the database knows it by, where nothing else does, and beside whom a controller of automation
        tells: nobody here has seen that person."""
        if self.told:
            return dataclasses.replace(self, actor=f"{self.told}{TOLD} as {login}")
        return dataclasses.replace(self, actor=f"{login}@{self.host}") if self.nameless else self

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
    return Controller(actor, host, pid, told, nameless)


def same_login(one: str, other: str) -> bool:
    """Whether two actors, `login@host` or one who is told, are one person: who works with several machines, as a deploy
    pipeline does, has the same login on each."""
    return _person(one) == _person(other)


def _person(actor: str) -> str:
    return actor.partition(TOLD if TOLD in actor else "@")[0]

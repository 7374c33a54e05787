# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch databases and roles on a server that is not ours alone: how they are named and marked, and how those that a killed
drill left are told from everything else (pure, but for looking at processes)."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import re
import secrets
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.controller import this_controller
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore.scratch_database import (
    LEFT_SECONDS,
)

PREFIX: t.Final = "scout_drill_"
NAMED: t.Final = re.compile(rf"({PREFIX}[0-9a-f]{{12}})(?:_.+)?", re.DOTALL)
COMMENT: t.Final = "scout-recovery: drill by {maker}, made {made}; may be dropped"
COMMENTED: t.Final = re.compile(r"scout-recovery: drill by ([0-9a-f]{16})/(\d+)/(\d+|-), made (\S+); may be dropped")
#: A name in PostgreSQL, in bytes.
LONGEST: t.Final = 63


@dataclasses.dataclass(frozen=True)
class Maker:
    """A process, so that others can tell whether it still lives."""

    machine: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.machine}/{self.pid}/{self.started}"


def maker(pid: int | None = None) -> Maker:
    """This process, or another one of this machine as it is now."""
    found = this_controller(os.getpid() if pid is None else pid)
    machine = hashlib.sha256(found.host_key.encode()).hexdigest()[:16]
    return Maker(machine, found.pid or 0, found.process_started or "-")


def new_name() -> str:
    """The name of a scratch database, which nobody types."""
    return f"{PREFIX}{secrets.token_hex(6)}"


def role_name(database: str, role: str, taken: t.Collection[str] = ()) -> str:
    """The name of the scratch role that takes a role's place in a scratch database; none of those taken."""
    for number in range(len(taken) + 1):
        mark = f"_{number}" if number else ""
        name = f"{database}_{role}".encode()[: LONGEST - len(mark)].decode(errors="ignore") + mark
        if name not in taken:
            break
    else:
        raise AssertionError("of more names than are taken one is free")
    return name


def comment(by: Maker, now: datetime.datetime) -> str:
    """What is written at everything a drill makes."""
    return COMMENT.format(maker=by, made=now.astimezone(datetime.UTC).isoformat(timespec="seconds"))


def of_database(name: str) -> str:
    """The scratch database that a scratch role or database belongs to; nothing where it has no such name."""
    found = NAMED.fullmatch(name)
    return found[1] if found else ""


def is_leftover(name: str, said: str | None, now: datetime.datetime, *, occupied: bool) -> bool:
    """Whether it is provably ours and nobody comes back to it: its maker is dead, or is elsewhere and long gone."""
    found = COMMENTED.fullmatch(said or "")
    if not of_database(name) or not found:
        return False
    machine, pid, started, when = found[1], int(found[2]), found[3], found[4]
    if machine == maker().machine and started != "-":
        return maker(pid).started != started
    try:
        made = datetime.datetime.fromisoformat(when)
    except ValueError:
        return False
    return made.tzinfo is not None and not occupied and (now - made).total_seconds() > LEFT_SECONDS

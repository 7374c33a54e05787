# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is: which databases of a slice begin, which others they wait for, or why no further one begins; pure."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: How a database of a rollout is: its slice may have died with it at work.
WAITING: t.Final = "waiting"
AT_WORK: t.Final = "at work"
LOST: t.Final = "lost"
FAILED: t.Final = "failed"
WELL: t.Final = "well"
#: What counts as failed.
NOT_WELL: t.Final = (LOST, FAILED)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A database of a rollout: its batch, from 0, is None until it begins; `by` is whose slice has it, and where."""

    host: str
    batch: int | None
    state: str
    by: str = ""


@dataclasses.dataclass(frozen=True)
class Turn:
    """What a slice does next: it begins hosts of a batch, waits for some that are at work, is `stopped`, or has none left."""

    begin: tuple[str, ...] = ()
    batch: int = 0
    waits_for: tuple[Entry, ...] = ()
    stopped: str = ""


def next_turn(entries: Sequence[Entry], sizes: Sequence[int | None], most: float, mine: Iterable[str]) -> Turn:
    """The turn of a slice whose own hosts, those that it has not tried yet, are `mine`. A size of None takes all others.

    What failed before, or was lost with its slice, begins again in its own batch, whatever else failed.
    """
    found = {entry.host: entry for entry in entries}
    own = [found[host] for host in mine if host in found]
    if again := [entry for entry in own if entry.batch is not None]:
        batch = min(t.cast("int", entry.batch) for entry in again)
        return Turn(tuple(entry.host for entry in again if entry.batch == batch), batch)
    if not own:
        return Turn()
    batch = 0
    while True:
        members, size = [entry for entry in entries if entry.batch == batch], sizes[min(batch, len(sizes) - 1)]
        working = tuple(entry for entry in members if entry.state == AT_WORK)
        if too_many := _too_many(members, size, most):
            return Turn(stopped=too_many)
        if size is None or len(members) < size:
            room = len(own) if size is None else size - len(members)
            return Turn(tuple(entry.host for entry in own[:room]), batch)
        if working:
            return Turn(waits_for=working)
        batch += 1


def _too_many(members: Sequence[Entry], size: int | None, most: float) -> str:
    """Why no further host begins after those of a batch; empty where some may."""
    failed = [entry.host for entry in members if entry.state in NOT_WELL]
    whole = size or len(members)
    named = f"{', '.join(failed[:3])}{', …' if len(failed) > 3 else ''}"
    if whole and 100 * len(failed) / whole > most:
        return f"{len(failed)} of {whole} failed in all slices ({named}), more than {most:g} %"
    # As Ansible has it for a batch of one run.
    return f"all {whole} of a batch failed in all slices ({named})" if size and len(failed) == size else ""

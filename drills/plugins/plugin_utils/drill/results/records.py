# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a drill while it runs: what a playbook left behind, and what the ledger says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import typing as t
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Pause:
    """A pause of ingestion in the ledger."""

    paused_at: dt.datetime
    resumed_at: dt.datetime | None
    incident: str
    actor: str


@dataclasses.dataclass(frozen=True)
class Run:
    """A run in the ledger."""

    run_id: str
    action: str
    status: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    undone: bool
    #: Whether it moved anything.
    moved: bool
    #: The run that this one takes back.
    undoes: str | None = None


@dataclasses.dataclass(frozen=True)
class Ledger:
    """What the ledger says; empty where there is none."""

    pauses: tuple[Pause, ...] = ()
    runs: tuple[Run, ...] = ()
    leases: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PlaybookResult:
    """What a run left behind; no exit code where it was killed."""

    rc: int | None
    seconds: float
    started_at: float
    ended_at: float
    changed: int | None
    said: str
    result: Mapping[str, t.Any]
    tasks: tuple[str, ...]
    #: All of it, folded to one line, so that a phrase is found wherever it was wrapped.
    screen: str = ""
    #: Every database that its results name, as `scout on db1:5432`.
    databases: tuple[str, ...] = ()

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Its runs in the ledger, in order."""
        ids = [step["run_id"] for step in self.result.get("steps", ()) if step.get("run_id")]
        return tuple(dict.fromkeys(ids))

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report is made of: the record, the facts besides, and how times and amounts are shown; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...ledger import actions
from . import wording

if t.TYPE_CHECKING:
    import datetime
    import zoneinfo

    from ...postgres.session import Row
    from ..timeline import Record
    from .facts import Facts

#: Runs that left everything as it was.
LOOKS: t.Final = (*actions.LOOKS, "evidence", "capture")
#: Runs by which somebody began to do something about it.
RESPONSES: t.Final = (*actions.FIXES, "pause", "resume")


@dataclasses.dataclass(frozen=True)
class ReportInput:
    """What a report is made of."""

    record: Record
    facts: Facts
    database: str
    zone: zoneinfo.ZoneInfo | None = None
    #: What stands after an amount, such as EUR; nothing where nobody named it.
    currency: str = ""

    @property
    def name(self) -> str:
        """The incident's."""
        return str(self.record.row["incident"])

    @property
    def as_of(self) -> datetime.datetime:
        """The end of the incident; while it is open, the last moment that is on record."""
        closed: datetime.datetime | None = self.record.row["closed_at"]
        moments = [entry["at"] for entry in self.record.entries]
        moments += [run["finished_at"] or run["started_at"] for run in self.record.runs]
        moments += [sample["at"] for sample in self.facts.samples]
        return closed or max([self.record.row["opened_at"], *moments])

    @property
    def fixes(self) -> list[Row]:
        """Runs that fixed something or resumed it, and are in force."""
        return [
            run
            for run in self.record.runs
            if run["action"] in RESPONSES and run["status"] == "succeeded" and not run["undone_by"]
        ]

    @property
    def numbers(self) -> dict[str, int]:
        """The steps that did something, numbered as the report lists them and its charts mark them; by run."""
        acting = [run["run_id"] for run in self.record.runs if run["action"] not in LOOKS]
        return {run_id: number for number, run_id in enumerate(acting, 1)}

    @property
    def marks(self) -> list[tuple[datetime.datetime, int]]:
        """When each of them began."""
        numbers = self.numbers
        return [(run["started_at"], numbers[run["run_id"]]) for run in self.record.runs if run["run_id"] in numbers]

    def stamp(self, at: datetime.datetime | str) -> Row:
        """A moment as it is shown."""
        return wording.stamp(at, self.zone)

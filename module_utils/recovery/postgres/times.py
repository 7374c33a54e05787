# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points and stretches of time as a person gives them: with an offset, or in a zone that PostgreSQL knows."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..core.errors import BadInput
from .driver import psycopg, sql

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .session import Session

#: A local time and whether it exists once, never or twice (at a change of the clocks) in that zone.
LOCAL = """
SELECT at AS at, at AT TIME ZONE %(zone)s = %(local)s::timestamp AS exists,
       EXISTS (SELECT FROM generate_series(-2, 2) AS half
               WHERE half <> 0 AND (at + half * interval '30 minutes') AT TIME ZONE %(zone)s = %(local)s::timestamp) AS twice
FROM (SELECT %(local)s::timestamp AT TIME ZONE %(zone)s AS at) AS given
"""


@dataclasses.dataclass(frozen=True)
class Window:
    """A half-open stretch of time on one clock; None is open."""

    clock: str
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """For results, the ledger and plan files."""
        return {
            "clock": self.clock,
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, str | None], clock: str | None = None) -> Window:
        """The window that was kept, on a clock of its own or on this one."""
        start, end = (datetime.datetime.fromisoformat(at) if (at := kept[name]) else None for name in ("start", "end"))
        return cls(clock or str(kept["clock"]), start, end)

    def condition(self, alias: str) -> list[sql.Composable]:
        """Its conditions, values bound as `start` and `end`."""
        column = sql.Identifier(alias, self.clock)
        made: list[sql.Composable] = []
        if self.start is not None:
            made.append(sql.SQL("{} >= %(start)s").format(column))
        if self.end is not None:
            made.append(sql.SQL("{} < %(end)s").format(column))
        return made


def window_of(
    session: Session, params: Mapping[str, t.Any], *, clock: str, start: str = "window_start", end: str = "window_end"
) -> Window:
    """The window that two options give, with an offset or in `time_zone`. Raises BadInput for a reversed one."""
    zone = params["time_zone"]
    bounds = {name: moment(session, params[name], zone, name) if params[name] else None for name in (start, end)}
    first, last = bounds[start], bounds[end]
    if first and last and last < first:
        raise BadInput(
            f"the window ends before it starts: {start} {params[start]!r}, {end} {params[end]!r}",
            next_step=f"give {end} after {start}",
        )
    return Window(clock, first, last)


def moment(session: Session, text: str, zone: str | None, name: str) -> datetime.datetime:
    """A point in time. Raises BadInput for a naive one, unless a time zone is given in which it exists exactly once."""
    try:
        at = datetime.datetime.fromisoformat(text.strip())
        if at.tzinfo is not None:
            return at.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as e:
        raise BadInput(
            f"{name} {text[:80]!r} is not a time, or not one between the years 1 and 9999",
            next_step="write it as 2026-11-25T01:00:00+08:00 or …Z",
        ) from e
    if zone is None:
        # A date alone takes no offset, and a blank would have to be quoted twice.
        whole = text.replace(" ", "T") if ":" in text else at.isoformat(timespec="minutes")
        raise BadInput(
            f"{name} {text!r} has no offset, so it could mean any of a day's hours",
            next_step=f"write {whole}Z or {whole}+08:00, or give time_zone (for example -e scout_time_zone=Asia/Manila)",
        )
    try:
        row = session.row(LOCAL, zone=zone, local=at.isoformat())
    except psycopg.DataError as e:
        raise BadInput(
            f"time_zone {zone!r} is not known",
            said=str(e.diag.message_primary),
            next_step="use a name like Asia/Manila",
        ) from e
    if not row["exists"] or row["twice"]:
        why = "twice" if row["exists"] else "never"
        raise BadInput(
            f"{name} {text!r} exists {why} in {zone}: the clocks change then",
            next_step=f"write it with its offset, for example {row['at'].isoformat()}",
        )
    return row["at"].astimezone(datetime.UTC)

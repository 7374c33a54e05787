# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide from replayed sales whether what the pipeline writes has changed; pure.

A column counts if the two copies of a sale agree in it, if it is not the time of loading, and if every sale that today's functions
loaded agrees with its copies: a column that also depends on what else is in the database, or on the clock, differs there as well.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: A column in which the copies of more sales than this share disagree is random, or a key.
RANDOM_SHARE: t.Final = 0.1
#: Of sales that somebody has written since they were loaded, fewer than this share are corrections.
CORRECTED_SHARE: t.Final = 0.05
CONVINCING: t.Final = 20
#: What a column holds that a later job fills.
EMPTY: t.Final = (None, "", "0", "0.00", "f")
#: What a value is replaced by that is the sale's own transaction id, or the id of one of its events.
OWN_ID, OWN_EVENT = "(transaction_id)", "(event_id)"
#: Types of which an example may show the value: none of them holds a person's data.
SHOWN: t.Final = (
    *("smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean"),
    *("date", "time"),
)
TIMES: t.Final = ("timestamp", "date", "time", "interval")
#: Not columns: whether there is a row at all, and how many line items there are.
ROW, LINES = "(row)", "(number of line items)"
#: Time zones differ by quarters of an hour, and by at most so much from UTC.
QUARTER: t.Final = datetime.timedelta(minutes=15)
FARTHEST_ZONE: t.Final = datetime.timedelta(hours=15)


@dataclasses.dataclass(frozen=True)
class Point:
    """One value of one sale: as it was loaded, and as each of its two copies was loaded now; texts as PostgreSQL writes them."""

    table: str
    column: str
    type: str
    sale: str
    loaded_at: datetime.datetime
    by_today: bool
    as_loaded: bool
    #: Whether `by_today` is a guess: then later sales that agree show when the change was made.
    rewritten: bool
    original: str | None
    copies: tuple[str | None, str | None]

    @property
    def differs(self) -> bool:
        """Whether the copies are not what the original is; where somebody has written the original since, an empty copy tells nothing."""
        return any(copy != self.original for copy in self.copies) and (self.as_loaded or self.copies[0] not in EMPTY)


@dataclasses.dataclass(frozen=True)
class Change:
    """A column that is written otherwise than before: in how many of how many sales, the last of them, and since when, if one that was
    loaded later agrees. Both values are None where they may not be shown."""

    table: str
    column: str
    sales: int
    of: int
    sale: str
    last_at: datetime.datetime
    since: datetime.datetime | None
    before: str | None
    now: str | None

    @property
    def name(self) -> str:
        """`table.column`; the table alone where its rows changed."""
        table = self.table.rpartition(".")[2]
        return table if self.column in (ROW, LINES) else f"{table}.{self.column}"

    def __str__(self) -> str:
        """A sentence for a person."""
        at = (
            f"since {self.since:%Y-%m-%d %H:%M:%SZ}"
            if self.since
            else f"since the last load at {self.last_at:%Y-%m-%d %H:%M:%SZ}"
        )
        if self.column == ROW:
            what = f"{at} the ETL no longer loads sale {self.sale} of source {self.before}"
        elif self.column == LINES:
            what = f"{at} {self.name} has {self.now} rows for sale {self.sale}, before {self.before}"
        elif self.before is None and self.now is None:
            what = f"{at} {self.name} is written differently, for example in sale {self.sale}"
        else:
            before, now = ("NULL" if value is None else value for value in (self.before, self.now))
            what = f"{at} {self.name} is written as {now}, before as {before} (sale {self.sale})"
        return f"{what}; {self.sales} of {self.of} replayed sales differ"


def judge(
    points: Iterable[Point], *, enums: Sequence[str] = (), meant: Sequence[str] = (), excluded: Sequence[str] = ()
) -> list[Change]:
    """The changes, the most frequent first. `meant` are columns that a deployment means to change, as `table.column`;
    `excluded` are left out for another reason."""
    found = [change for each in _by_column(points) if (change := _judge_column(each, enums)) is not None]
    return _told(found, [*meant, *excluded])


def judge_rewritten(points: Iterable[Point], *, enums: Sequence[str], meant: Sequence[str]) -> list[Change]:
    """The same of columns that a job rewrites in the copies and never rewrote in an original: at least 20 of them, which were not empty."""
    found: list[Change] = []
    for each in _by_column(points):
        differing = [p for p in each if p.differs and p.original not in EMPTY and p.copies[0] == p.copies[1]]
        if len({p.sale for p in differing}) >= CONVINCING:
            found.append(_change(differing, each, None, enums))
    return _told(found, meant)


def _by_column(points: Iterable[Point]) -> list[list[Point]]:
    of_column = collections.defaultdict[tuple[str, str], list[Point]](list)
    for point in points:
        of_column[point.table, point.column].append(point)
    return [*of_column.values()]


def _told(found: Iterable[Change], left_out: Sequence[str]) -> list[Change]:
    """The most frequent first."""
    return sorted((each for each in found if each.name not in left_out), key=lambda each: (-each.sales, each.name))


def differs_since(
    points: Iterable[Point],
    since: datetime.datetime,
    until: datetime.datetime | None,
    *,
    meant: Sequence[str] = (),
) -> bool:
    """Return whether a column differs in a sale loaded between these times, and in no sale loaded before."""
    agreed, differed, now = set[tuple[str, str]](), set[tuple[str, str]](), set[tuple[str, str]]()
    for point in points:
        column = (point.table, point.column)
        if point.loaded_at <= since:
            (differed if point.differs else agreed).add(column)
        elif point.differs and (until is None or point.loaded_at < until):
            now.add(column)
    found = (now & agreed) - differed
    return any(f"{table.rpartition('.')[2]}.{column}" not in meant for table, column in found)


def _judge_column(points: Sequence[Point], enums: Sequence[str]) -> Change | None:
    placeholders = (OWN_ID, OWN_EVENT)
    random = [p for p in points if p.copies[0] != p.copies[1] and p.original not in placeholders]
    if len(random) > RANDOM_SHARE * len(points):
        return None
    compared = [p for p in points if p not in random]
    differing = [p for p in compared if p.differs]
    if any(p.by_today and not p.rewritten for p in differing):
        return None
    rewritten = [p for p in compared if not p.as_loaded]
    if sum(p.differs for p in rewritten) <= CORRECTED_SHARE * len(rewritten):
        differing = [p for p in differing if p.as_loaded]
    if points[0].column == LINES:
        latest = max((p.loaded_at for p in differing), default=None)
        before = [p for p in compared if latest is not None and p.loaded_at <= latest]
        differing = [p for p in differing if _is_systematic(p, before)]
    if not differing:
        return None
    last = max(differing, key=lambda p: (p.loaded_at, p.sale))
    later = [p.loaded_at for p in compared if p.loaded_at > last.loaded_at]
    if last.by_today and len(later) < CONVINCING:
        return None
    return _change(differing, compared, min(later, default=None), enums)


def _change(
    differing: Sequence[Point], compared: Sequence[Point], since: datetime.datetime | None, enums: Sequence[str]
) -> Change:
    last = max(differing, key=lambda p: (p.loaded_at, p.sale))
    shows = last.type.startswith(SHOWN) or last.type in enums or last.column in (ROW, LINES)
    return Change(
        last.table,
        last.column,
        len({p.sale for p in differing}),
        len({p.sale for p in compared}),
        last.sale,
        last.loaded_at,
        since,
        last.original if shows else None,
        last.copies[0] if shows else None,
    )


def _is_systematic(point: Point, compared: Sequence[Point]) -> bool:
    """Whether most sales that had as many line items differ, too, and some of those that have as many now: a person may have deleted a
    line of one of them."""
    before = [p for p in compared if p.original == point.original]
    now = [p for p in compared if p.copies == point.copies]
    return 2 * sum(p.differs for p in before) >= len(before) and 5 * sum(p.differs for p in now) >= len(now)


def is_time(value: str | None, kind: str, first: datetime.datetime, last: datetime.datetime) -> bool:
    """Whether a value lies between two moments; without an offset, in whatever time zone it was written."""
    if value is None or not kind.startswith(TIMES):
        return False
    if kind == "date":
        day = datetime.timedelta(days=1)
        return (first - day).date().isoformat() <= value <= (last + day).date().isoformat()
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    if moment.tzinfo is not None:
        return first <= moment <= last
    moment = moment.replace(tzinfo=datetime.UTC)
    return abs(moment - first) < FARTHEST_ZONE and (moment - first) % QUARTER <= last - first


def normalized(row: Mapping[str, str | None], sale: str, events: Iterable[str]) -> dict[str, str | None]:
    """A row with placeholders where a value is the sale's own transaction id or the id of one of its events."""
    own = {sale: OWN_ID} | dict.fromkeys(events, OWN_EVENT)
    return {name: value if value is None else own.get(value, value) for name, value in row.items()}

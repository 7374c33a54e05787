# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a schedule of pg_cron comes next: five fields, `$` for the last day of a month, names with `@`, or `N seconds`; pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: t.Final = re.compile(r"\s*([1-9]|[1-5][0-9])\s+seconds?\s*", re.IGNORECASE)
MINUTES: t.Final = re.compile(r"(?:\*|\*/(?P<every>[1-9][0-9]?)) \* \* \* \*")
PART: t.Final = re.compile(r"(?:\*|(?P<first>[0-9A-Za-z]+)(?:-(?P<last>[0-9A-Za-z]+))?)(?:/(?P<step>[0-9]+))?")
MONTHS: t.Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS: t.Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: Not @yearly: pg_cron never starts such a job, for it takes the month for a minute. @reboot comes with the server.
NAMED: t.Final = {
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: The 29th of February comes after eight years at the latest.
HORIZON_DAYS: t.Final = 366 * 8 + 2
DAY: t.Final = datetime.timedelta(days=1)
#: A schedule that has been missed so often is not kept; and how long after its time a run may begin.
LATE_TIMES: t.Final = 3
STARTS: t.Final = datetime.timedelta(seconds=15)


@dataclasses.dataclass(frozen=True)
class Fields:
    """The minutes, hours, days, months and weekdays (Sunday is 0) at which a job starts."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    last_day: bool
    #: Whether the day of the month or the weekday begins with a star: then both have to fit, else one is enough.
    both: bool

    def fits(self, day: datetime.date) -> bool:
        """Whether it comes on this day."""
        if day.month not in self.months:
            return False
        of_month = day.day in self.days or (self.last_day and (day + DAY).day == 1)
        of_week = day.isoweekday() % 7 in self.weekdays
        return of_month and of_week if self.both else of_month or of_week


def parse(schedule: str) -> Fields | None:
    """The fields of a cron schedule; None for one that pg_cron would not take, or never starts by the clock."""
    words = NAMED.get(schedule.strip(), schedule).split()
    if len(words) != len(RANGES):
        return None
    last_day = words[2] == "$"
    sets = [
        frozenset[int]() if index == 2 and last_day else _field(word, *RANGES[index])
        for index, word in enumerate(words)
    ]
    minutes, hours, days, months, weekdays = sets
    if minutes is None or hours is None or days is None or months is None or weekdays is None:
        return None
    weekdays = frozenset(day % 7 for day in weekdays)
    both = words[2].startswith("*") or words[4].startswith("*")
    return Fields(minutes, hours, days, months, weekdays, last_day, both)


def next_run(schedule: str, after: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime | None:
    """The first start after a moment, in UTC; one in so many seconds comes within them. None where none ever comes."""
    if interval := SECONDS.fullmatch(schedule):
        return after.astimezone(datetime.UTC) + datetime.timedelta(seconds=int(interval[1]))
    fields = parse(schedule)
    if fields is None:
        return None
    return next(_starts(fields, after, zone), None)


def missed(schedule: str, after: datetime.datetime, until: datetime.datetime) -> int:
    """How often the job should have come between two moments, by UTC; 0 where that cannot be told."""
    found, moment = 0, next_run(schedule, after, datetime.UTC)
    while moment is not None and moment <= until:
        found, moment = found + 1, next_run(schedule, moment, datetime.UTC)
    return found


def overdue(
    schedule: str, since: datetime.datetime, now: datetime.datetime, zone: datetime.tzinfo = datetime.UTC
) -> bool:
    """Whether the job has missed several of its times since a moment, and a little."""
    moment: datetime.datetime | None = since
    for _ in range(LATE_TIMES):
        moment = moment and next_run(schedule, moment, zone)
    return moment is not None and now - moment > STARTS


def longest_gap(
    schedule: str, now: datetime.datetime, zone: datetime.tzinfo
) -> tuple[datetime.datetime, datetime.datetime] | None:
    """Between which two moments of the next day the job does not come for the longest time; None where that cannot be told."""
    if SECONDS.fullmatch(schedule):
        return now, now + datetime.timedelta(seconds=float(schedule.split()[0]))
    fields = parse(schedule)
    if fields is None:
        return None
    longest, last = (now, now), now
    for start in _starts(fields, now, zone):
        if start - last > longest[1] - longest[0]:
            longest = last, start
        last = start
        if last - now > DAY:
            return longest
    return max(longest, (last, now + DAY), key=lambda gap: gap[1] - gap[0])


def comes_within_a_day(schedule: str, now: datetime.datetime) -> bool:
    """Whether the job comes at all within the next day, by UTC; one whose schedule pg_cron does not take never does."""
    start = next_run(schedule, now, datetime.UTC)
    return start is not None and start - now <= DAY


def every_seconds(schedule: str) -> float | None:
    """How often a job comes whose schedule says so plainly; None for every other schedule."""
    if found := SECONDS.fullmatch(schedule):
        return float(found[1])
    if found := MINUTES.fullmatch(" ".join(schedule.split())):
        return 60.0 * float(found["every"] or 1)
    return None


def _starts(fields: Fields, after: datetime.datetime, zone: datetime.tzinfo) -> Iterator[datetime.datetime]:
    """Every start after a moment, in UTC; a time that the clocks skip is left out."""
    times = [datetime.time(hour, minute) for hour in sorted(fields.hours) for minute in sorted(fields.minutes)]
    local = after.astimezone(zone)
    for ahead in range(HORIZON_DAYS):
        day = local.date() + ahead * DAY
        for moment in times if fields.fits(day) else ():
            # An earlier time of the same day is over, however the clocks were set on it.
            if not ahead and moment < local.time():
                continue
            start = datetime.datetime.combine(day, moment, zone).astimezone(datetime.UTC)
            if start > after and start.astimezone(zone).time() == moment:
                yield start


#: Lowest and highest value of each field, and the names it knows.
RANGES: t.Final[tuple[tuple[int, int, tuple[str, ...]], ...]] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, MONTHS),
    (0, 7, DAYS),
)


def _field(text: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int] | None:
    """All values of a field; None where one of its parts cannot be understood."""
    values = set[int]()
    for part in text.split(","):
        found = PART.fullmatch(part)
        if found is None:
            return None
        first = low if found["first"] is None else _number(found["first"], low, names)
        last = high if found["first"] is None else first
        if found["last"] is not None:
            last = _number(found["last"], low, names)
        step = int(found["step"] or 1)
        single = found["first"] is not None and found["last"] is None
        if first is None or last is None or not low <= first <= last <= high or step < 1 or (single and found["step"]):
            return None
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _number(text: str, low: int, names: tuple[str, ...]) -> int | None:
    if text.lower() in names:
        return low + names.index(text.lower())
    return int(text) if text.isdecimal() else None

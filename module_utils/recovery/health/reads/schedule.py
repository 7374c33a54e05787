# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a schedule of pg_cron comes round; pure."""

from __future__ import annotations

import datetime
import functools
import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

MINUTES: t.Final = re.compile(r"(?:\*|\*/(?P<every>[1-9][0-9]?)) \* \* \* \*")
SECONDS: t.Final = re.compile(r"(?P<every>[1-9][0-9]?) seconds?", re.IGNORECASE)
#: Least and most of a minute, an hour, a day, a month and a day of the week, of which 7 is Sunday again.
BOUNDS: t.Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES: t.Final[tuple[dict[str, int], ...]] = (
    {},
    {},
    {},
    {
        name: n
        for n, name in enumerate(
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
        )
    },
    {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])},
)
SPOKEN: t.Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
PART: t.Final = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>[0-9]+))?")
DAY: t.Final = 86400.0


def every_seconds(schedule: str) -> float | None:
    """How often a job comes whose schedule says so plainly; None for every other schedule."""
    schedule = " ".join(schedule.split())
    if found := SECONDS.fullmatch(schedule):
        return float(found["every"])
    if found := MINUTES.fullmatch(schedule):
        return 60.0 * float(found["every"] or 1)
    return None


def times(schedule: str, after: datetime.datetime, until: datetime.datetime) -> Iterator[datetime.datetime]:
    """When the job comes after a moment and until another; nothing where the schedule cannot be read."""
    schedule = " ".join(schedule.split()).lower()
    if found := SECONDS.fullmatch(schedule):
        step = datetime.timedelta(seconds=int(found["every"]))
        moment = after + step
        while moment <= until:
            yield moment
            moment += step
        return
    fields = _fields(SPOKEN.get(schedule, schedule))
    if fields is None:
        return
    moment = after.replace(second=0, microsecond=0) + datetime.timedelta(minutes=1)
    while moment <= until:
        if _fits(fields, moment):
            yield moment
        moment += datetime.timedelta(minutes=1)


def missed(schedule: str, after: datetime.datetime, until: datetime.datetime) -> int:
    """How often the job should have come since."""
    return sum(1 for _ in times(schedule, after, until))


def is_readable(schedule: str) -> bool:
    """Whether its times can be told."""
    schedule = " ".join(schedule.split()).lower()
    return bool(SECONDS.fullmatch(schedule)) or _fields(SPOKEN.get(schedule, schedule)) is not None


def comes_within_a_day(schedule: str, now: datetime.datetime) -> bool:
    """Whether the job comes at all within the next day, as far as its schedule can be read."""
    until = now + datetime.timedelta(seconds=DAY)
    return not is_readable(schedule) or next(times(schedule, now, until), None) is not None


class _Fields(t.NamedTuple):
    """Minutes, hours, days, months and days of the week on which a job comes, and whether a day is given at all."""

    allowed: tuple[frozenset[int], ...]
    any_day: bool
    any_weekday: bool
    last_day: bool


@functools.lru_cache(maxsize=64)
def _fields(schedule: str) -> _Fields | None:
    parts = schedule.split()
    if len(parts) != len(BOUNDS):
        return None
    last_day = parts[2] == "$"
    if last_day:
        parts[2] = "31"
    try:
        allowed = tuple(_numbers(part, *BOUNDS[n], NAMES[n]) for n, part in enumerate(parts))
    except ValueError:
        return None
    return _Fields(allowed, parts[2].startswith("*"), parts[4].startswith("*"), last_day)


def _numbers(text: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    """What a field allows; raises ValueError where it cannot be read."""
    found: set[int] = set()
    for part in text.split(","):
        match = PART.fullmatch(part)
        if match is None:
            raise ValueError(part)
        first, last = match["first"], match["last"]
        low = least if first == "*" else names.get(first, -1) if first in names else int(first)
        high = low if last is None else names[last] if last in names else int(last)
        if first == "*" or (last is None and match["step"]):
            high = most
        found.update(range(low, high + 1, max(1, int(match["step"] or 1))))
    return frozenset(found)


def _fits(fields: _Fields, moment: datetime.datetime) -> bool:
    minutes, hours, days, months, weekdays = fields.allowed
    if moment.minute not in minutes or moment.hour not in hours or moment.month not in months:
        return False
    weekday = moment.isoweekday()
    on_weekday = weekday in weekdays or (weekday == 7 and 0 in weekdays)  # Sunday
    on_day = (moment + datetime.timedelta(days=1)).day == 1 if fields.last_day else moment.day in days
    if fields.any_day or fields.any_weekday:
        return on_day and on_weekday
    return on_day or on_weekday

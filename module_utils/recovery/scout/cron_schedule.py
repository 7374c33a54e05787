# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a schedule of pg_cron comes next; pure. cronsim reads the five fields, this module what pg_cron has besides: `$` for the last
day of a month, names with `@`, and `N seconds`."""

from __future__ import annotations

import datetime
import itertools
import re
import typing as t

from ..postgres.driver import CronSim, CronSimError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: t.Final = re.compile(r"\s*([1-9]|[1-5][0-9])\s+seconds?\s*", re.IGNORECASE)
MINUTES: t.Final = re.compile(r"(?:\*|\*/(?P<every>[1-9][0-9]?)) \* \* \* \*")
#: Minute, hour, day of the month, month, weekday.
FIELDS: t.Final = 5
#: What cronsim takes in a field and pg_cron does not: `L`, `LW`, `5L` and `MON#2`, and a step of a single value.
REFUSED: t.Final = re.compile(r"(?:^|[\d,])L|#|(?:^|,)\w+/", re.IGNORECASE)
#: Not @yearly: pg_cron never starts such a job, for it takes the month for a minute. @reboot comes with the server.
NAMED: t.Final = {
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
DAY: t.Final = datetime.timedelta(days=1)
#: A schedule that has been missed so often is not kept; and how long after its time a run may begin.
LATE_TIMES: t.Final = 3
STARTS: t.Final = datetime.timedelta(seconds=15)


def starts(schedule: str, after: datetime.datetime, zone: datetime.tzinfo) -> Iterator[datetime.datetime]:
    """Every start after a moment, in UTC; one in so many seconds comes within them. None of a schedule that pg_cron would not take, or
    that is not by the clock. A time that the clocks skip is left out."""
    after = after.astimezone(datetime.UTC)
    if interval := SECONDS.fullmatch(schedule):
        seconds = datetime.timedelta(seconds=int(interval[1]))
        yield from (after + count * seconds for count in itertools.count(1))
    for local in _local_starts(schedule, after.astimezone(zone).replace(tzinfo=None)) or ():
        start = local.replace(tzinfo=zone).astimezone(datetime.UTC)
        if start > after and start.astimezone(zone).replace(tzinfo=None) == local:
            yield start


def _local_starts(schedule: str, after: datetime.datetime) -> Iterator[datetime.datetime] | None:
    """Every start by the scheduler's clock, without a zone; None for a schedule that is not by the clock, such as @reboot."""
    words = NAMED.get(schedule.strip(), schedule).split()
    if len(words) != FIELDS:
        return None
    try:
        if not any(REFUSED.search(word) for word in words):
            return CronSim(" ".join("L" if word == "$" else word for word in words), after)
    except CronSimError:
        # Also of a day that never comes, such as the 30th of February.
        pass
    return iter(())


def next_run(schedule: str, after: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime | None:
    """The first start after a moment, in UTC. None where none ever comes."""
    return next(starts(schedule, after, zone), None)


def missed(schedule: str, after: datetime.datetime, until: datetime.datetime) -> int:
    """How often the job should have come between two moments, by UTC; 0 where that cannot be told."""
    return sum(1 for _ in itertools.takewhile(lambda start: start <= until, starts(schedule, after, datetime.UTC)))


def overdue(
    schedule: str, since: datetime.datetime, now: datetime.datetime, zone: datetime.tzinfo = datetime.UTC
) -> bool:
    """Whether the job has missed several of its times since a moment, and a little."""
    moment = next(itertools.islice(starts(schedule, since, zone), LATE_TIMES - 1, None), None)
    return moment is not None and now - moment > STARTS


def longest_gap(
    schedule: str, now: datetime.datetime, zone: datetime.tzinfo
) -> tuple[datetime.datetime, datetime.datetime] | None:
    """Between which two moments of the next day the job does not come for the longest time; None where that cannot be told."""
    if not SECONDS.fullmatch(schedule) and _local_starts(schedule, now) is None:
        return None
    moments = [now]
    for start in starts(schedule, now, zone):
        moments.append(start)
        if start - now > DAY:
            break
    else:
        moments.append(now + DAY)
    return max(itertools.pairwise(moments), key=lambda gap: gap[1] - gap[0])


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

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the pipeline kept up over a stretch of time: arrivals, loads, backlog and staleness, by the clocks of the events."""

from __future__ import annotations

import datetime
import typing as t

from ..scout import contract

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..postgres.session import Row, Session

#: The lengths of a step, in seconds: the shortest with which a chart has no more than MOST_STEPS.
STEPS: t.Final = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600)
MOST_STEPS: t.Final = 300

#: Sales that were pending at some time of the period, and how many were pending after each arrival and each load. A load that a clock
#: puts before the arrival counts from the arrival. A sale that is late has been so since before the period, where it arrived by then.
QUEUE = """
WITH events AS MATERIALIZED (
    SELECT b.ingested_at AS arrived, CASE WHEN p.processed_at IS NOT NULL THEN greatest(p.processed_at, b.ingested_at) END AS loaded
    FROM {bronze} AS b LEFT JOIN {etl_ledger} AS p USING (event_id)
    WHERE b.event_type = {transaction_event} AND b.ingested_at < %(end)s
      AND (p.processed_at IS NULL OR greatest(p.processed_at, b.ingested_at) >= %(start)s)
), changes AS (
    SELECT greatest(arrived, %(start)s) AS at, 1 AS change, (arrived >= %(start)s)::int AS arrived, 0 AS loaded FROM events
    UNION ALL
    SELECT loaded, -1, 0, 1 FROM events WHERE loaded < %(end)s
), running AS (
    SELECT *, floor(extract(epoch FROM at - %(start)s) / %(step)s)::int AS step, sum(change) OVER (ORDER BY at) AS pending FROM changes
), steps AS (
    SELECT step, sum(arrived) AS arrived, sum(loaded) AS loaded, max(pending) AS most, (array_agg(pending ORDER BY at DESC))[1] AS pending
    FROM running GROUP BY step
), late AS (
    SELECT unnest(range_agg(tstzrange(arrived + %(limit)s, least(loaded, %(end)s)))) AS spell
    FROM events WHERE isfinite(arrived) AND arrived + %(limit)s < least(loaded, %(end)s)
)
SELECT (SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.step), '[]') FROM steps AS s) AS steps,
       (SELECT coalesce(sum(extract(epoch FROM upper(spell) - lower(spell))), 0)::float8 FROM late) AS late_seconds,
       count(*) FILTER (WHERE loaded < %(end)s AND loaded - arrived > %(limit)s) AS late,
       count(*) FILTER (WHERE loaded IS NULL OR loaded >= %(end)s) AS waiting
FROM events
"""

#: For each step with an arrival, or a load: the last one, and the longest time without any that ended in the step.
MOMENTS: t.Final[t.LiteralString] = """
WITH moments AS (
    (SELECT max({clock}) AS at FROM {table} WHERE {clock} < %(start)s AND isfinite({clock}))
    UNION ALL
    SELECT DISTINCT {clock} FROM {table} WHERE {clock} >= %(start)s AND {clock} < %(end)s
), gaps AS (
    SELECT at, extract(epoch FROM at - lag(at) OVER (ORDER BY at))::float8 AS seconds FROM moments WHERE at IS NOT NULL
)
SELECT greatest(floor(extract(epoch FROM at - %(start)s) / %(step)s), -1)::int AS step, max(at) AS last, max(seconds) AS seconds
FROM gaps GROUP BY 1 ORDER BY 1
"""
ARRIVALS: t.Final[t.LiteralString] = MOMENTS.replace("{clock}", "ingested_at").replace("{table}", "{bronze}")
LOADS: t.Final[t.LiteralString] = MOMENTS.replace("{clock}", "processed_at").replace("{table}", "{etl_ledger}")


class Queue(t.TypedDict):
    """The backlog over the period, and the sales that waited for longer than the limit."""

    #: For each step: its number, arrived, loaded, most (pending within it) and pending (at its end).
    steps: list[Row]
    late_seconds: float
    late: int
    waiting: int


def step_seconds(start: datetime.datetime, end: datetime.datetime) -> int:
    """How long a step is; a whole number of days where none of the usual lengths is enough."""
    seconds = (end - start).total_seconds()
    days = -(-seconds // (MOST_STEPS * 86400))
    return next((step for step in STEPS if seconds <= step * MOST_STEPS), int(days) * 86400)


def queue(session: Session, start: datetime.datetime, end: datetime.datetime, limit: datetime.timedelta) -> Queue:
    """What bronze and the ETL's ledger tell of the sales of the period, as they are now."""
    values = {"start": start, "end": end, "step": step_seconds(start, end), "limit": limit}
    return t.cast("Queue", session.row(contract.compose(QUEUE), **values))


def moments(
    session: Session, statement: t.LiteralString, start: datetime.datetime, end: datetime.datetime
) -> list[Row]:
    """When events arrived, or were loaded, with ARRIVALS or LOADS: step, last and seconds."""
    return session.rows(contract.compose(statement), start=start, end=end, step=step_seconds(start, end))


def points(
    start: datetime.datetime,
    end: datetime.datetime,
    steps: Sequence[Row] | None,
    arrivals: Sequence[Row] | None,
    loads: Sequence[Row] | None,
) -> list[Row]:
    """A point for each step, with its start: what arrived and was loaded, the most that was pending, and how old the newest arrival
    and the newest load were at worst, in seconds; None for what could not be read. Pure."""
    step = step_seconds(start, end)
    number = max(1, -(-int((end - start).total_seconds() * 1_000_000) // (step * 1_000_000)))
    by_step = {row["step"]: row for row in steps or ()}
    stale = [_staleness(start, end, step, number, rows) for rows in (arrivals, loads)]
    made: list[Row] = []
    pending = 0
    for place in range(number):
        found = by_step.get(place, {"arrived": 0, "loaded": 0, "most": pending, "pending": pending})
        known = steps is not None
        made.append(
            {
                "at": start + datetime.timedelta(seconds=step * place),
                "arrived": int(found["arrived"]) if known else None,
                "loaded": int(found["loaded"]) if known else None,
                "pending": max(pending, int(found["most"])) if known else None,
                "since_arrival": stale[0][place],
                "since_load": stale[1][place],
            }
        )
        pending = int(found["pending"])
    return made


def _staleness(
    start: datetime.datetime, end: datetime.datetime, step: int, number: int, rows: Sequence[Row] | None
) -> list[float | None]:
    """The longest time within each step since the last moment; None before the first."""
    by_step = {row["step"]: row for row in rows or ()}
    last: datetime.datetime | None = by_step[-1]["last"] if -1 in by_step else None
    made: list[float | None] = []
    for place in range(number):
        found = by_step.get(place)
        worst = [found["seconds"]] if found and found["seconds"] is not None else []
        last = found["last"] if found else last
        if last is not None:
            worst.append((min(end, start + datetime.timedelta(seconds=step * (place + 1))) - last).total_seconds())
        made.append(max(worst, default=None))
    return made

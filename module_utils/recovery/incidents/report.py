# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of an incident as plain values: its runs, what was wrong, what was moved, and what it cost in minutes and sales.

Nothing of it depends on the clock: as long as neither the ledger nor the pipeline changes, the report stays the same.
"""

from __future__ import annotations

import datetime
import re
import typing as t
import zoneinfo
from decimal import Decimal

from ..core.errors import BadInput, NotConverged
from ..core.results import ModuleResult
from ..core.text import count, in_words, printable
from ..health.thresholds import FRESH_MINUTES, STALE_MINUTES
from ..ledger import actions, bootstrap, history
from ..postgres.failures import attempting
from ..postgres.read_budget import Budget
from ..postgres.session import ADHOC
from ..postgres.times import Window, window_of
from ..scout import contract
from . import series

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..invoke import Call
    from ..postgres.session import Row

#: All pauses of the period, whoever made them.
PAUSES = """
SELECT paused_at, resumed_at, actor, incident FROM scout_ops.pauses
WHERE paused_at < %(end)s AND coalesce(resumed_at, 'infinity') > %(start)s ORDER BY paused_at
"""

#: Dead letters of these runs, redriven since or not. A NaN is no amount.
MOVED = """
WITH letters AS (
    SELECT k.document ->> 'run_id' AS run_id, d.error_code || coalesce(' ' || left(k.document ->> 'sqlstate', 5), '') AS error_code,
           d.resolved_at, k.document ? 'event' AS has_event,
           k.document ? 'transaction' AS has_sale, coalesce(jsonb_array_length(k.document -> 'lines'), 0) AS lines,
           CASE WHEN k.document ? 'transaction' THEN k.document #>> '{{transaction,total_amount}}'
                WHEN jsonb_typeof(d.original_payload -> 'total_amount') = 'number' THEN d.original_payload ->> 'total_amount'
           END AS amount
    FROM {dead_letters} AS d CROSS JOIN LATERAL (SELECT d.error_details || '{{}}' AS document OFFSET 0) AS k
    WHERE d.failed_at >= %(since)s AND jsonb_typeof(d.error_details) = 'object'
      AND d.error_details ->> 'run_id' = ANY(%(runs)s::text[])
)
SELECT run_id, error_code, count(*) AS dead_letters, count(*) FILTER (WHERE has_event) AS events,
       count(*) FILTER (WHERE has_sale) AS sales, sum(lines)::bigint AS lines,
       sum(amount::numeric) FILTER (WHERE amount <> 'NaN')::text AS amount,
       count(*) FILTER (WHERE amount IS NULL OR amount = 'NaN') AS no_amount,
       count(*) FILTER (WHERE resolved_at IS NULL) AS in_queue
FROM letters GROUP BY run_id, error_code ORDER BY run_id, error_code
"""

#: Sales that these runs rebuilt from their events, and what they came to before and after.
REBUILT = """
SELECT count(*) FILTER (WHERE jsonb_array_length(added -> 'transactions') > 0) AS sales,
       sum((removed #>> '{transactions,0,total_amount}')::numeric)
           FILTER (WHERE removed #>> '{transactions,0,total_amount}' <> 'NaN')::text AS amount_before,
       sum((added #>> '{transactions,0,total_amount}')::numeric)
           FILTER (WHERE added #>> '{transactions,0,total_amount}' <> 'NaN')::text AS amount_after
FROM scout_ops.images WHERE run_id = ANY(%(runs)s::uuid[]) AND undone_by IS NULL
"""

#: What a file's name may not have.
ODD: t.Final = re.compile(r"[^A-Za-z0-9._-]+")
MOST_RUNS: t.Final = 10_000
BUDGET_SECONDS: t.Final = 60.0
LATE: t.Final = datetime.timedelta(minutes=FRESH_MINUTES)
ENDED_BADLY: t.Final = ("failed", "stopped", "interrupted")
#: Lists among the effects of a run, with what one of their entries is, and what several are.
LISTED: t.Final = {
    "deactivated": ("job off", "jobs off"),
    "activated": ("job active again", "jobs active again"),
    "ended": ("session ended", "sessions ended"),
    "refreshed": ("view refreshed", "views refreshed"),
}


class ReportResult(ModuleResult):
    """What scout_report_info returns."""

    operation: str
    file_name: str
    start: str
    end: str
    runs: list[dict[str, t.Any]]
    done: list[str]
    wrong: list[str]
    moved: list[dict[str, t.Any]]
    pauses: list[dict[str, t.Any]]
    impact: dict[str, t.Any]
    unknown: dict[str, t.Any]
    step_seconds: int
    points: list[dict[str, t.Any]]


def report(call: Call, params: Mapping[str, t.Any]) -> ReportResult:
    """The report of the incident that is named, of the window that is given, else from its first run to the end of its last.

    Raises BadInput where no incident is named, or for a window or a zone that cannot be used, MissingPrivilege where the ledger may
    not be read, and NotConverged where it has no run of the incident.
    """
    session, zone = call.session, _zone(params["time_zone"])
    with attempting("could not report on the incident", on=session.where), session.read():
        window = _window(call, params)
        found = _runs(call, params, window)
        start, end = _period(window, found)
        budget = Budget(session, BUDGET_SECONDS)
        in_force = [row["run_id"] for row in found if not row["undone_by"]]
        pauses = session.rows(PAUSES, start=start, end=end)
        since = found[0]["started_at"]
        letters = budget.read("dead letters", lambda s: s.rows(contract.compose(MOVED), runs=in_force, since=since))
        rebuilt = budget.read("what was rebuilt", lambda s: s.row(REBUILT, runs=in_force))
        queue = budget.read("backlog and loads", lambda s: series.queue(s, start, end, LATE))
        arrivals = budget.read("arrivals", lambda s: series.moments(s, series.ARRIVALS, start, end))
        loads = budget.read("times of the loads", lambda s: series.moments(s, series.LOADS, start, end))
    moved = letters or []
    points = series.points(start, end, queue["steps"] if queue else None, arrivals, loads)
    runs = [_run(row, number, zone) for number, row in enumerate(found, 1)]
    shown = [{**row, "amount": _money(row["amount"]), **_of(row["run_id"], runs)} for row in moved]
    impact = _impact(start, end, queue, pauses, letters, rebuilt)
    return {
        "operation": "report",
        "changed": False,
        "file_name": _file_name(call.incident, session.facts.database, start),
        "start": _stamp(start, zone),
        "end": _stamp(end, zone),
        "runs": runs,
        "done": sorted({row["action"] for row in found if row["status"] == "succeeded" and not row["undone_by"]}),
        "wrong": _wrong(impact, points, moved, found, zone),
        "moved": sorted(shown, key=lambda row: (row["number"], row["error_code"])),
        "pauses": [_pause(row, zone) for row in pauses],
        "impact": impact,
        "unknown": {name: printable(problem.said) for name, problem in budget.problems.items()},
        "step_seconds": series.step_seconds(start, end),
        "points": [{**point, "at": point["at"].astimezone(zone).isoformat()} for point in points],
        "summary": f"{count(len(runs), 'run')} for {call.incident} within {impact['lasted']}",
    }


def _zone(name: str | None) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise BadInput(f"time_zone {str(name)[:80]!r} is not known", next_step="use a name like Asia/Manila") from e


def _window(call: Call, params: Mapping[str, t.Any]) -> Window:
    window = window_of(call.session, params, clock="started_at")
    if call.incident == ADHOC and window.start is None:
        raise BadInput(
            "no incident was named",
            next_step="runs.yml lists the runs with their incidents; name one with -e scout_incident=…, or give window_start to report on "
            "runs that have none",
        )
    if window.end and window.end > call.session.row("SELECT clock_timestamp() AS now")["now"]:
        raise BadInput(f"window_end {params['window_end']!r} is in the future", next_step="give window_end in the past")
    return window


def _runs(call: Call, params: Mapping[str, t.Any], window: Window) -> list[Row]:
    """The runs of the incident in the window, in the order in which they began."""
    if params["ledger"] == "off":
        raise BadInput("a report is made from the ledger, and ledger is off", next_step="leave out ledger=off")
    session = call.session
    found: list[Row] = []
    if call.look(params["ledger"]).present:
        found = session.rows(history.RUNS, incident=call.incident, action=None, run_id=None, limit=MOST_RUNS)
    elif problem := bootstrap.hidden(session):
        raise problem
    made = [
        row
        for row in reversed(found)
        if not (window.end and row["started_at"] >= window.end)
        and not (window.start and (row["finished_at"] or row["started_at"]) < window.start)
    ]
    if not made:
        when = " in this window" if window.start or window.end else ""
        raise NotConverged(
            f"could not report on {call.incident}",
            on=session.where,
            said=f"the ledger has no run of {call.incident}{when}",
            next_step="runs.yml lists the runs with their incidents",
        )
    return made


def _period(window: Window, runs: Sequence[Row]) -> tuple[datetime.datetime, datetime.datetime]:
    """What is reported on: a second at least."""
    start = window.start or runs[0]["started_at"]
    end = window.end or max(row["finished_at"] or row["started_at"] for row in runs)
    return start, max(end, start + datetime.timedelta(seconds=1))


def _file_name(incident: str, database: str, start: datetime.datetime) -> str:
    """`INC-2041-scout-2026-11-25`, fit for any file system."""
    return "-".join(ODD.sub("_", part) for part in (incident, database, f"{start.astimezone(datetime.UTC):%Y-%m-%d}"))


def _stamp(at: datetime.datetime, zone: zoneinfo.ZoneInfo) -> str:
    return at.astimezone(zone).isoformat(sep=" ", timespec="seconds")


def _money(amount: str | Decimal | None) -> str | None:
    return None if amount is None else f"{Decimal(amount):,.2f}"


def _sum(amounts: t.Iterable[str | None]) -> Decimal | None:
    known = [Decimal(amount) for amount in amounts if amount is not None]
    return sum(known, Decimal()) if known else None


def _name(action: str) -> str:
    """`Backlog loaded` for `drain`."""
    names = {each.name: each.done for each in actions.TABLE}
    return names.get(action) or action.replace("_", " ").capitalize()


def _run(row: Row, number: int, zone: zoneinfo.ZoneInfo) -> Row:
    """A run as a report shows it."""
    about = history.described(row)
    return {
        "number": number,
        "run_id": row["run_id"],
        "at": _stamp(row["started_at"], zone),
        "started_at": row["started_at"].astimezone(zone).isoformat(),
        "action": row["action"],
        "name": _name(row["action"]),
        "actor": printable(row["actor"]),
        "status": row["status"],
        "took": None if row["seconds"] is None else in_words(row["seconds"]),
        "effect": printable("; ".join(part for part in (_ended(row), _effect(row["effects"], about)) if part)),
        "can_be_undone": about["can_be_undone"],
        "undone_by": row["undone_by"],
    }


def _ended(row: Row) -> str:
    """How a run ended that did not succeed."""
    if row["status"] == "running":
        return "not finished"
    if row["status"] not in ENDED_BADLY:
        return ""
    error: Mapping[str, t.Any] = row["error"] or {}
    why = ": ".join(str(error[name]) for name in ("attempted", "said") if error.get(name))
    return f"{row['status']}: {why}" if why else row["status"]


def _effect(effects: Mapping[str, t.Any], about: Row) -> str:
    """What a run counts of what it changed."""
    parts = [f"release {effects['release']}"] if effects.get("release") else []
    for name, (one, several) in LISTED.items():
        entries = t.cast("list[Row | str]", effects.get(name) or [])
        good = [each for each in entries if isinstance(each, str) or not each.get("error")]
        parts += [count(len(good), one, several)] if good else []
    counts: Mapping[str, t.Any] = about["counts"]
    parts += [f"{name.replace('_', ' ')}: {text}" for name, value in counts.items() if (text := _number(value))]
    return ", ".join(parts) or "changed nothing"


def _number(value: t.Any) -> str:
    if isinstance(value, dict):
        entries = t.cast("dict[str, t.Any]", value)
        return ", ".join(f"{number:,} {name}" for name, number in entries.items() if isinstance(number, int) and number)
    if isinstance(value, list):
        return f"{len(t.cast('list[t.Any]', value)):,}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _of(run_id: str, runs: Sequence[Row]) -> Row:
    """Which step of the report a run is."""
    run = next(run for run in runs if run["run_id"] == run_id)
    return {"number": run["number"], "name": run["name"]}


def _pause(row: Row, zone: zoneinfo.ZoneInfo) -> Row:
    return {
        "start": _stamp(row["paused_at"], zone),
        "end": _stamp(row["resumed_at"], zone) if row["resumed_at"] else None,
        "started_at": row["paused_at"].astimezone(zone).isoformat(),
        "ended_at": row["resumed_at"].astimezone(zone).isoformat() if row["resumed_at"] else None,
        "actor": printable(row["actor"]),
        "incident": printable(row["incident"]),
    }


def _impact(
    start: datetime.datetime,
    end: datetime.datetime,
    queue: series.Queue | None,
    pauses: Sequence[Row],
    moved: Sequence[Row] | None,
    rebuilt: Row | None,
) -> Row:
    """What it cost, in minutes and in sales; None where that could not be read."""
    letters = ("dead_letters", "events", "sales", "lines", "in_queue", "no_amount")
    again: Row = rebuilt or {"sales": None, "amount_before": None, "amount_after": None}
    paused = sum((min(row["resumed_at"] or end, end) - max(row["paused_at"], start)).total_seconds() for row in pauses)
    late = queue["late_seconds"] if queue else None
    return {
        "seconds": round((end - start).total_seconds(), 3),
        "lasted": in_words((end - start).total_seconds()),
        "paused_seconds": round(paused, 3),
        "paused": in_words(paused) if pauses else None,
        "still_paused": any(row["resumed_at"] is None for row in pauses),
        "late_after_minutes": FRESH_MINUTES,
        "late_seconds": None if late is None else round(late, 3),
        "late": None if late is None else in_words(late),
        "late_sales": queue["late"] if queue else None,
        "waiting_sales": queue["waiting"] if queue else None,
        **{name: None if moved is None else sum(int(row[name]) for row in moved) for name in letters},
        "amount": _money(_sum(row["amount"] for row in moved or ())),
        "rebuilt": again["sales"],
        "amount_before": _money(again["amount_before"]),
        "amount_after": _money(again["amount_after"]),
    }


def _wrong(
    impact: Row, points: Sequence[Row], moved: Sequence[Row], runs: Sequence[Row], zone: zoneinfo.ZoneInfo
) -> list[str]:
    """What was wrong, as far as the ledger and the pipeline tell."""
    made: list[str] = []
    if impact["late_seconds"]:
        made.append(f"For {impact['late']}, sales waited longer than {FRESH_MINUTES} min to be loaded")
    fullest = max(points, key=lambda point: point["pending"] or 0)
    if fullest["pending"]:
        made.append(f"Up to {count(fullest['pending'], 'sale')} pending, at {_stamp(fullest['at'], zone)}")
    for name, what in (("since_load", "loaded"), ("since_arrival", "received")):
        longest = max((point[name] or 0.0 for point in points), default=0.0)
        if longest > 60 * STALE_MINUTES:
            made.append(f"No event was {what} for up to {in_words(longest)}")
    for code in sorted({row["error_code"] for row in moved}):
        letters = sum(row["dead_letters"] for row in moved if row["error_code"] == code)
        made.append(f"{count(letters, 'dead letter')} with error code {printable(code)}")
    ended = sum(len(row["effects"].get("ended") or []) for row in runs if row["action"] == "terminate_sessions")
    made += [f"{count(ended, 'stuck session')} ended"] if ended else []
    made += [
        printable(f"{_name(row['action'])}, at {_stamp(row['started_at'], zone)}: {_ended(row)}")
        for row in runs
        if row["status"] in ENDED_BADLY
    ]
    return made

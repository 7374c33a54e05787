# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes while one looks: ages, the backlog and where it goes, jobs with their last error, who blocks whom, who is at work."""

from __future__ import annotations

import functools
import typing as t

from ..core.redaction import clean
from ..core.text import cut
from ..ledger import lease
from ..ledger.pauses import open_pause
from ..pipeline import expected
from ..postgres.read_budget import Budget
from ..scout import contract, cron_jobs, cron_runs, event_queue, gold_views, sessions
from . import facts

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..ledger.ledger import Ledger
    from ..postgres.session import Row, Session

#: Jobs run once a minute or more seldom, so the flow of shorter spans would jump.
FLOW_MINUTES: t.Final = 5
HISTORY_SECONDS: t.Final = 3600.0
#: So many sessions that block, or wait for, another are shown.
MOST_SESSIONS: t.Final = 30
#: Characters of a statement, and of what a job said.
STATEMENT: t.Final = 200

FLOW = """
SELECT (SELECT count(*) FROM {bronze} AS b WHERE b.event_type = %(event_type)s
          AND b.ingested_at > clock_timestamp() - make_interval(mins => %(minutes)s) AND b.ingested_at <= clock_timestamp())
       ::float8 / %(minutes)s AS arrived_per_minute,
       (SELECT count(*) FROM {etl_ledger} AS p
        WHERE p.processed_at > clock_timestamp() - make_interval(mins => %(minutes)s) AND p.processed_at <= clock_timestamp())
       ::float8 / %(minutes)s AS loaded_per_minute
"""


def read(
    session: Session, ledger: Ledger, *, budget_seconds: float | None, jobs: list[str] | None = None
) -> dict[str, t.Any]:
    """One look on one snapshot, within the budget; what could not be read is None or empty, with why in `unread` by its name."""
    with session.read():
        budget = Budget(session, expected.look_seconds(session, budget_seconds))
        now = budget.read("now", lambda s: s.row(facts.NOW)["now"])
        pause = budget.read("pause", lambda _: open_pause(ledger))
        at_work = budget.read("lease", lambda _: lease.at_work(ledger))
        known = budget.read("jobs", functools.partial(_jobs, names=jobs)) or []
        runs = budget.read("runs", lambda s: cron_runs.history(s, known, HISTORY_SECONDS)) if known else []
        backlog = budget.read("backlog", event_queue.read)
        flow = budget.read("flow", _flow)
        ages = {
            "bronze_seconds": _seconds(budget.read("bronze", facts.newest_minutes)),
            "silver_seconds": _seconds(
                budget.read("silver", lambda s: s.row(contract.compose(facts.SILVER))["minutes"])
            ),
        }
        gold = budget.read("gold", lambda s: gold_views.read(s, budget_seconds=0.0)) or []
        letters = budget.read("dead_letters", lambda s: s.row(contract.compose(facts.DEAD_LETTERS))["unresolved"])
        activities = budget.read("sessions", lambda s: sessions.read(s, known)) or []
    on = [job for job in known if job.starts]
    return {
        "at": now.isoformat(timespec="seconds") if now else None,
        "ingestion": ("running" if on else "paused") if known else "unknown",
        "paused_by": pause.actor if pause else None,
        "reason": pause.reason if pause else None,
        "ages": ages
        | {"gold": [{"view": each.view.full_name, "seconds": _since(each, now), "state": each.state} for each in gold]},
        "backlog": _backlog(backlog, flow),
        "dead_letters": letters,
        "jobs": [_job(job, runs or [], now) for job in known],
        "blocking": list(tree(activities)),
        "lease": _lease(at_work),
        "unread": {name: problem.said for name, problem in sorted(budget.problems.items())},
    }


def tree(activities: Sequence[sessions.Activity]) -> Iterator[dict[str, t.Any]]:
    """Who blocks whom, the holders first and below each who waits for it, with `depth`; each session once. A holder of one of
    Scout's advisory keys stands there too, because for these nobody waits."""
    by_pid = {each.pid: each for each in activities}
    waiting = {each.pid: [pid for pid in each.blocked_by if pid in by_pid] for each in activities if each.blocked_by}
    holders = {pid for pids in waiting.values() for pid in pids}
    roots = [pid for pid in by_pid if (pid in holders or by_pid[pid].holds_key) and not waiting.get(pid)]
    # Those that wait for each other, until the server finds the deadlock, and those whose holder is not to be seen.
    rest = [pid for pid in waiting if pid not in roots]
    shown: set[int] = set()
    todo = [(pid, 0) for pid in (*roots, *rest)]
    while todo and len(shown) < MOST_SESSIONS:
        pid, depth = todo.pop(0)
        if pid in shown:
            continue
        shown.add(pid)
        yield _session(by_pid[pid], depth)
        todo[:0] = [(other, depth + 1) for other, pids in waiting.items() if pid in pids and other not in shown]


def _session(each: sessions.Activity, depth: int) -> dict[str, t.Any]:
    kept = {name: getattr(each, name) for name in ("pid", "role", "application", "state", "wait", "job")}
    keys = [reason for reason in each.reasons if reason.startswith(sessions.HOLDS_KEY)]
    statement = cut(clean(" ".join(each.query.split())), STATEMENT)
    blocked_by = list(each.blocked_by)
    return {
        **kept,
        "depth": depth,
        "seconds": round(each.seconds, 1),
        "keys": keys,
        "statement": statement,
        "blocked_by": blocked_by,
    }


def _jobs(session: Session, names: list[str] | None) -> list[cron_jobs.Job]:
    cron_jobs.require(session)
    return cron_jobs.ingestion_jobs(session, names)


def _flow(session: Session) -> Row:
    values = {"minutes": FLOW_MINUTES, "event_type": contract.names().transaction_event}
    return session.row(contract.compose(FLOW), **values)


def _backlog(backlog: event_queue.Backlog | None, flow: Row | None) -> dict[str, t.Any]:
    """How many events wait, for how long, and by how many more or fewer each minute."""
    flow = flow or {"arrived_per_minute": None, "loaded_per_minute": None}
    arrived, loaded = flow["arrived_per_minute"], flow["loaded_per_minute"]
    return {
        "events": backlog.events if backlog else None,
        "oldest_seconds": round(backlog.seconds, 1) if backlog else None,
        "arrived_per_minute": arrived,
        "loaded_per_minute": loaded,
        "slope_per_minute": None if arrived is None or loaded is None else round(arrived - loaded, 1),
    }


def _job(job: cron_jobs.Job, runs: Sequence[cron_runs.Run], now: t.Any) -> dict[str, t.Any]:
    """A job with its latest run, and the latest error of the last hour."""
    mine = [run for run in runs if run.jobid == job.jobid]
    failed = next((run for run in mine if run.status == "failed"), None)
    last = mine[0] if mine else None
    return {
        "job": job.jobname,
        "active": job.starts,
        "last_status": last.status if last else None,
        "last_seconds_ago": _ago(last, now),
        "last_error": cut(clean(" ".join((failed.message or "").split())), STATEMENT) if failed else None,
        "last_error_seconds_ago": _ago(failed, now),
    }


def _ago(run: cron_runs.Run | None, now: t.Any) -> float | None:
    return round((now - run.started).total_seconds(), 1) if run and run.started and now else None


def _since(each: gold_views.Freshness, now: t.Any) -> float | None:
    return round((now - each.refreshed_at).total_seconds(), 1) if each.refreshed_at and now else None


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else round(minutes * 60, 1)


def _lease(found: lease.AtWork | None) -> dict[str, t.Any] | None:
    if found is None:
        return None
    about = {
        "owner": found.owner,
        "incident": found.incident,
        "seconds": round(found.seconds, 1),
        "step": found.step or None,
    }
    return {**about, "step_seconds": None if found.step_seconds is None else round(found.step_seconds, 1)}

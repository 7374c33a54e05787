# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the database looks like within seconds: sessions, locks, jobs, settings, and samples without payloads."""

from __future__ import annotations

import dataclasses
import functools
import time
import typing as t

from ..ledger import history
from ..moves.cleanup import rules, violations
from ..pipeline import expected
from ..postgres import without_values
from ..postgres.driver import sql
from ..postgres.read_budget import Budget
from ..postgres.session import ADHOC
from ..scout import contract, cron_jobs, cron_runs, event_queue

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from ..postgres.session import Query, Session

SESSIONS = """
SELECT pid, usename::text AS role, application_name, backend_type, client_addr::text AS client, state, wait_event_type,
       wait_event, backend_start, xact_start, query_start, state_change, left(query, 1024) AS query,
       CASE WHEN wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(pid) END AS blocked_by
FROM pg_catalog.pg_stat_activity WHERE datname = current_database() ORDER BY xact_start NULLS LAST LIMIT 500
"""

LOCKS = """
SELECT l.pid, l.locktype, l.mode, l.granted, l.relation::regclass::text AS relation, l.classid::bigint AS classid,
       l.objid::bigint AS objid, l.objsubid, l.transactionid::text AS transactionid
FROM pg_catalog.pg_locks AS l
WHERE l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   OR l.locktype = 'transactionid'
ORDER BY l.pid LIMIT 2000
"""

SETTINGS = """
SELECT name, setting, unit, source FROM pg_catalog.pg_settings
WHERE source NOT IN ('default', 'client')
  AND name !~* 'password|passphrase|conninfo|secret|token|jwt|_key|key_|ssl_.*file|_command$'
ORDER BY name
"""

TABLES = """
SELECT relname::text AS name, n_live_tup, n_dead_tup, n_tup_ins, n_tup_upd, n_tup_del, last_autovacuum, last_autoanalyze
FROM pg_catalog.pg_stat_user_tables WHERE schemaname = %(schema)s ORDER BY relname
"""

#: The dead letters of the incident, and any others that came in its time.
DEAD_LETTERS = """
SELECT d.dlq_id, left(d.error_code, 120) AS error_code, d.failed_at, d.resolved_at,
       left(d.error_details ->> 'run_id', 36) AS run_id, left(d.error_details #>> '{{event,event_id}}', 36) AS event_id,
       left(d.error_details ->> 'sqlstate', 5) AS sqlstate, left(d.error_details ->> 'constraint', 63) AS constraint,
       left(d.error_details ->> 'column', 63) AS column
FROM {dead_letters} AS d
WHERE d.error_details ->> 'incident' = %(incident)s OR d.error_details ->> 'run_id' = ANY(%(runs)s)
   OR (d.error_details ->> 'incident' IS NULL AND d.failed_at >= %(start)s AND d.failed_at < %(end)s)
ORDER BY d.failed_at DESC LIMIT %(rows)s
"""

#: The head of the queue: a poison event is the oldest pending one, and the others wait behind it. The ten minutes cover an event that
#: was committed after the assessment: its time is that at which its transaction began.
PENDING = """
SELECT b.event_id, left(b.event_type, 120) AS event_type, left(b.source_system, 120) AS source_system, b.ingested_at,
       pg_catalog.pg_column_size(b.event_data) AS payload_bytes
FROM {bronze} AS b
WHERE {pending} AND (%(since)s::timestamptz IS NULL OR b.ingested_at >= %(since)s::timestamptz - interval '10 minutes')
ORDER BY b.ingested_at LIMIT %(rows)s
"""

#: Along the index on processed_at.
BAD_TRANSACTIONS = """
SELECT {names} AS violates, left(t.transaction_id::text, 120) AS transaction_id, t.source_event_id,
       left(t.store_id::text, 120) AS store_id, t.date_key, t.total_amount, t.net_amount, t.item_count, t.processed_at
FROM {transactions} AS t
WHERE t.processed_at >= %(start)s AND t.processed_at < %(end)s AND ({any}) ORDER BY t.processed_at DESC LIMIT %(rows)s
"""

#: Along the index on updated_at.
BAD_LINES = """
SELECT left(l.transaction_id::text, 120) AS transaction_id, left(l.product_id::text, 120) AS product_id, l.line_sequence,
       l.quantity, l.unit_price, l.line_amount, l.updated_at
FROM {line_items} AS l
WHERE l.updated_at >= %(start)s AND l.updated_at < %(end)s AND ({any})
ORDER BY l.updated_at DESC LIMIT %(rows)s
"""

HISTORY_SECONDS: t.Final = 6 * 3600.0
MOST_RUNS: t.Final = 200

SECTIONS: t.Final[dict[str, t.LiteralString]] = {"locks": LOCKS, "settings": SETTINGS}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What to keep: within which time, and of which window."""

    incident: str
    budget_seconds: float
    start: datetime.datetime
    end: datetime.datetime
    sample_rows: int
    health: dict[str, t.Any]


@dataclasses.dataclass
class Collected:
    """What was read, by section, what could not be, and how long reading took."""

    sections: dict[str, list[t.Any]] = dataclasses.field(default_factory=dict[str, list[t.Any]])
    problems: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    seconds: float = 0.0


def collect(session: Session, wanted: Wanted) -> Collected:
    """Returns every section that can be read within the budget, on one READ ONLY snapshot."""
    began, found = time.monotonic(), Collected()
    with session.read():
        budget = Budget(session, wanted.budget_seconds)
        since = _pending_since(wanted)
        recent = since is None and expected.etl_seconds(session) > expected.TIMES * wanted.budget_seconds
        for name, read in _readers(wanted, wanted.start.isoformat() if recent else since).items():
            rows = budget.read(name, read)
            if rows is not None:
                found.sections[name] = rows
        found.problems |= {name: problem.said for name, problem in budget.problems.items()}
    if "pending_events" in found.sections and recent:
        found.problems["pending_events"] = (
            "it has only those that came lately; assess.yml with scout_save_evidence finds all pending events"
        )
    if wanted.health:
        found.sections["health"] = [wanted.health]
    found.seconds = round(time.monotonic() - began, 3)
    return found


def _pending_since(wanted: Wanted) -> str | None:
    """Since when events are pending, as an assessment found."""
    pending = wanted.health.get("pending")
    return t.cast("dict[str, t.Any]", pending).get("since") if isinstance(pending, dict) else None


def _readers(wanted: Wanted, pending_since: str | None) -> dict[str, Callable[[Session], list[t.Any]]]:
    """The sections in order, cheap ones first: the budget may end before the last."""
    values = {"incident": wanted.incident, "start": wanted.start, "end": wanted.end, "rows": wanted.sample_rows}
    sampled = _sampled_rules()
    bad_transactions = contract.compose(
        BAD_TRANSACTIONS,
        names=sql.SQL("array_remove(ARRAY[{}], NULL)").format(
            sql.SQL(", ").join(
                sql.SQL("CASE WHEN {} THEN {} END").format(_predicate(rule), sql.Literal(rule.name)) for rule in sampled
            )
        ),
        any=sql.SQL(" OR ").join(sql.SQL("({})").format(_predicate(rule)) for rule in sampled),
    )
    invalid = sql.SQL(violations.INVALID_LINE + " OR " + violations.INVALID_FIGURES)
    bad_lines = contract.compose(BAD_LINES, any=invalid)
    dead_letters = contract.compose(DEAD_LETTERS)
    return {
        "sessions": _read_sessions,
        **{name: functools.partial(_read, query=query) for name, query in SECTIONS.items()},
        "runs": _read_runs,
        "tables": functools.partial(_read, query=TABLES, schema=contract.names().schema),
        "jobs": lambda s: [job.as_dict() for job in cron_jobs.jobs(s)],
        "job_runs": lambda s: [_run(run) for run in cron_runs.history(s, cron_jobs.jobs(s), HISTORY_SECONDS)],
        "bad_transactions": functools.partial(_read, query=bad_transactions, **values),
        "bad_lines": functools.partial(_read, query=bad_lines, **values),
        "dead_letters": lambda s: _read(s, dead_letters, runs=_runs_of(s, wanted.incident), **values),
        "pending_events": lambda s: _read(s, event_queue.of_pending(PENDING), since=pending_since, **values),
    }


def _sampled_rules() -> list[rules.Rule]:
    """The rules that a row of sales violates by itself, without a look at its lines."""
    sales = contract.names().transactions
    return [rule for rule in rules.built_in() if rule.table == sales and "EXISTS" not in rule.predicate]


def _predicate(rule: rules.Rule) -> sql.SQL:
    return sql.SQL(t.cast("t.LiteralString", rule.predicate))


def _read(session: Session, query: Query, **values: t.Any) -> list[t.Any]:
    """Returns the rows as JSON documents: PostgreSQL writes the times, also infinite ones."""
    inner = query if isinstance(query, sql.Composable) else sql.SQL(query)
    rows = session.rows(sql.SQL("SELECT to_jsonb(found) AS found FROM ({}) AS found").format(inner), **values)
    return [row["found"] for row in rows]


def _read_sessions(session: Session) -> list[t.Any]:
    return [row | {"query": without_values.statement(row["query"] or "")} for row in _read(session, SESSIONS)]


def _read_runs(session: Session) -> list[t.Any]:
    """The latest runs of the ledger; of an error its kind and code."""
    if not history.readable(session):
        return []
    found = history.read(session, incident=None, action=None, run_id=None, limit=MOST_RUNS)
    return [dict(run) | {"error": _error_codes(run.get("error"))} for run in found]


def _error_codes(error: t.Any) -> dict[str, t.Any] | None:
    if not isinstance(error, dict):
        return None
    said = t.cast("dict[str, t.Any]", error)
    return {name: said[name] for name in ("kind", "sqlstate") if said.get(name)}


def _runs_of(session: Session, incident: str) -> list[str]:
    return list(history.of_incident(session, incident)) if incident != ADHOC else []


def _run(run: cron_runs.Run) -> dict[str, t.Any]:
    """As cron.job_run_details has it, but for values in its message."""
    message = without_values.message(run.message or "")
    return {
        "jobid": run.jobid,
        "status": run.status,
        "return_message": message,
        "start_time": run.started,
        "end_time": run.ended,
        "seconds": run.seconds,
    }

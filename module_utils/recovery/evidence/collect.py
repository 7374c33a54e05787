# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database looked like: sessions, locks, jobs, affected rows, log and health in about a second; whole tables on request."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import time
import typing as t

from ..core import redaction
from ..core.errors import NotConverged
from ..core.text import count
from ..ledger import history
from ..moves.cleanup import rules, violations
from ..pipeline import expected
from ..postgres import plain
from ..postgres.driver import errors, psycopg, sql
from ..postgres.failures import attempting
from ..postgres.read_budget import Budget
from ..postgres.session import ADHOC
from ..scout import contract, cron_jobs, cron_runs, event_queue
from .archive import CutShort, Most

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Iterator

    from ..core.progress import Progress
    from ..postgres.session import Query, Session
    from .archive import EvidenceArchive

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

#: Those that this toolkit set aside for the incident, also in its runs, and what came into the queue otherwise in its time.
DEAD_LETTERS = """
SELECT d.* FROM {dead_letters} AS d
WHERE d.error_details ->> 'incident' = %(incident)s OR d.error_details ->> 'run_id' = ANY(%(runs)s)
   OR (d.error_details ->> 'incident' IS NULL AND d.failed_at >= %(start)s AND d.failed_at < %(end)s)
ORDER BY d.failed_at DESC LIMIT %(rows)s
"""

#: The head of the queue: a poison event is the oldest that waits, and all others wait behind it. Found by what has to be compared, for
#: the payloads of all of bronze are not needed for it; and by an index on the clock, where an assessment knows since when events wait.
#: One that was committed after the look has the time at which its transaction began.
PENDING = """
SELECT b.* FROM {bronze} AS b JOIN (
    SELECT b.event_id, b.ingested_at FROM {bronze} AS b
    WHERE {pending} AND (%(since)s::timestamptz IS NULL OR b.ingested_at >= %(since)s::timestamptz - interval '10 minutes')
    ORDER BY b.ingested_at LIMIT %(rows)s
) AS head ON b.event_id = head.event_id AND b.ingested_at = head.ingested_at
ORDER BY b.ingested_at
"""

#: Along the index on processed_at.
BAD_TRANSACTIONS = """
SELECT {names} AS violates, t.* FROM {transactions} AS t
WHERE t.processed_at >= %(start)s AND t.processed_at < %(end)s AND ({any}) ORDER BY t.processed_at DESC LIMIT %(rows)s
"""

#: Along the index on updated_at.
BAD_LINES = """
SELECT l.* FROM {line_items} AS l
WHERE l.updated_at >= %(start)s AND l.updated_at < %(end)s AND ({any})
ORDER BY l.updated_at DESC LIMIT %(rows)s
"""

LOG_FILE = "SELECT pg_catalog.pg_current_logfile() AS path"
LOG_SIZE = "SELECT size FROM pg_catalog.pg_ls_logdir() WHERE name = %(name)s"
LOG_TAIL = "SELECT pg_catalog.pg_read_binary_file(%(path)s, greatest(0, %(size)s - %(bytes)s), %(bytes)s) AS tail"

HISTORY_SECONDS: t.Final = 6 * 3600.0
#: Whoever can write an event chooses how long its texts are.
MOST: t.Final = Most(value_characters=8192, section_bytes=16 << 20, seconds=5.0)
#: No value that takes more than that is fetched, which is looked at before it is unpacked; nor one of a row of more than that as JSON.
VALUE_BYTES: t.Final = 256 << 10
ROW_BYTES: t.Final = 4 << 20
#: What a value of such a row may take at most, packed, to be fetched.
SHORT_BYTES: t.Final = 512
MOST_RUNS: t.Final = 200
LOG_BYTES: t.Final = 128 << 10
LOG_LINES: t.Final = 1000
#: How a line of the log begins that is not the rest of a statement, unless log_line_prefix is without a time.
DATED = re.compile(r"\W{0,3}\d{4}-\d\d-\d\d[ T]\d\d:\d\d|\{\"timestamp\"")

#: The rows of a query as JSON, of those that are too large the short values, and first of all what was left out.
BOUNDED: t.LiteralString = """
SELECT CASE WHEN made.line IS NOT NULL AND pg_catalog.octet_length(made.line) <= {row_bytes} THEN made.line
            ELSE (SELECT pg_catalog.row_to_json(short)::text FROM (
                SELECT pg_catalog.concat_ws(', ', {named}) || ': too large to be read' AS {left_out}, {short}) AS short) END
FROM ({query}) AS found CROSS JOIN LATERAL (
    SELECT CASE WHEN greatest({sizes}) <= {value_bytes}
                THEN pg_catalog.row_to_json({whole})::text END OFFSET 0) AS made (line)
"""

SECTIONS: t.Final[dict[str, t.LiteralString]] = {
    "sessions": SESSIONS,
    "locks": LOCKS,
    "settings": SETTINGS,
}


def _sampled() -> list[rules.Rule]:
    """The rules a sample is taken by: what is wrong in a row of sales alone, so that it costs no look at its lines."""
    sales = contract.names().transactions
    return [rule for rule in rules.built_in() if rule.table == sales and "EXISTS" not in rule.predicate]


#: What can be exported whole, by its key in the contract, with the column that says when; without one it is always all
#: of it.
WHOLE: t.Final[dict[str, str | None]] = {
    "bronze": "ingested_at",
    "dead_letters": None,
    "etl_ledger": "processed_at",
    "transactions": "processed_at",
    "line_items": "updated_at",
    "alerts": "created_at",
}


def whole() -> dict[str, str | None]:
    """The same by the names that the tables have in this database."""
    return {contract.bare(contract.names()[key]): clock for key, clock in WHOLE.items()}


class _AbsentError(NotConverged):
    """There is nothing to read here, and that is not a problem."""

    kind = "absent"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is to be kept: within which time, of which window, and which tables whole."""

    incident: str
    budget_seconds: float
    start: datetime.datetime
    end: datetime.datetime
    sample_rows: int
    health: dict[str, t.Any]
    full: tuple[str, ...] = ()
    full_seconds: float = 3600.0


@dataclasses.dataclass
class Kept:
    """How that went: what could not be read, what is not there to be read, and how long reading took."""

    sections: dict[str, int] = dataclasses.field(default_factory=dict[str, int])
    problems: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    absent: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    #: Of how many rows of a section only the short values are kept.
    short: dict[str, int] = dataclasses.field(default_factory=dict[str, int])
    seconds: float = 0.0
    #: How many events are pending, where all of them are kept.
    pending: int | None = None


def collect(
    session: Session,
    kept_in: EvidenceArchive,
    wanted: Wanted,
    progress: Progress,
    *,
    check: bool,
    after: Callable[[Kept], None] = lambda _: None,
) -> Kept:
    """Every section that can be had within the budget, then the tables that are wanted whole, on one READ ONLY snapshot.
    `after` is told after each how far it came."""
    began, kept = time.monotonic(), Kept(short=kept_in.short)
    with session.read():
        budget = Budget(session, wanted.budget_seconds)
        for name, rows in _readers(wanted, kept_in.redactor).items():
            found = budget.read(name, lambda s, name=name, rows=rows: kept_in.add(name, rows(s), MOST))
            problem = budget.problems.get(name)
            if problem is not None:
                found = kept_in.rows(name)
            if found is not None:
                kept.sections[name] = found
            if problem is not None and (problem.kind == _AbsentError.kind or name == "server_log"):
                kept.absent[name] = problem.said
            elif problem is not None:
                kept.problems[name] = problem.said
            elif name == "pending_events" and found is not None and found < wanted.sample_rows:
                kept.pending = found
            kept.seconds = round(time.monotonic() - began, 3)
            after(kept)
        if wanted.health:
            kept.sections["health"] = kept_in.add("health", _lines([wanted.health]))
        kept.seconds = round(time.monotonic() - began, 3)
        after(kept)
        for table in () if check else wanted.full:
            kept.sections[f"full_{table}"] = _whole(session, kept_in, table, wanted, progress)
            after(kept)
    return kept


def _readers(wanted: Wanted, redactor: redaction.Redactor) -> dict[str, Callable[[Session], Iterable[bytes]]]:
    """The sections in order, the cheap ones first: what comes late may find the time spent."""
    values = {"incident": wanted.incident, "start": wanted.start, "end": wanted.end, "rows": wanted.sample_rows}
    readers: dict[str, Callable[[Session], Iterable[bytes]]] = {
        name: functools.partial(streamed, query=query) for name, query in SECTIONS.items()
    }
    readers["runs"] = _runs
    readers["tables"] = functools.partial(streamed, query=TABLES, schema=contract.names().schema)
    readers["jobs"] = lambda s: _lines(job.as_dict() for job in cron_jobs.jobs(s))
    readers["job_runs"] = lambda s: _lines(map(_run, cron_runs.history(s, cron_jobs.jobs(s), HISTORY_SECONDS)))
    sampled = _sampled()
    bad = contract.compose(
        BAD_TRANSACTIONS,
        names=sql.SQL("array_remove(ARRAY[{}], NULL)").format(
            sql.SQL(", ").join(
                sql.SQL("CASE WHEN {} THEN {} END").format(_predicate(rule), sql.Literal(rule.name)) for rule in sampled
            )
        ),
        any=sql.SQL(" OR ").join(sql.SQL("({})").format(_predicate(rule)) for rule in sampled),
    )
    readers["bad_transactions"] = functools.partial(_in_time, query=bad, **values)
    invalid = sql.SQL(violations.INVALID_LINE + " OR " + violations.INVALID_FIGURES)
    readers["bad_lines"] = functools.partial(_in_time, query=contract.compose(BAD_LINES, any=invalid), **values)
    readers["server_log"] = functools.partial(_log, redactor=redactor)
    readers["dead_letters"] = lambda s: _in_time(
        s,
        contract.compose(DEAD_LETTERS),
        runs=list(history.of_incident(s, wanted.incident)) if wanted.incident != ADHOC else [],
        **values,
    )
    pending = wanted.health.get("pending")
    since = t.cast("dict[str, t.Any]", pending).get("since") if isinstance(pending, dict) else None
    readers["pending_events"] = functools.partial(_pending, since=since, seconds=wanted.budget_seconds, **values)
    return readers


def _runs(session: Session) -> Iterable[bytes]:
    """The latest runs of the ledger, as `runs.yml` lists them: after a restore the ledger may know less than its evidence."""
    if not history.readable(session):
        return ()
    return _lines(history.read(session, incident=None, action=None, run_id=None, limit=MOST_RUNS))


def _run(run: cron_runs.Run) -> dict[str, t.Any]:
    """As cron.job_run_details has it."""
    found = {"jobid": run.jobid, "status": run.status, "return_message": run.message}
    return {**found, "start_time": run.started, "end_time": run.ended, "seconds": run.seconds}


def _predicate(rule: rules.Rule) -> sql.SQL:
    return sql.SQL(t.cast("t.LiteralString", rule.predicate))


def streamed(session: Session, query: Query, **values: t.Any) -> Iterator[bytes]:
    """The rows of a query as JSON, one after the other as the server sends them; never two of them are held."""
    whole = sql.SQL("COPY (SELECT row_to_json(found)::text FROM ({}) AS found) TO STDOUT (ENCODING 'UTF8')")
    inner = query if isinstance(query, sql.Composable) else sql.SQL(query)
    yield from _copied(session, whole.format(inner), values)


def bounded(session: Session, query: Query, **values: t.Any) -> Iterator[bytes]:
    """The same of rows that others write: no value is fetched that is too large to be, and its row begins with what was left out."""
    inner = query if isinstance(query, sql.Composable) else sql.SQL(query)
    found = plain.columns(session, sql.SQL("({})").format(inner), "found", **values)
    names = [(plain.literal(name), plain.named(name), value) for name, value in found.items()]
    size = [sql.SQL("coalesce(pg_catalog.pg_column_size(found.{}), 0)").format(name) for _, name, _ in names]
    row = sql.SQL(BOUNDED).format(
        query=inner,
        sizes=sql.SQL(", ").join(size),
        named=sql.SQL(", ").join(
            sql.SQL("CASE WHEN {} > {} THEN {} END").format(each, SHORT_BYTES, text)
            for each, (text, _, _) in zip(size, names, strict=True)
        ),
        whole=plain.row(found, "found"),
        short=sql.SQL(", ").join(
            sql.SQL("CASE WHEN {} <= {} THEN {} END AS {}").format(each, SHORT_BYTES, value, name)
            for each, (_, name, value) in zip(size, names, strict=True)
        ),
        left_out=sql.Identifier(redaction.LEFT_OUT),
        row_bytes=ROW_BYTES,
        value_bytes=VALUE_BYTES,
    )
    yield from _copied(session, sql.SQL("COPY ({}) TO STDOUT (ENCODING 'UTF8')").format(row), values)


def _in_time(session: Session, query: Query, **values: t.Any) -> Iterator[bytes]:
    """The same of a sample, which ends with its time. Raises CutShort there."""
    try:
        yield from bounded(session, query, **values)
    except (errors.QueryCanceled, psycopg.ProgrammingError) as e:
        # Where the time is over while COPY begins, PostgreSQL's answer is two, which psycopg takes for two statements.
        if e.sqlstate not in (None, errors.QueryCanceled.sqlstate):
            raise
        raise CutShort("the time was over") from e


def _pending(session: Session, since: str | None, seconds: float, **values: t.Any) -> Iterator[bytes]:
    """What is pending: since an assessment's `since`, else of all of bronze where there may be time for it. Raises CutShort after what came
    within the time of the evidence where there is none."""
    query = event_queue.of_pending(PENDING)
    recent = since is None and expected.etl_seconds(session) > expected.TIMES * seconds
    yield from _in_time(session, query, since=values["start"].isoformat() if recent else since, **values)
    if recent:
        raise CutShort("those that came lately; evidence.yml assesses first, and finds all that wait")


def _copied(session: Session, query: sql.Composed, values: dict[str, t.Any]) -> Iterator[bytes]:
    rest = b""
    session.connection.send()
    # COPY takes no parameters from the protocol, so they are quoted into it here.
    with (
        psycopg.ClientCursor(session.connection) as cursor,
        cursor.copy(query, values) as copy,
    ):
        for block in copy:
            *lines, rest = (rest + bytes(block)).split(b"\n")
            for line in lines:
                # JSON has no other characters that COPY writes in a way of its own.
                yield line.replace(b"\\\\", b"\\")


def _lines(rows: Iterable[dict[str, t.Any]]) -> Iterator[bytes]:
    for row in rows:
        yield json.dumps(row, default=str, ensure_ascii=False).encode(errors="replace")


def _log(session: Session, redactor: redaction.Redactor) -> Iterable[bytes]:
    """The end of the server's log; what spans lines is hidden before it is cut into lines."""
    path = session.row(LOG_FILE)["path"]
    if path is None:
        raise _AbsentError("no server log", said="the server keeps no log file that can be read (logging_collector)")
    size = session.rows(LOG_SIZE, name=path.rpartition("/")[2])
    if not size:
        raise _AbsentError("no server log", said=f"{path} is not in the folder of the server's logs")
    tail = bytes(session.row(LOG_TAIL, path=path, size=size[0]["size"], bytes=LOG_BYTES)["tail"])
    cut = size[0]["size"] > LOG_BYTES
    if cut:
        tail = tail.partition(b"\n")[2]
    text = redaction.Redactor(()).text(tail.decode(errors="replace").replace("\0", ""))
    hidden = [line for entry in entries(text, cut=cut) for line in redactor.text(entry).splitlines()]
    return _lines({"line": line} for line in hidden[-LOG_LINES:])


def entries(text: str, *, cut: bool) -> Iterator[str]:
    """What was logged, each with the lines of its statement; where the beginning is cut away, not the rest of an entry."""
    lines = text.splitlines()
    dated = any(map(DATED.match, lines))
    entry: list[str] = []
    known = not cut
    for line in lines:
        if not (DATED.match(line) if dated else not line.startswith("\t")):
            entry += [line] if known else []
            continue
        if entry:
            yield "\n".join(entry)
        entry, known = [line], True
    if entry:
        yield "\n".join(entry)


def _whole(session: Session, kept_in: EvidenceArchive, table: str, wanted: Wanted, progress: Progress) -> int:
    """A table of the window, all of it."""
    clock, name = whole()[table], sql.Identifier(contract.names().schema, table)
    query = sql.SQL("SELECT * FROM {}").format(name)
    if clock is not None:
        column = sql.Identifier(clock)
        query += sql.SQL(" WHERE {column} >= %(start)s AND {column} < %(end)s").format(column=column)
    session.limit_statements(wanted.full_seconds)
    values = {"start": wanted.start, "end": wanted.end} if clock is not None else {}
    with attempting(f"could not export {contract.names().schema}.{table}", on=session.where):
        try:
            return kept_in.add(f"full_{table}", _told(bounded(session, query, **values), table, progress))
        except errors.QueryCanceled as e:
            raise NotConverged(
                f"could not export {contract.names().schema}.{table}",
                on=session.where,
                said="it exceeded its time limit",
                next_step="raise evidence_full_seconds, or give a shorter window",
            ) from e


def _told(rows: Iterator[bytes], table: str, progress: Progress) -> Iterator[bytes]:
    """The same rows, with a word now and then."""
    for number, row in enumerate(rows, 1):
        if number % 1000 == 0:
            progress.checkpoint()
            progress.say_throttled(f"{count(number, 'row')} of {contract.names().schema}.{table} exported")
        yield row

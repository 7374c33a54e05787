# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of pending events: what is in it, which sessions lock parts of it, and having the ETL load a given part.

The ETL loads the oldest events that are unmarked in its ledger. So events are deferred by marking them, within one
transaction: mark, call the ETL, unmark. Nobody else ever sees the marks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
import uuid

from ..core.errors import NotConverged
from ..core.text import count
from ..postgres import acting
from ..postgres.driver import sql
from . import contract

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Generator, Iterator

    from ..postgres.acting import Actor
    from ..postgres.session import Row, Session

#: Whether the event `b` is pending, the only definition: a transaction's event that the ETL has not marked in its ledger.
PENDING = """(b.event_type = {transaction_event}
  AND NOT EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = b.event_id))"""

#: All that is asked of the pending events, at once: no index tells which these are, so that bronze is gone through for it.
BACKLOG = """
WITH waiting AS MATERIALIZED (
    SELECT b.event_id, b.ingested_at FROM {bronze} AS b
    WHERE {pending} AND (%(before)s::timestamptz IS NULL OR b.ingested_at <= %(before)s)
)
SELECT count(*) AS events, clock_timestamp() AS now,
       extract(epoch FROM clock_timestamp() - min(ingested_at) FILTER (WHERE isfinite(ingested_at)))::float8 AS oldest_seconds,
       to_jsonb(least(min(ingested_at), clock_timestamp())) #>> '{{}}' AS since,
       ARRAY(SELECT w.event_id::text FROM waiting AS w ORDER BY w.ingested_at, w.event_id LIMIT %(head)s) AS head
FROM waiting
"""

#: Pending events that another session's row lock hides from the ETL, and that session.
HIDDEN = """
SELECT b.event_id::text AS event_id, a.pid, a.usename::text AS role, a.application_name AS application, a.state
FROM {bronze} AS b
LEFT JOIN pg_catalog.pg_locks AS l
  ON l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.transactionid = b.xmax
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE {pending} AND b.ingested_at <= %(before)s
ORDER BY b.ingested_at LIMIT 5
"""

HEAD = """
SELECT b.event_id::text AS event_id FROM {bronze} AS b
WHERE {pending}
ORDER BY b.ingested_at, b.event_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""

#: Locks the first `size` events of the queue and marks those among them, and those sharing the last one's time, that the
#: ETL must not take now: suspects, and second and later events of a transaction (one statement cannot upsert a row twice).
#: Which sale they are of is read by their keys: payloads are not to be carried through all of bronze.
HOLD_BACK = """
WITH free AS MATERIALIZED (
    SELECT b.event_id, b.ingested_at FROM {bronze} AS b
    WHERE {pending}
    ORDER BY b.ingested_at, b.event_id LIMIT %(size)s FOR UPDATE OF b SKIP LOCKED
), tied AS MATERIALIZED (
    SELECT b.event_id FROM {bronze} AS b
    WHERE {pending}
      AND b.ingested_at = (SELECT max(ingested_at) FROM free)
    FOR UPDATE OF b SKIP LOCKED
), queue AS MATERIALIZED (
    SELECT event_id, ingested_at, event_id = ANY(%(suspects)s) AS suspect,
           transaction_id IS NOT NULL
           AND row_number() OVER (PARTITION BY transaction_id ORDER BY ingested_at, event_id) > 1 AS repeated
    FROM (
        SELECT f.event_id, f.ingested_at, b.event_data ->> 'transaction_id' AS transaction_id
        FROM free AS f JOIN {bronze} AS b ON b.event_id = f.event_id AND b.ingested_at = f.ingested_at
    ) AS known
), held AS (
    INSERT INTO {etl_ledger} (event_id)
    SELECT event_id FROM queue WHERE repeated OR suspect
    UNION SELECT event_id FROM tied WHERE NOT EXISTS (SELECT FROM queue AS q WHERE q.event_id = tied.event_id)
    ON CONFLICT DO NOTHING RETURNING event_id::text
)
SELECT count(*) AS size, count(*) FILTER (WHERE NOT repeated AND NOT suspect) AS wanted,
       coalesce(array_agg(event_id::text ORDER BY ingested_at, event_id) FILTER (WHERE suspect AND NOT repeated), '{{}}') AS due,
       ARRAY(SELECT event_id FROM held) AS held
FROM queue
"""

#: The same so that the ETL's next event is this one, unless it is not `free`: another session has it, or it is gone.
HOLD_BACK_OTHERS = """
WITH free AS MATERIALIZED (
    SELECT b.event_id FROM {bronze} AS b
    WHERE {pending}
      AND b.ingested_at <= (SELECT one.ingested_at FROM {bronze} AS one WHERE one.event_id = %(event_id)s)
    FOR UPDATE OF b SKIP LOCKED
), held AS (
    INSERT INTO {etl_ledger} (event_id)
    SELECT event_id FROM free
    WHERE event_id <> %(event_id)s AND EXISTS (SELECT FROM free AS f WHERE f.event_id = %(event_id)s)
    ON CONFLICT DO NOTHING RETURNING event_id::text
)
SELECT EXISTS (SELECT FROM free WHERE event_id = %(event_id)s) AS free, ARRAY(SELECT event_id FROM held) AS held
"""

#: Marks whatever is pending and would come before the last of these events, but not them; those without a lock as well.
HOLD_BACK_ALL_BUT = """
INSERT INTO {etl_ledger} (event_id)
SELECT b.event_id FROM {bronze} AS b
WHERE {pending}
  AND b.ingested_at <= (SELECT max(i.ingested_at) FROM {bronze} AS i WHERE i.event_id = ANY(%(ids)s::uuid[]))
  AND NOT EXISTS (SELECT FROM unnest(%(ids)s::uuid[]) AS wanted WHERE wanted = b.event_id)
RETURNING event_id::text AS event_id
"""

#: The events by turns: one of each transaction, in the order in which they came.
TURNS = """
SELECT turn, array_agg(event_id::text ORDER BY ingested_at, event_id) AS ids
FROM (
    SELECT b.event_id, b.ingested_at, row_number() OVER (
        PARTITION BY CASE WHEN jsonb_typeof(b.event_data) = 'object' THEN b.event_data ->> 'transaction_id' END,
                     CASE WHEN jsonb_typeof(b.event_data) <> 'object' OR b.event_data ->> 'transaction_id' IS NULL THEN b.event_id END
        ORDER BY b.ingested_at, b.event_id) AS turn
    FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[])
) AS o
GROUP BY turn ORDER BY turn
"""

HOLD_BACK_THESE = "INSERT INTO {etl_ledger} (event_id) SELECT unnest(%(ids)s::uuid[])"

NOT_TAKEN = """
SELECT id::text AS event_id FROM unnest(%(ids)s::uuid[]) AS id
WHERE NOT EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = id) LIMIT %(most)s
"""

#: Found by their keys, where BACKLOG goes through all of bronze.
STILL_PENDING = "SELECT count(*) AS events FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[]) AND {pending}"

LET_GO = "DELETE FROM {etl_ledger} WHERE event_id = ANY(%(ids)s::uuid[])"

#: What a session may hold in memory of a table that it joins or sorts: with 4 MB, PostgreSQL's default, an ETL that looks for a few
#: events among a million writes most of bronze to disk.
WORK_MEM: t.Final = "256MB"
#: For queries of our own that read times as the scheduler's sessions do.
AS_THE_PIPELINE = """
SELECT set_config('TimeZone', %(timezone)s, true), set_config('jit', 'off', true), set_config('work_mem', '256MB', true)
"""
AS_OURSELVES = "SELECT set_config('TimeZone', 'UTC', true)"

#: A compiled plan costs more than it saves here, and one that the ETL cached while its ledger was short makes each later call
#: slower. To forbid cached plans altogether would cost half as much again: each row's foreign keys would be planned anew. Each
#: call hashes the whole ledger and sorts the queue.
LOADING = "DISCARD PLANS; SET LOCAL jit = off; SET LOCAL work_mem = '256MB'"
LOAD = (
    "SELECT events_processed, transactions_created, line_items_created FROM {load_function}({limit}::pg_catalog.int4)"
)

#: What this transaction has marked; another loader's lines may be as new.
MARKED = """
SELECT count(*) AS events FROM {etl_ledger}
WHERE processed_at >= transaction_timestamp()
  AND (processed_at = transaction_timestamp() OR xmin = pg_current_xact_id()::xid)
"""

#: Whether the pipeline has a function that makes of a payload what its column holds.
HASHES = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_attribute AS a ON a.atttypid = p.prorettype AND a.attname = 'event_hash'
    WHERE p.oid = to_regprocedure(%(function)s) AND a.attrelid = to_regclass(%(bronze)s) AND NOT p.proretset
      AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')) AS there
"""

#: Columns of bronze that a deployment has besides, and that whoever sends an event has to fill.
FILLED = """
SELECT a.attname::text AS name FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = to_regclass(%(bronze)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef
  AND a.attidentity = '' AND a.attname <> ALL(%(sent)s)
ORDER BY a.attnum
"""
#: From where most of what was loaded last came: the newest of bronze itself are found by no index that knows ranges alone.
USUAL_SOURCE: t.Final = """
SELECT coalesce(mode() WITHIN GROUP (ORDER BY b.source_system), 'scout-recovery') AS source FROM {bronze} AS b
WHERE b.event_id IN (SELECT p.event_id FROM {etl_ledger} AS p WHERE p.processed_at IS NOT NULL ORDER BY p.processed_at DESC LIMIT 100)
"""
LIKE_LATEST: t.Final = ", (SELECT {column} FROM {bronze} ORDER BY ingested_at DESC LIMIT 1)"
#: Counted, for which one pass is planned: for the first one, PostgreSQL reads bronze by its key, which takes ten times as long where
#: there is none.
ANY_PENDING: t.Final = "SELECT count(*) > 0 AS there FROM {bronze} AS b WHERE {pending}"
SENT: t.Final = ("event_id", "event_type", "source_system", "event_data", "event_hash", "ingested_at")

#: Of what this transaction has marked, the events that name a sale which silver does not have.
UNWRITTEN = """
SELECT p.event_id::text AS event_id FROM {etl_ledger} AS p JOIN {bronze} AS b ON b.event_id = p.event_id
WHERE p.processed_at >= transaction_timestamp()
  AND (p.processed_at = transaction_timestamp() OR p.xmin = pg_current_xact_id()::xid)
  AND jsonb_typeof(b.event_data) = 'object' AND b.event_data ->> 'transaction_id' IS NOT NULL
  AND NOT EXISTS (SELECT FROM {transactions} AS s WHERE s.transaction_id = b.event_data ->> 'transaction_id')
ORDER BY 1
"""


@dataclasses.dataclass(frozen=True)
class Backlog:
    """The pending events: how many, and for how long the oldest of them waits, None where none has a usable time."""

    events: int
    oldest_seconds: float | None
    now: datetime.datetime
    #: Before that none is pending, as PostgreSQL writes a time; later than the look itself it never is.
    since: str | None = None
    #: The first of them, in the ETL's order.
    head: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """For how long the oldest has waited; 0 where none has."""
        return max(0.0, self.oldest_seconds or 0.0)


@dataclasses.dataclass(frozen=True)
class Held:
    """A part of the queue, locked by us: its size, how many the ETL may take, suspects that are next, events marked."""

    size: int
    wanted: int
    due: tuple[str, ...]
    marks: int


def filled_by_senders(session: Session) -> tuple[sql.Composed, sql.Composed]:
    """Those columns and their values as the latest event has them, each after a comma; inside a transaction."""
    rows = session.rows(FILLED, bronze=contract.names().bronze, sent=list(SENT))
    columns = [sql.Identifier(row["name"]) for row in rows]
    values = [contract.compose(LIKE_LATEST, column=column) for column in columns]
    return sql.Composed([sql.SQL(", {}").format(column) for column in columns]), sql.Composed(values)


def any_pending(session: Session) -> bool:
    """Whether the ETL has anything to do; inside a transaction."""
    return session.row(of_pending(ANY_PENDING))["there"]


def of_pending(statement: t.LiteralString) -> sql.Composed:
    """The statement with the names in force, and where it says `{pending}` with the condition of a pending event `b`."""
    return contract.compose(statement, pending=contract.compose(PENDING))


def read(session: Session, before: datetime.datetime | None = None, *, head: int = 0) -> Backlog:
    """The backlog as the ETL sees it, with the ids of the first `head` events; of those that came until `before`, if it is given."""
    row = session.row(of_pending(BACKLOG), before=before, head=head)
    return Backlog(row["events"], row["oldest_seconds"], row["now"], row["since"], tuple(row["head"]))


def still_pending(session: Session, event_ids: tuple[str, ...]) -> int:
    """How many of these events are pending now."""
    return session.row(of_pending(STILL_PENDING), ids=list(event_ids))["events"]


def hidden(session: Session, before: datetime.datetime) -> list[Row]:
    """The oldest pending events with the session that locks each, where that can be told."""
    return session.rows(of_pending(HIDDEN), before=before)


def hash_of(session: Session, payload: sql.Composable) -> sql.Composed:
    """What hashes a payload: the pipeline's own function where it takes one, else SHA-256 of its text."""
    names = contract.names()
    if session.row(HASHES, function=names.event_hash, bronze=names.bronze)["there"]:
        return contract.compose("{event_hash_function}({payload})", payload=payload)
    return contract.compose("sha256(convert_to(({payload})::text, 'UTF8'))", payload=payload)


def head(session: Session) -> str | None:
    """The first event of the queue that no other session has locked; locks it."""
    found = session.rows(of_pending(HEAD))
    return found[0]["event_id"] if found else None


@contextlib.contextmanager
def defer_rest(session: Session, size: int, suspects: set[str]) -> Generator[Held]:
    """Within it the ETL loads the first `size` events, skipping suspects and repeats; call it inside a transaction."""
    row = session.row(
        of_pending(HOLD_BACK),
        size=size,
        suspects=[*map(uuid.UUID, suspects)],
    )
    yield Held(row["size"], row["wanted"], tuple(row["due"]), len(row["held"]))
    session.execute(contract.compose(LET_GO), ids=row["held"])


@contextlib.contextmanager
def hold_back_others(session: Session, event_id: str) -> Generator[Held]:
    """Within it the ETL loads this event first; none where another session locks it, or it left the queue."""
    row = session.row(of_pending(HOLD_BACK_OTHERS), event_id=uuid.UUID(event_id))
    yield Held(1, int(row["free"]), (event_id,), len(row["held"]))
    session.execute(contract.compose(LET_GO), ids=row["held"])


@contextlib.contextmanager
def exactly(session: Session, event_ids: list[str]) -> Generator[Iterator[list[str]]]:
    """Makes these pending events the only ones, turn by turn: during a turn nothing else before the last of them is
    pending.

    Call it inside a transaction in which nobody else can write the ETL's ledger, and load each turn as it comes.
    """
    turns = [row["ids"] for row in session.rows(contract.compose(TURNS), ids=event_ids)]
    held = [row["event_id"] for row in session.rows(of_pending(HOLD_BACK_ALL_BUT), ids=event_ids)]
    session.execute(contract.compose(HOLD_BACK_THESE), ids=[event_id for turn in turns[1:] for event_id in turn])

    def one_by_one() -> Iterator[list[str]]:
        for number, turn in enumerate(turns):
            if number:
                session.execute(contract.compose(LET_GO), ids=turn)
            yield turn

    yield one_by_one()
    session.execute(contract.compose(LET_GO), ids=held)


def require_written(session: Session) -> None:
    """Raises NotConverged where the ETL marked events as loaded and wrote no sale of them; call it after a batch, so that its
    marks roll back."""
    gone = session.rows(contract.compose(UNWRITTEN))
    if not gone:
        return
    names = contract.names()
    raise NotConverged(
        "stopped before a batch that the ETL marked as loaded and did not write; its marks were rolled back",
        on=session.where,
        said=f"{count(len(gone), 'event')} not in {names.transactions}, for example {gone[0]['event_id']}",
        next_step=f"assess.yml names what was deployed; look at the triggers on {names.transactions} and at the source of "
        f"{names.etl}, then run the same command again",
    )


def not_taken(session: Session, event_ids: list[str], most: int = 5) -> list[str]:
    """Those of the events that the ETL has not marked; the first so many."""
    return [row["event_id"] for row in session.rows(contract.compose(NOT_TAKEN), ids=event_ids, most=most)]


def load_exactly(session: Session, event_ids: list[str], pipeline: Actor) -> None:
    """Has the ETL load these pending events and nothing else; raises NotConverged where it skips one. Call it where
    `exactly` may be called."""
    if not event_ids:
        return
    with exactly(session, event_ids) as turns:
        for turn in turns:
            load(session, len(turn), pipeline)
    left = not_taken(session, event_ids)
    if left:
        raise NotConverged(
            "stopped before a batch that the ETL did not load completely; it was rolled back",
            on=session.where,
            said=f"{contract.names().etl} skipped event {left[0]}",
            next_step="find out why it skips it, then run the same command again",
        )


@contextlib.contextmanager
def in_its_time_zone(session: Session, pipeline: Actor) -> Generator[None]:
    """Within it times without an offset mean what they mean to the scheduler's sessions."""
    session.execute(AS_THE_PIPELINE, timezone=pipeline.timezone)
    yield
    session.execute(AS_OURSELVES)


def load(session: Session, limit: int, pipeline: Actor, *, marks: int = 0, whole: bool = False) -> int:
    """Has the ETL load `limit` events as the scheduler would; returns how many it marked besides our `marks`. The `whole` of it is
    with what is done at its COMMIT, where none comes."""
    acting.call(session, pipeline, contract.compose(LOAD, limit=sql.Literal(limit)), LOADING, whole=whole)
    return max(0, session.row(contract.compose(MARKED))["events"] - marks)

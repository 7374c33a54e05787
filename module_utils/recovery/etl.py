# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drains the backlog through the pipeline's own ETL, in batches that adapt, past every event that would block it."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from . import contract, dead_letters
from .connection import attempting, translate
from .errors import NotReached, Systemic
from .pg import errors, psycopg
from .progress import count, in_words

if t.TYPE_CHECKING:
    import datetime

    from .connection import Session
    from .ledger import Run
    from .progress import Progress

PENDING = """
SELECT count(*) AS events, min(b.ingested_at) AS oldest, clock_timestamp() AS now,
       extract(epoch FROM clock_timestamp() - min(b.ingested_at))::float8 AS oldest_seconds
FROM scout.bronze_events AS b
WHERE b.event_type = %(event_type)s
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
  AND (%(before)s::timestamptz IS NULL OR b.ingested_at <= %(before)s)
"""

OLDEST = """
SELECT b.event_id::text AS event_id
FROM scout.bronze_events AS b
WHERE b.event_type = %(event_type)s
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
ORDER BY b.ingested_at, b.event_id LIMIT %(limit)s
"""

#: The conversions the ETL makes of each event, made read-only; raises what the first impossible one raises.
PROBE = """
SELECT b.event_id::text AS event_id,
       num_nonnulls(
           (e ->> 'total_amount')::numeric(10, 2), (e ->> 'net_amount')::numeric(10, 2),
           (e ->> 'discount_amount')::numeric(10, 2), (e ->> 'tax_amount')::numeric(10, 2),
           (e ->> 'ts')::timestamptz, i.lines) AS converted,
       CASE WHEN e ->> 'transaction_id' IS NULL THEN 'transaction_id is null'
            WHEN e ->> 'store_id' IS NULL THEN 'store_id is missing'
            WHEN coalesce(e ->> 'total_amount', e ->> 'net_amount') IS NULL
                THEN 'neither total_amount nor net_amount is given'
            WHEN i.nameless > 0 THEN 'an item has no product_id' END AS problem
FROM scout.bronze_events AS b
CROSS JOIN LATERAL (SELECT b.event_data AS e) AS event
CROSS JOIN LATERAL (
    SELECT count(coalesce((item ->> 'qty')::int, (item ->> 'quantity')::int))
           + count((item ->> 'unit_price')::numeric(10, 2)) + count((item ->> 'line_amount')::numeric(10, 2)) AS lines,
           count(*) FILTER (WHERE item ->> 'product_id' IS NULL) AS nameless
    FROM jsonb_array_elements(CASE WHEN e ? 'items' THEN e -> 'items' ELSE '[]' END) AS item
) AS i
WHERE b.event_id = ANY(%(ids)s::uuid[])
  AND jsonb_typeof(b.event_data) = 'object' AND b.event_data ? 'transaction_id'
"""

#: Second and later events of a transaction among the oldest: one statement cannot upsert a row twice.
MASK_REPEATS = """
INSERT INTO scout.etl_processed (event_id)
SELECT event_id FROM (
    SELECT o.event_id, row_number() OVER (PARTITION BY o.transaction_id ORDER BY o.ingested_at, o.event_id) AS nth
    FROM (
        SELECT b.event_id, b.ingested_at, b.event_data ->> 'transaction_id' AS transaction_id
        FROM scout.bronze_events AS b
        WHERE b.event_type = %(event_type)s
          AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
        ORDER BY b.ingested_at, b.event_id LIMIT %(limit)s
    ) AS o
    WHERE o.transaction_id IS NOT NULL
) AS ranked WHERE nth > 1
RETURNING event_id::text AS event_id
"""

#: The oldest event another session does not hold, as the ETL would take it, with all that share its ingested_at.
HEAD = """
SELECT b.ingested_at, b.event_id FROM scout.bronze_events AS b
WHERE b.event_type = %(event_type)s
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
ORDER BY b.ingested_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""

TIES = """
SELECT b.event_id::text AS event_id FROM scout.bronze_events AS b
WHERE b.event_type = %(event_type)s AND b.ingested_at = %(ingested_at)s
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
ORDER BY b.event_id FOR UPDATE SKIP LOCKED
"""

MASK = "INSERT INTO scout.etl_processed (event_id) SELECT unnest(%(ids)s::uuid[])"
UNMASK = "DELETE FROM scout.etl_processed WHERE event_id = ANY(%(ids)s::uuid[])"

LOAD = "SELECT events_processed, transactions_created, line_items_created FROM scout.load_silver_from_bronze(%(limit)s)"
LOADED = "SELECT count(*) AS events FROM scout.etl_processed WHERE processed_at >= transaction_timestamp()"

#: The time zone the scheduler's sessions have: events without an offset are read in it.
PIPELINE_TIMEZONE = """
SELECT coalesce(
    (SELECT split_part(setting, '=', 2)
     FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS setting
     LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
     WHERE lower(split_part(setting, '=', 1)) = 'timezone'
       AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
       AND (s.setrole = 0 OR r.rolname = %(owner)s)
     ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1),
    (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone')) AS timezone
"""

#: Pending events that another session's row lock hides from the ETL, and that session.
HIDDEN = """
SELECT b.event_id::text AS event_id, l.pid
FROM scout.bronze_events AS b
LEFT JOIN pg_catalog.pg_locks AS l
  ON l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.transactionid = b.xmax
WHERE b.event_type = %(event_type)s AND b.ingested_at <= %(before)s
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
ORDER BY b.ingested_at LIMIT 5
"""

#: Errors that speak of one event's data; every other error is of the system and stops the drain.
EVENT_ERROR_CLASSES: t.Final = ("21", "22", "23", "P0")
MAX_RETRIES: t.Final = 20
MAX_BATCH_ROWS: t.Final = 200_000
SHARE_SAMPLE: t.Final = 20


@dataclasses.dataclass(frozen=True)
class Backlog:
    """What waits for the ETL."""

    events: int
    oldest: datetime.datetime | None
    oldest_seconds: float | None
    now: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Suspect:
    """An event whose data the ETL could not convert, and why."""

    event_id: str
    reason: str
    sqlstate: str | None = None


def read(session: Session, before: datetime.datetime | None = None) -> Backlog:
    """The backlog as the ETL sees it: transaction events without a line in its ledger."""
    row = session.row(PENDING, event_type=contract.TRANSACTION_EVENT, before=before)
    return Backlog(row["events"], row["oldest"], row["oldest_seconds"], row["now"])


def suspects(session: Session, *, limit: int, most: int = 1) -> list[Suspect]:
    """Among the `limit` oldest pending events, up to `most` that cannot be converted; found by halving, read-only."""
    ids = [row["event_id"] for row in session.rows(OLDEST, event_type=contract.TRANSACTION_EVENT, limit=limit)]
    found: list[Suspect] = []
    stack = [ids] if ids else []
    while stack and len(found) < most:
        part = stack.pop()
        try:
            with session.savepoint():
                rows = session.rows(PROBE, ids=part)
        except errors.DataError as e:
            if len(part) == 1:
                found.append(Suspect(part[0], e.diag.message_primary or str(e), e.sqlstate))
            else:
                middle = len(part) // 2
                stack += [part[middle:], part[:middle]]
            continue
        reasons = {row["event_id"]: row["problem"] for row in rows if row["problem"]}
        found += [Suspect(event_id, reasons[event_id]) for event_id in part if event_id in reasons]
    order = {event_id: position for position, event_id in enumerate(ids)}
    return sorted(found, key=lambda suspect: order[suspect.event_id])[:most]


@dataclasses.dataclass
class Drained:
    """How far a drain came; every number is committed."""

    backlog: int
    loaded: int = 0
    batches: int = 0
    poison: list[dict[str, t.Any]] = dataclasses.field(default_factory=list[dict[str, t.Any]])
    retries: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, t.Any]:
        """For results and the ledger."""
        return {**dataclasses.asdict(self), "seconds": round(self.seconds, 3)}


@dataclasses.dataclass(frozen=True)
class Options:
    """How to drain; seconds, rows and shares."""

    target_seconds: float = 3.0
    first_batch_rows: int = 2000
    batch_timeout_seconds: float = 120.0
    poison: str = "isolate"
    max_poison: int = 100
    max_poison_share: float = 0.1
    hidden_wait_seconds: float = 10.0


class _EventError(Exception):
    """The ETL refused a batch because of data in it."""

    def __init__(self, error: psycopg.Error) -> None:
        self.error = error
        self.sqlstate = error.sqlstate or ""
        self.said = error.diag.message_primary or str(error)
        super().__init__(self.said)

    @property
    def is_repeat(self) -> bool:
        """Whether one transaction stood twice in the batch."""
        return isinstance(self.error, errors.CardinalityViolation)


class Drain:
    """One drain of a backlog; its state is what it knows of the events at the head of the queue."""

    def __init__(
        self,
        session: Session,
        run: Run,
        options: Options,
        progress: Progress,
        *,
        owner: str,
        document: dict[str, t.Any],
    ) -> None:
        self.session = session
        self.run = run
        self.options = options
        self.progress = progress
        self.document = document
        with session.read():
            before = read(session)
            self.timezone = session.row(PIPELINE_TIMEZONE, owner=owner)["timezone"]
        self.started_at = before.now
        self.done = Drained(before.events)
        self.began = time.monotonic()
        self.limit = options.first_batch_rows
        #: Length of the shortest prefix of the queue known to fail, if one is known.
        self.failing: int | None = None
        self.mask_repeats = False
        self.stalled_since: float | None = None

    def drain(self) -> Drained:
        """Loads everything that was pending at the start; raises with the progress made in `result`."""
        while True:
            self.progress.checkpoint()
            wanted = self._next_size()
            began = time.monotonic()
            try:
                taken = self._attempt(wanted)
            except _EventError as e:
                if self._learn(wanted, e):
                    self._isolate()
                continue
            self._adapt(wanted, taken, time.monotonic() - began)
            if taken < wanted and self.failing is None and self._finished(taken):
                self.done.seconds = time.monotonic() - self.began
                return self.done

    def _next_size(self) -> int:
        """How many events to ask for: the adapted size, or a part of a prefix known to fail."""
        if self.failing is None:
            return self.limit
        with self.session.read():
            first = suspects(self.session, limit=self.failing)
            if first:
                row = self.session.rows(OLDEST, event_type=contract.TRANSACTION_EVENT, limit=self.failing)
                position = [r["event_id"] for r in row].index(first[0].event_id)
                if 0 < position < self.failing:
                    return position
                if position == 0:
                    return 1
        return max(1, self.failing // 2)

    def _attempt(self, wanted: int) -> int:
        """One batch in one transaction, retried where that is harmless; returns how many events left the queue."""
        problem: psycopg.Error | None = None
        for attempt in range(MAX_RETRIES):
            try:
                return self._load(wanted)
            except (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable) as e:
                problem = e
                if isinstance(e, errors.LockNotAvailable) and attempt >= 2:
                    break
            except errors.QueryCanceled as e:
                if wanted == 1:
                    problem = e
                    break
                wanted = max(1, wanted // 4)
                self.limit = wanted
                problem = e
            except errors.UniqueViolation as e:
                if e.diag.constraint_name != "etl_processed_pkey":
                    raise _EventError(e) from e
                problem = e
            except psycopg.Error as e:
                if (e.sqlstate or "")[:2] in EVENT_ERROR_CLASSES and not self.session.connection.closed:
                    raise _EventError(e) from e
                raise self._with_progress(translate(e, "the drain stopped", on=self.session.where)) from e
            self.done.retries += 1
            self.progress.wait(min(2.0, 0.05 * 2**attempt))
        raise self._with_progress(
            translate(
                problem or psycopg.Error("no attempt was made"),
                f"the drain stopped: a batch of {wanted} was refused {count(self.done.retries, 'time')}",
                on=self.session.where,
                next_step="unstick_etl.yml --check shows who is in the way; then run the same command again",
            )
        )

    def _load(self, wanted: int) -> int:
        with self.session.write(statement_timeout_seconds=self.options.batch_timeout_seconds):
            masked: list[str] = []
            if self.mask_repeats and wanted > 1:
                masked = [
                    row["event_id"]
                    for row in self.session.rows(MASK_REPEATS, event_type=contract.TRANSACTION_EVENT, limit=wanted)
                ]
            self._call_etl(wanted - len(masked))
            loaded = self.session.row(LOADED)["events"] - len(masked)
            if masked:
                self.session.execute(UNMASK, ids=masked)
            self.done.loaded += loaded
            self.done.batches += 1
            try:
                self.run.record(**self.done.as_dict())
            except BaseException:
                self.done.loaded -= loaded
                self.done.batches -= 1
                raise
        # Masked events wait for the next batch, so a full batch counts as full.
        return loaded + len(masked) if loaded else 0

    def _call_etl(self, limit: int) -> None:
        self.session.execute("SELECT set_config('TimeZone', %(timezone)s, true)", timezone=self.timezone)
        self.session.rows(LOAD, limit=limit)
        self.session.execute("SELECT set_config('TimeZone', 'UTC', true)")

    def _learn(self, wanted: int, e: _EventError) -> bool:
        """Narrows down what fails; True when the event at the head of the queue is the one."""
        if e.is_repeat and wanted > 1 and not self.mask_repeats:
            self.mask_repeats = True
            return False
        self.failing = wanted
        return wanted == 1

    def _adapt(self, wanted: int, taken: int, seconds: float) -> None:
        if self.failing is not None:
            self.failing = self.failing - taken if taken else None
            if self.failing is not None and self.failing <= 0:
                self.failing = None
        elif taken == wanted:
            factor = min(4.0, max(0.3, self.options.target_seconds / max(seconds, 0.001)))
            self.limit = max(1, min(MAX_BATCH_ROWS, int(self.limit * factor)))
        done = self.done
        elapsed = time.monotonic() - self.began
        if done.loaded and done.loaded < done.backlog:
            rate = done.loaded / max(elapsed, 0.001)
            self.progress.sometimes(
                f"loaded {done.loaded:,} of {done.backlog:,} events ({100 * done.loaded // done.backlog} %), "
                f"{rate:,.0f}/s, about {in_words((done.backlog - done.loaded) / max(rate, 0.001))} left"
            )

    def _isolate(self) -> None:
        """Moves the one event that fails by itself to the dead letter queue, with the database's error."""
        with (
            attempting("could not isolate a poison event", on=self.session.where),
            self.session.write(statement_timeout_seconds=self.options.batch_timeout_seconds),
        ):
            found, loaded = self._culprit()
            if found is not None:
                event_id, e = found
                self._refuse_if_told(event_id, e)
                moved = dead_letters.move_event(
                    self.session,
                    event_id,
                    code="POISON_EVENT",
                    message=e.said,
                    document={
                        **self.document,
                        "run_id": self.run.run_id,
                        "kind": "poison",
                        "sqlstate": e.sqlstate,
                        "constraint": e.error.diag.constraint_name,
                        "column": e.error.diag.column_name,
                    },
                )
                if moved is not None:
                    entry = {**moved, "error": e.said, "sqlstate": e.sqlstate}
                    self.run.record(**{**self.done.as_dict(), "poison": [*self.done.poison, entry]})
                    self.done.poison.append(entry)
                    self.progress.say(f"poison event {event_id} moved to the dead letter queue: {e.said}")
        self.done.loaded += loaded
        self.failing = None

    def _culprit(self) -> tuple[tuple[str, _EventError] | None, int]:
        """The event at the head that the ETL refuses alone; events that share its time are told apart by halving.

        Loads those found good on the way and returns how many. The event is None when nothing fails after all.
        """
        loaded = 0
        head = self.session.rows(HEAD, event_type=contract.TRANSACTION_EVENT)
        if not head:
            return None, loaded
        ties = self.session.rows(TIES, event_type=contract.TRANSACTION_EVENT, ingested_at=head[0]["ingested_at"])
        group: list[str] = [row["event_id"] for row in ties]
        suspected: list[str] = group
        while suspected:
            tried = suspected if len(suspected) == 1 else suspected[: len(suspected) // 2]
            masked = [event_id for event_id in group if event_id not in set(tried)]
            try:
                with self.session.savepoint():
                    if masked:
                        self.session.execute(MASK, ids=masked)
                    self._call_etl(len(tried))
                    if masked:
                        self.session.execute(UNMASK, ids=masked)
            except psycopg.Error as e:
                if self.session.connection.closed or (e.sqlstate or "")[:2] not in EVENT_ERROR_CLASSES:
                    raise
                if len(tried) == 1:
                    return (tried[0], _EventError(e)), loaded
                suspected = tried
                continue
            loaded += len(tried)
            group = masked
            suspected = [event_id for event_id in suspected if event_id in set(masked)]
        return None, loaded

    def _refuse_if_told(self, event_id: str, e: _EventError) -> None:
        poison, options = len(self.done.poison), self.options
        what = f"event {event_id}: {e.said}"
        if options.poison == "stop":
            raise self._with_progress(
                NotReached(
                    "the drain stopped at a poison event, as told",
                    on=self.session.where,
                    said=what,
                    sqlstate=e.sqlstate,
                    next_step="run again with -e poison=isolate to move it to the dead letter queue, or correct it",
                )
            )
        share = (poison + 1) / (poison + 1 + self.done.loaded)
        too_many = poison >= options.max_poison
        if too_many or (poison + 1 >= SHARE_SAMPLE and share > options.max_poison_share):
            limit = f"max_poison={options.max_poison}" if too_many else f"max_poison_share={options.max_poison_share}"
            raise self._with_progress(
                Systemic(
                    f"the drain stopped after {count(poison, 'poison event')}: more would exceed {limit}",
                    on=self.session.where,
                    said=f"next would be {what}",
                    sqlstate=e.sqlstate,
                    next_step=(
                        "so many failures mean a changed event format or a broken ETL rather than bad events: "
                        f"look at the errors, then raise {limit.partition('=')[0]} if they really are bad"
                    ),
                )
            )

    def _finished(self, taken: int) -> bool:
        """Whether nothing of the backlog is left; waits a little for events that another session hides."""
        with self.session.read():
            left = read(self.session, before=self.started_at).events
            hidden = (
                self.session.rows(HIDDEN, event_type=contract.TRANSACTION_EVENT, before=self.started_at)
                if left and not taken
                else []
            )
        if not left:
            return True
        if taken:
            self.stalled_since = None
            return False
        self.stalled_since = self.stalled_since or time.monotonic()
        if time.monotonic() - self.stalled_since >= self.options.hidden_wait_seconds and hidden:
            holders = sorted({row["pid"] for row in hidden if row["pid"]})
            raise self._with_progress(
                NotReached(
                    f"{count(left, 'pending event')} could not be loaded",
                    on=self.session.where,
                    said=f"the ETL skips event {hidden[0]['event_id']}"
                    + (f", locked by pid {', '.join(map(str, holders))}" if holders else ""),
                    next_step="end the session that holds it (unstick_etl.yml), then run the same command again",
                )
            )
        self.progress.sometimes(f"waiting for {count(left, 'pending event')} locked by another session")
        self.progress.wait(0.5)
        return False

    def _with_progress(self, error: t.Any) -> t.Any:
        """The error, with what had been committed before it."""
        self.done.seconds = time.monotonic() - self.began
        error.result = {**error.result, "drained": self.done.as_dict()}
        return error


def summary(done: Drained) -> str:
    """One line for a person."""
    if not done.loaded and not done.poison:
        return "no backlog"
    text = f"loaded {count(done.loaded, 'event')} in {in_words(done.seconds)}"
    if done.poison:
        text += f", moved {count(len(done.poison), 'poison event')} to the dead letter queue"
    return text

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose loaded sales to replay: a few hundred, half of them recent, and of every source, store, form of payload and hour.

A sale is as it was loaded if its row and its event's line in the ETL's ledger carry the same transaction id (xmin): neither a person
nor a later job has written it since. Others, such as those restored from a dump, are chosen only where too few are as loaded.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import random
import re
import typing as t

from ...ledger import history
from ...postgres.driver import errors, sql
from ...scout import contract, gold_contents
from ...scout.loadable import sale

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Generator, Iterable, Sequence

    from ...postgres.session import Row, Session
    from ...scout.row_images import Tables

#: Events of the ETL's ledger that are read: the latest, and so many at each of some moments of the last days.
LATEST: t.Final = 2000
MOMENTS: t.Final = 14
OF_EACH_MOMENT: t.Final = 60
DAYS: t.Final = 14
#: Sales that are replayed at most, and values of a field that make a kind of sale each.
SALES: t.Final = 200
#: So many sales that are as they were loaded make others needless.
ENOUGH: t.Final = 20
#: One event of a sale a call: one statement cannot upsert a row twice. Sales of more events are left out.
CALLS: t.Final = 2
VALUES: t.Final = 40
MOST_CHARACTERS: t.Final = 40
#: A longer payload is not read.
PAYLOAD_BYTES: t.Final = 100_000
SECONDS: t.Final = 2.0
RELATED_SECONDS: t.Final = 1.0

#: `p.xmin` is the transaction that loaded the event, `s.xmin` the one that last wrote its sale.
LOADED = """
WITH bounds AS (
    SELECT min(processed_at) AS first, max(processed_at) AS last FROM {etl_ledger}
    WHERE processed_at BETWEEN '1970-01-02' AND now()
), moments AS (
    SELECT last - nth * (last - greatest(first, last - make_interval(days => %(days)s))) / %(moments)s AS moment
    FROM bounds CROSS JOIN generate_series(1, %(moments)s) AS nth WHERE last IS NOT NULL
), stretches AS (
    SELECT now() AS moment, %(latest)s AS most
    UNION ALL SELECT moment, %(of_each)s FROM moments
    UNION ALL SELECT moment, %(latest)s FROM unnest(%(before)s::timestamptz[]) AS moment
), read AS (
    SELECT l.event_id, l.processed_at, l.xmin, l.number = s.most AND l.processed_at = l.first AS cut
    FROM stretches AS s CROSS JOIN LATERAL (
        SELECT *, count(*) OVER () AS number, min(processed_at) OVER () AS first FROM (
            SELECT event_id, processed_at, xmin FROM {etl_ledger} WHERE processed_at <= s.moment
            ORDER BY processed_at DESC LIMIT s.most) AS loaded) AS l
)
SELECT DISTINCT ON (p.event_id) p.event_id::text AS event_id, p.processed_at AS loaded_at, p.xmin::text AS load, age(p.xmin) AS age, p.cut,
       b.ingested_at, b.source_system AS source, b.event_data AS payload, {sale} AS sale, s.xmin::text AS written_by,
       {first_event} AS first_event
FROM read AS p JOIN {bronze} AS b ON b.event_id = p.event_id JOIN {transactions} AS s ON s.transaction_id = {sale}
WHERE b.ingested_at BETWEEN '1970-01-02' AND now() + interval '1 day'
  AND pg_column_size(b.event_data) < %(bytes)s AND jsonb_typeof(b.event_data) = 'object'
ORDER BY p.event_id, p.cut
"""
#: All events of some sales. Without an index on their transaction_id this reads all of bronze.
RELATED = """
SELECT b.event_id::text AS event_id, {sale} AS sale FROM {bronze} AS b
WHERE b.event_type = {transaction_event} AND {sale} = ANY(%(names)s)
"""

#: For how many transactions nothing has changed that says what the ETL writes: functions of the schema, columns, defaults, triggers, rules
#: and policies of its tables, and settings of roles. Creating a partition, granting a privilege or refreshing a view changes none of these.
UNCHANGED = """
WITH tables AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY(%(tables)s)
)
SELECT min(age(changed.xmin)) AS transactions FROM (
    SELECT p.xmin FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = %(schema)s
    UNION ALL SELECT a.xmin FROM pg_catalog.pg_attribute AS a WHERE a.attrelid IN (SELECT oid FROM tables)
    UNION ALL SELECT d.xmin FROM pg_catalog.pg_attrdef AS d WHERE d.adrelid IN (SELECT oid FROM tables)
    UNION ALL SELECT g.xmin FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid IN (SELECT oid FROM tables)
    UNION ALL SELECT w.xmin FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class IN (SELECT oid FROM tables)
    UNION ALL SELECT y.xmin FROM pg_catalog.pg_policy AS y WHERE y.polrelid IN (SELECT oid FROM tables)
    UNION ALL SELECT s.xmin FROM pg_catalog.pg_db_role_setting AS s
) AS changed WHERE age(changed.xmin) >= 0
"""

#: The latest capture that a person or a deployment took, and for how many transactions it is there.
CAPTURED = """
SELECT release, captured_at, age(xmin) AS age FROM scout_ops.releases
WHERE document ->> 'taken_by' IS NULL ORDER BY captured_at DESC LIMIT 1
"""
#: The latest rollback: when it ended, the capture that it went back to, and whether anything was captured since.
ROLLED_BACK = """
SELECT c.release, c.captured_at, r.finished_at, EXISTS (
    SELECT FROM scout_ops.releases AS n
    WHERE n.captured_at > coalesce(r.finished_at, now()) AND n.document ->> 'taken_by' IS NULL) AS captured_since
FROM scout_ops.runs AS r JOIN scout_ops.releases AS c ON c.capture_id::text = r.effects ->> 'capture_id'
WHERE r.action = 'rollback' AND r.undone_by IS NULL
ORDER BY r.started_at DESC LIMIT 1
"""

#: What was loaded between two times, and when it arrived.
LOADED_BETWEEN = """
SELECT count(DISTINCT {sale}) AS sales, min(p.processed_at) AS first_load, max(p.processed_at) AS last_load,
       min(b.ingested_at) AS first, max(b.ingested_at) AS last
FROM {etl_ledger} AS p JOIN {bronze} AS b ON b.event_id = p.event_id
WHERE p.processed_at > %(since)s AND p.processed_at < coalesce(%(until)s, now())
"""

TIMEOUT = "SELECT current_setting('statement_timeout') AS value"
THERE = "SELECT transaction_id FROM {transactions} WHERE transaction_id = ANY(%(names)s)"

RUN: t.Final = re.compile(r"[A-Za-z0-9]+")
CLOCK: t.Final = re.compile(r"\d{4}-\d\d-\d\d[T ](\d\d):")


@dataclasses.dataclass(frozen=True)
class Event:
    """An event that was loaded: when it arrived, and its payload."""

    event_id: str
    ingested_at: datetime.datetime
    source: str | None
    payload: dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Sale:
    """A sale with its events, in the order in which they were loaded."""

    transaction_id: str
    events: tuple[Event, ...]
    loaded_at: datetime.datetime
    #: The transactions that loaded it; whatever else wrote one of its rows was no load.
    written_by: frozenset[str]
    #: Whether today's functions, columns and triggers loaded it.
    by_today: bool
    #: Whether nothing has written its row since.
    as_loaded: bool
    #: Whether not all events of the same load were read.
    cut: bool = False
    #: Whether `by_today` is a guess, because somebody rewrote the ledger.
    rewritten: bool = False


@dataclasses.dataclass(frozen=True)
class Reference:
    """Which loads are the norm: all, or after a rollback those from before the release that was rolled back."""

    #: The release that was captured last, and whether it was captured since anything changed: then what it does is the norm.
    release: str = ""
    captured_at: datetime.datetime | None = None
    accepted: bool = False
    #: After a rollback: from when until when the release was deployed that was rolled back.
    bad_since: datetime.datetime | None = None
    bad_until: datetime.datetime | None = None


def read_reference(session: Session, age: int) -> Reference:
    """What the ledger knows about releases; `age` as from `read_age`. Inside a transaction."""
    if not history.readable(session):
        return Reference()
    row = read_rollback(session)
    if row is not None and not row["captured_since"]:
        return Reference(row["release"], row["captured_at"], False, row["captured_at"], row["finished_at"])
    if rows := session.rows(CAPTURED):
        row = rows[0]
        return Reference(row["release"], row["captured_at"], 0 <= row["age"] <= age)
    return Reference()


def read_rollback(session: Session) -> Row | None:
    """Read the latest rollback that was not undone, as ROLLED_BACK has it; None if there is none. Inside a transaction."""
    return next(iter(session.rows(ROLLED_BACK)), None) if history.readable(session) else None


def read_loaded_before_rollback(session: Session, reference: Reference) -> Row | None:
    """Read how many sales were loaded between the capture and the rollback to it, from when to when, and when they arrived; None if
    that takes more than 2 seconds. Inside a transaction."""
    query = contract.compose(LOADED_BETWEEN, sale=sale("b"))
    try:
        with _within(session, SECONDS):
            return session.row(query, since=reference.bad_since, until=reference.bad_until)
    except errors.QueryCanceled:
        return None


def read_age(session: Session) -> int:
    """For how many transactions nothing has changed that says what the ETL writes. Inside a transaction that has changed nothing."""
    names = contract.names()
    tables = [names.bronze, names.etl_ledger, names.transactions, names.line_items]
    return session.row(UNCHANGED, schema=names.schema, tables=tables)["transactions"] or 0


def choose(session: Session, tables: Tables, age: int, reference: Reference) -> list[Sale]:
    """Sales to replay, oldest load first; none where nothing was loaded, or it cannot be read within 2 seconds. Inside a transaction."""
    first = "s.source_event_id::text" if "source_event_id" in {c.name for c in tables.transactions.columns} else "NULL"
    before = [moment for moment in (reference.bad_since,) if moment is not None]
    values = {
        "latest": LATEST,
        "moments": MOMENTS,
        "of_each": OF_EACH_MOMENT,
        "days": DAYS,
        "bytes": PAYLOAD_BYTES,
        "before": before,
    }
    try:
        with _within(session, SECONDS):
            rows = session.rows(contract.compose(LOADED, sale=sale("b"), first_event=sql.SQL(first)), **values)
    except errors.QueryCanceled:
        return []
    found = list(_sales(rows, age))
    as_loaded = [each for each in found if each.as_loaded]
    return _whole(session, spread(as_loaded if len(as_loaded) >= ENOUGH else found))


@contextlib.contextmanager
def _within(session: Session, seconds: float) -> Generator[None]:
    """Within it a statement may take so long; afterwards as long as before."""
    with session.savepoint():
        before = session.row(TIMEOUT)["value"]
        session.execute(gold_contents.SET_TIMEOUT, limit=f"{round(seconds * 1000)}ms")
        yield
        session.execute(gold_contents.SET_TIMEOUT, limit=before)


def _whole(session: Session, sales: list[Sale]) -> list[Sale]:
    """Those of which no other event is known; where bronze is too large to be read for it, those whose load was read to its end."""
    try:
        with _within(session, RELATED_SECONDS):
            rows = session.rows(
                contract.compose(RELATED, sale=sale("b")), names=[each.transaction_id for each in sales]
            )
    except errors.QueryCanceled:
        return [each for each in sales if not each.cut]
    known = {event.event_id for each in sales for event in each.events}
    other = {row["sale"] for row in rows if row["event_id"] not in known}
    return [each for each in sales if each.transaction_id not in other]


def _sales(rows: Sequence[Row], age: int) -> Iterable[Sale]:
    """Those of which all events are known."""
    # One transaction wrote lines of different times: it rewrote the ledger, and tells nothing of when they were loaded.
    rewritten = len({row["load"] for row in rows}) == 1 and len({row["loaded_at"] for row in rows}) > 1
    of_sale: dict[str, list[Row]] = collections.defaultdict(list)
    for row in rows:
        if isinstance(t.cast("dict[str, t.Any]", row["payload"]).get("transaction_id"), str | int):
            of_sale[row["sale"]].append(row)
    for name, found in of_sale.items():
        found.sort(key=lambda row: (row["loaded_at"], row["ingested_at"], row["event_id"]))
        ids = {row["event_id"] for row in found}
        first, wrote = found[0]["first_event"], {row["load"] for row in found}
        if (first is None or first in ids) and len(found) <= CALLS:
            events = [Event(row["event_id"], row["ingested_at"], row["source"], row["payload"]) for row in found]
            by_today, as_loaded = all(0 <= row["age"] < age for row in found), found[0]["written_by"] in wrote
            cut = any(row["cut"] for row in found)
            yield Sale(
                name, tuple(events), found[-1]["loaded_at"], frozenset(wrote), by_today, as_loaded, cut, rewritten
            )


def spread(sales: Sequence[Sale], most: int = SALES) -> list[Sale]:
    """At most so many of them, oldest load first: first one of each kind, then half of the rest recent and half over all the time."""
    ordered = sorted(sales, key=lambda each: (each.loaded_at, each.transaction_id))
    if len(ordered) <= most:
        return ordered
    chosen = dict[str, Sale]()
    of_kind: dict[tuple[str, t.Any], list[Sale]] = collections.defaultdict(list)
    # Only what was loaded before the latest change can show what changed.
    latest_first = ordered[::-1]
    for each in sorted(latest_first, key=_by_today):
        for kind in _kinds(each):
            of_kind[kind].append(each)
    values = collections.Counter(name for name, _ in of_kind)
    for name, value in sorted(of_kind, key=lambda kind: len(of_kind[kind])):
        found = of_kind[name, value]
        if (
            values[name] <= VALUES
            and len(chosen) < most * 3 // 5
            and chosen.keys().isdisjoint(s.transaction_id for s in found)
        ):
            chosen[found[0].transaction_id] = found[0]
    rest = [each for each in ordered if each.transaction_id not in chosen]
    wanted = most - len(chosen)
    recent = rest[len(rest) - wanted // 2 :]
    older = rest[: len(rest) - len(recent)]
    step = max(1, len(older) // max(1, wanted - len(recent)))
    for each in [*recent, *older[::step]][:wanted]:
        chosen[each.transaction_id] = each
    return [each for each in ordered if each.transaction_id in chosen]


def _is_object(value: object) -> t.TypeGuard[dict[str, t.Any]]:
    return isinstance(value, dict)


def _by_today(sold: Sale) -> bool:
    return sold.by_today


def _kinds(sold: Sale) -> set[tuple[str, t.Any]]:
    """What a sale is one of: its source, its fields and their types, what its fields say where they say few things, its hour."""
    found = set[tuple[str, t.Any]]()
    for event in sold.events:
        items: t.Any = event.payload.get("items")
        every = t.cast("list[t.Any]", items) if isinstance(items, list) else []
        lines = list(filter(_is_object, every))
        found |= {("source", event.source), ("lines", min(len(lines), 24)), ("events", len(sold.events))}
        found.add(("fields", tuple(sorted((name, type(value).__name__) for name, value in event.payload.items()))))
        found |= {
            ("item", tuple(sorted((name, type(value).__name__) for name, value in item.items()))) for item in lines
        }
        for name, value in event.payload.items():
            if isinstance(value, bool) or value is None or (isinstance(value, str) and len(value) <= MOST_CHARACTERS):
                clock = CLOCK.match(value) if isinstance(value, str) else None
                found.add((name, f"{clock[1]} h" if clock else value))
            elif isinstance(value, int | float):
                found.add((name, len(str(int(abs(value)))) * (1 if value >= 0 else -1)))
    return {kind for kind in found if kind[0] != "transaction_id"}


def new_names(session: Session, sales: Sequence[Sale]) -> dict[str, tuple[str | int, str | int]]:
    """Two transaction ids for each sale that no sale has, of the same form as its own: digits are drawn anew, all else stays."""
    found = dict[str, tuple[str | int, str | int]]()
    taken = {each.transaction_id for each in sales}
    for _ in range(5):
        wanted = [each for each in sales if each.transaction_id not in found]
        drawn = {each.transaction_id: (_draw(each, taken), _draw(each, taken)) for each in wanted}
        names = [str(name) for pair in drawn.values() for name in pair]
        there = {row["transaction_id"] for row in session.rows(contract.compose(THERE), names=names)}
        found |= {each: pair for each, pair in drawn.items() if not there & set(map(str, pair))}
        if len(found) == len(sales):
            break
    return found


def _draw(sold: Sale, taken: set[str]) -> str | int:
    given = sold.events[0].payload["transaction_id"]
    text = str(given)
    runs = [run for run in RUN.finditer(text) if any(map(str.isdigit, run[0]))]
    start = runs[-1].start() if runs and sum(map(str.isdigit, runs[-1][0])) >= 6 else 0
    drawn = text
    for nth in range(50):
        drawn = text[:start] + "".join(random.choice("123456789") if c.isdigit() else c for c in text[start:])
        if nth >= 10 or sum(map(str.isdigit, text)) < 4:
            drawn += str(random.randrange(10**7, 10**8))
        if drawn not in taken:
            break
    taken.add(drawn)
    return int(drawn) if isinstance(given, int) and not isinstance(given, bool) else drawn

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares every event of a window with silver: whether silver agrees, and what has to be rebuilt where not."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ...ledger import history
from ...postgres.driver import sql
from ...scout import contract, event_queue
from ...scout.expected_silver import Model
from ...scout.loadable import sale
from ..engine.siblings import SINCE

if t.TYPE_CHECKING:
    import datetime

    from ...postgres.acting import Actor
    from ...postgres.session import Row, Session
    from ...scout.row_images import Tables
    from ..engine.selection import Selection

#: How many events, and differences, a result shows of each class.
SHOWN: t.Final = 20
#: So many transactions, or events by themselves, are carried from a look to its note, and so many events are known by their keys;
#: some ten megabytes, unless somebody writes longer names of sales than these.
CARRIED: t.Final = 100_000
KEY_BYTES: t.Final = 256
#: Events made again a second, and what a call of the ETL takes beside reading bronze once, as measured.
RATE: t.Final = 2500
CALL_SCANS: t.Final = 6

#: The keys of the window: its events, and the sales they are about. No more are read than would be held.
KEYS = """
SELECT count(*) AS events, coalesce(max(octet_length(sale)), 0) AS longest,
       array_agg(event_id)::text AS ids, array_agg(left(sale, %(key_bytes)s))::text AS sales
FROM (SELECT b.event_id, {sale} AS sale FROM {bronze} AS b WHERE {condition} LIMIT %(most)s + 1) AS inside
"""

#: The same of silver that says to come from an event of the window which is about something else.
STRAYS = """
SELECT count(*) AS events, coalesce(max(octet_length(sale)), 0) AS longest,
       array_agg(event_id)::text AS ids, array_agg(left(sale, %(key_bytes)s))::text AS sales
FROM (
    SELECT t.transaction_id AS sale, t.source_event_id AS event_id
    FROM unnest(%(ids)s::uuid[], %(sales)s::text[]) AS i (event_id, sale) JOIN {transactions} AS t ON t.source_event_id = i.event_id
    WHERE t.transaction_id IS DISTINCT FROM i.sale LIMIT %(most)s + 1
) AS strays
"""

#: All events that are about any of these sales, those of the window too.
RELATED = """
SELECT count(*) AS events, array_agg(event_id)::text AS ids
FROM (SELECT b.event_id FROM {bronze} AS b WHERE {sale} = ANY(%(sales)s::text[] || %(strays)s::text[]) LIMIT %(most)s + 1) AS related
"""

#: Where the keys are held, `strays` are those, and what is to be read is known by them: PostgreSQL then knows how many rows to expect.
HELD = "strays AS MATERIALIZED (SELECT * FROM unnest(%(strays)s::text[], %(stray_ids)s::uuid[]) AS s (sale, event_id))"
MEANT_BY_KEYS = "b.event_id = ANY(%(ids)s::uuid[] || %(related)s::uuid[])"
#: Where they are too many, bronze is read for them, and again for what they mean. The second half is never executed: it tells the
#: planner how many events to expect, where its statistics know nothing yet of the newest and it would join row by row.
FOUND = """
keys AS MATERIALIZED (
    SELECT b.event_id, {sale} AS sale FROM {bronze} AS b WHERE {condition}
    UNION ALL SELECT NULL::uuid, NULL::text FROM generate_series(1, %(most)s) WHERE pg_backend_pid() = 0
), strays AS MATERIALIZED (
    SELECT t.transaction_id AS sale, t.source_event_id AS event_id
    FROM {transactions} AS t JOIN keys AS k ON k.event_id = t.source_event_id WHERE k.sale IS DISTINCT FROM t.transaction_id
)
"""
MEANT_BY_SALES = """
(coalesce({condition}, false) OR {sale} IN (SELECT sale FROM keys WHERE sale IS NOT NULL UNION ALL SELECT sale FROM strays))
"""

#: Every event of the window with its class, and the units to be made again, each with the events it is made of: those of the
#: window, and those outside that have been loaded. A unit is a transaction, or an event by itself: one that is about none, looks
#: malformed, or shares a transaction that cannot be made again whole: with an event that looks so but was loaded, or after a
#: cleanup that set its silver aside and kept the event. Silver is extra where it says to come from an event of
#: the window which is about something else, and no event is about it.
JUDGED = """
WITH {strays}, read AS MATERIALIZED (
    SELECT b.event_id, b.ingested_at, {clock} AS at, {sale} AS sale, b.event_data AS e, coalesce({condition}, false) AS inside,
           p.event_id IS NOT NULL AS marked, b.event_type = {transaction_event} AS taken,
           b.event_type = {transaction_event} AND jsonb_typeof(b.event_data) = 'object' AND b.event_data ? 'transaction_id' AS sells,
           {malformed} AS malformed
    FROM {bronze} AS b LEFT JOIN {etl_ledger} AS p ON p.event_id = b.event_id
    WHERE {meant}
), inside AS (
    SELECT * FROM read WHERE inside
), named AS (
    SELECT * FROM read WHERE sale IS NOT NULL
), fed AS MATERIALIZED (
    SELECT sale, event_id, ingested_at, e, inside, marked FROM named WHERE (inside OR marked) AND NOT malformed
), sales AS MATERIALIZED (
    SELECT DISTINCT sale, false AS stray FROM inside WHERE sale IS NOT NULL
    UNION ALL SELECT DISTINCT sale, true FROM strays WHERE NOT EXISTS (SELECT FROM named WHERE named.sale = strays.sale)
),
{compared},
cleaned AS MATERIALIZED (
    SELECT DISTINCT d.original_payload ->> 'transaction_id' AS sale FROM {dead_letters} AS d
    WHERE cardinality(%(cleanups)s::text[]) > 0 AND d.resolved_at IS NULL
      AND d.error_details ->> 'run_id' = ANY(%(cleanups)s::text[]) AND NOT d.error_details ? 'event'
), units AS MATERIALIZED (
    SELECT c.sale, c.made, c.there, c.day_there, c.day_made, s.stray, x.sale IS NOT NULL AS closed, x.cleaned,
           CASE WHEN cardinality(c.differing) = 0 OR x.sale IS NOT NULL OR NOT (c.made OR s.stray) THEN '{{}}'
                ELSE ARRAY(SELECT unnest(c.differing) EXCEPT SELECT unnest(%(unjudged)s::text[])) END AS differing,
           f.events, f.since, coalesce(f.pending, false) AS pending, f.marks
    FROM compared AS c JOIN sales AS s ON s.sale = c.sale LEFT JOIN (
        SELECT sale, array_agg(event_id ORDER BY ingested_at, event_id) AS events, min(ingested_at) AS since,
               bool_or(inside AND NOT marked) AS pending, count(*) FILTER (WHERE marked) AS marks
        FROM fed GROUP BY sale
    ) AS f ON f.sale = c.sale
    LEFT JOIN (
        SELECT sale, bool_or(cleaned) AS cleaned FROM (
            SELECT sale, false AS cleaned FROM named WHERE malformed AND marked UNION ALL SELECT sale, true FROM cleaned
        ) AS either GROUP BY sale
    ) AS x ON x.sale = c.sale
), judged AS MATERIALIZED (
    SELECT i.event_id, i.at, i.sale, i.ingested_at,
           CASE WHEN NOT i.taken OR (NOT i.sells AND i.marked) THEN 'not_transactional'
                WHEN i.malformed AND NOT (i.marked AND coalesce(u.there, false)) THEN 'suspect'
                WHEN NOT i.marked THEN 'pending'
                WHEN i.malformed THEN 'loaded'
                WHEN NOT u.there AND u.cleaned THEN 'cleaned'
                WHEN NOT u.there THEN 'missing'
                WHEN cardinality(u.differing) > 0 THEN 'wrong'
                ELSE 'loaded' END AS class,
           u.differing, coalesce(u.closed, false) AS closed
    FROM inside AS i LEFT JOIN units AS u ON u.sale = i.sale
), todo AS MATERIALIZED (
    SELECT u.sale AS unit, coalesce(u.events, '{{}}') AS events, u.since, u.there, u.day_there, u.day_made, u.marks, u.differing
    FROM units AS u
    WHERE NOT u.closed AND (u.pending OR cardinality(u.differing) > 0 OR (%(everything)s AND u.made))
    UNION ALL
    SELECT NULL, ARRAY[event_id], ingested_at, false, NULL, NULL, 0, '{{}}'
    FROM judged WHERE class = 'suspect' OR (class = 'pending' AND (sale IS NULL OR closed))
)
"""

COUNTS = """
, counts AS (
    SELECT class, count(*) AS events FROM judged GROUP BY class
), hours AS (
    SELECT date_trunc('hour', first.at, 'UTC') AS hour, count(*) AS transactions,
           sum(t.total_amount) AS total, sum(t.net_amount) AS net
    FROM (
        SELECT sale, min(at) AS at FROM judged WHERE sale IS NOT NULL GROUP BY sale
        UNION ALL SELECT s.sale, i.at FROM strays AS s JOIN inside AS i ON i.event_id = s.event_id
        WHERE s.sale IN (SELECT sale FROM sales WHERE stray)
    ) AS first
    JOIN {transactions} AS t ON t.transaction_id = first.sale
    GROUP BY 1
)
SELECT (SELECT coalesce(jsonb_object_agg(class, events), '{{}}') FROM counts) AS classes,
       (SELECT count(*) FROM units WHERE stray AND there) AS extra,
       %(unjudged)s::text[] AS unjudged,
       (SELECT count(*) FROM todo) AS units,
       (SELECT coalesce(sum(cardinality(events)), 0)::bigint FROM todo) AS events,
       (SELECT count(*) FROM todo WHERE there) AS transactions,
       (SELECT count(*) FROM {line_items} AS l WHERE l.transaction_id IN (SELECT unit FROM todo WHERE there)) AS lines,
       (SELECT coalesce(sum(marks), 0)::bigint FROM todo) AS ledger,
       (SELECT coalesce(array_agg(DISTINCT day ORDER BY day), '{{}}')
        FROM todo CROSS JOIN LATERAL unnest(ARRAY[day_there, day_made]) AS day WHERE day IS NOT NULL) AS gold_days,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('event_id', event_id, 'transaction_id', sale, 'class', class,
                                                     'differing', differing) ORDER BY class, at, event_id), '[]')
        FROM (SELECT *, row_number() OVER (PARTITION BY class ORDER BY at, event_id) AS nth FROM judged
              WHERE class NOT IN ('loaded', 'not_transactional', 'cleaned')) AS j WHERE nth <= %(shown)s) AS samples,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('transaction_id', sale) ORDER BY sale), '[]')
        FROM (SELECT sale FROM units WHERE stray AND there ORDER BY sale LIMIT %(shown)s) AS x) AS extras,
       (SELECT coalesce(jsonb_object_agg(to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), jsonb_build_object(
               'transactions', transactions, 'total', total::text, 'net', net::text)), '{{}}') FROM hours) AS hours,
       (SELECT count(*) FROM named WHERE NOT inside AND NOT marked
        AND EXISTS (SELECT FROM fed WHERE fed.sale = named.sale AND fed.inside AND fed.ingested_at >= named.ingested_at)) AS elsewhere,
       (SELECT coalesce(sum(hashtextextended(j.event_id::text, 0)), 0)::text FROM judged AS j WHERE class = 'loaded') AS loaded_digest,
       (SELECT to_jsonb(min(at)) #>> '{{}}' FROM judged) AS first, (SELECT to_jsonb(max(at)) #>> '{{}}' FROM judged) AS last,
       (SELECT md5(string_agg(p.prosrc, '/')) FROM pg_catalog.pg_proc AS p
        WHERE p.oid = to_regprocedure(%(etl)s)) AS etl,
       CASE WHEN (SELECT count(*) FROM todo) <= %(carried)s THEN
           (SELECT coalesce(jsonb_agg(jsonb_build_object('unit', unit, 'events', events, 'since', since)), '[]')::text FROM todo)
       END AS carried,
       pg_current_snapshot()::text AS snapshot, clock_timestamp() AS now
"""

CLEANUPS = """
SELECT run_id::text AS run_id FROM scout_ops.runs
WHERE action = 'cleanup' AND undone_by IS NULL AND parameters #>> '{selection,source_event}' = 'keep'
"""

NOTE = """
INSERT INTO scout_ops.todo (run_id, place, unit, events)
SELECT %(run_id)s, row_number() OVER (ORDER BY since NULLS LAST, unit, events), unit, events FROM todo
"""

#: The same of what a look has carried along.
NOTE_CARRIED = """
INSERT INTO scout_ops.todo (run_id, place, unit, events)
SELECT %(run_id)s, row_number() OVER (ORDER BY since NULLS LAST, unit, events), unit, events
FROM jsonb_to_recordset(%(carried)s::jsonb) AS todo (unit text, events uuid[], since timestamptz)
"""

FORGET = "DELETE FROM scout_ops.todo WHERE run_id = %(run_id)s"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The comparison of a window on one snapshot; counts are of events unless they say otherwise."""

    row: Row
    seconds: float
    #: How long it took to read bronze once.
    scan_seconds: float
    #: What is loaded from then on, it may not have seen.
    since: datetime.datetime

    def count(self, name: str) -> int:
        """Events of a class."""
        classes: dict[str, int] = self.row["classes"]
        return classes.get(name, 0)

    @property
    def events(self) -> int:
        """All events of the window."""
        classes: dict[str, int] = self.row["classes"]
        return sum(classes.values())

    @property
    def todo_events(self) -> int:
        """Events that would be loaded or quarantined, including those outside the window that share a transaction."""
        return self.row["events"]

    @property
    def clean(self) -> bool:
        """Whether nothing is to be rebuilt."""
        return self.row["units"] == 0

    @property
    def sound(self) -> bool:
        """Whether every event is as it should be, and silver has nothing more."""
        return (
            self.row["extra"] == 0 and sum(map(self.count, ("loaded", "not_transactional", "cleaned"))) == self.events
        )

    @property
    def counts(self) -> dict[str, int]:
        """What would be rebuilt, and the rows that would be removed for it by table."""
        classes = {name: self.count(name) for name in ("pending", "missing", "wrong", "suspect")}
        return {"units": self.row["units"], **classes, "extra": self.row["extra"], **self.removed}

    @property
    def removed(self) -> dict[str, int]:
        """Rows that would be removed and rebuilt, by table."""
        return {name: self.row[name] for name in ("transactions", "lines", "ledger")}

    @property
    def gold_days(self) -> list[str]:
        """Days of silver that would change."""
        return self.row["gold_days"]

    @property
    def range(self) -> dict[str, str | None]:
        """The first and the last event on the window's clock."""
        return {"first": self.row["first"], "last": self.row["last"]}

    @property
    def snapshot(self) -> str:
        """What it could see."""
        return self.row["snapshot"]

    @property
    def state(self) -> str:
        """Tells whether the window, and the ETL, are what they were: events that are loaded, and the ETL's text."""
        return f"{self.count('loaded')}/{self.row['loaded_digest']}/{self.row['etl']}"

    @property
    def estimated_seconds(self) -> float:
        """How long it would take, by a rate that was measured and by what this look took; a suspect costs a call of the ETL."""
        refused = self.count("suspect") * CALL_SCANS * self.scan_seconds
        return round(self.todo_events / RATE + 2 * self.seconds + refused + 0.1, 1)

    def as_plan(self) -> dict[str, t.Any]:
        """For results."""
        return {
            "events": self.events,
            "loaded": self.count("loaded"),
            "pending": self.count("pending"),
            "missing": self.count("missing"),
            "wrong": self.count("wrong"),
            "extra": self.row["extra"],
            "poison_suspects": self.count("suspect"),
            "not_transactional": self.count("not_transactional"),
            "cleaned": self.count("cleaned"),
            "to_rebuild": self.row["units"],
            "elsewhere": self.row["elsewhere"],
            "unjudged_fields": self.row["unjudged"],
            "gold_days": self.gold_days,
            "estimated_seconds": 0.0 if self.clean else self.estimated_seconds,
            "samples": self.row["samples"] + [{"class": "extra", **extra} for extra in self.row["extras"]],
        }


class Comparer:
    """Compares one window as this deployment's ETL would load it."""

    def __init__(
        self, session: Session, tables: Tables, selection: Selection, *, everything: bool, pipeline: Actor
    ) -> None:
        self.session = session
        self.selection = selection
        self.everything = everything
        self.pipeline = pipeline
        self.model = Model(tables, session.facts.server_version)
        #: Fields that this deployment's ETL fills in its own way; known from the first look on.
        self.unjudged: list[str] | None = None
        self.scan_seconds = 0.0
        #: Cleanups that kept the events of what they set aside.
        self.cleanups: list[str] | None = None

    def look(self, *, carry: bool = False) -> Comparison:
        """Compares the window; inside the caller's transaction. What is to be rebuilt is carried along for a note,
        unless it is much."""
        began = time.monotonic()
        since = self.session.row(SINCE)["since"]
        row = self._run(COUNTS, shown=SHOWN, carried=CARRIED if carry else -1, only=self.session.row)
        return Comparison(row, time.monotonic() - began, self.scan_seconds, since)

    def note(self, run_id: str, carried: str | None = None) -> None:
        """Notes, replacing what was noted, what is to be rebuilt by this run; inside the caller's transaction.
        Compares again unless a look has carried that along."""
        self.session.execute(FORGET, run_id=run_id)
        if carried is None:
            self._run(NOTE, run_id=run_id, only=self.session.execute)
        else:
            self.session.execute(NOTE_CARRIED, run_id=run_id, carried=carried)

    def _run(self, tail: t.LiteralString, *, only: t.Callable[..., t.Any], **values: t.Any) -> t.Any:
        """`only` runs the query; an event's naive times mean what they mean to the ETL while it does."""
        condition, named = self.selection.condition(), sale("b")
        keys = self._keys(condition)
        strays, meant = (HELD, MEANT_BY_KEYS) if keys else (FOUND, MEANT_BY_SALES)
        judged = contract.compose(
            JUDGED,
            strays=contract.compose(strays, condition=condition, sale=named),
            meant=contract.compose(meant, condition=condition, sale=named),
            clock=sql.Identifier("b", self.selection.window.clock),
            sale=named,
            malformed=self.model.malformed,
            condition=condition,
            compared=self.model.compared,
        )
        with event_queue.in_its_time_zone(self.session, self.pipeline):
            if self.unjudged is None:
                self.unjudged = self.model.unjudged_in(self.session, condition, self.selection.values)
            if self.cleanups is None:
                there = history.readable(self.session)
                self.cleanups = [row["run_id"] for row in self.session.rows(CLEANUPS)] if there else []
            return only(
                judged + contract.compose(tail),
                **self.selection.values,
                **(keys or {"most": CARRIED}),
                **values,
                unjudged=self.unjudged,
                cleanups=self.cleanups,
                etl=contract.names().etl,
                everything=self.everything,
            )

    def _keys(self, condition: sql.Composed) -> dict[str, str] | None:
        """The events of the window, of all others of their sales, and silver's strays, as arrays; None where that is too much
        to be held. Bronze is read by the window's clock once, and once by its sales."""
        began, values = time.monotonic(), {"most": CARRIED, "key_bytes": KEY_BYTES}
        query = contract.compose(KEYS, sale=sale("b"), condition=condition)
        window = self.session.row(query, **self.selection.values, **values)
        self.scan_seconds = time.monotonic() - began
        if _too_much(window):
            return None
        keys: dict[str, str] = {"ids": window["ids"] or "{}", "sales": window["sales"] or "{}"}
        strays = self.session.row(contract.compose(STRAYS), **keys, **values)
        if _too_much(strays):
            return None
        keys |= {"strays": strays["sales"] or "{}", "stray_ids": strays["ids"] or "{}"}
        related = self.session.row(contract.compose(RELATED, sale=sale("b")), **keys, **values)
        return None if _too_much(related) else {**keys, "related": related["ids"] or "{}"}


def _too_much(found: Row) -> bool:
    """Whether there are more keys than are held, or longer ones."""
    return found["events"] > CARRIED or found.get("longest", 0) > KEY_BYTES

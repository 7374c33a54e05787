# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves events with everything derived from them to the dead letter queue; every table proved by count and digest.

An event's closure is its line in the ETL's ledger and, where it fed silver, its transaction with all line items. A
transaction that other events fed as well is removed all the same: those events are requeued for the ETL, so that silver
is rebuilt from what remains. All this happens inside the caller's transaction, on one snapshot, while nobody else can
load.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ...core.errors import NotConverged
from ...ledger.trust.stored_letters import NOTED, RETURNED
from ...postgres.driver import Jsonb, sql
from ...scout import contract, row_images
from ...scout.dead_letters import DLQ_ID, FORMAT, ascending_prefix
from ...scout.loadable import sale
from ...scout.row_hazards import refuse_cascades, triggers
from .batches import Done
from .siblings import RelatedEvents, touched_by

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...postgres.session import Session
    from ...scout.row_images import Table, Tables

#: Tables in the order of the closure, and the key of each in error_details.
PARTS: t.Final = ("events", "ledger", "transactions", "lines")

#: The dead letters of this batch as they stand in the end.
STORED_IN_THE_END = """
WITH stored AS (
    SELECT {row} FROM {dead_letters}
    WHERE failed_at = transaction_timestamp() AND error_details ->> 'run_id' = %(run)s
)
{sums}
"""

STILL_THERE = """
SELECT (SELECT count(*) FROM {bronze} WHERE event_id = ANY(%(ids)s::uuid[])) AS events,
       (SELECT count(*) FROM {etl_ledger} WHERE event_id = ANY(%(ids)s::uuid[]) OR event_id = ANY(%(kept)s::uuid[])) AS ledger,
       (SELECT count(*) FROM {transactions} WHERE transaction_id = ANY(%(transactions)s)) AS transactions,
       (SELECT count(*) FROM {line_items} WHERE transaction_id = ANY(%(transactions)s)) AS lines
"""

STORE_EVENTS = """
WITH stored AS (
    INSERT INTO {dead_letters} (dlq_id, original_payload, error_code, error_message, error_details, source_system)
    SELECT {dlq_id}, b.event_data, coalesce(w.code, %(code)s), coalesce(w.message, %(message)s),
           %(document)s::jsonb
           || CASE WHEN w.rules IS NULL THEN '{{}}' ELSE jsonb_build_object('rules', w.rules) END
           || jsonb_build_object('event', {event})
           || CASE WHEN p.event_id IS NULL THEN '{{}}' ELSE jsonb_build_object('ledger', {ledger}) END
           || CASE WHEN t.transaction_id IS NULL THEN '{{}}'
                   ELSE jsonb_build_object('transaction', {transaction}, 'lines', coalesce(i.lines, '[]')) END
           || CASE WHEN q.requeued IS NULL THEN '{{}}' ELSE jsonb_build_object('requeued', q.requeued) END,
           b.source_system
    FROM {bronze} AS b
    LEFT JOIN {etl_ledger} AS p ON p.event_id = b.event_id
    LEFT JOIN unnest(%(owners)s::uuid[], %(transactions)s::text[]) AS o (event_id, transaction_id) ON o.event_id = b.event_id
    LEFT JOIN {transactions} AS t ON t.transaction_id = o.transaction_id
    LEFT JOIN LATERAL ({lines_of}) AS i ON o.transaction_id IS NOT NULL
    LEFT JOIN LATERAL ({requeued_of}) AS q ON o.transaction_id IS NOT NULL
    LEFT JOIN jsonb_to_recordset(%(labels)s) AS w (event_id uuid, code text, message text, rules jsonb) ON w.event_id = b.event_id
    WHERE b.event_id = ANY(%(ids)s::uuid[])
    RETURNING {row}, {returned}
), noted AS ({noted})
{sums}
"""

STORE_SILVER = """
WITH stored AS (
    INSERT INTO {dead_letters} (dlq_id, original_payload, error_code, error_message, error_details, source_system)
    SELECT {dlq_id}, {transaction}, coalesce(w.code, %(code)s), coalesce(w.message, %(message)s),
           %(document)s::jsonb
           || CASE WHEN w.rules IS NULL THEN '{{}}' ELSE jsonb_build_object('rules', w.rules) END
           || jsonb_build_object('transaction', {transaction}, 'lines', coalesce(i.lines, '[]'))
           || CASE WHEN q.requeued IS NULL THEN '{{}}' ELSE jsonb_build_object('requeued', q.requeued) END
           || CASE WHEN m.marked IS NULL THEN '{{}}' ELSE jsonb_build_object('marked', m.marked) END,
           NULL
    FROM {transactions} AS t
    CROSS JOIN LATERAL (SELECT t.transaction_id) AS o
    LEFT JOIN LATERAL ({lines_of}) AS i ON true
    LEFT JOIN LATERAL ({requeued_of}) AS q ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(k.event_id ORDER BY k.event_id) AS marked
        FROM unnest(%(marked_transactions)s::text[], %(marked)s::uuid[]) AS k (transaction_id, event_id)
        WHERE k.transaction_id = t.transaction_id
    ) AS m ON true
    LEFT JOIN jsonb_to_recordset(%(labels)s) AS w (transaction_id text, code text, message text, rules jsonb)
           ON w.transaction_id = t.transaction_id
    WHERE t.transaction_id = ANY(%(orphans)s)
    RETURNING {row}, {returned}
), noted AS ({noted})
{sums}
"""

LINES_OF = """
SELECT jsonb_agg({line} ORDER BY l.line_id) AS lines
FROM {line_items} AS l WHERE l.transaction_id = o.transaction_id
"""

REQUEUED_OF = """
SELECT jsonb_agg({ledger} ORDER BY p.event_id) AS requeued
FROM unnest(%(kept_transactions)s::text[], %(kept)s::uuid[]) AS k (transaction_id, event_id)
JOIN {etl_ledger} AS p ON p.event_id = k.event_id
WHERE k.transaction_id = o.transaction_id
"""

#: What a dead letter holds, read back from the row as it went in; a payload counts with its event. Digests are made here, row by
#: row, so that the rows themselves need not be kept until they are summed.
ROW = """
(error_details ? 'event')::int AS events,
CASE WHEN error_details ? 'event' THEN {payload} END AS payloads_digest,
{event} AS events_digest,
(error_details ? 'ledger')::int + coalesce(jsonb_array_length(error_details -> 'requeued'), 0) AS ledger,
coalesce({ledger}, 0)::numeric + coalesce({requeued}, 0) AS ledger_digest,
(error_details ? 'transaction')::int AS transactions,
{transaction} AS transactions_digest,
coalesce(jsonb_array_length(error_details -> 'lines'), 0) AS lines,
{lines} AS lines_digest
"""

SUMS = sql.SQL("SELECT {} FROM stored").format(
    sql.SQL(", ").join(
        sql.SQL("coalesce(sum({name}), 0) AS {name}").format(name=sql.Identifier(name))
        for part in PARTS
        for name in (part, f"{part}_digest", *(["payloads_digest"] if part == "events" else []))
    )
)

#: Lines first: a cascade would take them without telling what they were.
REMOVE: t.Final[tuple[tuple[str, t.LiteralString], ...]] = (
    ("lines", "DELETE FROM {line_items} AS r WHERE r.transaction_id = ANY(%(transactions)s)"),
    ("transactions", "DELETE FROM {transactions} AS r WHERE r.transaction_id = ANY(%(transactions)s)"),
    (
        "ledger",
        "DELETE FROM {etl_ledger} AS r WHERE r.event_id = ANY(%(ids)s::uuid[]) OR r.event_id = ANY(%(kept)s::uuid[])",
    ),
    ("events", "DELETE FROM {bronze} AS r WHERE r.event_id = ANY(%(ids)s::uuid[])"),
)

#: Events of bronze alone, by a condition instead of a list.
STORE_PLAIN = """
WITH stored AS (
    INSERT INTO {dead_letters} (dlq_id, original_payload, error_code, error_message, error_details, source_system)
    SELECT {dlq_id}, b.event_data, %(code)s, %(message)s, jsonb_set(%(document)s::jsonb, '{{event}}', {event}), b.source_system
    FROM {bronze} AS b WHERE {where}
    RETURNING {payload} AS payload, {image} AS image, {returned}
), noted AS ({noted})
SELECT count(*) AS events, coalesce(sum(payload), 0) AS payloads_digest, coalesce(sum(image), 0) AS events_digest FROM stored
"""

#: Whether any of these events left something in the ETL's ledger or in silver.
LEFT_TRACES = """
SELECT EXISTS (SELECT FROM {bronze} AS b JOIN {etl_ledger} AS p USING (event_id) WHERE {where})
    OR EXISTS (SELECT FROM {bronze} AS b
               JOIN {transactions} AS t ON t.transaction_id = {sale} AND t.source_event_id = b.event_id
               WHERE {where}) AS traces
"""

#: No event that stays.
NOBODY: t.Final[dict[str, list[str]]] = {"transactions": [], "events": []}

Counts = dict[str, int]


@dataclasses.dataclass(frozen=True)
class Label:
    """Why one item is moved, where that differs from item to item."""

    code: str
    message: str
    rules: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Batch:
    """What to move: events, and silver transactions whose event stays or is gone."""

    ids: Sequence[str]
    silver: Sequence[str] = ()
    labels: Mapping[str, Label] = dataclasses.field(default_factory=dict[str, Label])
    silver_labels: Mapping[str, Label] = dataclasses.field(default_factory=dict[str, Label])
    #: Whether events that stay and fed the same transactions are to be loaded again.
    requeue: bool = True


class Closure:
    """Moves batches for one run; `document` joins every image."""

    def __init__(
        self,
        session: Session,
        tables: Tables,
        run_id: str,
        *,
        kind: str,
        code: str,
        message: str,
        document: dict[str, t.Any],
        digests: bool = True,
    ) -> None:
        self.session = session
        self.tables = tables
        self.run_id = run_id
        self.code = code
        self.message = message
        self.digests = digests
        self.document = {"format": FORMAT, "kind": kind, "run_id": run_id, **document}
        self.related = RelatedEvents(session, run_id)
        #: Whether triggers of users may do more than a statement's RETURNING tells.
        self.triggers = True

    def look(self) -> None:
        """Raises NotConverged where rows would be lost, and notices triggers; once per run, inside a transaction."""
        refuse_cascades(self.session)
        self.triggers = bool(triggers(self.session))

    def left_traces(self, where: sql.Composable, values: Mapping[str, t.Any]) -> bool:
        """Whether events of bronze (alias b) that fulfil `where` have more of a closure than themselves."""
        return self.session.row(contract.compose(LEFT_TRACES, where=where, sale=sale("b")), **values)["traces"]

    def move_plain(self, where: sql.Composable, values: Mapping[str, t.Any], limit: Callable[[], None]) -> Done:
        """Moves events that left no traces."""
        session = self.session
        query = contract.compose(
            STORE_PLAIN,
            dlq_id=DLQ_ID,
            event=self._event("b"),
            where=where,
            payload=self._hash(sql.SQL("original_payload")),
            image=self._hash(sql.SQL("error_details -> 'event'")),
            returned=RETURNED,
            noted=NOTED,
        )
        limit()
        stored = session.row(query, **values, **self._constants)
        limit()
        query = self._removing("events", contract.compose("DELETE FROM {bronze} AS b WHERE {}", where), "b")
        removed = self._removed(query, values)
        self.prove(stored, removed)
        if self.triggers:
            limit()
            there = contract.compose("SELECT count(*) AS events FROM {bronze} AS b WHERE {}", where)
            self._prove_in_the_end(removed, session.row(there, **values))
        return Done(stored["events"], {"moved": {"events": stored["events"]}})

    def move(self, batch: Batch, limit: Callable[[], None]) -> Done:
        """Moves a batch with its closure."""
        session = self.session
        limit()
        ids, silver = list(batch.ids), list(batch.silver)
        touched = touched_by(session, ids, silver, self.related.snapshot)
        pairs = list(zip(touched["transactions"], touched["owners"], strict=True))
        stay = self.related.kept(touched["transactions"], ids, touched["fresh"])
        kept, marked = (stay, NOBODY) if batch.requeue else (NOBODY, stay)
        values: dict[str, t.Any] = {
            **self._constants,
            "ids": ids,
            "transactions": touched["transactions"],
            "owners": touched["owners"],
            "orphans": [transaction for transaction, owner in pairs if owner is None],
            "kept": kept["events"],
            "kept_transactions": kept["transactions"],
            "marked": marked["events"],
            "marked_transactions": marked["transactions"],
        }
        stored: Counts = {}
        for query, wanted, key, labels in (
            (self._store_events, ids, "event_id", batch.labels),
            (self._store_silver, values["orphans"], "transaction_id", batch.silver_labels),
        ):
            if wanted:
                limit()
                written = Jsonb([{key: name, **dataclasses.asdict(label)} for name, label in labels.items()])
                for name, number in session.row(query, **values, labels=written).items():
                    stored[name] = stored.get(name, 0) + int(number)
        removed: Counts = {}
        for name, statement in REMOVE:
            limit()
            removed |= self._removed(self._removing(name, contract.compose(statement), "r"), values)
        self.prove(stored, removed)
        if self.triggers:
            limit()
            self._prove_in_the_end(removed, session.row(contract.compose(STILL_THERE), **values))
        moved = {name: stored[name] for name in PARTS}
        # Marks of events that stay count as requeued.
        moved["ledger"] -= len(kept["events"])
        rows = moved["events"] + len(values["orphans"])
        return Done(rows, {"moved": moved, "requeued": len(kept["events"]), "gold_days": touched["days"]})

    def prove(self, stored: Mapping[str, t.Any], removed: Mapping[str, t.Any]) -> None:
        """Raises, so that the batch is rolled back, unless what was stored is what was removed, by count and digest."""
        differing = [name for name in removed if int(stored.get(name, 0)) != int(removed[name])]
        if differing:
            said = "; ".join(f"{name}: stored {stored.get(name, 0)}, removed {removed[name]}" for name in differing)
            raise NotConverged(
                "stopped before a batch whose rows could not be proved safe; it was rolled back",
                on=self.session.where,
                said=said,
                next_step=contract.words("look for a trigger or rule on {dead_letters} or where it was taken from"),
            )

    def _prove_in_the_end(self, removed: Mapping[str, t.Any], there: Mapping[str, t.Any]) -> None:
        """The same proof once more by what the tables hold after all triggers have had their turn."""
        self.prove(dict.fromkeys(there, 0), there)
        query = contract.compose(STORED_IN_THE_END, row=self._row, sums=SUMS)
        self.prove(self.session.row(query, run=self.run_id), removed)

    @property
    def _constants(self) -> dict[str, t.Any]:
        return {
            "code": self.code,
            "message": self.message,
            "document": Jsonb(self.document),
            "run": self.run_id,
            "prefix": ascending_prefix(),
        }

    def _event(self, alias: str) -> sql.Composed:
        return self.tables.bronze.image(alias, without=("event_data",))

    @functools.cached_property
    def _store_events(self) -> sql.Composed:
        tables = self.tables
        return contract.compose(
            STORE_EVENTS,
            dlq_id=DLQ_ID,
            event=self._event("b"),
            ledger=tables.ledger.image("p"),
            transaction=tables.transactions.image("t"),
            lines_of=contract.compose(LINES_OF, line=tables.lines.image("l")),
            requeued_of=contract.compose(REQUEUED_OF, ledger=tables.ledger.image("p")),
            row=self._row,
            returned=RETURNED,
            noted=NOTED,
            sums=SUMS,
        )

    @functools.cached_property
    def _store_silver(self) -> sql.Composed:
        tables = self.tables
        return contract.compose(
            STORE_SILVER,
            dlq_id=DLQ_ID,
            transaction=tables.transactions.image("t"),
            lines_of=contract.compose(LINES_OF, line=tables.lines.image("l")),
            requeued_of=contract.compose(REQUEUED_OF, ledger=tables.ledger.image("p")),
            row=self._row,
            returned=RETURNED,
            noted=NOTED,
            sums=SUMS,
        )

    def _removing(self, part: str, delete: sql.Composable, alias: str) -> sql.Composed:
        """The statement with the count and digest of the rows as they went out."""
        table: Table = getattr(self.tables, {"events": "bronze"}.get(part, part))
        digests = {f"{part}_digest": self._hash(self._event(alias) if part == "events" else table.image(alias))}
        if part == "events":
            digests["payloads_digest"] = self._hash(sql.Identifier(alias, "event_data"))
        return sql.SQL(
            "WITH gone AS ({} RETURNING {}, {}) SELECT count(*) AS {}, {}, {} AS elsewhere FROM gone"
        ).format(
            delete,
            sql.Identifier(alias, "tableoid"),
            sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for name, value in digests.items()
            ),
            sql.Identifier(part),
            sql.SQL(", ").join(
                sql.SQL("coalesce(sum({0}), 0) AS {0}").format(sql.Identifier(name)) for name in digests
            ),
            row_images.ELSEWHERE.format(rows=sql.Identifier("gone")),
        )

    def _removed(self, query: sql.Composed, values: Mapping[str, t.Any]) -> Counts:
        """What a statement has removed. Raises NotConverged, so that it is rolled back, where that was on another server."""
        found = self.session.row(query, **values)
        row_images.refuse_elsewhere(
            self.session, "stopped before a batch that cannot be undone with certainty", found.pop("elsewhere")
        )
        return found

    def _hash(self, image: sql.Composable) -> sql.Composed:
        """What an image adds to the digest of its table; nothing where the proof is by count alone."""
        return sql.SQL("jsonb_hash_extended({}, 0)" if self.digests else "0::bigint").format(image)

    @functools.cached_property
    def _row(self) -> sql.Composed:
        one = {
            name: self._hash(sql.SQL("error_details -> {}").format(name)) for name in ("event", "ledger", "transaction")
        }
        many = {
            name: sql.SQL("(SELECT sum({}) FROM jsonb_array_elements(error_details -> {}) AS e)").format(
                self._hash(sql.SQL("e")), name
            )
            if self.digests
            else sql.SQL("0").format()
            for name in ("requeued", "lines")
        }
        return sql.SQL(ROW).format(payload=self._hash(sql.SQL("original_payload")), **one, **many)

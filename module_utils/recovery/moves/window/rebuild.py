# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuilds silver of transactions: what is there is removed, the pipeline's own ETL loads their events, both commit
together.

Inside the caller's transaction, on one snapshot, while nobody else can load. What is removed is recorded first, so that
it can be restored; what is loaded is compared with what the events say, and otherwise nothing of it stays.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import NotConverged
from ...ledger.trust import stored_letters
from ...pipeline import poison_policy
from ...postgres.driver import Jsonb, sql
from ...scout import contract, event_queue
from ...scout.loadable import sale
from ..engine.reload import Reload
from ..undo.journal import take_written

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.acting import Actor
    from ...postgres.session import Session
    from ...scout.expected_silver import Model
    from ...scout.poison_probe import Refused
    from ...scout.row_images import Tables

#: Events of these units that were loaded since they were noted.
SINCE = """
SELECT {sale} AS unit, b.event_id::text AS event_id FROM {etl_ledger} AS p JOIN {bronze} AS b USING (event_id)
WHERE p.processed_at >= %(since)s AND p.processed_at <> ALL(%(ours)s::timestamptz[]) AND {sale} = ANY(%(units)s)
"""

#: The noted events that are still there, each with the transaction it is about; locked, so that the ETL can take them.
MEMBERS = """
SELECT b.event_id::text AS event_id, {sale} AS sale, b.event_id = ANY(%(alone)s::uuid[]) AND {malformed} AS suspect
FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[]) FOR UPDATE
"""

GIVEN = "jsonb_to_recordset(%(units)s) AS u (place bigint, item bigint, sale text, events uuid[])"

#: What there is of these units, before it goes; a unit of which nothing is there is not written down yet.
WRITE_DOWN = """
WITH there AS MATERIALIZED (
    SELECT u.place, u.sale, u.events,
           coalesce((SELECT jsonb_agg({transaction}) FROM {transactions} AS t
                     WHERE t.transaction_id = u.sale), '[]') AS transactions,
           coalesce((SELECT jsonb_agg({line}) FROM {line_items} AS l WHERE l.transaction_id = u.sale), '[]') AS lines,
           coalesce((SELECT jsonb_agg({mark}) FROM {etl_ledger} AS p WHERE p.event_id = ANY(u.events)), '[]') AS ledger
    FROM {given}
)
INSERT INTO scout_ops.images (run_id, event_id, transaction_id, removed, added)
SELECT %(run_id)s, CASE WHEN cardinality(events) = 1 THEN events[1] END, sale,
       jsonb_build_object('transactions', transactions, 'lines', lines, 'ledger', ledger), jsonb_build_object('place', place)
FROM there WHERE transactions <> '[]' OR lines <> '[]' OR ledger <> '[]'
ORDER BY place
RETURNING item, (added ->> 'place')::bigint AS place
"""

#: What there is of them afterwards. Line items follow their transaction; other jobs of the pipeline go on writing into them.
COMPLETE = """
WITH made AS MATERIALIZED (
    SELECT u.*, jsonb_build_object(
        'transactions', coalesce((SELECT jsonb_agg({transaction}) FROM {transactions} AS t
                                  WHERE t.transaction_id = u.sale), '[]'),
        'ledger', coalesce((SELECT jsonb_agg({mark}) FROM {etl_ledger} AS p WHERE p.event_id = ANY(u.events)), '[]')) AS added
    FROM {given}
), completed AS (
    UPDATE scout_ops.images AS i SET added = made.added FROM made WHERE i.item = made.item RETURNING i.item
), written AS (
    INSERT INTO scout_ops.images (run_id, event_id, transaction_id, removed, added)
    SELECT %(run_id)s, CASE WHEN cardinality(events) = 1 THEN events[1] END, sale, '{{}}', added
    FROM made WHERE item IS NULL ORDER BY place
    RETURNING item
)
SELECT (SELECT count(*) FROM completed) + (SELECT count(*) FROM written) AS items
"""

#: An event that is set aside, and its mark where it has one.
WRITE_DOWN_EVENT = """
INSERT INTO scout_ops.images (run_id, event_id, removed, added)
SELECT %(run_id)s, b.event_id, jsonb_build_object(
           'events', jsonb_build_array({event}),
           'ledger', coalesce((SELECT jsonb_agg({mark}) FROM {etl_ledger} AS p WHERE p.event_id = b.event_id), '[]')), '{{}}'
FROM {bronze} AS b WHERE b.event_id = %(event_id)s::uuid
RETURNING item
"""

COMPLETE_EVENT = """
UPDATE scout_ops.images AS i SET dlq_id = d.dlq_id, added = jsonb_build_object('dead_letters', jsonb_build_array({letter}))
FROM {dead_letters} AS d WHERE i.item = %(item)s AND d.dlq_id = %(dlq_id)s::uuid
"""

IN_SILVER = (
    "SELECT transaction_id AS name, to_jsonb(t) AS sale FROM {transactions} AS t WHERE transaction_id = ANY(%(names)s)"
)
DAYS = "SELECT DISTINCT t.date_key::text AS day FROM {transactions} AS t WHERE t.transaction_id = ANY(%(sales)s)"

LET_GO_ALL = """
WITH marks AS (DELETE FROM {etl_ledger} WHERE event_id = ANY(%(ids)s::uuid[])),
     lines AS (DELETE FROM {line_items} WHERE transaction_id = %(sale)s::text)
DELETE FROM {transactions} WHERE transaction_id = %(sale)s::text
"""


@dataclasses.dataclass(frozen=True)
class Unit:
    """What is rebuilt together: a transaction with its events, or an event `alone`, on top of what there is."""

    place: int
    transaction: str | None
    events: tuple[str, ...]
    alone: bool = False
    #: Whether it is an event that the ETL could hardly read.
    suspect: bool = False

    @property
    def name(self) -> str:
        """For people: its transaction, or its event."""
        return self.transaction if self.transaction is not None and not self.alone else self.events[0]

    def without(self, event_id: str) -> Unit:
        """The unit without one of its events."""
        return dataclasses.replace(self, events=tuple(e for e in self.events if e != event_id))


@dataclasses.dataclass(frozen=True)
class Made:
    """What was removed and what was loaded of some units; rows by table, events loaded, days of silver concerned."""

    removed: dict[str, int]
    loaded: int
    days: frozenset[str]


class Differs(Exception):
    """The ETL loaded these transactions differently from what their events say: the fields, and what it made of each, by transaction."""

    def __init__(self, units: dict[str, list[str]], made: dict[str, dict[str, t.Any]]) -> None:
        self.units = units
        self.made = made
        super().__init__(", ".join(units))


class Rebuild(Reload):
    """Writes on behalf of the run `run_id`, inside the transaction of a batch."""

    def __init__(self, session: Session, tables: Tables, model: Model, run_id: str, pipeline: Actor) -> None:
        super().__init__(session, pipeline)
        self.tables = tables
        self.model = model
        self.run_id = run_id
        #: Fields that this deployment's ETL fills in its own way.
        self.unjudged: list[str] = []

    def with_members(self, noted: Sequence[Unit]) -> list[Unit]:
        """The units with the events they have now; locks these."""
        names = [unit.transaction for unit in noted if unit.transaction is not None]
        more: dict[str, set[str]] = {}
        if names:
            query = contract.compose(SINCE, sale=sale("b"))
            for row in self.session.rows(query, since=self.since, ours=self.ours, units=names):
                more.setdefault(row["unit"], set()).add(row["event_id"])
        ids = {event for unit in noted for event in unit.events} | {event for found in more.values() for event in found}
        alone = [event for unit in noted if unit.transaction is None for event in unit.events]
        query = contract.compose(MEMBERS, sale=sale("b"), malformed=self.model.malformed)
        with event_queue.in_its_time_zone(self.session, self.pipeline):
            rows = self.session.rows(query, ids=sorted(ids), alone=alone)
        about = {row["event_id"]: row["sale"] for row in rows}
        suspects = {row["event_id"] for row in rows if row["suspect"]}
        made: list[Unit] = []
        for unit in noted:
            events = {*unit.events, *more.get(unit.transaction or "", ())} & about.keys()
            if unit.transaction is not None:
                made.append(dataclasses.replace(unit, events=tuple(sorted(events))))
            elif events:
                event = unit.events[0]
                made.append(dataclasses.replace(unit, transaction=about[event], alone=True, suspect=event in suspects))
        return made

    def remake(self, units: Sequence[Unit]) -> Made:
        """Rebuilds all of these. Raises Refused or Differs, having changed nothing, where the ETL does not load them
        as their events say."""
        with self.all_or_nothing():
            return self._remake(units)

    def _remake(self, units: Sequence[Unit]) -> Made:
        session = self.session
        sales = [unit.transaction for unit in units if unit.transaction is not None]
        days = {row["day"] for row in session.rows(contract.compose(DAYS), sales=sales)}
        written = self._write_down(units)
        whole = [written[unit.place] for unit in units if unit.place in written and not unit.alone]
        removed = {name: take_written(session, self.tables, name, whole) for name in ("lines", "transactions")}
        removed["ledger"] = take_written(session, self.tables, "ledger", list(written.values()))
        ids = [event for unit in units for event in unit.events]
        event_queue.load_exactly(session, ids, self.pipeline)
        if wrong := self.wrong(units):
            raise Differs(wrong, self.in_silver([*wrong]))
        self._complete(units, written)
        days |= {row["day"] for row in session.rows(contract.compose(DAYS), sales=sales)}
        return Made(removed, len(ids), frozenset(days))

    def wrong(self, units: Sequence[Unit]) -> dict[str, list[str]]:
        """Return the fields in which transactions differ from what their events say, by transaction."""
        judged = [unit for unit in units if not unit.alone and unit.transaction is not None]
        if not judged:
            return {}
        sales = [unit.transaction for unit in judged if unit.transaction is not None]
        with event_queue.in_its_time_zone(self.session, self.pipeline):
            ids = [event for unit in judged for event in unit.events]
            return self.model.wrong(self.session, sales, ids, self.unjudged)

    def in_silver(self, names: list[str]) -> dict[str, dict[str, t.Any]]:
        """Return the rows of transactions by their names."""
        rows = self.session.rows(contract.compose(IN_SILVER), names=names)
        return {row["name"]: row["sale"] for row in rows}

    def _write_down(self, units: Sequence[Unit]) -> dict[int, int]:
        query = contract.compose(
            WRITE_DOWN,
            transaction=self.tables.transactions.image("t"),
            line=self.tables.lines.image("l"),
            mark=self.tables.ledger.image("p"),
            given=sql.SQL(GIVEN),
        )
        rows = self.session.rows(query, units=_given(units, {}), run_id=self.run_id)
        return {row["place"]: row["item"] for row in rows}

    def _complete(self, units: Sequence[Unit], written: dict[int, int]) -> None:
        query = contract.compose(
            COMPLETE,
            transaction=self.tables.transactions.image("t"),
            mark=self.tables.ledger.image("p"),
            given=sql.SQL(GIVEN),
        )
        items = self.session.row(query, units=_given(units, written), run_id=self.run_id)["items"]
        if items != len(units):
            raise NotConverged(
                "stopped before a batch that could not be recorded completely; it was rolled back",
                on=self.session.where,
                said=f"{items} of {len(units)} items were written",
                next_step="look for a trigger or rule on scout_ops.images",
            )

    def culprit(self, unit: Unit) -> tuple[str, Refused] | None:
        """The first event of a unit that the ETL refuses, and why; changes nothing."""

        def let_go() -> tuple[str, ...]:
            sale = None if unit.alone else unit.transaction
            self.session.execute(contract.compose(LET_GO_ALL), ids=list(unit.events), sale=sale)
            return unit.events

        return self.first_refused(let_go)

    def quarantine(self, event_id: str, refused: Refused, document: dict[str, t.Any]) -> dict[str, t.Any]:
        """Moves an event to the dead letter queue, so that it can be restored as it was."""
        session, tables = self.session, self.tables
        query = contract.compose(WRITE_DOWN_EVENT, event=tables.bronze.image("b"), mark=tables.ledger.image("p"))
        item = session.row(query, run_id=self.run_id, event_id=event_id)["item"]
        take_written(session, tables, "ledger", [item])
        moved = poison_policy.quarantine(session, self.run_id, event_id, refused, document)
        stored_letters.note(session, self.run_id, moved["dlq_id"])
        query = contract.compose(COMPLETE_EVENT, letter=tables.dead_letters.image("d"))
        session.execute(query, item=item, dlq_id=moved["dlq_id"])
        return moved


def _given(units: Sequence[Unit], items: dict[int, int]) -> Jsonb:
    return Jsonb(
        [
            {"place": unit.place, "item": items.get(unit.place), "sale": unit.transaction, "events": list(unit.events)}
            for unit in units
        ]
    )

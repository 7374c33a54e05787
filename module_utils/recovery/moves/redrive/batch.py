# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one batch of a redrive does to the tables: all of it or, inside a savepoint, nothing; recorded so that it can
be undone."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...core.errors import NotConverged
from ...postgres.driver import Jsonb, errors, sql
from ...scout import contract, event_queue, row_images
from ...scout.loadable import sale
from ...scout.row_images import digest, literal, named
from ..engine.reload import Reload
from ..undo.journal import THERE
from .outcome import Resolver

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...postgres.acting import Actor
    from ...postgres.session import Row, Session
    from ...scout.poison_probe import Refused
    from ...scout.row_images import Tables
    from .letters import Letter

GENERATED = """
SELECT a.attname::text AS name FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = %(bronze)s::regclass AND a.attnum > 0 AND a.attgenerated <> ''
"""

#: Puts events back as their images say; `wanted` is what they should be, `back` what they are. The isolation of poison
#: keeps rows as PostgreSQL writes them as JSON, or as text where that would not be exact.
PUT_BACK = """
WITH wanted AS MATERIALIZED (
    SELECT {image} AS image
    FROM jsonb_to_recordset(%(letters)s) AS w (dlq_id uuid, event jsonb, payload text, hash text)
    JOIN {dead_letters} AS d USING (dlq_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(w.event, d.error_details -> 'event') AS image, coalesce(w.payload::jsonb, d.original_payload) AS payload,
               CASE WHEN w.event IS NOT NULL OR coalesce(d.error_details ->> 'kind', '') <> 'poison' THEN 'image'
                    WHEN d.error_details ? 'row' THEN 'row' ELSE 'json' END AS form
        OFFSET 0
    ) AS x
    CROSS JOIN LATERAL (
        SELECT {from_image} WHERE x.form = 'image'
        UNION ALL
        SELECT {from_record} FROM jsonb_populate_record(NULL::{bronze}, x.image) AS k WHERE x.form = 'json'
        UNION ALL
        SELECT {from_record} FROM (SELECT ((d.error_details ->> 'row')::{bronze}).*) AS k WHERE x.form = 'row'
    ) AS k
    CROSS JOIN LATERAL (SELECT {whole}) AS r
), back AS (
    INSERT INTO {bronze} AS r ({targets}) OVERRIDING SYSTEM VALUE SELECT {values} FROM wanted RETURNING {image} AS image, r.tableoid
)
SELECT (SELECT count(*) FROM wanted) AS wanted, (SELECT {digest} FROM wanted) AS wanted_digest,
       (SELECT count(*) FROM back) AS back, (SELECT {digest} FROM back) AS back_digest, {elsewhere} AS elsewhere
"""

IN_THE_END = "SELECT count(*) AS events, {digest} AS digest FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[])"

#: Events that stay and name a transaction: noted by the scan, or loaded by somebody else since.
SIBLINGS = """
SELECT k.transaction_id, b.event_id::text AS event_id, p.event_id IS NOT NULL AS loaded
FROM scout_ops.related_events AS k JOIN {bronze} AS b USING (event_id) LEFT JOIN {etl_ledger} AS p USING (event_id)
WHERE k.run_id = %(run_id)s AND k.transaction_id = ANY(%(transactions)s) AND b.event_type = %(event_type)s
UNION
SELECT {sale}, b.event_id::text, true
FROM {etl_ledger} AS p JOIN {bronze} AS b USING (event_id)
WHERE p.processed_at >= %(since)s AND p.processed_at <> ALL(%(ours)s::timestamptz[]) AND {sale} = ANY(%(transactions)s)
"""

LOCK = "SELECT FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[]) FOR UPDATE"

TAKE = """
WITH lines AS (
    DELETE FROM {line_items} AS r WHERE r.transaction_id = ANY(%(there)s)
    RETURNING r.transaction_id AS sale, {line} AS image
), transactions AS (
    DELETE FROM {transactions} AS r WHERE r.transaction_id = ANY(%(there)s)
    RETURNING r.transaction_id AS sale, {transaction} AS image
), ledger AS (
    DELETE FROM {etl_ledger} AS r USING unnest(%(marks)s::uuid[], %(marks_of)s::text[]) AS m (event_id, sale)
    WHERE r.event_id = m.event_id RETURNING m.sale, {mark} AS image
), gone AS (
    SELECT 'lines' AS part, * FROM lines UNION ALL SELECT 'transactions', * FROM transactions UNION ALL SELECT 'ledger', * FROM ledger
)
SELECT sale, jsonb_object_agg(part, images)::text AS images, sum(rows)::int AS rows, sum(digest)::text AS digest,
       coalesce(sum(rows) FILTER (WHERE part <> 'lines'), 0)::int AS certain
FROM (SELECT sale, part, jsonb_agg(image) AS images, count(*) AS rows, {digest} AS digest FROM gone GROUP BY sale, part) AS g
GROUP BY sale
"""

DAYS = "SELECT DISTINCT t.date_key::text AS day FROM {transactions} AS t WHERE t.transaction_id = ANY(%(transactions)s)"

MADE = """
SELECT (SELECT count(*) FROM {transactions} AS t WHERE t.transaction_id = ANY(%(transactions)s)) AS transactions,
       (SELECT count(*) FROM {line_items} AS l WHERE l.transaction_id = ANY(%(transactions)s)) AS lines,
       (SELECT count(*) FROM {etl_ledger} AS p WHERE p.event_id = ANY(%(ids)s::uuid[])) AS ledger
"""

#: Constraints that another copy of an event violates.
SAME_EVENT: t.Final = re.compile(r"\((?:event_id|event_hash)\)=\(")

IN_BRONZE = "SELECT b.event_id::text AS event_id FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[])"


@dataclasses.dataclass(frozen=True)
class Unit:
    """Entries that are redriven together: those of one transaction, or one that names none."""

    key: str
    letters: tuple[Letter, ...]
    #: Pending events of the transaction that the ETL refuses: they stay as they are.
    skipped: frozenset[str] = frozenset()

    @property
    def loads(self) -> bool:
        """Whether the ETL loads events of this type."""
        return bool(self.letters) and self.letters[0].type == contract.names().transaction_event

    @property
    def transaction_id(self) -> str | None:
        """The transaction they are about."""
        return self.letters[0].transaction_id if self.letters else None

    def without(self, event_id: str) -> Unit:
        """The unit without an event, of its own or a pending one."""
        letters = tuple(letter for letter in self.letters if letter.event_id != event_id)
        return dataclasses.replace(self, letters=letters, skipped=self.skipped | {event_id})


@dataclasses.dataclass(frozen=True)
class Sibling:
    """An event in bronze of a transaction of which entries are redriven."""

    transaction_id: str
    event_id: str
    loaded: bool


@dataclasses.dataclass(frozen=True)
class Made:
    """What was put back, and what was loaded from it."""

    moved: dict[str, int]
    requeued: int
    days: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Back:
    """Events that were put back: the columns of their images, their ids and their digest."""

    columns: frozenset[str]
    ids: list[str]
    digest: t.Any


class RedriveBatch(Reload):
    """Writes on behalf of the run `run_id`, inside the transaction of a batch."""

    def __init__(self, session: Session, tables: Tables, run_id: str, pipeline: Actor) -> None:
        super().__init__(session, pipeline)
        self.tables = tables
        self.run_id = run_id
        self.resolver = Resolver(session, tables, run_id)

    def bring_back(self, units: Sequence[Unit]) -> Made:
        """Puts the events of these units back and has the ETL load them. Raises Refused, having changed nothing,
        where it does not."""
        letters = [letter for unit in units for letter in unit.letters]
        with self.all_or_nothing():
            back = self._put_back(letters)
            siblings = self.siblings_of(units)
            taken, days = self._take_silver(units, siblings)
            ids = [letter.event_id for unit in units if unit.loads for letter in unit.letters]
            event_queue.load_exactly(self.session, ids + _again(siblings, taken), self.pipeline)
            made, more = self._made(units, ids)
            self.resolver.resolve(letters, taken)
            self._prove_in_the_end(back)
        loaded = sum(sibling.loaded and sibling.transaction_id in taken for sibling in siblings)
        return Made({"events": len(letters), **made}, loaded, frozenset(days | more))

    def culprit(self, unit: Unit) -> tuple[str, Refused] | None:
        """The first event of a unit that is refused, and why; changes nothing."""

        def put_back() -> list[str]:
            for letter in unit.letters:
                with self.naming(letter.event_id):
                    self._put_back([letter])
            siblings = self.siblings_of([unit])
            taken, _ = self._take_silver([unit], siblings)
            return [*(letter.event_id for letter in unit.letters), *_again(siblings, taken)]

        return self.first_refused(put_back)

    def _put_back(self, letters: Sequence[Letter]) -> list[Back]:
        """Puts events back, and proves that they are what their images say."""
        made: list[Back] = []
        generated = {row["name"] for row in self.session.rows(GENERATED, bronze=contract.names().bronze)}
        groups: dict[frozenset[str], list[Letter]] = {}
        for letter in letters:
            groups.setdefault(frozenset(letter.columns) - generated, []).append(letter)
        for columns, group in groups.items():
            found = self._put_group(columns, group)
            row_images.refuse_elsewhere(
                self.session, "stopped before a batch that may be there twice then", found["elsewhere"]
            )
            if not len(group) == found["wanted"] == found["back"] or found["wanted_digest"] != found["back_digest"]:
                raise self._inexact(
                    f"wanted {found['wanted']} events ({found['wanted_digest']}), got {found['back']} ({found['back_digest']})"
                )
            made.append(Back(columns, [letter.event_id for letter in group], found["back_digest"]))
        return made

    def _prove_in_the_end(self, back: Sequence[Back]) -> None:
        """The same proof once more, after all triggers have had their turn."""
        for part in back:
            table = self.tables.bronze.like(part.columns | {"event_data"})
            query = contract.compose(IN_THE_END, digest=digest(table.image("b")))
            found = self.session.row(query, ids=part.ids)
            if (found["events"], found["digest"]) != (len(part.ids), part.digest):
                raise self._inexact(
                    f"put back {len(part.ids)} events ({part.digest}), now {found['events']} ({found['digest']})"
                )

    def _inexact(self, said: str) -> NotConverged:
        return NotConverged(
            "stopped before a batch of events that could not be proved exact; it was rolled back",
            on=self.session.where,
            said=said,
            next_step=contract.words("look for a trigger or rule on {bronze}"),
        )

    def _put_group(self, columns: frozenset[str], group: Sequence[Letter]) -> Row:
        try:
            return self.session.row(self._put_statement(columns), letters=Jsonb([letter.given() for letter in group]))
        except errors.UniqueViolation as e:
            table = f"{e.diag.schema_name}.{e.diag.table_name}"
            if table != contract.names().bronze or not SAME_EVENT.search(e.diag.message_detail or ""):
                raise
            # The same event has come in since our snapshot was taken: the next attempt sees it.
            raise errors.SerializationFailure(str(e.diag.message_primary)) from e

    def _put_statement(self, columns: frozenset[str]) -> sql.Composed:
        table = self.tables.bronze.like(columns | {"event_data"})
        names = [column.name for column in table.columns]
        record = sql.SQL(", ").join(named("k", name) for name in names)
        replaced: dict[str, sql.Composable] = {
            "event_data": sql.SQL("x.payload"),
            "event_hash": sql.SQL("(w.hash)::{}").format(
                sql.SQL(t.cast("t.Any", next((c.type for c in table.columns if c.name == "event_hash"), "bytea")))
            ),
        }
        casts = [
            sql.SQL("(x.image ->> {})::{} AS {}").format(
                literal(c.name), sql.SQL(t.cast("t.Any", c.type)), named(c.name)
            )
            for c in table.columns
        ]
        whole = [sql.SQL("{} AS {}").format(replaced.get(name, named("k", name)), named(name)) for name in names]
        return contract.compose(
            PUT_BACK,
            image=table.image("r"),
            from_image=sql.SQL(", ").join(casts),
            from_record=record,
            whole=sql.SQL(", ").join(whole),
            targets=table.targets,
            values=table.values("image"),
            digest=digest(sql.Identifier("image")),
            elsewhere=row_images.ELSEWHERE.format(rows=sql.Identifier("back")),
        )

    def siblings_of(self, units: Iterable[Unit]) -> list[Sibling]:
        """The events that stay and are about the same transactions; locked, so that the ETL can take them."""
        chosen = list(units)
        transactions = [unit.transaction_id for unit in chosen if unit.transaction_id is not None]
        own = {letter.event_id for unit in chosen for letter in unit.letters} | {
            e for unit in chosen for e in unit.skipped
        }
        if not transactions:
            return []
        rows = self.session.rows(
            contract.compose(SIBLINGS, sale=sale("b")),
            run_id=self.run_id, transactions=transactions, event_type=contract.names().transaction_event, since=self.since, ours=self.ours,
        )  # fmt: skip
        found = [Sibling(**row) for row in rows if row["event_id"] not in own]
        if found:
            self.session.rows(contract.compose(LOCK), ids=[sibling.event_id for sibling in found])
        return found

    def is_pending(self, unit: Unit, event_id: str) -> bool:
        """Whether an event that stays was waiting for the ETL anyway."""
        return any(sibling.event_id == event_id and not sibling.loaded for sibling in self.siblings_of([unit]))

    def _take_silver(
        self, units: Sequence[Unit], siblings: Sequence[Sibling]
    ) -> tuple[dict[str, dict[str, t.Any]], set[str]]:
        """Removes what silver has of these transactions, and the marks of the events that it was made of: their images by
        transaction, and the days concerned."""
        transactions = [unit.transaction_id for unit in units if unit.transaction_id is not None]
        there = (
            {row["transaction_id"] for row in self.session.rows(contract.compose(THERE), transactions=transactions)}
            if transactions
            else set[str]()
        )
        # A mark of an event whose silver was moved alone would keep it out of what is made now.
        marks = [sibling for sibling in siblings if sibling.loaded]
        if not there and not marks:
            return {}, set()
        days = {row["day"] for row in self.session.rows(contract.compose(DAYS), transactions=list(there))}
        query = contract.compose(
            TAKE,
            line=self.tables.lines.image("r"),
            transaction=self.tables.transactions.image("r"),
            mark=self.tables.ledger.image("r"),
            digest=digest(sql.Identifier("image")),
        )
        rows = self.session.rows(
            query, there=list(there), marks=[s.event_id for s in marks], marks_of=[s.transaction_id for s in marks]
        )
        if sum(row["certain"] for row in rows) != len(there) + len(marks):
            raise NotConverged(
                "stopped before a batch whose silver rows could not be removed completely; it was rolled back",
                on=self.session.where,
                next_step=contract.words("look for a trigger or rule on {transactions} or {etl_ledger}"),
            )
        return {row["sale"]: row for row in rows}, days

    def _made(self, units: Sequence[Unit], ids: Sequence[str]) -> tuple[dict[str, int], set[str]]:
        transactions = [unit.transaction_id for unit in units if unit.transaction_id is not None]
        counts = self.session.row(contract.compose(MADE), transactions=transactions, ids=list(ids))
        return counts, {row["day"] for row in self.session.rows(contract.compose(DAYS), transactions=transactions)}

    def in_bronze(self, event_ids: Sequence[str]) -> set[str]:
        """Those of the events that are there."""
        return (
            {row["event_id"] for row in self.session.rows(contract.compose(IN_BRONZE), ids=list(event_ids))}
            if event_ids
            else set()
        )


def _again(siblings: Iterable[Sibling], taken: Mapping[str, t.Any]) -> list[str]:
    """Those that the ETL is to load with the others: such as wait, and those of transactions whose silver was taken."""
    return [sibling.event_id for sibling in siblings if not sibling.loaded or sibling.transaction_id in taken]

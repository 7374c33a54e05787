# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks dead letters as resolved or as failed again, and records, entry by entry, what was removed and what was
loaded."""

from __future__ import annotations

import typing as t

from ...core.errors import NotConverged
from ...postgres.driver import Jsonb, sql
from ...scout import contract
from ...scout.dead_letters import FORMAT
from ...scout.loadable import sale
from ...scout.row_images import digest

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session
    from ...scout.poison_probe import Refused
    from ...scout.row_images import Tables
    from .letters import Letter

#: The event that undo would take a transaction to be made of: it has to carry what silver had before.
OWNERS = """
SELECT DISTINCT ON ({sale}) {sale} AS transaction_id, b.event_id::text AS event_id
FROM {bronze} AS b LEFT JOIN {transactions} AS t ON t.transaction_id = {sale}
WHERE b.event_id = ANY(%(ids)s::uuid[])
ORDER BY {sale}, (b.event_id = t.source_event_id) DESC NULLS LAST, b.ingested_at, b.event_id
"""

#: Marks entries, and writes down what they were, what they are, and what else went and came with them.
MARK = """
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(letters)s)
    AS w (place int, dlq_id uuid, event_id uuid, back uuid, resolved_by text, tried int, message text, details jsonb, closure text)
), before AS MATERIALIZED (
    SELECT d.dlq_id, {letter} AS image FROM {dead_letters} AS d WHERE d.dlq_id IN (SELECT dlq_id FROM given)
), after AS (
    UPDATE {dead_letters} AS d SET
        resolved_at = CASE WHEN w.resolved_by IS NOT NULL THEN clock_timestamp() END,
        resolved_by = coalesce(w.resolved_by, d.resolved_by),
        retry_count = coalesce(d.retry_count, 0) + w.tried,
        last_retry_at = CASE WHEN w.tried > 0 THEN clock_timestamp() ELSE d.last_retry_at END,
        error_message = coalesce(w.message, d.error_message),
        error_details = CASE
            WHEN w.message IS NOT NULL THEN
                coalesce(d.error_details, jsonb_build_object('format', %(format)s::text, 'kind', 'runbook'))
                || jsonb_build_object('attempts', coalesce(d.error_details -> 'attempts', '[]') || jsonb_build_array(jsonb_build_object(
                       'error', d.error_message, 'sqlstate', d.error_details -> 'sqlstate', 'until', clock_timestamp())))
                || w.details
            WHEN w.details IS NOT NULL THEN
                coalesce(d.error_details, jsonb_build_object('format', %(format)s::text, 'kind', 'runbook')) || w.details
            ELSE d.error_details END
    FROM given AS w WHERE w.dlq_id = d.dlq_id AND d.resolved_at IS NULL
    RETURNING d.dlq_id, {letter} AS image
), written AS (
    INSERT INTO scout_ops.images (run_id, dlq_id, event_id, transaction_id, removed, added)
    SELECT %(run_id)s, w.dlq_id, w.event_id,
           CASE WHEN jsonb_typeof(b.event_data) = 'object' THEN b.event_data ->> 'transaction_id' END,
           jsonb_build_object('dead_letters', jsonb_build_array(before.image)) || coalesce(w.closure::jsonb, '{{}}'),
           jsonb_build_object('dead_letters', jsonb_build_array(after.image))
           || CASE WHEN b.event_id IS NULL THEN '{{}}' ELSE jsonb_build_object('events', jsonb_build_array({event})) END
    FROM given AS w JOIN before USING (dlq_id) JOIN after USING (dlq_id) LEFT JOIN {bronze} AS b ON b.event_id = w.back
    ORDER BY w.place
    RETURNING removed, added
)
SELECT count(*) AS letters, coalesce(sum(jsonb_array_length(added -> 'events')), 0) AS events, coalesce(sum(rows), 0) AS rows,
       coalesce(sum(digest), 0)::text AS digest
FROM written LEFT JOIN LATERAL (
    SELECT count(*) AS rows, {digest} AS digest
    FROM jsonb_each(removed) AS part CROSS JOIN LATERAL jsonb_array_elements(part.value) AS r (image) WHERE part.key <> 'dead_letters'
) AS r ON true
"""


class Resolver:
    """Writes on behalf of the run `run_id`, inside the caller's transaction."""

    def __init__(self, session: Session, tables: Tables, run_id: str) -> None:
        self.session = session
        self.tables = tables
        self.run_id = run_id

    def resolve(self, letters: Sequence[Letter], taken: dict[str, dict[str, t.Any]]) -> None:
        owners: dict[str, str] = {}
        if taken:
            ids = [letter.event_id for letter in letters]
            rows = self.session.rows(contract.compose(OWNERS, sale=sale("b")), ids=ids)
            owners = {row["event_id"]: row["transaction_id"] for row in rows if row["transaction_id"] in taken}
        marks = [
            {
                "back": letter.event_id,
                "resolved_by": f"redrive {self.run_id}",
                "tried": 1,
                "details": {"repairs": list(letter.patches)} if letter.patches else None,
                "closure": taken[owners[letter.event_id]]["images"] if letter.event_id in owners else None,
            }
            for letter in letters
        ]
        self._mark(letters, marks, list(taken.values()))

    def already_there(self, pairs: Sequence[tuple[Letter, str]]) -> None:
        """Resolves entries whose event is in bronze already."""
        marks = [
            {"tried": 0, "resolved_by": f"redrive {self.run_id}: already there as event {event_id}"}
            for _, event_id in pairs
        ]
        self._mark([letter for letter, _ in pairs], marks, [])

    def failed(self, letters: Sequence[Letter], error: str, refused: Refused | None) -> None:
        """Keeps entries as dead letters with their new error; the earlier ones are kept as well."""
        diag = refused.error.diag if refused else None
        details: dict[str, t.Any] = {
            "sqlstate": refused.sqlstate if refused else None,
            "detail": diag.message_detail if diag else None,
            "constraint": diag.constraint_name if diag else None,
            "column": diag.column_name if diag else None,
            "redriven_by": self.run_id,
        }
        marks = [
            {
                "tried": 1,
                "message": error,
                "details": details | ({"repairs": list(letter.patches)} if letter.patches else {}),
            }
            for letter in letters
        ]
        self._mark(letters, marks, [])

    def _mark(
        self, letters: Sequence[Letter], marks: Sequence[dict[str, t.Any]], taken: Sequence[dict[str, t.Any]]
    ) -> None:
        if not letters:
            return
        given = [
            {"place": place, "dlq_id": letter.dlq_id, "event_id": letter.event_id, **mark}
            for place, (letter, mark) in enumerate(zip(letters, marks, strict=True))
        ]
        query = contract.compose(
            MARK,
            letter=self.tables.dead_letters.image("d"),
            event=self.tables.bronze.image("b"),
            digest=digest(sql.Identifier("image")),
        )
        found = self.session.row(query, letters=Jsonb(given), run_id=self.run_id, format=FORMAT)
        wanted = {
            "letters": len(letters),
            "events": sum("back" in mark for mark in marks),
            "rows": sum(row["rows"] for row in taken),
            "digest": str(sum(int(row["digest"]) for row in taken)),
        }
        if any(str(found[name]) != str(value) for name, value in wanted.items()):
            raise NotConverged(
                "stopped before a batch that could not be recorded completely; it was rolled back",
                on=self.session.where,
                said="; ".join(f"{name}: wanted {value}, got {found[name]}" for name, value in wanted.items()),
                next_step=contract.words("look for a trigger or rule on {dead_letters} or scout_ops.images"),
            )

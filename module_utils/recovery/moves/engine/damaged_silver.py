# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sales that silver has otherwise than their sound events say: what a window recovery rebuilds, and nothing should move."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ...postgres import acting
from ...scout import contract, cron_jobs, event_queue, lost_sales
from ...scout.dead_letters import FORMAT
from ...scout.expected_silver import JUDGED, LATER, MEASURED, Model
from ...scout.loadable import sale

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session
    from ...scout.row_images import Tables

#: The events that fed these sales, and when they arrived. None of a sale that cannot be rebuilt, because one of them is
#: malformed, cannot be compared, because silver has it of an event that is gone or names another sale, or was set aside by a
#: cleanup that kept its event.
FED = """
SELECT sale, array_agg(event_id::text ORDER BY ingested_at, event_id) AS events, min(ingested_at) AS first, max(ingested_at) AS last
FROM (
    SELECT {sale} AS sale, b.event_id, b.ingested_at, {malformed} AS malformed
    FROM {bronze} AS b
    WHERE {sale} = ANY(%(sales)s) AND b.event_type = {transaction_event} AND b.ingested_at BETWEEN '1970-01-01' AND '9000-01-01'
      AND (EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = b.event_id)
           OR EXISTS (SELECT FROM {transactions} AS t WHERE t.source_event_id = b.event_id))
) AS fed
GROUP BY sale
HAVING NOT bool_or(malformed)
   AND NOT EXISTS (SELECT FROM {transactions} AS t WHERE t.transaction_id = sale AND t.source_event_id <> ALL(array_agg(event_id)))
   AND NOT EXISTS (SELECT FROM {dead_letters} AS d
                   WHERE d.resolved_at IS NULL AND d.original_payload ->> 'transaction_id' = sale
                     AND d.error_details ->> 'format' = %(format)s AND NOT d.error_details ? 'event')
"""

#: The sales of the events that were loaded last; those of them that silver has lost. Marks without a time apart: an index gives
#: either, and not the one after the other.
RECENT = """
SELECT DISTINCT {sale} AS sale
FROM ((SELECT event_id FROM {etl_ledger} WHERE processed_at IS NOT NULL ORDER BY processed_at DESC LIMIT %(rows)s)
      UNION ALL
      (SELECT event_id FROM {etl_ledger} WHERE processed_at IS NULL LIMIT %(rows)s)) AS p
JOIN {bronze} AS b ON b.event_id = p.event_id
WHERE b.event_type = {transaction_event} AND {sale} IS NOT NULL
"""
LOST = RECENT + "  AND NOT EXISTS (SELECT FROM {transactions} AS t WHERE t.transaction_id = {sale})"

#: Sales with the event that each was made of first: of the latest, and of all there are.
PAIRS = """
SELECT p.transaction_id, p.source_event_id::text AS event_id FROM (
    (SELECT t.transaction_id, t.source_event_id FROM {transactions} AS t WHERE t.processed_at IS NOT NULL
     ORDER BY t.processed_at DESC LIMIT %(rows)s)
    UNION (SELECT t.transaction_id, t.source_event_id FROM {transactions} AS t {sample} LIMIT %(rows)s)
) AS p JOIN {bronze} AS b ON b.event_id = p.source_event_id WHERE {sale} = p.transaction_id
"""
PAIRED_ROWS: t.Final = 300
#: Of all sales that are compared, at most this share that differ are corrections by hand.
CORRECTED_SHARE: t.Final = 0.015

#: How many of the events that were loaded last are looked at.
RECENT_ROWS: t.Final = 5000

WINDOW: t.Final = "ansible-playbook scout.recovery.window_recovery"


@dataclasses.dataclass(frozen=True)
class Damaged:
    """Sales that silver has wrong, each with the fields that differ, and the minutes within which all their events arrived."""

    differing: dict[str, list[str]]
    start: datetime.datetime
    end: datetime.datetime
    #: How many sales were compared.
    compared: int = 0

    @property
    def command(self) -> str:
        """What rebuilds them."""
        return f"{WINDOW} -e scout_window_start={_text(self.start)} -e scout_window_end={_text(self.end)}"

    def sample(self, most: int = 3) -> str:
        """`4-0001 (total_amount), 4-0002 (lines.missing) and 5 more`."""
        names = sorted(self.differing)
        shown = ", ".join(f"{name[:60]} ({', '.join(self.differing[name])})" for name in names[:most])
        return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def find(session: Session, tables: Tables, sales: Sequence[str]) -> Damaged | None:
    """Those of these sales whose events are in bronze, can be loaded, and say something else than silver has; None where all
    agree. Only fields of which enough sales of this database show how the ETL fills them are compared."""
    if not sales:
        return None
    model = Model(tables, session.facts.server_version)
    fed = session.rows(
        contract.compose(FED, sale=sale("b"), malformed=model.malformed), sales=list(sales), format=FORMAT
    )
    events = {row["sale"]: row["events"] for row in fed}
    unjudged = _unjudged(session, model)
    differing = model.wrong(session, [*events], [event for of in events.values() for event in of], unjudged)
    differing = _unexplained(session, model, differing, events, unjudged)
    wrong = [row for row in fed if row["sale"] in differing]
    if not wrong:
        return None
    last = max(row["last"] for row in wrong).astimezone(datetime.UTC)
    return Damaged(
        differing,
        min(row["first"] for row in wrong).astimezone(datetime.UTC).replace(second=0, microsecond=0),
        last.replace(second=0, microsecond=0) + datetime.timedelta(minutes=1),
        len(fed),
    )


def spread(session: Session, tables: Tables, sales: Sequence[str]) -> Damaged | None:
    """The same of these sales, of those that silver has lost, and of some that look as if it had them otherwise than their first event
    says; where any is damaged, of all that were loaded lately, for whatever damaged one may have damaged others that no rule finds.
    Times without an offset mean what they mean to the pipeline."""
    with event_queue.in_its_time_zone(session, acting.actor(session, cron_jobs.etl_owner(session))):
        found = find(session, tables, sorted({*sales, *_recent(session, LOST), *_unlike_first(session, tables)}))
        found = found and find(session, tables, sorted({*sales, *found.differing, *_recent(session, RECENT)}))
        if found is None:
            return None
        altered = {name for name, fields in found.differing.items() if "missing" not in fields} - set(sales)
        if len(altered) > CORRECTED_SHARE * found.compared:
            return found
        # So few were corrected by hand; rebuilding them would take that back.
        return find(session, tables, sorted(found.differing.keys() - altered))


def _unlike_first(session: Session, tables: Tables) -> list[str]:
    """Of the latest sales, and of a sample of all, those that silver has otherwise than their first event says: quick to find, for no
    index tells of a sale's other events."""
    model = Model(tables, session.facts.server_version)
    sample = lost_sales.part_of(session, contract.names().transactions, PAIRED_ROWS)
    rows = session.rows(contract.compose(PAIRS, sale=sale("b"), sample=sample), rows=PAIRED_ROWS)
    pairs = {row["transaction_id"]: row["event_id"] for row in rows}
    return [*model.wrong(session, [*pairs], [*pairs.values()], [*_unjudged(session, model), *LATER])]


def _unjudged(session: Session, model: Model) -> list[str]:
    """The fields that are not compared: only those that every deployed ETL fills are, as far as this one does."""
    return [*(field for field in JUDGED if field not in MEASURED), *model.unjudged(session)]


def _recent(session: Session, query: t.LiteralString) -> list[str]:
    return [row["sale"] for row in session.rows(contract.compose(query, sale=sale("b")), rows=RECENT_ROWS)]


def _unexplained(
    session: Session, model: Model, differing: dict[str, list[str]], events: dict[str, list[str]], unjudged: list[str]
) -> dict[str, list[str]]:
    """The same without what one event of a sale says by itself: which of several came first is known to the ETL alone."""
    left = dict(differing)
    for nth in range(max((len(events[name]) for name in left), default=0)):
        alone = {name: events[name][nth] for name in left if 1 < len(events[name]) > nth}
        found = model.wrong(session, [*alone], [*alone.values()], unjudged)
        left |= {name: [field for field in left[name] if field in found.get(name, ())] for name in alone}
        left = {name: fields for name, fields in left.items() if fields}
    return left


def _text(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%MZ")

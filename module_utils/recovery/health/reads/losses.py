# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ETL says it has loaded and silver does not have, and how new silver is."""

from __future__ import annotations

import typing as t

from ...scout import contract, dead_letters

if t.TYPE_CHECKING:
    from ...postgres.session import Row, Session

#: An upsert keeps processed_at and moves updated_at.
UPDATED = """
SELECT extract(epoch FROM clock_timestamp() - max(updated_at))::float8 / 60 AS minutes
FROM {transactions} WHERE updated_at <= clock_timestamp() AND isfinite(updated_at)
"""

#: What the ETL says it has loaded and silver does not have; and what it passed over without a word, as it does with a
#: payload that is no object or has no transaction_id. A sale that a cleanup set aside while it kept the event is not lost.
LOST = """
SELECT count(*) FILTER (WHERE named AND NOT there) AS lost, count(*) FILTER (WHERE NOT named) AS swallowed,
       (array_agg(event_id::text ORDER BY event_id) FILTER (WHERE named AND NOT there))[1:3] AS lost_ids,
       (array_agg(event_id::text ORDER BY event_id) FILTER (WHERE NOT named))[1:3] AS swallowed_ids
FROM (
    SELECT b.event_id, e.transaction_id IS NOT NULL AS named,
           EXISTS (SELECT FROM {transactions} AS s WHERE s.transaction_id = e.transaction_id)
           OR e.transaction_id IN (
               SELECT d.original_payload ->> 'transaction_id' FROM {dead_letters} AS d
               WHERE d.resolved_at IS NULL AND d.error_details ->> 'format' = %(format)s AND NOT d.error_details ? 'event'
                 AND d.original_payload ->> 'transaction_id' IS NOT NULL) AS there
    FROM {etl_ledger} AS p
    JOIN {bronze} AS b ON b.event_id = p.event_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN jsonb_typeof(b.event_data) = 'object' THEN b.event_data ->> 'transaction_id' END AS transaction_id
    ) AS e
    WHERE p.processed_at >= clock_timestamp() - make_interval(hours => %(hours)s) AND b.event_type = %(event_type)s
) AS marked
"""


def updated_minutes(session: Session) -> float | None:
    """How old the latest change of a sale is."""
    return session.row(contract.compose(UPDATED))["minutes"]


def lost(session: Session, hours: int) -> Row:
    """How many of the events that were marked within so many hours are lost, and how many were swallowed, with examples."""
    return session.row(
        contract.compose(LOST), hours=hours, event_type=contract.names().transaction_event, format=dead_letters.FORMAT
    )

# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves one bronze event to the dead letter queue: its full image stored, what is removed and stored proved equal."""

from __future__ import annotations

import secrets
import time
import typing as t

from ..core.errors import NotConverged
from ..postgres.driver import Jsonb, sql
from . import contract, row_images

if t.TYPE_CHECKING:
    from ..postgres.session import Session

#: Version of the document in error_details; a reader refuses one it does not know.
FORMAT: t.Final = "scout-recovery/1"

#: Ids that ascend, so that the primary key grows at its end: a prefix made for the batch, then the number of the row.
DLQ_ID = sql.SQL("(%(prefix)s || lpad(to_hex(row_number() OVER ()), 12, '0'))::uuid")

BEFORE = """
SELECT md5(({image})::text) AS digest, md5(b.event_data::text) AS payload_digest
FROM {bronze} AS b WHERE b.event_id = %(event_id)s FOR UPDATE
"""

#: original_payload holds the payload, error_details -> 'event' every other column.
MOVE = """
WITH gone AS (
    DELETE FROM {bronze} AS b WHERE b.event_id = %(event_id)s
    RETURNING b.event_data, b.source_system, {image} AS event, b.tableoid
), stored AS (
    INSERT INTO {dead_letters} (original_payload, error_code, error_message, error_details, source_system)
    SELECT g.event_data, %(code)s, %(message)s, %(document)s::jsonb || jsonb_build_object('event', g.event), g.source_system
    FROM gone AS g
    RETURNING dlq_id
)
SELECT s.dlq_id, {elsewhere} AS elsewhere FROM stored AS s
"""

AFTER = """
SELECT md5((d.error_details -> 'event')::text) AS digest, md5(d.original_payload::text) AS payload_digest,
       EXISTS (SELECT FROM {bronze} AS b WHERE b.event_id = %(event_id)s) AS still_there
FROM {dead_letters} AS d WHERE d.dlq_id = %(dlq_id)s
"""


def move_event(
    session: Session, event_id: str, *, code: str, message: str, document: dict[str, t.Any]
) -> dict[str, t.Any]:
    """Moves an event inside the caller's transaction; raises NotConverged, so that it rolls back, if the proof fails.

    `document` joins the event's image in `error_details`; what is read back must equal what was removed, by digest.
    """
    image = row_images.read(session).bronze.image("b", without=("event_data",))
    whole = Jsonb({"format": FORMAT, **document})
    before = session.rows(contract.compose(BEFORE, image=image), event_id=event_id)
    move = contract.compose(MOVE, image=image, elsewhere=row_images.ELSEWHERE.format(rows=sql.Identifier("gone")))
    moved = session.rows(move, event_id=event_id, code=code, message=message, document=whole)
    if moved:
        refused = f"refused to move event {event_id} to the dead letter queue"
        row_images.refuse_elsewhere(session, refused, moved[0]["elsewhere"])
    after = (
        session.rows(contract.compose(AFTER), event_id=event_id, dlq_id=moved[0]["dlq_id"]) if len(moved) == 1 else []
    )
    if not before or len(after) != 1 or after[0] != before[0] | {"still_there": False}:
        raise NotConverged(
            f"did not move event {event_id} to the dead letter queue",
            on=session.where,
            said="what would have been stored differs from what would have been removed; rolled back",
            next_step=contract.words("look for a trigger or rule on {bronze} or {dead_letters}"),
        )
    return {"event_id": event_id, "dlq_id": str(moved[0]["dlq_id"]), "digest": after[0]["digest"]}


def ascending_prefix() -> str:
    """The first four groups of a UUID of version 7: the time in milliseconds, then random bits."""
    stamp, dice = f"{time.time_ns() // 1_000_000:012x}", secrets.randbits(26)
    return f"{stamp[:8]}-{stamp[8:]}-7{dice & 0xFFF:03x}-{0x8000 | dice >> 12:04x}-"
